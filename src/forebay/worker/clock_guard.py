"""The wall clock held against the monotonic one: money is only reckoned with a clock that can be trusted.

Within a process the two advance together. A wall clock that goes back charges nothing by itself. One that jumps ahead
would charge for time that has not passed: from then on nothing is sighted and nothing charged, and an alert stands,
until the two agree again or an operator restarts Forebay with the right time.
"""

import logging
import threading
from datetime import datetime

from forebay.clock import Clock
from forebay.domain.machines import alerts
from forebay.storage.database import Database

log = logging.getLogger(__name__)


class ClockGuard:
    """Shared by all who note times that cost money."""

    def __init__(self, database: Database, clock: Clock, *, jump_seconds: int) -> None:
        self.database, self.clock, self.jump_seconds = database, clock, jump_seconds
        self.last: tuple[datetime, float] | None = None
        self.is_alarmed: bool | None = None
        """None until it was told once: an alert of the process before may stand."""
        self.lock = threading.Lock()

    def is_sane(self) -> bool:
        """Whether the wall clock has kept step since it was last found sane; raises the alert or clears it."""
        with self.lock:
            now, monotonic = self.clock.now(), self.clock.monotonic()
            if self.last is None:
                self.last = now, monotonic
            ahead = (now - self.last[0]).total_seconds() - (monotonic - self.last[1])
            if ahead <= self.jump_seconds:
                self.last = now, monotonic
                self.tell(None, now)
                return True
            self.tell(int(ahead), now)
            return False

    def tell(self, ahead: int | None, now: datetime) -> None:
        """Raise the alert or clear it, where that is news."""
        if (ahead is not None) == self.is_alarmed:
            return
        self.is_alarmed = ahead is not None
        with self.database.begin() as connection:
            if ahead is None:
                alerts.clear(connection, "clock", "wall", now=now)
                return
            text = f"The clock jumped ahead by {ahead} s. Nothing is charged until it is right or Forebay is restarted."
            alerts.raise_(connection, "clock", "wall", text, now=now)
        log.error("clock jumped ahead", extra={"seconds": ahead})
