"""Spot machines that are taken back with notice, and orphans that an operator has ended."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from forebay.compute.base import LaunchSpec
from forebay.compute.memory import SMALL
from forebay.domain.machines import orphans, reclaims
from forebay.domain.machines.deployments import Status
from forebay.errors import CannotTerminate, Conflict, NotFound
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.reclaims import ReclaimReconciler
from tests.worker.dying import Death, DyingDatabase, DyingProvider, Fuse
from tests.worker.stage import A_SECOND, Stage, Team

SPOT = msgspec.structs.replace(SMALL, offer_id="spot", instance_type="SPOT")


class Spot(Stage):
    """A cloud whose provider has machines that may be taken back."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.provider.all_offers = (SMALL, SPOT)
        self.forebay.catalogue.run()

    def reclaimer(self, database: Any = None, provider: Any = None) -> ReclaimReconciler:
        providers = {"memory": provider or self.provider}
        return ReclaimReconciler(database or self.database, providers, self.clock)

    def reclaim(self, machine: str, seconds: int = 120) -> None:
        with self.database.begin() as connection:
            now = self.clock.now()
            reclaims.by_operator(connection, None, machine, reason="needed", seconds=seconds, now=now, by="a test")

    def told(self) -> list[str]:
        """The titles of what was told of reclaims."""
        columns = tables.notifications.c
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(columns.title).where(columns.kind == "deployment.reclaimed").order_by(columns.id)
            )
            return [row.title.rpartition(" is ")[2].rpartition(" was ")[2] for row in rows]


@pytest.fixture
def stage(database: Database) -> Spot:
    return Spot(database)


def test_a_spot_machine_gets_notice_and_is_charged_to_its_last_second(stage: Spot) -> None:
    team = stage.team()
    machine = stage.running(team, offer="spot")
    stage.pass_(40)
    stage.reclaim(machine)
    with pytest.raises(Conflict, match="already"):
        stage.reclaim(machine)
    reclaimer = stage.reclaimer()
    assert reclaimer.run() == 0
    [(message, at)] = stage.provider.machines[machine].notices
    assert "needed" in message
    assert at == stage.clock.now() + timedelta(seconds=120)
    stage.pass_(119)
    assert reclaimer.run() == 0
    # The worker is late: that is not for the team to pay.
    stage.pass_(41)
    assert reclaimer.run() == 1
    stage.settle()
    assert stage.find(machine).status is Status.terminated_provider
    assert stage.charged(team) == 160 * A_SECOND
    kinds = ["reclaim-announced", "reclaim-warned", "terminated-provider", "gone"]
    assert stage.events(machine)[-4:] == kinds
    assert stage.told() == ["taken back at 00:02:40 UTC", "reclaimed"]
    assert reclaimer.run() == 0
    with pytest.raises(CannotTerminate):
        stage.reclaim(machine)
    stage.check()


def test_what_does_not_run_needs_no_notice_and_what_is_no_spot_machine_stays(stage: Spot) -> None:
    team = stage.team()
    stopped, dedicated = stage.running(team, offer="spot"), stage.running(team)
    stage.stop(team, stopped)
    stage.settle()
    stage.reclaim(stopped)
    with pytest.raises(Conflict, match="SPOT"):
        stage.reclaim(dedicated)
    with pytest.raises(NotFound):
        stage.reclaim("0" * 24)
    assert stage.reclaimer().run() == 1
    stage.settle()
    assert stage.find(stopped).status is Status.terminated_provider
    assert stage.find(dedicated).status is Status.running
    stage.check()


def test_what_is_ended_meanwhile_is_ended_as_its_owner_wanted(stage: Spot) -> None:
    team = stage.team()
    machine = stage.running(team, offer="spot")
    stage.reclaim(machine)
    stage.pass_(10)
    stage.terminate(team, machine)
    stage.settle()
    stage.pass_(200)
    assert stage.reclaimer().run() == 0
    assert stage.find(machine).status is Status.terminated
    assert stage.charged(team) == 10 * A_SECOND


