"""The books against a model that knows no SQL: whatever happens in whatever order, both say the same.

The model keeps, of each segment, only its rate and the seconds it has been charged for; all amounts follow from those.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from forebay.domain.money import audit, holds, ledger, metering
from forebay.errors import InsufficientBalance
from forebay.storage.database import Database
from tests.domain.money.books import after, give, new_teams, resource

TEAMS = 2
CREDITS = 40_000_000
rates = st.one_of(st.integers(1_000_000, 10_000_000), st.sampled_from([0, 1, 3599, 3600, 20_000_000_000]))
how_long_ago = st.one_of(st.just(0), st.integers(0, 9000))
picks = st.integers(0, 1 << 16)
"""Picks one of what there is, modulo how many there are."""


@dataclass
class Use:
    """A segment."""

    team: str
    resource: str
    kind: metering.ResourceType
    rate: int
    start: int
    through: int
    sighted: int
    is_open: bool = True

    @property
    def charged(self) -> int:
        return self.rate * (self.through - self.start) // 3600

    def charge_to(self, second: int) -> int:
        before = self.charged
        self.through = max(self.through, second)
        return self.charged - before


@dataclass
class Hold:
    amount: int
    team: str
    left: int


@dataclass
class Model:
    """What should be in the books."""

    given: dict[str, int] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    paid: set[tuple[str, str]] = field(default_factory=set)

    def balance(self, team: str) -> int:
        return self.given[team] - sum(use.charged for use in self.uses if use.team == team)

    def held(self, team: str) -> int:
        return sum(hold.left for hold in self.holds.values() if hold.team == team)

    def charge(self, use: Use, second: int) -> int:
        amount = use.charge_to(second)
        if use.kind == "compute" and use.resource in self.holds:
            hold = self.holds[use.resource]
            hold.left = max(0, hold.left - amount)
        return amount

    def running(self) -> list[Use]:
        return [use for use in self.uses if use.is_open]

    def deduct(self, cycle: str, teams: list[str], now: int) -> int:
        total = 0
        for team in teams:
            if (cycle, team) in self.paid:
                continue
            amount = sum(self.charge(use, min(now, use.sighted)) for use in self.running() if use.team == team)
            if amount:
                self.paid.add((cycle, team))
            total += amount
        return total


class Books(RuleBasedStateMachine):
    """Each rule does one thing in the books and in the model."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        with self.database.begin() as connection:
            self.teams = new_teams(connection, TEAMS, credits_micros=CREDITS)
        self.model = Model(given=dict.fromkeys(self.teams, CREDITS))
        self.now = 0
        self.grants: list[ledger.Transfer] = []
        self.taken_back: set[str] = set()
        self.machines: list[tuple[str, str]] = []
        self.cycle: str | None = None

    @rule(seconds=st.integers(1, 7200))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(pick=picks, amount=st.integers(1, 50_000_000))
    def grant(self, pick: int, amount: int) -> None:
        team = self.teams[pick % TEAMS]
        with self.database.begin() as connection:
            self.grants.append(give(connection, team, amount, now=after(self.now)))
        self.model.given[team] += amount

    @precondition(lambda self: self.grants)
    @rule(pick=picks)
    def take_a_grant_back_also_twice(self, pick: int) -> None:
        grant = self.grants[pick % len(self.grants)]
        with self.database.begin() as connection:
            ledger.take_back(connection, transfer_id=grant.id, created_by=None, reason="a slip", now=after(self.now))
        if grant.id not in self.taken_back:
            self.taken_back.add(grant.id)
            self.model.given[grant.team_id] -= grant.amount_micros

    @rule(pick=picks, amount=st.integers(0, 20_000_000), is_running=st.booleans(), rate=rates)
    def launch(self, pick: int, amount: int, is_running: bool, rate: int) -> None:
        team, machine = self.teams[pick % TEAMS], resource()
        try:
            with self.database.begin() as connection:
                holds.take(connection, team_id=team, resource_id=machine, amount_micros=amount, now=after(self.now))
        except InsufficientBalance:
            assert self.model.balance(team) - self.model.held(team) < amount
            return
        assert self.model.balance(team) - self.model.held(team) >= amount
        self.model.holds[machine] = Hold(amount, team, amount)
        self.machines.append((team, machine))
        if is_running:
            self.run(team, machine, "compute", rate)

    @precondition(lambda self: self.machines)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        _, machine = self.machines[pick % len(self.machines)]
        with self.database.begin() as connection:
            left = holds.release(connection, machine, now=after(self.now))
        hold = self.model.holds.pop(machine, None)
        assert left == (hold.left if hold else 0)

    @precondition(lambda self: self.machines)
    @rule(pick=picks, kind=st.sampled_from(["compute", "storage"]), rate=rates)
    def start(self, pick: int, kind: metering.ResourceType, rate: int) -> None:
        team, machine = self.machines[pick % len(self.machines)]
        if not any((use.resource, use.kind) == (machine, kind) for use in self.model.running()):
            self.run(team, machine, kind, rate)

    def run(self, team: str, machine: str, kind: metering.ResourceType, rate: int) -> None:
        with self.database.begin() as connection:
            metering.start(
                connection,
                team_id=team,
                resource_type=kind,
                resource_id=machine,
                rate_micros=rate,
                at=after(self.now),
            )
        self.model.uses.append(Use(team, machine, kind, rate, self.now, self.now, self.now))

    @precondition(lambda self: self.model.uses)
    @rule(pick=picks, ago=how_long_ago)
    def end_also_twice(self, pick: int, ago: int) -> None:
        use = self.model.uses[pick % len(self.model.uses)]
        was_open = any((each.resource, each.kind) == (use.resource, use.kind) for each in self.model.running())
        with self.database.begin() as connection:
            charge = metering.end(
                connection,
                resource_id=use.resource,
                resource_type=use.kind,
                at=after(self.now - ago),
                now=after(self.now),
            )
        assert (charge is not None) == was_open
        if charge is None:
            return
        use = next(each for each in self.model.running() if (each.resource, each.kind) == (use.resource, use.kind))
        assert charge.amount_micros == self.model.charge(use, self.now - ago)
        use.is_open = False

    @precondition(lambda self: self.model.uses)
    @rule(picked=st.lists(picks, min_size=1, max_size=5), ago=how_long_ago)
    def sight(self, picked: list[int], ago: int) -> None:
        seen = {self.model.uses[pick % len(self.model.uses)].resource for pick in picked}
        with self.database.begin() as connection:
            metering.sight(connection, sorted(seen), at=after(self.now - ago))
        for use in self.model.running():
            if use.resource in seen:
                use.sighted = max(use.sighted, self.now - ago)

    @rule(is_new=st.booleans(), which=st.sets(st.integers(0, TEAMS - 1), min_size=1), times=st.integers(1, 2))
    def deduct_also_twice(self, is_new: bool, which: set[int], times: int) -> None:
        teams = [self.teams[number] for number in sorted(which)]
        for _ in range(times):
            with self.database.begin() as connection:
                if is_new or self.cycle is None:
                    self.cycle, is_new = metering.open_cycle(connection, now=after(self.now)), False
                done = metering.deduct(connection, cycle_id=self.cycle, team_ids=teams, now=after(self.now))
            assert done.amount_micros == self.model.deduct(self.cycle, teams, self.now)

    @rule(seconds=st.integers(1, 7200))
    def everything_is_seen_and_charged(self, seconds: int) -> None:
        self.now += seconds
        with self.database.begin() as connection:
            metering.sight(connection, [use.resource for use in self.model.uses], at=after(self.now))
        for use in self.model.running():
            use.sighted = max(use.sighted, self.now)
        self.a_whole_cycle()

    @rule()
    def a_whole_cycle(self) -> None:
        with self.database.begin() as connection:
            cycle = metering.open_cycle(connection, now=after(self.now))
            due = [team for team in metering.teams_to_charge(connection, now=after(self.now)) if team in self.teams]
            done = metering.deduct(connection, cycle_id=cycle, team_ids=due, now=after(self.now))
            assert metering.close_cycle(connection, cycle, now=after(self.now)) == done
        assert done.amount_micros == self.model.deduct(cycle, self.teams, self.now)
        self.cycle = cycle

    @invariant()
    def both_say_the_same(self) -> None:
        with self.database.read() as connection:
            found = ledger.balances(connection, self.teams)
            burn = [metering.burn_micros_per_hour(connection, team) for team in self.teams]
            costs = metering.costs(connection, [machine for _, machine in self.machines])
        for team in self.teams:
            assert found[team] == ledger.Balance(self.model.balance(team), self.model.held(team))
        running = self.model.running()
        assert burn == [sum(use.rate for use in running if use.team == team) for team in self.teams]
        for machine, cost in costs.items():
            assert cost.charged_micros == sum(use.charged for use in self.model.uses if use.resource == machine)

    def teardown(self) -> None:
        with audit.snapshot(self.database) as connection:
            assert audit.run(connection) == []


def play(database: Database, chosen: int | None = None, **sizes: Any) -> None:
    machine = type("BooksOfThisDatabase", (Books,), {"database": database})
    run_state_machine_as_test(
        machine if chosen is None else seed(chosen)(machine),
        settings=settings(
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            # No shrinking: with a database behind every step it takes longer than a test may.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            **sizes,
        ),
    )


@pytest.mark.slow
def test_the_books_agree_with_the_model(database: Database) -> None:
    play(database, max_examples=8, stateful_step_count=40)


@pytest.mark.prove
def test_the_books_agree_with_the_model_for_long(database: Database) -> None:
    chosen = random.SystemRandom().randrange(1 << 30)
    print(f"seed {chosen}")
    play(database, chosen, max_examples=40, stateful_step_count=80)
