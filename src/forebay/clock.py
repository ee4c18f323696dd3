"""Time from outside: the wall clock, the monotonic one, and waiting. Tests and simulations bring their own."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the program knows of time."""

    def now(self) -> datetime:
        """The wall clock in UTC, cut down to the second: times are whole seconds everywhere."""

    def monotonic(self) -> float:
        """Seconds that only ever grow, from an arbitrary start."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, `seconds` at most; whether it came."""


class SystemClock:
    """The machine's own."""

    def now(self) -> datetime:
        """UTC, whole seconds."""
        return datetime.fromtimestamp(int(time.time()), UTC)

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Really wait."""
        return event.wait(seconds)
