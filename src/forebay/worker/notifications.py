"""Hands on what happened: mails to those who want them, deliveries to webhooks, all of one event in one transaction."""

import logging
from collections.abc import Callable

from forebay.clock import Clock
from forebay.domain.people import notifications
from forebay.storage.database import Database

log = logging.getLogger(__name__)


class NotificationReconciler:
    """See the module."""

    name = "notifications"
    interval_seconds = 5.0

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        public_url: str,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.clock, self.public_url, self.nudge = database, clock, public_url, nudge

    def run(self) -> int:
        """Hand on what is due; how many there were."""
        with self.database.read() as connection:
            if not notifications.is_any_due(connection, now=self.clock.now()):
                return 0
        with self.database.begin() as connection:
            now = self.clock.now()
            due = notifications.take_due(connection, now=now)
            for found in due:
                try:
                    with connection.begin_nested():
                        notifications.hand_on(connection, found, public_url=self.public_url, now=now)
                except Exception:
                    # One that can't be told must not keep the others from being told.
                    log.exception("notification not handed on", extra={"notification": found.id})
                    notifications.put_off(connection, found, now=now)
        if due:
            self.nudge("mails")
            self.nudge("webhooks")
        return len(due)

    def close(self) -> None:
        """Nothing is held."""
