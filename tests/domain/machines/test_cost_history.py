"""What a machine has cost by the hour, day or week: the parts come to the whole, to the micro-dollar."""

import random
from datetime import timedelta

import pytest

from forebay.domain.machines import cost_history, usage
from forebay.domain.machines.cost_history import DAY, HOUR, WEEK
from forebay.domain.money import metering
from forebay.storage.database import Database
from tests.domain.money.books import DOLLAR, START, after, new_teams, resource


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_come_to_what_it_has_cost_so_far(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    with database.begin() as connection:
        [team] = new_teams(connection, 1, credits_micros=1_000_000 * DOLLAR)
        machine, second, rate = resource(), 0, 0
        kind: metering.ResourceType = "compute"
        prices = [(START, 0, False)]
        for _ in range(25):
            rate = chance.choice((1, 1_234_567, 8_100_000, 8_100_000))
            metering.start(
                connection, team_id=team, resource_type=kind, resource_id=machine, rate_micros=rate, at=after(second)
            )
            prices.append((after(second), rate, kind == "compute"))
            second += chance.choice((1, 61, HOUR, 7001, DAY + 13))
            metering.sight(connection, [machine], at=after(second - 1))
            cycle = metering.open_cycle(connection, now=after(second - 1))
            metering.deduct(connection, cycle_id=cycle, team_ids=[team], now=after(second - 1))
            for moment in (after(second), after(second + 1)):
                found = cost_history.history(connection, machine, now=moment)
                cost = metering.costs(connection, [machine])[machine]
                assert (
                    found.total_micros == cost.accrued_micros(moment) == sum(part.cost_micros for part in found.parts)
                )
                assert found.until == moment
            metering.end(connection, resource_id=machine, resource_type=kind, at=after(second))
            # Stopped with its disk, at another price, or away for a while.
            kind = chance.choice(("compute", "storage"))
            if chance.random() < 0.3:
                second += chance.choice((5, 40_000))
                prices.append((after(second), 0, False))
        ended = cost_history.history(connection, machine, now=after(second + 400 * DAY))
        assert ended.total_micros == metering.costs(connection, [machine])[machine].charged_micros
        assert ended.part_seconds == DAY
        by_day = usage.used(connection, team, "day", from_at=START, to_at=after(1000 * DAY))
        charged = {f"{part.from_at:%Y-%m-%d}": part.cost_micros for part in ended.parts if part.cost_micros}
        assert charged == {use.key: use.cost_micros for use in by_day if use.cost_micros}
        assert [b.from_at - a.from_at for a, b in zip(ended.parts, ended.parts[1:], strict=False)] == [
            timedelta(days=1)
        ] * (len(ended.parts) - 1)
        last = ended.steps[-1]
        assert (last.rate_micros, last.runs, last.from_at) == (0, False, ended.until)
        assert {step.rate_micros for step in ended.steps} >= {price for _, price, _ in prices if price}
        assert all(
            (one.rate_micros, one.runs) != (two.rate_micros, two.runs)
            for one, two in zip(ended.steps, ended.steps[1:], strict=False)
        )


def test_a_young_machine_is_shown_by_the_hour_and_an_old_one_by_the_week(database: Database) -> None:
    with database.begin() as connection:
        [team] = new_teams(connection, 1, credits_micros=1_000_000 * DOLLAR)
        machine = resource()
        nothing = cost_history.history(connection, machine, now=START)
        assert (list(nothing.parts), list(nothing.steps), nothing.total_micros) == ([], [], 0)
        metering.start(
            connection, team_id=team, resource_type="compute", resource_id=machine, rate_micros=3600, at=after(600)
        )
        for seconds, length, most in ((600, HOUR, 1), (2 * DAY, HOUR, 49), (3 * DAY, DAY, 4), (700 * DAY, WEEK, 102)):
            found = cost_history.history(connection, machine, now=after(seconds))
            assert (found.part_seconds, len(found.parts) <= most) == (length, True), (seconds, len(found.parts))
            assert found.total_micros == seconds - 600
            assert [(step.rate_micros, step.runs) for step in found.steps] == [(3600, True)]
        assert found.parts[0].from_at.weekday() == 0
        later = cost_history.history(connection, machine, now=after(500))
        assert later.total_micros == 0, "a clock that was set back makes nothing of less than nothing"
