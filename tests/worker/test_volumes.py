"""Volumes in the worker: cut off at every step, lost, orphaned, in debt; and what they cost, to the second."""

import os
import random
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from forebay.compute.base import ProviderUnavailable, Rejected, VolumeMount, VolumeSpec
from forebay.domain.machines import volumes
from forebay.domain.machines.deployments import Status
from forebay.domain.machines.volume_regions import rate_micros
from forebay.storage import tables
from forebay.storage.database import Database
from tests.worker.stage import A_SECOND, DISK_SECOND, DOLLAR, Stage, Team
from tests.worker.test_crashes import Crashes, Doomed, end, work

pytestmark = pytest.mark.slow

GB_SECOND = 1
"""What a GB costs a second, in micro-dollars."""
DAY = 86400


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


@pytest.fixture
def crashes(database: Database) -> Crashes:
    return Crashes(database)


def change(stage: Stage, team: Team, volume_id: str, *, size_gb: int, database: Any = None) -> None:
    with (database or stage.database).begin() as connection:
        volumes.update(connection, team.context, volume_id, name=None, size_gb=size_gb, now=stage.clock.now())


def delete(stage: Stage, team: Team, volume_id: str, database: Any = None) -> None:
    with (database or stage.database).begin() as connection:
        volumes.delete(connection, team.context, volume_id, now=stage.clock.now())


def attach(stage: Stage, team: Team, volume_id: str, machine: str, database: Any = None) -> None:
    with (database or stage.database).begin() as connection:
        volumes.attach(connection, team.context, volume_id, machine, now=stage.clock.now())


def detach(stage: Stage, team: Team, volume_id: str, machine: str, database: Any = None) -> None:
    with (database or stage.database).begin() as connection:
        volumes.detach(connection, team.context, volume_id, machine, now=stage.clock.now())


def attached(stage: Stage) -> dict[str, set[str]]:
    """By the provider, which machines have which volume."""
    return {volume_id: set(kept.mounts) for volume_id, kept in stage.provider.volumes.items()}


def states(stage: Stage, volume_id: str) -> list[str]:
    columns = tables.volume_attachments.c
    with stage.database.read() as connection:
        return list(
            connection.execute(
                sa.select(columns.state).where(columns.volume_id == volume_id).order_by(columns.id)
            ).scalars()
        )


