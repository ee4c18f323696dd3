from datetime import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger, metering
from forebay.storage.database import Database
from forebay.storage.tables import cycles, segments, transfers, usage_lines
from tests.domain.money.books import (
    DOLLAR,
    START,
    after,
    balance,
    new_team,
    new_teams,
    resource,
    sums_of_entries,
)

ODD_RATE = 1_234_567


def run(connection: Connection, team_id: str, *, rate: int = DOLLAR, at: datetime = START, disk: bool = False) -> str:
    machine = resource()
    kind: metering.ResourceType = "storage" if disk else "compute"
    metering.start(connection, team_id=team_id, resource_type=kind, resource_id=machine, rate_micros=rate, at=at)
    return machine


def cycle(connection: Connection, now: datetime, team_ids: list[str] | None = None) -> metering.Deduction:
    cycle_id = metering.open_cycle(connection, now=now)
    due = metering.teams_to_charge(connection, now=now) if team_ids is None else team_ids
    metering.deduct(connection, cycle_id=cycle_id, team_ids=due, now=now)
    return metering.close_cycle(connection, cycle_id, now=now)


def test_an_end_charges_the_floor_of_the_whole_segment(database: Database) -> None:
    team_id = new_team(database, credits_micros=DOLLAR)
    with database.begin() as connection:
        machine = run(connection, team_id, rate=ODD_RATE)
        charge = metering.end(connection, resource_id=machine, resource_type="compute", at=after(61))
        assert metering.end(connection, resource_id=machine, resource_type="compute", at=after(99)) is None
    assert charge is not None
    assert charge.amount_micros == ODD_RATE * 61 // 3600
    assert balance(database, team_id).balance_micros == DOLLAR - ODD_RATE * 61 // 3600


def test_a_segment_of_no_seconds_costs_nothing(database: Database) -> None:
    team_id = new_team(database, credits_micros=DOLLAR)
    with database.begin() as connection:
        machine = run(connection, team_id)
        charge = metering.end(connection, resource_id=machine, resource_type="compute", at=START)
        assert charge is not None
        assert (charge.amount_micros, charge.transfer_id) == (0, None)
        assert connection.execute(sa.select(usage_lines)).all() == []
        assert connection.execute(sa.select(segments.c.ended_at)).scalar() == START


def test_an_end_in_the_charged_past_ends_where_it_was_charged_to(database: Database) -> None:
    team_id = new_team(database, credits_micros=DOLLAR)
    with database.begin() as connection:
        machine = run(connection, team_id)
        metering.sight(connection, [machine], at=after(60))
        cycle(connection, after(60))
        charge = metering.end(connection, resource_id=machine, resource_type="compute", at=after(30))
    assert charge is not None
    assert (charge.to_at, charge.amount_micros) == (after(60), 0)


def test_a_transfer_for_an_end_in_the_past_is_dated_now(database: Database) -> None:
    team_id = new_team(database, credits_micros=DOLLAR)
    with database.begin() as connection:
        machine = run(connection, team_id)
        metering.end(connection, resource_id=machine, resource_type="compute", at=after(30), now=after(500))
        [newest, _], _ = ledger.transactions(connection, team_id)
    assert newest.created_at == after(500)


def test_one_segment_is_open_for_a_resource_and_type(database: Database) -> None:
    team_id, machine = new_team(database), resource()
    for _ in range(2):
        with database.begin() as connection:
            metering.start(
                connection, team_id=team_id, resource_type="compute", resource_id=machine, rate_micros=1, at=START
            )
            metering.start(
                connection, team_id=team_id, resource_type="storage", resource_id=machine, rate_micros=1, at=START
            )
            for kind in ("compute", "storage"):
                metering.end(connection, resource_id=machine, resource_type=kind, at=START)
    with database.begin() as connection:
        machine = run(connection, team_id)
    with pytest.raises(sa.exc.IntegrityError), database.begin() as connection:
        metering.start(
            connection, team_id=team_id, resource_type="compute", resource_id=machine, rate_micros=1, at=START
        )


def test_a_cycle_charges_up_to_the_last_sighting_and_now(database: Database) -> None:
    team_id = new_team(database, credits_micros=10 * DOLLAR)
    with database.begin() as connection:
        seen, unseen, ahead = (run(connection, team_id, rate=3600) for _ in range(3))
        metering.sight(connection, [seen], at=after(50))
        metering.sight(connection, [ahead], at=after(500))
        metering.sight(connection, [ahead], at=after(400))
        done = cycle(connection, after(100))
        costs = metering.costs(connection, [seen, unseen, ahead])
    assert done == metering.Deduction(teams=1, lines=2, amount_micros=150)
    assert {machine: cost.charged_micros for machine, cost in costs.items()} == {seen: 50, unseen: 0, ahead: 100}


def test_a_team_pays_one_transfer_with_machines_and_disks_apart(database: Database) -> None:
    team_id = new_team(database, credits_micros=10 * DOLLAR)
    with database.begin() as connection:
        things = [run(connection, team_id, rate=3600), run(connection, team_id, rate=7200)]
        things.append(run(connection, team_id, rate=36000, disk=True))
        metering.sight(connection, things, at=after(10))
        cycle(connection, after(10))
        [paid, _], total = ledger.transactions(connection, team_id)
        assert total == 2
        assert connection.execute(sa.select(usage_lines.c.transfer_id)).scalars().all() == [paid.id] * 3
        sums = sums_of_entries(connection)
    assert {entry.account_id: entry.amount_micros for entry in paid.entries} == {
        f"team:{team_id}": -130,
        "compute_revenue": 30,
        "storage_revenue": 100,
    }
    assert sums["compute_revenue"] == 30
    assert sum(sums.values()) == 0


