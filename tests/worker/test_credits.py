"""The deduction cycle, and what happens to machines when the credits have run out."""

import msgspec
import pytest
import sqlalchemy as sa

from forebay.compute.memory import MemoryProvider
from forebay.domain.machines.deployments import Status
from forebay.errors import InsufficientBalance
from forebay.storage import tables
from forebay.storage.database import Database, Lease
from tests.worker.stage import A_SECOND, DISK_SECOND, Stage, Team

pytestmark = pytest.mark.slow

DAY = 86400


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def ran_dry_at(stage: Stage, team: Team) -> int | None:
    with stage.database.read() as connection:
        found = connection.execute(
            sa.select(sa.type_coerce(tables.teams.c.ran_dry_at, sa.BigInteger)).where(tables.teams.c.id == team.id)
        ).scalar()
    return None if found is None else int(found)


def subjects(stage: Stage) -> list[str]:
    while stage.forebay.mails.run():
        pass
    return [subject.partition(": ")[2] for _, _, subject in stage.outbox.sent]


def spend_all_but(stage: Stage, machine: str, seconds: int) -> None:
    """Let the machine run until its team has credits for only so many seconds more."""
    stage.clock.pass_(3000 - seconds)
    stage.forebay.cycle.run()


def test_machines_stop_at_zero_and_their_disks_go_after_a_week(stage: Stage) -> None:
    team, other = stage.team(dollars=3), stage.team(dollars=100)
    machine, spared = stage.running(team), stage.running(other)
    spend_all_but(stage, machine, 1)
    assert stage.find(machine).status is Status.running
    stage.clock.pass_(10)
    stage.forebay.cycle.run()
    stage.settle()
    assert stage.find(machine).status is Status.stopped
    assert stage.find(spared).status is Status.running
    assert stage.charged(team) == 3009 * A_SECOND
    assert "machines were stopped because the credits ran out" in subjects(stage)[-1]
    told = len(subjects(stage))
    stage.check()
    for verb in (lambda: stage.launch(team), lambda: stage.start(team, machine)):
        with pytest.raises(InsufficientBalance):
            verb()
    stage.terminate(other, spared)
    stage.clock.pass_(6 * DAY)
    stage.forebay.cycle.run()
    stage.clock.pass_(DAY - 1)
    stage.forebay.cycle.run()
    stage.settle()
    assert stage.find(machine).status is Status.stopped
    assert stage.charged(team) == 3009 * A_SECOND + (7 * DAY - 1) * DISK_SECOND
    stage.clock.pass_(1)
    stage.forebay.cycle.run()
    stage.settle()
    assert stage.find(machine).status is Status.terminated
    assert machine not in stage.provider.machines
    assert ["will be deleted" in subjects(stage)[-2], "deleted after 7 days" in subjects(stage)[-1]] == [True, True]
    assert len(subjects(stage)) == told + 2
    stage.check()


def test_what_can_not_pause_is_terminated(database: Database) -> None:
    stage = Stage(database)
    stage.provider = MemoryProvider(stage.clock.now, can_pause=False)
    stage.restart()
    stage.forebay.catalogue.run()
    team = stage.team(dollars=3)
    machine = stage.running(team)
    spend_all_but(stage, machine, 0)
    stage.settle()
    assert stage.find(machine).status is Status.terminated
    stage.check()


def test_a_machine_that_is_being_started_again_keeps_its_disk(stage: Stage) -> None:
    team = stage.team(dollars=6.5)
    first, second = stage.running(team), stage.running(team)
    stage.stop(team, first)
    stage.settle()
    stage.provider.is_silent = True
    stage.start(team, first)
    stage.forebay.deployments.run()
    assert stage.find(first).status is Status.deploying
    stage.clock.pass_(6490)
    stage.forebay.cycle.run()
    stage.provider.is_silent = False
    assert stage.find(first).status is Status.stopped
    assert stage.find(second).status is Status.stopped
    stage.settle()
    stage.check()


def test_a_launch_under_way_ends_when_the_credits_do(stage: Stage) -> None:
    team = stage.team(dollars=6.5)
    machine = stage.running(team)
    stage.provider.is_silent = True
    launched = stage.launch(team)
    stage.forebay.deployments.run()
    stage.clock.pass_(6500)
    stage.forebay.cycle.run()
    stage.settle()
    assert stage.find(launched).status is Status.terminated
    assert stage.find(machine).status is Status.stopped
    stage.check()


