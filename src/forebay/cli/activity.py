"""`forebay activity`: who did what in a team, and what was tried in vain."""

import sys
from typing import Annotated

import typer

from forebay.cli.here import Here, command, pick, when
from forebay.cli.members import of_team


def add_to(app: typer.Typer) -> None:
    """Put it beside the other commands."""
    command(app, "activity")(show)


def show(
    here: Here,
    *,
    who: Annotated[str | None, typer.Option(help="Of this person: an address or name of a member, or an id.")] = None,
    action: Annotated[str | None, typer.Option(help="This action, as `team.rename`.")] = None,
    object_type: Annotated[str | None, typer.Option(help="On this kind of thing.")] = None,
    object_id: Annotated[str | None, typer.Option(help="On the thing with this id.")] = None,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was denied.")] = False,
    since: Annotated[str | None, typer.Option(help="From this moment on, as 2026-03-01T12:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="What I did, in all teams and with my account.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets.")] = False,
    page: Annotated[int, typer.Option(min=1)] = 1,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 50,
) -> None:
    """Show what was done in a team, newest first."""
    from forebay.client import activity
    from forebay.client.activity import Filter

    team_id = "" if mine else here.team().id
    if who is not None and not mine and "@" in who:
        who = pick("member", who, of_team(here, team_id), lambda one: (one.email, one.name), key="user_id").user_id
    which: Filter = {
        "user_id": who,
        "action": action,
        "object_type": object_type,
        "object_id": object_id,
        "outcome": "denied" if denied else None,
        "since": since,
        "until": until,
    }
    if csv and not mine:
        sys.stdout.write(here.ask(activity.of_team_as_csv(team_id, **which)))
        return
    if mine:
        reply = here.exchange(activity.mine(page=page, limit=limit, **which))
    else:
        reply = here.exchange(activity.of_team(team_id, page=page, limit=limit, **which))
    here.table(
        reply,
        ["At (UTC)", "Who", "Action", "Outcome", "On", "From", "Key"],
        [
            [
                when(row.at),
                "Forebay" if row.who is None else row.who.name,
                row.action,
                row.outcome,
                f"{row.object_type} {row.object_id}" if row.object_type else None,
                row.address,
                row.api_key_name,
            ]
            for row in reply.answer.activity
        ],
    )
