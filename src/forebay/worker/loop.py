"""The loop: runs each reconciler on its schedule and on a nudge, in a thread of its own.

A nudge is only an optimisation: what it would have brought about is found on the schedule anyway. A reconciler that
raises is logged and run again; nothing it does may depend on having been run before.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from forebay.clock import Clock

log = logging.getLogger(__name__)


class Reconciler(Protocol):
    """Something that is to be looked at again and again."""

    name: str
    interval_seconds: float

    def run(self) -> int:
        """One round; how much there was to do, for the log and the metrics.

        With anything done it is run again at once.
        """

    def close(self) -> None:
        """Let go of threads and connections; what was begun is left to the next start."""


class Worker:
    """All reconcilers of a process."""

    def __init__(self, reconcilers: Sequence[Reconciler], clock: Clock) -> None:
        self.reconcilers = {reconciler.name: reconciler for reconciler in reconcilers}
        self.clock = clock
        self.bells = {name: threading.Event() for name in self.reconcilers}
        self.is_stopping = False
        self.threads: list[threading.Thread] = []
        self.last_run: dict[str, float] = {}
        self.failures = dict.fromkeys(self.reconcilers, 0)

    def nudge(self, name: str) -> None:
        """Something changed that this reconciler would find: let it look now."""
        bell = self.bells.get(name)
        if bell is not None:
            bell.set()

    def start(self) -> None:
        """Begin; returns at once."""
        for name in self.reconcilers:
            thread = threading.Thread(target=self.keep_running, args=(name,), name=f"forebay-{name}", daemon=True)
            thread.start()
            self.threads.append(thread)

    def keep_running(self, name: str) -> None:
        """The life of one reconciler's thread."""
        reconciler, bell = self.reconcilers[name], self.bells[name]
        while not self.is_stopping:
            bell.clear()
            done = self.run_once(name)
            if not done:
                self.clock.wait(bell, reconciler.interval_seconds)

    def run_once(self, name: str) -> int:
        """One round, with its failure counted and logged instead of raised."""
        try:
            done = self.reconcilers[name].run()
        except Exception:
            self.failures[name] += 1
            log.exception("reconciler failed", extra={"reconciler": name})
            return 0
        self.last_run[name] = self.clock.monotonic()
        return done

    def seconds_since(self, name: str) -> float | None:
        """How long ago the reconciler last came to an end without failing."""
        last = self.last_run.get(name)
        return None if last is None else self.clock.monotonic() - last

    def stop(self, timeout: float = 5.0) -> None:
        """Ask all to end, and wait a little: whatever is cut off is taken up at the next start."""
        self.is_stopping = True
        for bell in self.bells.values():
            bell.set()
        for reconciler in self.reconcilers.values():
            reconciler.close()
        for thread in self.threads:
            thread.join(timeout)
