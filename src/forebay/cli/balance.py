"""`forebay balance` and `move-credits`: what my teams have, and from one of them to another."""

from typing import Annotated

import typer

from forebay.cli.figures import dollars, lasting
from forebay.cli.here import Here, command, pick


def add_to(app: typer.Typer) -> None:
    """Put them beside the other commands."""
    command(app, "balance")(balance)
    command(app, "move-credits")(move_credits)


def balance(here: Here) -> None:
    """Show the credits of all my teams, and how long they last."""
    from forebay.client import balance

    reply = here.exchange(balance.show())
    here.table(
        reply,
        ["", "Team", "Balance", "Held", "Available", "An hour", "Lasts"],
        [
            [
                "*" if team.is_current_team else " ",
                team.team_name,
                dollars(team.balance),
                dollars(team.held),
                dollars(team.available),
                dollars(team.burn_per_hour),
                None if team.runway_seconds is None else lasting(team.runway_seconds),
            ]
            for team in reply.answer.teams
        ],
    )


def move_credits(
    here: Here,
    amount: Annotated[str, typer.Argument(help="In dollars.")],
    to: Annotated[str, typer.Argument(help="The team that gets them, by slug, id or name.")],
) -> None:
    """Move credits of a team (that of --team, else the current one) to another that I own too."""
    from forebay.client import credit_moves

    giver = here.team()
    taker = pick("team", to, here.teams, lambda team: (team.slug, team.name))
    reply = here.exchange(credit_moves.make(giver.id, taker.id, amount.removeprefix("$")))
    left = dollars(reply.answer.available)
    here.say(reply, f"{taker.name} has {dollars(reply.answer.amount)} more; {giver.name} has {left} available.")
