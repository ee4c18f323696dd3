"""Lets changes of prices and discounts come to pass: applies what is due, tells teams of rises, reprices machines.

Every step is a transaction of its own that starts from what is on record, so a crash between any two leaves nothing
half done, and what was done is not done again: each looks at it anew under a lock, so several processes may be at it.
"""

import logging
from collections.abc import Callable

from forebay.clock import Clock
from forebay.domain.machines import price_changes, price_notices, repricing
from forebay.storage.database import Database
from forebay.worker.clock_guard import ClockGuard

log = logging.getLogger(__name__)


class PriceReconciler:
    """See the module. The deduction cycle runs it first, so that nothing is charged at a price of before."""

    name = "prices"
    interval_seconds = 5.0

    def __init__(
        self,
        database: Database,
        clock: Clock,
        guard: ClockGuard,
        *,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.clock, self.guard, self.nudge = database, clock, guard, nudge

    def run(self) -> int:
        """One round; always 0: what comes next has its time. A clock that can't be trusted changes no price."""
        if not self.guard.is_sane():
            return 0
        with self.database.read() as connection:
            now = self.clock.now()
            is_due = price_changes.is_any_due(connection, now=now)
            teams = price_notices.teams_to_tell(connection)
            machines = repricing.to_reprice(connection, now=now)
        if not (is_due or teams or machines):
            return 0
        self.bring_about()
        return 0

    def bring_about(self) -> None:
        """What is due, in this order: the offers' prices, what is announced, what machines pay."""
        with self.database.begin() as connection:
            price_changes.apply_due(connection, now=self.clock.now())
        with self.database.read() as connection:
            teams = price_notices.teams_to_tell(connection)
        for team_id in teams:
            with self.database.begin() as connection:
                price_notices.tell(connection, team_id, now=self.clock.now())
        if teams:
            self.nudge("mails")
        self.reprice()

    def reprice(self) -> None:
        """Each machine in a transaction of its own; one that can't be dealt with keeps no other waiting."""
        after, failures = "", []
        while True:
            with self.database.read() as connection:
                page = repricing.to_reprice(connection, now=self.clock.now(), after=after)
            for deployment_id in page:
                try:
                    with self.database.begin() as connection:
                        repricing.reprice(connection, deployment_id, now=self.clock.now())
                except Exception as error:
                    log.exception("a machine was not repriced", extra={"deployment": deployment_id})
                    failures.append(error)
            if not page:
                break
            after = page[-1]
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Nothing is held."""
