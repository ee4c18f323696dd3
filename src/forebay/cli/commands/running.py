"""What all commands share: opening the cloud that the environment names, and saying what is wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay import settings as all_settings
from forebay.errors import ForebayError
from forebay.settings import Settings

if TYPE_CHECKING:
    from forebay.app import Forebay

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of the cloud (FOREBAY_DATA_DIR).")]


@contextmanager
def say_what_is_wrong() -> Iterator[None]:
    """Turn expected failures into one sentence on standard error and exit status 1."""
    try:
        yield
    except (ForebayError, all_settings.InvalidSetting) as error:
        refuse(getattr(error, "sentence", str(error)))
    except Exception as error:
        from sqlalchemy.exc import OperationalError

        from forebay.app import AlreadyRunning, WrongSecretKey
        from forebay.payments.base import PaymentError
        from forebay.storage.migrations import DatabaseIsNewer

        if isinstance(error, (AlreadyRunning, WrongSecretKey, DatabaseIsNewer, PaymentError)):
            refuse(str(error))
        if isinstance(error, OperationalError):
            refuse(f"the database does not answer: {str(error.orig).strip().splitlines()[0]}")
        if isinstance(error, OSError):
            refuse(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        raise


def refuse(sentence: str) -> None:
    """Say it and end."""
    print(f"forebay: {sentence}", file=sys.stderr)
    raise SystemExit(1)


def read_settings(data_dir: Path | None, **overrides: Any) -> Settings:
    """The settings of this command."""
    return all_settings.read(data_dir=data_dir, **overrides)


@contextmanager
def opened(data_dir: Path | None, *, must_exist: bool = True, **overrides: Any) -> Iterator["Forebay"]:
    """The cloud that the environment and options name, closed at the end."""
    from forebay import logs
    from forebay.app import Forebay

    settings = read_settings(data_dir, **overrides)
    if must_exist and settings.is_sqlite and not (settings.data_dir / "forebay.db").exists():
        refuse(f"there is no cloud in {settings.data_dir.absolute()}: name its folder with --data-dir")
    logs.set_up(settings)
    forebay = Forebay(settings)
    try:
        yield forebay
    finally:
        forebay.close()
