"""Looks at every team's budgets once a minute, after the charges: tells what was reached, and stops what is to be.

It reads first, and writes only where there is something to tell or to stop: a team in a transaction of its own. A team
that was charged nothing since the last look, and whose budgets are the same, is passed over; once an hour none is, for
labels that were changed meanwhile. A clock that can't be trusted ends nothing.
"""

import logging
from collections.abc import Callable

from forebay.clock import Clock
from forebay.domain.machines import budget_stops
from forebay.domain.machines.budget_stops import Rules, Seen
from forebay.domain.money.budgets import month_of
from forebay.storage.database import Database
from forebay.worker.clock_guard import ClockGuard

log = logging.getLogger(__name__)

BATCH = 100
ALL_SECONDS = 3600.0
"""How often no team is passed over."""


class BudgetReconciler:
    """See the module."""

    name = "budgets"
    interval_seconds = 60.0

    def __init__(
        self,
        database: Database,
        clock: Clock,
        guard: ClockGuard,
        *,
        rules: Rules,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.clock, self.guard, self.rules, self.nudge = database, clock, guard, rules, nudge
        self.seen: dict[str, Seen] = {}
        """How each team was when nothing was to be done for it."""
        self.month = ""
        self.all_at: float | None = None

    def run(self) -> int:
        """One look at all of them; always 0: the next one is due in its time.

        One team that can't be dealt with keeps no other waiting; the round fails when all have had their turn.
        """
        if not self.guard.is_sane():
            return 0
        self.forget()
        after, failures = "", []
        told = stopped = 0
        while True:
            with self.database.read() as connection:
                batch = budget_stops.to_look_at(connection, after=after, limit=BATCH)
            if not batch:
                break
            after = max(batch)
            for team_id, seen in batch.items():
                try:
                    done = self.look(team_id, seen)
                except Exception as error:
                    log.exception("budgets not looked at", extra={"team": team_id})
                    failures.append(error)
                    continue
                told += done.told
                stopped += done.stopped
        if stopped:
            self.nudge("deployments")
        if told or stopped:
            self.nudge("mails")
            self.nudge("notifications")
        if failures:
            raise failures[0]
        return 0

    def forget(self) -> None:
        """Once an hour, and in a new month, pass nobody over."""
        ticks, month = self.clock.monotonic(), month_of(self.clock.now()).key
        if self.all_at is None or ticks - self.all_at >= ALL_SECONDS or month != self.month:
            self.seen.clear()
            self.all_at, self.month = ticks, month

    def look(self, team_id: str, seen: Seen) -> budget_stops.Done:
        """Look at one team, and act if there is anything to do."""
        now = self.clock.now()
        is_due = seen.next_stop_at is not None and seen.next_stop_at <= now
        if self.seen.get(team_id) == seen and not is_due:
            return budget_stops.Done()
        with self.database.read() as connection:
            has_news = budget_stops.has_news(connection, team_id, now=now)
        if not has_news:
            self.seen[team_id] = seen
            return budget_stops.Done()
        with self.database.begin() as connection:
            return budget_stops.look(connection, team_id, self.rules, now=now)

    def close(self) -> None:
        """Nothing is held."""
