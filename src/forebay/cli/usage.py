"""`forebay usage`: what a team was charged, and what for."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from forebay.cli.figures import AsCsv, Since, Until, dollars, moment
from forebay.cli.here import Here, command

if TYPE_CHECKING:
    from forebay.client.usage import Usage, Use


def add_to(app: typer.Typer) -> None:
    """Put it beside the other commands."""
    command(app, "usage")(usage)


def usage(
    here: Here,
    *,
    by: Annotated[str, typer.Option(help="day, gpuType, member, apiKey, deployment, volume or label:KEY.")] = "day",
    since: Since = None,
    until: Until = None,
    csv: AsCsv = False,
    page: Annotated[int, typer.Option(min=1)] = 1,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
) -> None:
    """Show what a team was charged for machines and disks; without --since in this month."""
    from forebay.client import usage

    team_id = here.team().id
    since, until = moment(since), moment(until)
    if csv:
        sys.stdout.write(here.ask(usage.as_csv(team_id, group_by=by, since=since, until=until)))
        return
    reply = here.exchange(usage.show(team_id, group_by=by, since=since, until=until, page=page, limit=limit))
    found = reply.answer
    rows = [
        [use.name or use.key, dollars(use.cost), dollars(use.compute_cost), dollars(use.storage_cost), hours(use)]
        for use in found.usage
    ]
    total = [dollars(found.cost), dollars(found.compute_cost), dollars(found.storage_cost), hours(found)]
    here.table(reply, [by, "Cost", "Machines", "Disks", "Hours"], [*rows, ["in all", *total]])


def hours(use: "Usage | Use") -> str:
    """How long machines ran."""
    return f"{use.machine_seconds / 3600:,.2f}"
