"""`forebay statement`: a month's credits as a PDF document."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from forebay.cli.ending import end
from forebay.cli.here import Here, command, refuse_usage


def add_to(app: typer.Typer) -> None:
    """Put it beside the other commands."""
    command(app, "statement")(statement)


def statement(
    here: Here,
    month: Annotated[str | None, typer.Argument(help="As in 2026-11; without it, the months there are.")] = None,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; - for here.")] = None,
) -> None:
    """Save the statement of a month as a PDF document, or list the months."""
    from forebay.client import statements

    team = here.team()
    if month is None:
        reply = here.exchange(statements.listed(team.id))
        rows = [[each.month, None if each.is_complete else "until now"] for each in reply.answer.statements]
        here.table(reply, ["Month", ""], rows)
        return
    if here.as_json:
        refuse_usage("A statement is a PDF document: leave --json out.")
    content = here.ask(statements.document(team.id, month))
    if output == Path("-"):
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    path = output or Path(f"statement-{team.slug}-{month}.pdf")
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        end(f"{path} can't be written: {error.strerror}.")
    print(f"The statement is in {path}.")
