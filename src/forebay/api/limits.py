"""Rate limits: so many requests in a window of 15 minutes, by address without a valid key, else by key or session.

Counted in this process. Several processes each count for themselves; put a limit of your own before them if that is
too much.
"""

import threading

from forebay.clock import Clock
from forebay.errors import RateLimitExceeded

WINDOW_SECONDS = 900
MOST_NAMES = 100_000


class RateLimiter:
    """Fixed windows, each beginning with its name's first request."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.windows: dict[str, list[float]] = {}
        self.lock = threading.Lock()

    def count(self, name: str, limit: int) -> None:
        """Count one request. Raises RateLimitExceeded over the limit."""
        now = self.clock.monotonic()
        with self.lock:
            window = self.windows.get(name)
            if window is None or now >= window[0]:
                if len(self.windows) >= MOST_NAMES:
                    self.forget_past(now)
                window = self.windows[name] = [now + WINDOW_SECONDS, 0]
            window[1] += 1
            if window[1] > limit:
                raise RateLimitExceeded(max(1, int(window[0] - now) + 1))

    def forget_past(self, now: float) -> None:
        """Drop windows that are over; if all are still open the oldest half goes, so memory stays bounded."""
        self.windows = {name: window for name, window in self.windows.items() if window[0] > now}
        if len(self.windows) >= MOST_NAMES:
            newest = sorted(self.windows.items(), key=lambda item: item[1][0])[MOST_NAMES // 2 :]
            self.windows = dict(newest)
