"""Terminates what somebody wanted terminated by now, at a time or at a cost, charged to that second.

Each in a transaction of its own: one that can't be ended keeps no other waiting. Once a minute it is reckoned anew when
machines with a greatest cost end, for whatever may have changed their rate. A clock that can't be trusted ends nothing.
"""

import logging
from collections.abc import Callable

from forebay.clock import Clock
from forebay.domain.machines import planned_ends, schedules
from forebay.storage.database import Database
from forebay.worker.clock_guard import ClockGuard

log = logging.getLogger(__name__)

RECKON_SECONDS = 60.0


class PlannedEndReconciler:
    """See the module."""

    name = "planned-ends"
    interval_seconds = 1.0

    def __init__(
        self,
        database: Database,
        clock: Clock,
        guard: ClockGuard,
        *,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.clock, self.guard, self.nudge = database, clock, guard, nudge
        self.reckoned_at: float | None = None

    def run(self) -> int:
        """End what is due; how many were."""
        if not self.guard.is_sane():
            return 0
        ticks = self.clock.monotonic()
        if self.reckoned_at is None or ticks - self.reckoned_at >= RECKON_SECONDS:
            self.reckon()
            self.reckoned_at = ticks
        with self.database.read() as connection:
            due = planned_ends.due(connection, now=self.clock.now())
        ended = sum(self.end(deployment_id) for deployment_id in due)
        if ended:
            self.nudge("deployments")
        return ended

    def end(self, deployment_id: str) -> bool:
        """End one; whether it was time."""
        try:
            with self.database.begin() as connection:
                return schedules.end_by_plan(connection, deployment_id, now=self.clock.now())
        except Exception:
            log.exception("deployment not ended by plan", extra={"deployment": deployment_id})
            return False

    def reckon(self) -> None:
        """Mend what is kept of the ends of machines with a greatest cost."""
        after: str | None = ""
        while after is not None:
            with self.database.read() as connection:
                wrong, after = planned_ends.mistaken(connection, after=after)
            for deployment_id in wrong:
                with self.database.begin() as connection:
                    schedules.end_by_plan(connection, deployment_id, now=self.clock.now())
                    self.nudge("deployments")

    def close(self) -> None:
        """Nothing is held."""
