"""Usage between any two moments: exact to the second, adding up, and the same as the lines and the ledger say."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import usage
from forebay.domain.machines.usage import Use
from forebay.domain.money import audit, ledger, metering
from forebay.domain.money.amounts import charge_micros
from forebay.storage.database import Database
from forebay.storage.tables import cycles, entries, segments, transfers, usage_lines
from tests.domain.money.books import DOLLAR, START, after, new_teams, resource

pytestmark = pytest.mark.slow

DAY = 86400
GROUPS = ("day", "gpuType", "member", "deployment", "volume", "label:project")


def cost(uses: Sequence[Use]) -> int:
    return sum(use.cost_micros for use in uses)


def fill(connection: Connection, seed: int) -> str:
    """A team whose machines and disks come and go for three days, charged at odd times; another beside it."""
    chance = random.Random(seed)
    team, other = new_teams(connection, 2, credits_micros=1_000_000 * DOLLAR)
    running: list[tuple[str, metering.ResourceType]] = []
    second = 0
    while second < 3 * DAY:
        second += chance.choice((1, 59, 60, 3600, 20_000))
        if chance.random() < 0.4:
            kind: metering.ResourceType = chance.choice(("compute", "storage"))
            rate = chance.choice((0, 1, 3600, 1_234_567, 8_100_000))
            running.append((resource(), kind))
            for team_id in (team, other):
                metering.start(
                    connection,
                    team_id=team_id,
                    resource_type=kind,
                    resource_id=running[-1][0] if team_id == team else resource(),
                    rate_micros=rate,
                    at=after(second),
                )
        if running and chance.random() < 0.3:
            gone, kind = running.pop(chance.randrange(len(running)))
            metering.end(connection, resource_id=gone, resource_type=kind, at=after(second))
        metering.sight(connection, [each for each, _ in running], at=after(second))
        cycle = metering.open_cycle(connection, now=after(second))
        metering.deduct(connection, cycle_id=cycle, team_ids=[team, other], now=after(second))
    return team


def by_hand(connection: Connection, team: str, from_at: datetime, to_at: datetime) -> int:
    """The same by the definition: every segment, by the formula, one at a time."""
    total = 0
    for row in connection.execute(sa.select(segments).where(segments.c.team_id == team)):

        def charged(moment: datetime, row: sa.Row[tuple[object, ...]] = row) -> int:
            reached = min(max(moment, row.started_at), row.charged_through)
            return charge_micros(row.rate_micros, int((reached - row.started_at).total_seconds()))

        total += charged(to_at) - charged(from_at)
    return total


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_any_stretch_is_exact_and_adjoining_ones_add_up(database: Database, seed: int) -> None:
    with database.begin() as connection:
        team = fill(connection, seed)
        chance = random.Random(seed)
        whole = usage.used(connection, team, "day", from_at=START, to_at=after(30 * DAY))
        taken = connection.execute(
            sa.select(sa.func.sum(entries.c.amount_micros))
            .join(transfers, transfers.c.id == entries.c.transfer_id)
            .where(entries.c.account_id == ledger.account_id(team), transfers.c.kind == ledger.USAGE)
        ).scalar_one()
        assert cost(whole) == -int(taken) > 0, "what the ledger took"
        assert [use.key for use in whole] == sorted(use.key or "" for use in whole)
        for use in whole:
            midnight = datetime.fromisoformat(f"{use.key}T00:00:00+00:00")
            assert use.cost_micros == by_hand(connection, team, midnight, midnight + timedelta(days=1))
        cuts = [START, *sorted(after(chance.randrange(3 * DAY)) for _ in range(5)), after(30 * DAY)]
        for group_by in GROUPS:
            parts = [
                cost(usage.used(connection, team, group_by, from_at=low, to_at=high)) for low, high in pairwise(cuts)
            ]
            assert parts == [by_hand(connection, team, low, high) for low, high in pairwise(cuts)]
            assert sum(parts) == cost(whole)


def test_up_to_the_end_of_a_cycle_it_is_the_sum_of_the_lines(database: Database) -> None:
    with database.begin() as connection:
        team = fill(connection, 7)
        moments = connection.execute(sa.select(cycles.c.started_at).order_by(cycles.c.started_at)).scalars().all()
        amount = sa.func.coalesce(sa.func.sum(usage_lines.c.amount_micros), 0)
        for moment in moments[:: len(moments) // 4]:
            lines = sa.select(amount).where(usage_lines.c.team_id == team, usage_lines.c.to_at <= moment)
            found = usage.used(connection, team, "gpuType", from_at=START, to_at=moment)
            assert cost(found) == connection.execute(lines).scalar_one()


def test_usage_that_was_changed_by_hand_is_found_by_the_audit(database: Database) -> None:
    with database.begin() as connection:
        team = fill(connection, 0)
        before = cost(usage.used(connection, team, "day", from_at=START, to_at=after(9 * DAY)))
    for column in (segments.c.rate_micros, segments.c.started_at, segments.c.charged_through):
        is_moment = column is not segments.c.rate_micros
        with database.begin() as connection:
            one = sa.select(segments).where(segments.c.team_id == team, segments.c.charged_micros > 10_000).limit(1)
            row = connection.execute(one).mappings().one()
            changed = row[column.name] + timedelta(seconds=60) if is_moment else row[column.name] + 3600
            values = {column.name: changed, "ended_at": None, "sighted_at": max(row["sighted_at"], after(30 * DAY))}
            connection.execute(sa.update(segments).where(segments.c.id == row["id"]).values(values))
            assert cost(usage.used(connection, team, "day", from_at=START, to_at=after(9 * DAY))) != before
        with audit.snapshot(database) as connection:
            assert f"segments: segment {row['id']} " in "\n".join(map(str, audit.run(connection)))
        with database.begin() as connection:
            connection.execute(sa.update(segments).where(segments.c.id == row["id"]).values(dict(row)))


def test_the_edges_are_to_the_second(database: Database) -> None:
    with database.begin() as connection:
        [team] = new_teams(connection, 1, credits_micros=100 * DOLLAR)
        machine, disk = resource(), resource()
        kinds: tuple[tuple[metering.ResourceType, str], ...] = (("compute", machine), ("storage", disk))
        for kind, each in kinds:
            metering.start(
                connection, team_id=team, resource_type=kind, resource_id=each, rate_micros=3600, at=after(DAY - 10)
            )
            metering.end(connection, resource_id=each, resource_type=kind, at=after(DAY + 5))

        def used(low: int, high: int, group_by: str = "day") -> list[tuple[str | None, int, int, int]]:
            found = usage.used(connection, team, group_by, from_at=after(low), to_at=after(high))
            return [(use.key, use.compute_micros, use.storage_micros, use.machine_seconds) for use in found]

        assert used(0, 9 * DAY) == [("2026-03-01", 10, 10, 10), ("2026-03-02", 5, 5, 5)]
        assert used(DAY - 1, DAY + 1) == [("2026-03-01", 1, 1, 1), ("2026-03-02", 1, 1, 1)]
        assert used(DAY, DAY + 1) == [("2026-03-02", 1, 1, 1)]
        assert used(0, DAY - 10) == used(DAY + 5, 9 * DAY) == used(DAY, DAY) == used(DAY + 1, DAY) == []
        assert used(0, 9 * DAY, "volume") == [(disk, 0, 15, 0), (None, 15, 0, 15)]
        assert used(0, 9 * DAY, "label:x") == [(None, 15, 15, 15)], "of no machine that is known"
        with pytest.raises(ValueError, match="week"):
            usage.used(connection, team, "week", from_at=after(0), to_at=after(1))
