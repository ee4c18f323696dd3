"""Writes down what is only kept in memory for speed, and drops what is too old to matter."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from forebay.clock import Clock
from forebay.domain.people import (
    activity,
    api_keys,
    notifications,
    retries,
    sent_links,
    sessions,
    slow_down,
    steps,
    webhook_deliveries,
)
from forebay.settings import Settings
from forebay.storage.database import Database

SWEEP_SECONDS = 3600
SWEPT = (
    steps.forget_old,
    slow_down.forget_old,
    sent_links.forget_old,
    notifications.forget_old,
    webhook_deliveries.forget_old,
)
"""What drops rows that are too old to matter, and can wait an hour."""


class Noted(Protocol):
    """What a server keeps in memory until it is written."""

    def take_uses(self) -> Sequence[tuple[str, datetime, str]]:
        """Last uses of keys."""

    def take_seen(self) -> Sequence[tuple[str, datetime]]:
        """Last uses of sessions."""

    def take_denials(self, now: datetime | None) -> Sequence[activity.Denial]:
        """Refusals of minutes that are over; without `now` all."""


class HousekeepingReconciler:
    """See the module."""

    name = "housekeeping"
    interval_seconds = 15.0

    def __init__(self, database: Database, clock: Clock, settings: Settings, noted: Noted) -> None:
        self.database, self.clock, self.settings, self.noted = database, clock, settings, noted
        self.swept_at: datetime | None = None

    def run(self) -> int:
        """What was noted, and what is too old; how many rows were dropped."""
        self.write(self.clock.now())
        return self.sweep(self.clock.now()) + self.forget_retries()

    def sweep(self, now: datetime) -> int:
        """Once an hour, rows that are too old to matter; how many."""
        if self.swept_at is not None and 0 <= (now - self.swept_at).total_seconds() < SWEEP_SECONDS:
            return 0
        self.swept_at = now
        with self.database.begin() as connection:
            return sum(forget_old(connection, now=now) for forget_old in SWEPT)

    def forget_retries(self) -> int:
        """Idempotency keys past their day; how many."""
        with self.database.read() as connection:
            if not retries.are_any_old(connection, now=self.clock.now()):
                return 0
        with self.database.begin() as connection:
            return retries.forget_old(connection, now=self.clock.now())

    def write(self, now: datetime | None) -> None:
        """Uses of keys and sessions, and refusals: of minutes that are over, or all without `now`."""
        uses, seen, denials = self.noted.take_uses(), self.noted.take_seen(), self.noted.take_denials(now)
        if not (uses or seen or denials):
            return
        settings = self.settings
        with self.database.begin() as connection:
            api_keys.note_use(connection, uses)
            sessions.note_seen(connection, seen, days=settings.session_days, idle_days=settings.session_idle_days)
            activity.record_denials(connection, denials)

    def close(self) -> None:
        """What is still in memory when the server ends is written."""
        self.write(None)
