"""`forebay audit`: proves the books."""

import typer

from forebay.cli.commands.running import DataDir, opened


def audit(data_dir: DataDir = None) -> None:
    """Check every invariant of the books; say the first that fails, and exit with status 1."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import audit as everything
        from forebay.domain.money import audit as books

        with books.snapshot(forebay.database) as connection:
            violations = everything.run(connection)
        if violations:
            typer.echo(f"The books do not balance: {violations[0]}", err=True)
            for violation in violations[1:]:
                typer.echo(f"  also: {violation}", err=True)
            raise typer.Exit(1)
        typer.echo("The books balance.")
