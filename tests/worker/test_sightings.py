"""What runs without a record is shown or ended; what was ended and is still there is ended again."""

import msgspec
import pytest
import sqlalchemy as sa

from forebay.compute.base import LaunchSpec, ProviderUnavailable
from forebay.domain.machines import alerts
from forebay.ids import new_id
from forebay.storage import tables
from forebay.storage.database import Database
from tests.worker.stage import START, Stage

STRANGER = LaunchSpec(
    deployment_id=new_id(START),
    team_id=new_id(START),
    team_number=77,
    hostname="stranger",
    offer_id="small",
    pool="house",
    operating_system="Debian 12",
    vcpus=2,
    memory_gb=4,
    storage_gb=20,
    gpu_type="cpu",
    gpu_count=0,
    authorized_keys=(),
)


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def test_what_runs_without_a_record_is_shown_until_it_is_gone(stage: Stage) -> None:
    stage.provider.launch(STRANGER)
    for _ in range(2):
        stage.pass_(10)
        assert stage.alerts() == [("orphan", f"memory/{STRANGER.deployment_id}")]
        assert STRANGER.deployment_id in stage.provider.machines
    stage.provider.lose(STRANGER.deployment_id)
    stage.pass_(10)
    assert stage.alerts() == []


def test_what_runs_without_a_record_is_ended_where_the_setting_says_so(database: Database) -> None:
    stage = Stage(database, end_orphans=True)
    team = stage.team()
    machine = stage.running(team)
    stage.provider.launch(STRANGER)
    stage.pass_(10)
    assert list(stage.provider.machines) == [machine]
    assert stage.alerts() == []


def test_an_orphan_of_another_provider_goes_on_being_shown(stage: Stage) -> None:
    with stage.database.begin() as connection:
        alerts.raise_(connection, "orphan", "other/1", "other/1 runs without a record", now=START)
    stage.provider.launch(STRANGER)
    stage.pass_(10)
    stage.provider.lose(STRANGER.deployment_id)
    stage.pass_(10)
    assert stage.alerts() == [("orphan", "other/1")]


def test_what_was_ended_and_is_there_again_is_ended_again(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.terminate(team, machine)
    stage.settle()
    late = msgspec.structs.replace(STRANGER, deployment_id=machine)
    stage.provider.launch(late)
    stage.provider.refusals["terminate"] = ProviderUnavailable("Not now")
    stage.pass_(10)
    stage.provider.be_back()
    stage.pass_(10)
    assert stage.provider.machines == {}
    assert stage.alerts() == []
    stage.check()


def test_a_machine_that_is_as_recorded_is_left_alone(stage: Stage) -> None:
    team = stage.team()
    running, stopped = stage.running(team), stage.running(team)
    stage.stop(team, stopped)
    stage.settle()
    calls = list(stage.provider.calls)
    stage.pass_(100, cycles=True)
    with stage.database.read() as connection:
        due = connection.execute(sa.select(tables.deployments.c.due_at)).scalars().all()
    assert due == [None, None]
    assert stage.provider.calls == calls
    assert stage.events(running)[-1] == "running"
    stage.check()


def test_a_provider_that_comes_up_late_is_shown_until_then(stage: Stage) -> None:
    stage.restart()
    stage.provider.refusals["prepare"] = ProviderUnavailable("No image yet")
    assert stage.forebay.catalogue.run() == 0
    assert stage.alerts() == [("provider", "memory preparation")]
    stage.provider.be_back()
    assert stage.forebay.catalogue.run() == 1
    assert stage.forebay.catalogue.run() == 0
    assert stage.alerts() == []