@pytest.mark.parametrize("seed", range(3))
def test_the_price_is_rounded_once(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        nanos, size = chance.randrange(0, 10**7), chance.randrange(1, 10**5)
        exact = nanos * size / 1000
        assert abs(rate_micros(nanos, size) - exact) <= 0.5


def test_a_volume_is_paid_for_to_the_second_and_never_beyond_its_last_sighting(stage: Stage) -> None:
    team = stage.team(dollars=1000)
    volume = stage.create_volume(team)
    stage.settle()
    start = stage.seconds()
    stage.pass_(600, cycles=True)
    change(stage, team, volume, size_gb=20)
    stage.settle()
    stage.pass_(600, cycles=True)
    assert stage.segments(volume) == [("storage", start, start + 600), ("storage", start + 600, None)]
    stage.provider.be_unreachable()
    for _ in range(10):
        stage.clock.pass_(60)
        stage.forebay.cycle.run()
    assert stage.charged(team) == 600 * 10 * GB_SECOND + 600 * 20 * GB_SECOND
    # Its last minutes are unknown, and free.
    delete(stage, team, volume)
    stage.provider.be_back()
    stage.settle()
    assert stage.charged(team) == 600 * 10 * GB_SECOND + 600 * 20 * GB_SECOND
    stage.check()


@pytest.mark.grows
def test_cut_off_at_every_step_of_a_volume_s_life(crashes: Crashes) -> None:
    stage = crashes.stage
    seen: set[str] = set()
    teams: list[Team] = []

    def act(doomed: Doomed) -> None:
        teams.append(stage.team(dollars=100))
        team, database = teams[-1], doomed.database
        volume = stage.create_volume(team, database=database)
        machine = stage.launch(team, volume_ids=(volume,), database=database)
        work(stage, doomed)
        change(stage, team, volume, size_gb=20, database=database)
        detach(stage, team, volume, machine, database=database)
        work(stage, doomed)
        attach(stage, team, volume, machine, database=database)
        work(stage, doomed)

    for steps in crashes.every_step(act, apart=1 if os.environ.get("PROVE") else 12):
        seen |= set(steps)
        team = teams[-1]
        kept = {kept.spec.volume_id: kept for kept in stage.provider.volumes.values() if kept.spec.team_id == team.id}
        for volume in kept:
            on = [state for state in states(stage, volume) if state != "detached"]
            assert attached(stage)[volume] == set() if not on else on == ["attached"]
        end(stage, team)
        for volume, found in kept.items():
            assert found.mounts == {}
            delete(stage, team, volume)
        stage.settle()
        assert stage.provider.volumes == {}
    assert {"after create_volume", "after attach_volume", "after detach_volume", "after resize_volume"} <= seen


def test_a_host_that_was_rebooted_has_its_volumes_again(stage: Stage) -> None:
    team = stage.team()
    volume = stage.create_volume(team)
    machine = stage.launch(team, volume_ids=(volume,))
    stage.settle()
    stage.provider.volumes[volume].mounts.clear()
    stage.provider.stop_by_itself(machine, "the host went down")
    stage.recover()
    assert stage.find(machine).status is Status.running
    assert attached(stage) == {volume: {machine}}
    # Only the mount is gone: the machine runs.
    stage.provider.volumes[volume].mounts.clear()
    stage.pass_(10)
    stage.settle()
    assert attached(stage) == {volume: {machine}}
    # And one that nobody wants there is taken away.
    other = stage.running(team)
    stage.provider.attach_volume(VolumeMount(volume, "stray"), other)
    stage.pass_(10)
    stage.settle()
    assert attached(stage) == {volume: {machine}}
    stage.check()


def test_what_is_lost_is_told_and_costs_nothing_and_what_nobody_asked_for_is_kept(stage: Stage) -> None:
    team = stage.team()
    volume = stage.create_volume(team)
    stage.settle()
    stage.pass_(60, cycles=True)
    before = stage.charged(team)
    kept = stage.provider.volumes.pop(volume)
    stranger = VolumeSpec(volume_id="stranger", team_id="x", team_number=1, region="here", size_gb=1)
    stage.provider.create_volume(stranger)
    stage.pass_(600, cycles=True)
    assert stage.charged(team) == before
    assert set(stage.alerts()) == {
        ("provider", f"memory lost volume {volume}"),
        ("orphan", "memory volume stranger"),
    }
    stage.provider.delete_volume("stranger")
    stage.provider.volumes[volume] = kept
    stage.pass_(60)
    assert stage.alerts() == []
    delete(stage, team, volume)
    stage.settle()
    # A provider that brings back what was deleted is asked again.
    stage.provider.volumes[volume] = kept
    stage.pass_(10)
    assert stage.provider.volumes == {}
    stage.check()


def test_what_can_t_be_made_or_grown_costs_nothing_and_fails_the_launch_that_waits(stage: Stage) -> None:
    team = stage.team()
    stage.provider.refusals["create_volume"] = Rejected("no such disk")
    volume = stage.create_volume(team)
    machine = stage.launch(team, volume_ids=(volume,))
    stage.settle()
    assert (stage.find_volume(volume).state, stage.find_volume(volume).error) == ("failed", "no such disk")
    assert stage.find(machine).status is Status.failed
    assert "no such disk" in str(stage.find(machine).error)
    assert states(stage, volume) == ["detached"]
    stage.provider.be_back()
    volume = stage.create_volume(team)
    stage.settle()
    stage.provider.refusals["resize_volume"] = Rejected("no room")
    change(stage, team, volume, size_gb=20)
    stage.settle()
    found = stage.find_volume(volume)
    assert (found.size_gb, found.made_gb, found.error) == (10, 10, "It could not grow: no room")
    assert [kind for kind, *_ in stage.segments(volume)] == ["storage"]
    stage.provider.refusals["create_volume"] = ProviderUnavailable("away")
    late = stage.create_volume(team, name="late")
    for _ in range(12):
        stage.clock.pass_(60)
        stage.forebay.volumes.run()
    assert stage.alerts() == [("provider", f"volume {late}")]
    stage.provider.be_back()
    stage.settle()
    assert stage.alerts() == []
    with stage.nothing_charged(team):
        delete(stage, team, late)
    stage.settle()
    stage.check()


def test_a_machine_that_ends_or_is_lost_leaves_its_volumes(stage: Stage) -> None:
    team = stage.team()
    volume = stage.create_volume(team)
    one, two = (stage.launch(team, volume_ids=(volume,)) for _ in range(2))
    stage.settle()
    stage.provider.lose(one)
    stage.pass_(10)
    stage.settle()
    assert stage.find(one).status is Status.terminated_provider
    stage.provider.be_slow_to_end()
    stage.terminate(team, two)
    for _ in range(5):
        stage.forebay.deployments.run()
        stage.forebay.volumes.run()
        stage.clock.pass_(1)
    assert states(stage, volume) == ["detached", "detaching"]
    assert attached(stage) == {volume: {two}}
    stage.provider.be_back()
    stage.settle()
    assert states(stage, volume) == ["detached", "detached"]
    assert attached(stage) == {volume: set()}
    stage.check()


def test_what_is_stored_is_known_as_soon_as_a_volume_is_off_its_machine(stage: Stage) -> None:
    team = stage.team()
    volume = stage.create_volume(team)
    machine, other = (stage.launch(team, volume_ids=(volume,)) for _ in range(2))
    stage.settle()

    def used() -> int:
        with stage.database.read() as connection:
            return volumes.find(connection, volume, team.id).used_bytes

    stage.provider.write(volume, 4096)
    detach(stage, team, volume, machine)
    stage.forebay.volumes.run()
    assert (states(stage, volume)[0], used()) == ("detached", 4096)
    stage.provider.write(volume, 4096)
    stage.terminate(team, other)
    stage.forebay.deployments.run()
    stage.forebay.volumes.run()
    assert (states(stage, volume)[1], used()) == ("detached", 8192)
    stage.check()


def test_where_volumes_can_t_be_shared_the_second_machine_is_refused(stage: Stage) -> None:
    stage.provider.can_share = False
    stage.provider.capabilities = msgspec.structs.replace(stage.provider.capabilities, shared_volumes=False)
    stage.forebay.catalogue.run()
    team = stage.team()
    volume = stage.create_volume(team)
    one = stage.launch(team, volume_ids=(volume,))
    stage.settle()
    other = stage.running(team)
    for refused in (lambda: attach(stage, team, volume, other), lambda: stage.launch(team, volume_ids=(volume,))):
        with pytest.raises(Exception, match="can be on one alone"):
            refused()
    detach(stage, team, volume, one)
    stage.settle()
    attach(stage, team, volume, other)
    stage.settle()
    assert attached(stage) == {volume: {other}}


def test_a_team_without_credits_keeps_its_volumes_for_a_week_and_no_longer(stage: Stage) -> None:
    """The debt is shown, a mail comes a day ahead, and the audit finds the step that deleted them."""
    week = 7 * DAY
    team = stage.team(dollars=2 * week * 10 * GB_SECOND / DOLLAR)
    volume = stage.create_volume(team)
    stage.settle()
    stage.clock.pass_(2 * week)
    stage.forebay.cycle.run()
    assert stage.balance(team).balance_micros == 0
    stage.clock.pass_(6 * DAY + 60)
    stage.forebay.cycle.run()
    assert stage.find_volume(volume).state == "available"
    stage.clock.pass_(DAY)
    stage.forebay.cycle.run()
    stage.settle()
    assert stage.find_volume(volume).state == "deleted"
    assert stage.provider.volumes == {}
    assert stage.balance(team).balance_micros == -(week + 60) * 10 * GB_SECOND
    columns = tables.mails.c
    with stage.database.read() as connection:
        found = connection.execute(sa.select(columns.subject, columns.text).order_by(columns.id)).all()
    told = [row.subject.partition(": ")[2].partition(" on ")[0] for row in found if "volume data, 10 GB" in row.text]
    assert told == [
        "the credits ran out; disks are kept for 7 days",
        "disks will be deleted",
        "disks were deleted after 7 days without credits",
    ]
    with pytest.raises(Exception, match="Insufficient"):
        stage.create_volume(team)
    stage.check()


def test_a_stopped_machine_and_its_volume_cost_apart(stage: Stage) -> None:
    team = stage.team()
    volume = stage.create_volume(team)
    machine = stage.launch(team, volume_ids=(volume,))
    stage.settle()
    stage.stop(team, machine)
    stage.settle()
    stage.pass_(60, cycles=True)
    before = stage.charged(team)
    stage.pass_(600, cycles=True)
    assert stage.charged(team) - before == 600 * (10 * GB_SECOND + DISK_SECOND)
    stage.start(team, machine)
    stage.settle()
    assert attached(stage) == {volume: {machine}}
    stage.pass_(60, cycles=True)
    before = stage.charged(team)
    stage.pass_(60, cycles=True)
    assert stage.charged(team) - before == 60 * (10 * GB_SECOND + A_SECOND)
    stage.check()
