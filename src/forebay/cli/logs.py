"""`forebay logs`: what a machine writes, and what it goes on to write."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.completion import deployment_names
from forebay.cli.here import Here, command, pick

if TYPE_CHECKING:
    from forebay.client.deployments import Deployment

PAUSE_SECONDS = 1.0
INTERRUPTED = 130
ACTIVE = ("deploying", "running", "stopped")

Machine = Annotated[
    str, typer.Argument(help="The machine, by name or id.", autocompletion=deployment_names, metavar="NAME")
]


def add_to(app: typer.Typer) -> None:
    """Put it beside the other commands."""
    command(app, "logs")(logs)


def machine(here: Here, wanted: str) -> "Deployment":
    """The team's machine of this id or name; one that has ended only where none that is there is called so."""
    from forebay.client import deployments

    listed = here.ask(deployments.listed(team_id=here.team().id))
    there = [one for one in listed if one.status in ACTIVE]
    is_there = any(wanted.lower() in (one.id, one.name.lower()) for one in there)
    found: Deployment = pick("machine", wanted, there if is_there else listed, lambda one: [one.name])
    return found


def logs(
    here: Here,
    name: Machine,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
    cloud_init: Annotated[bool, typer.Option("--cloud-init", help="Cloud-init's log, not the console.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", help="How many lines of its end.", min=1, max=10_000)] = 200,
) -> None:
    """Print a machine's console, or cloud-init's log. With --json each piece as the API answers it, a line each."""
    from forebay.client import logs

    found = machine(here, name)
    kind = "cloud-init" if cloud_init else "console"
    reply = here.exchange(logs.show(found.id, kind=kind, tail=tail))
    try:
        show(here, reply)
        while follow and not reply.answer.is_over:
            time.sleep(PAUSE_SECONDS)
            reply = here.exchange(logs.show(found.id, kind=kind, cursor=reply.answer.cursor or None))
            if reply.answer.is_cut and not here.as_json:
                print("… something is missing here", file=sys.stderr)
            show(here, reply)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def show(here: Here, reply: Any) -> None:
    """Print a piece, if there is anything new."""
    if reply.answer.text and not here.print_json(reply):
        sys.stdout.write(harmless(reply.answer.text))
        sys.stdout.flush()


def harmless(text: str) -> str:
    """Text of a machine's on a terminal: nothing in it moves the cursor or changes what stands there already."""
    kept = (letter if letter.isprintable() or letter in "\n\t" else "" for letter in text)
    return "".join(kept)
