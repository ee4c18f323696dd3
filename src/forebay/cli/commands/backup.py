"""`forebay backup` and `forebay restore`: the whole cloud in one file, taken while it runs."""

from pathlib import Path
from typing import Annotated

import typer

from forebay.cli.commands.running import DataDir, opened, read_settings


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")], data_dir: DataDir = None
) -> None:
    """Copy the books and the secret key into one file, while the server runs. SQLite only: PostgreSQL has pg_dump."""
    with opened(data_dir) as forebay:
        from forebay.storage import backups

        size = backups.write(forebay.settings, forebay.cloud_id, file, now=forebay.clock.now())
        typer.echo(f"wrote {file} ({size / 1e6:.1f} MB). Keep it secret: it holds the key that hashes the credentials.")


def restore(
    file: Annotated[Path, typer.Argument(help="What `forebay backup` wrote.")], data_dir: DataDir = None
) -> None:
    """Make an empty data folder what it was. Check the copy with `forebay audit` before serving it."""
    from forebay.storage import backups

    settings = read_settings(data_dir)
    taken_at = backups.restore(settings, file)
    typer.echo(f"restored {settings.data_dir.absolute()} as it was at {taken_at}")
