"""When machines end by themselves, as commands take and print it: at a time, at a cost, when they are idle."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.figures import dollars, figure, moment
from forebay.cli.here import refuse_usage, visible, when

if TYPE_CHECKING:
    from forebay.client.deployments import Deployment

NOTHING = "none"
"""What takes an end off again."""

MaxCost = Annotated[
    str | None, typer.Option("--max-cost", help="Terminate it before it costs more than so many dollars.")
]
TerminateAt = Annotated[
    str | None,
    typer.Option("--terminate-at", help="Terminate it then, in UTC: 2026-03-01T18:00:00Z, or in 90m, 8h, 2d."),
]
AutoStop = Annotated[
    str | None, typer.Option("--auto-stop", help="Stop it when it was idle for so many minutes.", metavar="MINUTES")
]
AutoStopAction = Annotated[str | None, typer.Option("--auto-stop-action", help="What is done then: stop or terminate.")]


def ends_of(one: "Deployment") -> list[str]:
    """The ends that are planned, in words."""
    found = []
    if one.terminate_at is not None and one.status in ("deploying", "running", "stopped"):
        found.append(f"{when(one.terminate_at)}")
    if one.max_cost is not None:
        found.append(f"at {dollars(one.max_cost)}")
    if one.auto_stop_minutes is not None:
        verb = "terminated" if one.auto_stop_action == "terminate" else "stopped"
        found.append(f"{verb} after {one.auto_stop_minutes} idle minutes")
    return found


def ends_wished(
    max_cost: str | None, terminate_at: str | None, auto_stop: str | None, auto_stop_action: str | None
) -> dict[str, Any]:
    """The ends that are given, as the client takes them. Ends the program for what is none."""
    wishes: dict[str, Any] = {}
    if max_cost is not None:
        wishes["max_cost"] = None if max_cost == NOTHING else figure(max_cost)
    if terminate_at is not None:
        wishes["terminate_at"] = None if terminate_at == NOTHING else at(terminate_at)
    if auto_stop is not None:
        if auto_stop != NOTHING and not auto_stop.removesuffix("m").isdecimal():
            refuse_usage(f"{visible(auto_stop)!r} is no number of minutes.")
        wishes["auto_stop_minutes"] = None if auto_stop == NOTHING else int(auto_stop.removesuffix("m"))
    if auto_stop_action is not None:
        wishes["auto_stop_action"] = auto_stop_action
    return wishes


def at(text: str) -> str:
    """A moment as the API takes it: as it was typed, or so long from now on."""
    from datetime import UTC, datetime, timedelta

    minutes = stretch(text)
    if minutes is None:
        return moment(text) or text
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


def stretch(text: str) -> int | None:
    """The minutes in 90m, 8h or 2d; None for what is none of these."""
    unit = {"m": 1, "h": 60, "d": 1440}.get(text[-1:])
    return None if unit is None or not text[:-1].isdecimal() or len(text) > 6 else unit * int(text[:-1])