def test_a_machine_that_can_not_be_told_is_taken_back_all_the_same(stage: Spot) -> None:
    team = stage.team()
    machine = stage.running(team, offer="spot")
    stage.reclaim(machine)
    stage.provider.be_unreachable()
    assert stage.reclaimer().run() == 0
    stage.clock.pass_(120)
    assert stage.reclaimer().run() == 1
    assert stage.find(machine).status is Status.terminated_provider
    stage.provider.be_back()
    stage.settle()
    assert machine not in stage.provider.machines


def test_a_provider_s_own_notice_is_passed_on(stage: Spot) -> None:
    team = stage.team()
    machine = stage.running(team, offer="spot")
    held = stage.provider.machines[machine]
    at = stage.clock.now() + timedelta(seconds=30)
    held.instance = msgspec.structs.replace(held.instance, reclaim_at=at)
    for _ in range(2):
        stage.forebay.sightings.run()
    assert stage.events(machine).count("reclaim-announced") == 1
    assert "reclaims" in stage.forebay.nudged
    stage.pass_(30)
    assert stage.reclaimer().run() == 1
    stage.settle()
    assert stage.charged(team) == 30 * A_SECOND
    stage.check()


def test_a_reclaim_can_be_cut_off_at_any_step(stage: Spot) -> None:
    for step in range(1, 60):
        team: Team = stage.team()
        machine = stage.running(team, offer="spot")
        stage.reclaim(machine, seconds=30)
        fuse = Fuse(step)
        doomed = stage.reclaimer(DyingDatabase(stage.database, fuse), DyingProvider(stage.provider, fuse))
        try:
            doomed.run()
            stage.clock.pass_(30)
            doomed.run()
        except Death:
            stage.clock.pass_(30)
        stage.reclaimer().run()
        stage.recover()
        assert stage.find(machine).status is Status.terminated_provider
        assert stage.charged(team) == 30 * A_SECOND
        assert stage.events(machine).count("terminated-provider") == 1
        if not fuse.is_burnt_out:
            break
    else:
        raise AssertionError("it never comes to its end")
    stage.check()


def test_an_orphan_is_listed_and_ended_when_an_operator_says_so(stage: Spot) -> None:
    machine = "a" * 24
    stage.provider.launch(
        LaunchSpec(
            deployment_id=machine, team_id="b" * 24, team_number=1, hostname="stray", offer_id="small", pool="house",
            operating_system="Debian 12", vcpus=2, memory_gb=4, storage_gb=20, gpu_type="cpu", gpu_count=0,
            authorized_keys=(),
        )
    )  # fmt: skip
    stage.forebay.sightings.run()
    found_at = stage.clock.now()
    stage.clock.pass_(10)
    stage.forebay.sightings.run()

    def standing() -> list[orphans.Orphan]:
        with stage.database.read() as connection:
            return list(orphans.standing(connection))

    def ask(instance: str) -> None:
        with stage.database.begin() as connection:
            now = stage.clock.now()
            orphans.ask_end(connection, None, "memory", instance, reason="restored", now=now, by="a test")

    [orphan] = standing()
    assert (orphan.instance_id, orphan.team_id, orphan.found_at) == (machine, "b" * 24, found_at)
    assert stage.alerts() == [("orphan", f"memory/{machine}")]
    with pytest.raises(NotFound):
        ask("0" * 24)
    ask(machine)
    with pytest.raises(Conflict):
        ask(machine)
    stage.provider.be_slow_to_end()
    stage.forebay.sightings.run()
    assert machine in stage.provider.machines
    assert len(standing()) == 1
    stage.provider.be_back()
    stage.forebay.sightings.run()
    assert machine not in stage.provider.machines
    assert standing() == []
    assert stage.alerts() == []
    with pytest.raises(NotFound):
        ask(machine)