def test_running_a_chunk_twice_is_without_effect(database: Database) -> None:
    with database.begin() as connection:
        team_ids = new_teams(connection, 3, credits_micros=DOLLAR)
        machines = [run(connection, team_id, rate=ODD_RATE) for team_id in team_ids]
        metering.sight(connection, machines, at=after(60))
        cycle_id = metering.open_cycle(connection, now=after(60))
    done = []
    for _ in range(2):
        with database.begin() as connection:
            done.append(metering.deduct(connection, cycle_id=cycle_id, team_ids=team_ids, now=after(60)))
    assert done == [metering.Deduction(3, 3, 3 * (ODD_RATE * 60 // 3600)), metering.Deduction()]
    with database.begin() as connection:
        metering.sight(connection, machines, at=after(90))
        again = metering.deduct(connection, cycle_id=cycle_id, team_ids=team_ids, now=after(90))
        assert again == metering.Deduction(), "a team pays once a cycle"
        assert cycle(connection, after(90)).amount_micros == 3 * (ODD_RATE * 90 // 3600 - ODD_RATE * 60 // 3600)
        row = connection.execute(sa.select(cycles).where(cycles.c.id == cycle_id)).one()
    assert (row.teams, row.lines, row.amount_micros) == (3, 3, done[0].amount_micros)


def test_lines_of_nothing_tile_the_time_without_a_transfer(database: Database) -> None:
    team_id = new_team(database)
    with database.begin() as connection:
        machine = run(connection, team_id, rate=1)
        for second in (10, 20):
            metering.sight(connection, [machine], at=after(second))
            assert cycle(connection, after(second)) == metering.Deduction(teams=0, lines=1, amount_micros=0)
        assert connection.execute(sa.select(transfers)).all() == []
        lines = connection.execute(sa.select(usage_lines).order_by(usage_lines.c.from_at)).all()
    assert [(line.from_at, line.to_at) for line in lines] == [(START, after(10)), (after(10), after(20))]


def test_teams_to_charge_come_in_chunks_in_order(database: Database) -> None:
    with database.begin() as connection:
        team_ids = new_teams(connection, 5)
        machines = [run(connection, team_id) for team_id in team_ids for _ in range(2)]
        metering.sight(connection, machines[:-2], at=after(5))
        first = metering.teams_to_charge(connection, now=after(9), limit=3)
        rest = metering.teams_to_charge(connection, now=after(9), after=first[-1], limit=3)
        assert metering.teams_to_charge(connection, now=START) == []
    assert (first, rest) == (team_ids[:3], team_ids[3:4])


def test_many_resources_are_sighted_in_chunks(database: Database) -> None:
    team_id = new_team(database)
    with database.begin() as connection:
        machines = [run(connection, team_id) for _ in range(7)]
        gone = run(connection, team_id)
        metering.end(connection, resource_id=gone, resource_type="compute", at=START)
        metering.sight(connection, [*machines, gone, resource()] * 100, at=after(30))
        sighted = connection.execute(sa.select(segments.c.sighted_at).distinct()).scalars().all()
    assert sorted(sighted) == [START, after(30)]


@pytest.mark.postgresql
def test_a_sighting_waits_for_nobody(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    team_id = new_team(database)
    with database.begin() as connection:
        busy, free = (run(connection, team_id) for _ in range(2))
    with database.begin() as charging:
        metering.end(charging, resource_id=busy, resource_type="compute", at=START)
        with database.begin() as connection:
            metering.sight(connection, [busy, free], at=after(30))
    with database.read() as connection:
        rows = connection.execute(sa.select(segments.c.resource_id, segments.c.sighted_at))
        assert {row.resource_id: row.sighted_at for row in rows} == {busy: START, free: after(30)}
    database.close()


def test_accrued_cost_is_to_the_second(database: Database) -> None:
    team_id = new_team(database, credits_micros=DOLLAR)
    with database.begin() as connection:
        machine = run(connection, team_id, rate=ODD_RATE)
        metering.end(connection, resource_id=machine, resource_type="compute", at=after(7))
        metering.start(
            connection, team_id=team_id, resource_type="storage", resource_id=machine, rate_micros=90_001, at=after(7)
        )
        cost = metering.costs(connection, [machine])[machine]
        assert metering.costs(connection, [resource()]) == {}
    first = ODD_RATE * 7 // 3600
    assert (cost.charged_micros, cost.rate_micros, cost.started_at) == (first, 90_001, after(7))
    assert cost.accrued_micros(after(7)) == first
    assert cost.accrued_micros(after(18)) == first + 90_001 * 11 // 3600
    assert cost.accrued_micros(START) == first
    assert metering.accrued_micros(5, 0, None, after(100)) == 5


def test_burn_and_runway(database: Database) -> None:
    team_id = new_team(database)
    with database.begin() as connection:
        assert metering.burn_micros_per_hour(connection, team_id) == 0
        run(connection, team_id, rate=3 * DOLLAR)
        run(connection, team_id, rate=DOLLAR, disk=True)
        assert metering.burn_micros_per_hour(connection, team_id) == 4 * DOLLAR
    assert metering.runway_seconds(10 * DOLLAR, 4 * DOLLAR) == 9000
    assert metering.runway_seconds(-1, 4 * DOLLAR) == 0
    assert metering.runway_seconds(10 * DOLLAR, 0) is None
