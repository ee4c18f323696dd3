"""Writes down what is only kept in memory for speed, and drops what is too old to matter."""

from collections.abc import Callable, Sequence
from datetime import datetime

from forebay.clock import Clock
from forebay.domain.people import api_keys, retries
from forebay.storage.database import Database


class HousekeepingReconciler:
    """See the module."""

    name = "housekeeping"
    interval_seconds = 15.0

    def __init__(
        self, database: Database, clock: Clock, take_uses: Callable[[], Sequence[tuple[str, datetime, str]]]
    ) -> None:
        self.database, self.clock, self.take_uses = database, clock, take_uses

    def run(self) -> int:
        """The last uses of keys, and idempotency keys past their day; how many of the latter were dropped."""
        uses = self.take_uses()
        if uses:
            with self.database.begin() as connection:
                api_keys.note_use(connection, uses)
        with self.database.read() as connection:
            if not retries.are_any_old(connection, now=self.clock.now()):
                return 0
        with self.database.begin() as connection:
            return retries.forget_old(connection, now=self.clock.now())

    def close(self) -> None:
        """Nothing is held."""
