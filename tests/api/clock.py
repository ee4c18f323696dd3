"""Time and threads as the tests of the wire have them: nothing moves unless a test says so."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Time that passes when a test says so, or when someone waits: a second at least, so that patience ends soon."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=int(self.seconds))

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.seconds += max(1.0, seconds)
        return event.is_set()

    def forward(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        self.seconds += seconds + 60 * minutes + 3600 * hours + 86400 * days


class Here(Executor):
    """Does at once, in the caller's thread, what others would do in threads of their own."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future
