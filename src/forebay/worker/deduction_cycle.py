"""The deduction cycle: every minute, which is a setting, all that runs is charged to its last sighting.

Then teams whose credits run low are told, and what has none left is stopped, step by step.

A clock that can't be trusted stops the cycle (`clock_guard.py`). A process that was down charges what the provider
reports to have run in the meantime with its first cycle.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection

from forebay import ids
from forebay.clock import Clock
from forebay.domain.machines import credit_stops
from forebay.domain.money import credit_control, cycles, low_balance
from forebay.domain.money.low_balance import Rules
from forebay.storage.database import Database, Lease
from forebay.storage.tables import leases
from forebay.worker.clock_guard import ClockGuard
from forebay.worker.prices import PriceReconciler
from forebay.worker.sightings import SightingReconciler

log = logging.getLogger(__name__)

CHUNK = 1000
LEASE = "deduction-cycle"
LEASE_SECONDS = 120


class CycleReconciler:
    """See the module."""

    name = "cycle"

    def __init__(
        self,
        database: Database,
        clock: Clock,
        sightings: SightingReconciler,
        guard: ClockGuard,
        *,
        cycle_seconds: int,
        rules: Rules,
        prices: PriceReconciler | None = None,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.clock, self.sightings, self.guard = database, clock, sightings, guard
        self.interval_seconds = float(cycle_seconds)
        self.rules, self.prices, self.nudge = rules, prices, nudge
        self.token = ids.new_secret(16).hex()

    def run(self) -> int:
        """One cycle, unless another process is at it or the clock can't be trusted.

        Always 0: the next one is due in its time.
        """
        if not self.guard.is_sane():
            return 0
        with self.database.begin() as connection:
            if not Lease.take(connection, leases, LEASE, self.token, now=self.clock.now(), seconds=LEASE_SECONDS):
                return 0
        try:
            self.sightings.run()
            if self.prices is not None:
                self.prices.run()
            self.deduct()
            self.nudge("auto-top-ups")
            self.nudge("budgets")
            self.stop_what_ran_dry()
        finally:
            with suppress(Exception), self.database.begin() as connection:
                Lease.give_back(connection, leases, LEASE, self.token)
        return 0

    def deduct(self) -> None:
        """Charge everyone, a thousand teams a transaction, so that no lock is held long."""
        with self.database.begin() as connection:
            now = self.clock.now()
            cycle_id = cycles.open_cycle(connection, now=now)
        after = ""
        while True:
            with self.database.begin() as connection:
                team_ids = cycles.teams_to_charge(connection, now=now, after=after, limit=CHUNK)
                if team_ids:
                    cycles.deduct(connection, cycle_id=cycle_id, team_ids=team_ids, now=now)
                    Lease.take(connection, leases, LEASE, self.token, now=self.clock.now(), seconds=LEASE_SECONDS)
            if not team_ids:
                break
            after = team_ids[-1]
        with self.database.begin() as connection:
            done = cycles.close_cycle(connection, cycle_id, now=self.clock.now())
        log.debug("cycle", extra={"teams": done.teams, "lines": done.lines, "amount_micros": done.amount_micros})

    def stop_what_ran_dry(self) -> None:
        """Take the step that is due for each team with little credit or none, each team in a transaction of its own.

        One team that can't be dealt with keeps no other waiting; the round fails when all have had their turn.
        """
        rules, failures = self.rules, []

        def each(find: Callable[..., Sequence[str]], act: Callable[..., int]) -> int:
            with self.database.read() as connection:
                team_ids = pages(connection, find)
            changed = 0
            for team_id in team_ids:
                try:
                    with self.database.begin() as connection:
                        changed += act(connection, team_id, now=self.clock.now())
                except Exception as error:
                    log.exception("a team without credits could not be dealt with", extra={"team": team_id})
                    failures.append(error)
            return changed

        def past(days: int) -> Callable[..., Sequence[str]]:
            return partial(credit_control.teams_past_grace, now=self.clock.now(), days=days)

        notice_days = rules.notice().days
        stopped = each(credit_control.dry_teams, partial(credit_stops.wait_or_stop, rules=rules))
        stopped += each(past(rules.grace_days), partial(credit_stops.delete_disks, rules=rules))
        told = each(credit_control.newly_dry_teams, partial(credit_stops.note_kept, rules=rules))
        told += each(past(rules.grace_days - notice_days), partial(credit_stops.announce_deletion, rules=rules))
        each(credit_control.teams_with_credit_again, credit_stops.note_credit_again)
        told += each(partial(low_balance.teams_to_look_at, rules=rules), partial(low_balance.tell_runway, rules=rules))
        if stopped:
            self.nudge("deployments")
        if stopped or told:
            self.nudge("mails")
            self.nudge("notifications")
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Nothing is held but the lease, which ends by itself."""


def pages(connection: Connection, find: Callable[..., Sequence[str]]) -> list[str]:
    """All that `find` finds, a page at a time: whoever has no credits left must not wait for the next cycle."""
    found: list[str] = []
    while page := find(connection, after=found[-1] if found else ""):
        found += page
    return found
