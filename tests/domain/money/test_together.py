"""Launches, ends, grants, sightings and cycles in many threads at once: nothing fails, and the books balance."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from forebay.domain.money import audit, holds, ledger, metering
from forebay.errors import InsufficientBalance
from forebay.storage.database import Database
from tests.domain.money.books import DOLLAR, after, give, new_teams, resource, sums_of_entries

TEAMS = 4
WORKERS = 8


def launch_and_end(database: Database, team_id: str, dice: random.Random, second: int) -> None:
    machine = resource()
    try:
        with database.begin() as connection:
            holds.take(connection, team_id=team_id, resource_id=machine, amount_micros=2 * DOLLAR, now=after(second))
    except InsufficientBalance:
        return
    with database.begin() as connection:
        metering.start(
            connection,
            team_id=team_id,
            resource_type="compute",
            resource_id=machine,
            rate_micros=dice.randrange(1, 9 * DOLLAR),
            at=after(second),
        )
    for later in (10, 20):
        with database.begin() as connection:
            metering.sight(connection, [machine], at=after(second + later))
    with database.begin() as connection:
        metering.end(
            connection,
            resource_id=machine,
            resource_type="compute",
            at=after(second + dice.randrange(0, 40)),
            now=after(second + 40),
        )
        holds.release(connection, machine, now=after(second + 40))


def tick(database: Database, second: int) -> None:
    with database.begin() as connection:
        cycle = metering.open_cycle(connection, now=after(second))
    with database.read() as connection:
        due = metering.teams_to_charge(connection, now=after(second))
    for _ in range(2):
        with database.begin() as connection:
            metering.deduct(connection, cycle_id=cycle, team_ids=due, now=after(second))
    with database.begin() as connection:
        metering.close_cycle(connection, cycle, now=after(second))


def work(database: Database, teams: list[str], running: list[str], seed: int, rounds: int) -> None:
    dice = random.Random(seed)

    def grant(second: int) -> None:
        with database.begin() as connection:
            given = give(connection, dice.choice(teams), dice.randrange(1, DOLLAR), now=after(second))
        if dice.random() < 0.3:
            with database.begin() as connection:
                ledger.take_back(connection, transfer_id=given.id, created_by=None, reason="a slip", now=after(second))

    def sight_all(second: int) -> None:
        with database.begin() as connection:
            metering.sight(connection, dice.sample(running, len(running)), at=after(second))

    def launch(second: int) -> None:
        launch_and_end(database, dice.choice(teams), dice, second)

    acts: list[Callable[[int], None]] = [grant, sight_all, launch, launch, lambda second: tick(database, second)]
    for turn in range(rounds):
        dice.choice(acts)(turn * 20 + dice.randrange(20))


def play(database: Database, seed: int, rounds: int) -> None:
    with database.begin() as connection:
        teams = new_teams(connection, TEAMS, credits_micros=5 * DOLLAR)
        running = [resource() for _ in range(TEAMS * 3)]
        for number, machine in enumerate(running):
            metering.start(
                connection,
                team_id=teams[number % TEAMS],
                resource_type="compute",
                resource_id=machine,
                rate_micros=1_000_003 * (number + 1),
                at=after(0),
            )
    with ThreadPoolExecutor(WORKERS) as pool:
        done = [pool.submit(work, database, teams, running, seed + number, rounds) for number in range(WORKERS)]
        for each in done:
            each.result()
    for machine in running:
        with database.begin() as connection:
            metering.end(connection, resource_id=machine, resource_type="compute", at=after(0))
    with audit.snapshot(database) as connection:
        assert audit.run(connection) == []
        sums = sums_of_entries(connection)
        assert sum(sums.values()) == 0
        for team_id in teams:
            assert ledger.balance(connection, team_id) == ledger.Balance(sums[f"team:{team_id}"], 0)


def test_everything_at_once_balances(database: Database) -> None:
    play(database, seed=1, rounds=6)


@pytest.mark.prove
def test_everything_at_once_balances_for_long(database: Database) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    play(database, seed=seed, rounds=150)
