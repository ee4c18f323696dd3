"""`forebay migrate` and `forebay settings`."""

import typer

from forebay import settings as all_settings
from forebay.cli.commands.running import DataDir, opened


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this version. `forebay serve` does it too."""
    with opened(data_dir, must_exist=False) as forebay:
        from forebay.storage.migrations import HEAD

        typer.echo(f"{'migrated' if forebay.was_migrated else 'nothing to do'}: the database is at revision {HEAD}")


def show_settings() -> None:
    """Print every setting with its default: the environment variables that Forebay reads."""
    typer.echo(all_settings.documentation(), nl=False)