def test_a_deposit_starts_nothing_and_forgets_the_dry_days(stage: Stage) -> None:
    team = stage.team(dollars=3)
    machine = stage.running(team)
    spend_all_but(stage, machine, 0)
    stage.settle()
    assert ran_dry_at(stage, team)
    stage.clock.pass_(6 * DAY)
    stage.grant(team.id, 50)
    stage.forebay.cycle.run()
    stage.settle()
    assert ran_dry_at(stage, team) is None
    assert stage.find(machine).status is Status.stopped
    stage.clock.pass_(2 * DAY)
    stage.forebay.cycle.run()
    stage.settle()
    assert stage.find(machine).status is Status.stopped
    stage.start(team, machine)
    stage.settle()
    assert stage.find(machine).status is Status.running
    stage.check()


def test_a_team_with_disks_alone_runs_dry_and_is_told(stage: Stage) -> None:
    team = stage.team(dollars=3)
    machine = stage.running(team)
    stage.stop(team, machine)
    stage.settle()
    stage.clock.pass_(299_999)
    stage.forebay.cycle.run()
    assert ran_dry_at(stage, team) is None
    stage.clock.pass_(1)
    stage.forebay.cycle.run()
    assert stage.balance(team).balance_micros == 0
    assert ran_dry_at(stage, team) == int(stage.clock.now().timestamp())
    told = ["the credits last less than a minute", "the credits ran out; disks are kept for 7 days"]
    assert subjects(stage) == told
    stage.clock.pass_(60)
    stage.forebay.cycle.run()
    assert subjects(stage) == told
    stage.clock.pass_(6 * DAY - 60)
    stage.forebay.cycle.run()
    stage.clock.pass_(DAY)
    stage.forebay.cycle.run()
    stage.settle()
    assert stage.find(machine).status is Status.terminated
    stage.check()


def test_a_clock_that_jumps_ahead_stops_the_charging_and_shows(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(60, cycles=True)
    stage.clock.jump(3600)
    stage.pass_(60, cycles=True)
    assert stage.charged(team) == 60 * A_SECOND
    assert stage.alerts() == [("clock", "wall")]
    stage.clock.jump(-3600)
    stage.pass_(60, cycles=True)
    assert stage.charged(team) == 180 * A_SECOND
    assert stage.alerts() == []
    assert stage.find(machine).status is Status.running
    stage.check()


def test_an_alert_of_the_clock_ends_with_a_restart_on_the_right_time(stage: Stage) -> None:
    stage.forebay.cycle.run()
    stage.clock.jump(3600)
    stage.forebay.cycle.run()
    assert stage.alerts() == [("clock", "wall")]
    stage.clock.jump(-3600)
    stage.restart()
    stage.forebay.cycle.run()
    assert stage.alerts() == []


def test_a_clock_that_goes_back_charges_nothing_by_itself(stage: Stage) -> None:
    team = stage.team()
    stage.running(team)
    stage.pass_(120, cycles=True)
    stage.clock.jump(-100)
    with stage.nothing_charged(team):
        stage.pass_(60, cycles=True)
    stage.pass_(60, cycles=True)
    assert stage.charged(team) == 140 * A_SECOND
    stage.check()


def test_one_process_at_a_time_has_the_cycle(stage: Stage) -> None:
    team = stage.team()
    stage.running(team)
    stage.clock.pass_(60)
    with stage.database.begin() as connection:
        Lease.take(connection, tables.leases, "deduction-cycle", "someone", now=stage.clock.now(), seconds=120)
    with stage.nothing_charged(team):
        stage.forebay.cycle.run()
    stage.clock.pass_(120)
    stage.forebay.cycle.run()
    assert stage.charged(team) == 180 * A_SECOND
    with stage.database.read() as connection:
        assert connection.execute(sa.select(tables.leases)).all() == []


@pytest.mark.slow
def test_many_teams_run_dry_in_one_cycle(stage: Stage) -> None:
    pool = msgspec.structs.replace(stage.provider.all_pools[0], vcpus=1000, memory_gb=1000, storage_gb=100_000)
    stage.provider.all_pools = (pool,)
    stage.forebay.catalogue.run()
    teams = [stage.team(dollars=3) for _ in range(120)]
    machines = [stage.launch(team) for team in teams]
    stage.settle()
    spend_all_but(stage, machines[0], 0)
    stage.settle()
    assert {entry.status for entry in stage.all()} == {Status.stopped}
    assert len([subject for subject in subjects(stage) if "were stopped" in subject]) == 120
    stage.check()
