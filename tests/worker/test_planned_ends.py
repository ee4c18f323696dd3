"""Ends that people have planned: to the second, exact to the rate, however late Forebay comes to them."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from forebay.compute.memory import GPU, MINIMUM
from forebay.domain.machines import planned_ends, schedules
from forebay.domain.machines.deployments import Status
from forebay.domain.machines.planned_ends import CostMet
from forebay.domain.money.amounts import charge_micros
from forebay.domain.money.metering import Cost
from forebay.storage.database import Database
from forebay.storage.tables import activity, deployments, segments
from tests.worker.dying import Death, DyingDatabase, DyingProvider, Fuse
from tests.worker.stage import A_SECOND, DISK_SECOND, DOLLAR, START, Stage, Team

pytestmark = pytest.mark.slow


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def decide(stage: Stage, team: Team, deployment_id: str, **given: Any) -> None:
    """Change the terms of a machine."""
    with stage.database.begin() as connection:
        schedules.set_terms(connection, team.context, deployment_id, given, now=stage.clock.now())


def own_rows(stage: Stage, deployment_id: str) -> list[tuple[str, Any]]:
    """What the activity says that Forebay did to it by itself."""
    with stage.database.read() as connection:
        rows = connection.execute(
            sa.select(activity.c.action, activity.c.details).where(
                activity.c.object_id == deployment_id, activity.c.user_id.is_(None)
            )
        )
        return [(row.action, row.details) for row in rows]


@given(
    rate=st.integers(1, 20_000_000_000),
    ended=st.integers(0, 10**12),
    most=st.integers(0, 10**12),
)
def test_the_end_is_the_last_second_in_which_it_has_not_cost_more(rate: int, ended: int, most: int) -> None:
    cost = Cost(charged_micros=0, ended_micros=ended, rate_micros=rate, started_at=START, charged_through=None)
    at = planned_ends.cost_reached_at(cost, most)
    seconds = 10 * 365 * 86400 if at is None else int((at - START).total_seconds())
    assert ended + charge_micros(rate, seconds) <= max(most, ended)
    if at is not None:
        assert ended + charge_micros(rate, seconds + 1) > most


def test_a_cost_is_met_to_the_second_however_late(stage: Stage) -> None:
    team = stage.team()
    first = stage.running(team, max_cost_micros=90 * A_SECOND)
    late = stage.running(team, max_cost_micros=90 * A_SECOND + 999)
    stage.pass_(60, cycles=True)
    stage.forebay.ends.run()
    assert stage.find(first).status is Status.running
    # Forebay is away while the machines run on: sightings and cycles of whoever is still there change nothing.
    for _ in range(10):
        stage.pass_(60, cycles=True)
    assert stage.forebay.ends.run() == 2
    assert "deployments" in stage.forebay.nudged
    stage.settle()
    for machine in (first, late):
        began = stage.segments(machine)[0][1]
        assert stage.segments(machine) == [("compute", began, began + 90)]
        assert stage.find(machine).stopped_at == START + timedelta(seconds=began + 90)
        assert stage.events(machine)[-3:] == ["max-cost-met", "terminated", "gone"]
        assert [row[0] for row in own_rows(stage, machine)] == ["deployment.terminate"]
    assert stage.charged(team) == 2 * 90 * A_SECOND
    assert stage.forebay.ends.run() == 0
    stage.check()


def test_a_cost_counts_disk_and_starts_and_waits_for_the_minimum_runtime(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team, max_cost_micros=100 * A_SECOND)
    stage.pass_(40)
    stage.stop(team, machine)
    stage.settle()
    stage.pass_(100)
    stage.start(team, machine)
    stage.settle()
    left = 100 * A_SECOND - 40 * A_SECOND - 100 * DISK_SECOND
    stage.pass_(left // A_SECOND + 5, cycles=True)
    stage.forebay.ends.run()
    assert [end - begin for _, begin, end in stage.segments(machine) if end] == [40, 100, left // A_SECOND]
    assert 100 * A_SECOND - A_SECOND < stage.charged(team) <= 100 * A_SECOND
    # The disk alone brings a stopped machine to its end, and a start that can't be paid within the cost is refused.
    other = stage.running(team, max_cost_micros=50 * A_SECOND)
    stage.pass_(49)
    stage.stop(team, other)
    stage.settle()
    stage.pass_(99)
    with pytest.raises(CostMet, match=r"It may cost \$0.05 at most"):
        stage.start(team, other)
    stage.pass_(10)
    stage.forebay.ends.run()
    assert stage.find(other).status is Status.terminated
    assert stage.segments(other)[-1][2] == stage.segments(other)[-1][1] + 100
    # Where the cost is decided within the minimum runtime, that is waited for.
    third = stage.running(team, offer="minimum", terminate_at=stage.clock.now() + timedelta(minutes=3))
    stage.pass_(19 * 60, cycles=True)
    stage.forebay.ends.run()
    assert stage.find(third).status is Status.running
    stage.pass_(61)
    stage.forebay.ends.run()
    assert stage.segments(third)[0][2] == stage.segments(third)[0][1] + MINIMUM.minimum_runtime_minutes * 60
    stage.settle()
    stage.check()


def test_a_time_ends_whatever_there_is(stage: Stage) -> None:
    team = stage.team()
    at = stage.clock.now() + timedelta(seconds=300)
    running = stage.running(team, terminate_at=at)
    stopped = stage.running(team, terminate_at=at)
    stage.stop(team, stopped)
    stage.settle()
    stage.provider.is_silent = True
    deploying = stage.launch(team, terminate_at=at)
    spared = stage.launch(team, terminate_at=at)
    decide(stage, team, spared, terminate_at=None)
    stage.pass_(int((at - stage.clock.now()).total_seconds()) - 1)
    assert stage.forebay.ends.run() == 0
    stage.clock.pass_(30)
    assert stage.forebay.ends.run() == 3
    stage.provider.is_silent = False
    stage.settle()
    assert {each: stage.find(each).status for each in (running, stopped, deploying)} == dict.fromkeys(
        (running, stopped, deploying), Status.terminated
    )
    assert stage.find(spared).status is Status.running
    assert own_rows(stage, running) == [
        ("deployment.terminate", {"reason": "terminateAt", "at": f"{at:%Y-%m-%dT%H:%M:%SZ}"})
    ]
    assert stage.segments(running)[0][2] == int((at - START).total_seconds())
    assert stage.segments(deploying) == []
    stage.check()


def test_a_jump_of_the_clock_ends_nothing_and_a_changed_rate_is_noticed(stage: Stage) -> None:
    team = stage.team(dollars=1000)
    machine = stage.running(team, max_cost_micros=DOLLAR, offer="gpu")
    stage.forebay.ends.run()
    stage.clock.jump(86400)
    assert stage.forebay.ends.run() == 0
    stage.clock.jump(-86400)
    # It costs half from now on: the segment is another one, and it lasts twice as long.
    with stage.database.begin() as connection:
        connection.execute(
            sa.update(segments).where(segments.c.resource_id == machine).values(rate_micros=GPU.rate_micros // 2)
        )
    stage.clock.pass_(61)
    assert stage.forebay.ends.run() == 0
    with stage.database.read() as connection:
        ends_at = connection.execute(sa.select(deployments.c.ends_at)).scalar_one()
    began = stage.segments(machine)[0][1]
    assert (ends_at - START).total_seconds() == began + 200
    stage.clock.pass_(200)
    assert stage.forebay.ends.run() == 1


def test_one_that_is_cut_off_anywhere_ends_once(stage: Stage) -> None:
    """Death before and after every step of the round; after the restart all is as if nothing had been."""
    team = stage.team()
    for at in range(1, 50):
        before = stage.charged(team)
        machine = stage.running(team, max_cost_micros=10 * A_SECOND)
        stage.clock.pass_(12)
        fuse = Fuse(at)
        doomed = stage.open(DyingDatabase(stage.database, fuse), DyingProvider(stage.provider, fuse))
        try:
            doomed.ends.run()
            stage.settle(doomed)
        except Death:
            pass
        stage.restart()
        stage.forebay.ends.run()
        stage.settle()
        assert stage.find(machine).status is Status.terminated
        assert stage.charged(team) - before == 10 * A_SECOND
        assert stage.events(machine).count("terminated") == len(own_rows(stage, machine)) == 1
        if not fuse.is_burnt_out:
            break
    else:
        raise AssertionError("it never comes to its end")
    assert at > 5
    stage.check()
