"""`forebay transactions`: what came into a team's credits and what went out."""

import sys
from typing import Annotated

import typer

from forebay.cli.figures import AsCsv, Since, Until, dollars, moment
from forebay.cli.here import Here, command, when


def add_to(app: typer.Typer) -> None:
    """Put it beside the other commands."""
    command(app, "transactions")(transactions)


def transactions(
    here: Here,
    *,
    kind: Annotated[str | None, typer.Option(help="Of this kind, as grant.")] = None,
    except_use: Annotated[bool, typer.Option("--except-use", help="Leave out what is charged each minute.")] = False,
    since: Since = None,
    until: Until = None,
    csv: AsCsv = False,
    page: Annotated[int, typer.Option(min=1)] = 1,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
) -> None:
    """Show what came into a team's credits and what went out, newest first."""
    from forebay.client import transactions

    team_id = here.team().id
    since, until, except_kind = moment(since), moment(until), "usage" if except_use else None
    if csv:
        asked = transactions.as_csv(team_id, kind=kind, except_kind=except_kind, since=since, until=until)
        sys.stdout.write(here.ask(asked))
        return
    reply = here.exchange(
        transactions.listed(
            team_id, kind=kind, except_kind=except_kind, since=since, until=until, page=page, limit=limit
        )
    )
    here.table(
        reply,
        ["At (UTC)", "What", "Amount", "Balance", "Reason", "Who"],
        [
            [
                when(each.created_at),
                each.description,
                dollars(each.amount),
                dollars(each.balance_after),
                each.reason or None,
                "Forebay" if each.created_by is None else each.created_by.name or each.created_by.id,
            ]
            for each in reply.answer.transactions
        ],
    )
