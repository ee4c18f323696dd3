"""Death at a chosen step: Forebay ends before or after any commit and any call of a provider or a payment processor,
and does nothing more.

The steps are the ones that the code takes, counted as it takes them. Once dead, every further step dies too, so that no
`finally` tidies up what a killed process would have left.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from forebay.storage.database import Database

OTHERWISE = frozenset(["answers", "name", "capabilities"])
"""What is asked of a provider or a processor and is no call to whoever is behind it."""


class Death(BaseException):
    """The process was killed."""


class Fuse:
    """Counts steps and burns out at one of them; 0: at none."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.steps: list[str] = []
        self.is_burnt_out = False

    def step(self, what: str) -> None:
        """One step further, or dead."""
        if self.is_burnt_out:
            raise Death
        self.steps.append(what)
        if len(self.steps) == self.at:
            self.is_burnt_out = True
            raise Death


class DyingDatabase:
    """A database whose user may die at every begin and commit."""

    def __init__(self, database: Database, fuse: Fuse) -> None:
        self.database, self.fuse, self.is_sqlite = database, fuse, database.is_sqlite

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self.fuse.step("begin")
        with self.database.begin() as connection:
            yield connection
            self.fuse.step("commit")
        self.fuse.step("committed")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self.fuse.step("read")
        with self.database.read() as connection:
            yield connection


class DyingProvider:
    """A provider, or a payment processor, whose caller may die before and after every call."""

    def __init__(self, provider: Any, fuse: Fuse) -> None:
        self.provider, self.fuse = provider, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.provider, name)
        if name in OTHERWISE:
            return found

        def ask(*args: Any, **kwargs: Any) -> Any:
            self.fuse.step(f"before {name}")
            answer = found(*args, **kwargs)
            self.fuse.step(f"after {name}")
            return answer

        return ask
