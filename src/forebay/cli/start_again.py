"""`forebay start-again`: what was stopped when the credits ran out, as far as they last now."""

import typer

from forebay.cli.ending import REFUSED
from forebay.cli.here import Here, command


def add_to(app: typer.Typer) -> None:
    """Put it beside the other commands."""
    command(app, "start-again")(start_again)


def start_again(here: Here) -> None:
    """Start the machines that were stopped when the credits ran out. Status 1 if one of them stays stopped."""
    from forebay.client import start_again

    reply = here.exchange(start_again.start_again(here.team().id))
    found = reply.answer
    rows = [[machine.name, machine.id, "starting"] for machine in found.started]
    rows += [[machine.name, machine.id, machine.reason] for machine in found.refused]
    if rows:
        here.table(reply, ["Machine", "Id", "State"], rows)
    else:
        here.say(reply, "Nothing was stopped for lack of credits that you could start again.")
    if found.refused:
        raise typer.Exit(REFUSED)
