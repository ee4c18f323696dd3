import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from forebay.domain.money import holds, ledger, metering
from forebay.errors import InsufficientBalance
from forebay.storage.database import Database
from tests.domain.money.books import DOLLAR, START, after, balance, new_team, resource

LAUNCHES = 10


def test_a_hold_sets_credits_aside_and_gives_them_back(database: Database) -> None:
    team_id, machine = new_team(database, credits_micros=10 * DOLLAR), resource()
    with database.begin() as connection:
        holds.take(connection, team_id=team_id, resource_id=machine, amount_micros=3 * DOLLAR, now=START)
    assert balance(database, team_id) == ledger.Balance(10 * DOLLAR, 3 * DOLLAR)
    assert balance(database, team_id).available_micros == 7 * DOLLAR
    with database.begin() as connection:
        assert holds.remaining(connection, machine) == 3 * DOLLAR
        assert holds.release(connection, machine, now=after(5)) == 3 * DOLLAR
        assert holds.release(connection, machine, now=after(6)) == 0
        assert holds.remaining(connection, machine) == 0
    assert balance(database, team_id).held_micros == 0


def test_exactly_what_is_available_can_be_held(database: Database) -> None:
    team_id = new_team(database, credits_micros=5 * DOLLAR)
    with database.begin() as connection:
        holds.take(connection, team_id=team_id, resource_id=resource(), amount_micros=3 * DOLLAR, now=START)
        with pytest.raises(InsufficientBalance) as refusal:
            holds.take(connection, team_id=team_id, resource_id=resource(), amount_micros=2 * DOLLAR + 1, now=START)
        holds.take(connection, team_id=team_id, resource_id=resource(), amount_micros=2 * DOLLAR, now=START)
    assert refusal.value.details["available"] == 2.0
    assert balance(database, team_id).available_micros == 0


def test_a_machine_has_one_open_hold(database: Database) -> None:
    team_id, machine = new_team(database, credits_micros=10 * DOLLAR), resource()
    with database.begin() as connection:
        holds.take(connection, team_id=team_id, resource_id=machine, amount_micros=DOLLAR, now=START)
    with pytest.raises(sa.exc.IntegrityError), database.begin() as connection:
        holds.take(connection, team_id=team_id, resource_id=machine, amount_micros=DOLLAR, now=START)
    with database.begin() as connection:
        holds.release(connection, machine, now=after(1))
        holds.take(connection, team_id=team_id, resource_id=machine, amount_micros=DOLLAR, now=after(1))
    assert balance(database, team_id).held_micros == DOLLAR


def test_the_machines_charges_use_its_hold_up_and_its_disks_do_not(database: Database) -> None:
    team_id, machine = new_team(database, credits_micros=10 * DOLLAR), resource()
    with database.begin() as connection:
        holds.take(connection, team_id=team_id, resource_id=machine, amount_micros=3 * DOLLAR, now=START)
        for resource_type in ("compute", "storage"):
            metering.start(
                connection,
                team_id=team_id,
                resource_type=resource_type,
                resource_id=machine,
                rate_micros=2 * DOLLAR,
                at=START,
            )
        metering.end(connection, resource_id=machine, resource_type="storage", at=after(3600))
        assert holds.remaining(connection, machine) == 3 * DOLLAR
        metering.sight(connection, [machine], at=after(3600))
        cycle = metering.open_cycle(connection, now=after(3600))
        metering.deduct(connection, cycle_id=cycle, team_ids=[team_id], now=after(3600))
        assert holds.remaining(connection, machine) == DOLLAR
        metering.end(connection, resource_id=machine, resource_type="compute", at=after(4 * 3600))
        assert holds.remaining(connection, machine) == 0
        assert holds.release(connection, machine, now=after(4 * 3600)) == 0
    assert balance(database, team_id) == ledger.Balance(0, 0)


def test_require_available_sets_nothing_aside(database: Database) -> None:
    team_id = new_team(database, credits_micros=DOLLAR)
    with database.begin() as connection:
        holds.require_available(connection, team_id=team_id, amount_micros=DOLLAR)
        with pytest.raises(InsufficientBalance):
            holds.require_available(connection, team_id=team_id, amount_micros=DOLLAR + 1)
    assert balance(database, team_id) == ledger.Balance(DOLLAR, 0)


def test_of_parallel_launches_on_credits_for_one_exactly_one_is_accepted(database: Database) -> None:
    team_id = new_team(database, credits_micros=5 * DOLLAR)
    together = threading.Barrier(LAUNCHES)

    def launch(_: int) -> bool:
        together.wait()
        try:
            with database.begin() as connection:
                holds.take(connection, team_id=team_id, resource_id=resource(), amount_micros=3 * DOLLAR, now=START)
        except InsufficientBalance:
            return False
        return True

    with ThreadPoolExecutor(LAUNCHES) as pool:
        accepted = list(pool.map(launch, range(LAUNCHES)))
    assert accepted.count(True) == 1
    assert balance(database, team_id) == ledger.Balance(5 * DOLLAR, 3 * DOLLAR)
