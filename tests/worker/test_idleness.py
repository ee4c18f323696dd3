"""Auto-stop: what is in use is left alone, what is idle is warned and then ended, and what went unseen never counts."""

from collections.abc import Mapping
from contextlib import suppress

import pytest
import sqlalchemy as sa

from forebay.compute.base import Capabilities, ProviderUnavailable
from forebay.domain.machines import schedules
from forebay.domain.machines.deployments import Status
from forebay.errors import BadRequest
from forebay.storage.database import Database
from forebay.storage.tables import activity
from tests.worker.dying import Death, DyingDatabase, DyingProvider, Fuse
from tests.worker.stage import A_SECOND, START, Forebay, Stage

pytestmark = pytest.mark.slow

LOOK = 30


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def look(
    stage: Stage, times: int, use: Mapping[str, Mapping[str, float]] | None = None, *, forebay: Forebay | None = None
) -> None:
    """Let half a minute pass so many times, in each of which the machines use so much, and look each time."""
    for _ in range(times):
        stage.clock.pass_(LOOK)
        stage.forebay.sightings.run()
        for deployment_id, more in (use or {}).items():
            stage.provider.use(deployment_id, **more)
        (forebay or stage.forebay).idleness.run()


def idle_for(stage: Stage, deployment_id: str) -> float | None:
    """For how many seconds it is known to be idle."""
    since = stage.find(deployment_id).idle_since
    return None if since is None else (stage.clock.now() - since).total_seconds()


def notices(stage: Stage, deployment_id: str) -> list[tuple[str, float]]:
    """What the machine itself was told, and how many seconds from the start its end is."""
    told = stage.provider.machines[deployment_id].notices
    return [(message, (at - START).total_seconds()) for message, at in told]


def test_idle_is_who_uses_neither_processor_nor_gpu_nor_keyboard(stage: Stage) -> None:
    team = stage.team(dollars=1000)
    names = ["cpu", "little", "gpu", "typing", "tunnel", "left", "nothing", "stopped"]
    ids = {name: stage.running(team) for name in names}
    stage.stop(team, ids["stopped"])
    stage.settle()
    stage.forebay.idleness.run()
    use: dict[str, dict[str, float]] = {
        "cpu": {"cpu_seconds": 0.05 * LOOK},
        "little": {"cpu_seconds": 0.05 * LOOK - 0.01},
        "gpu": {"gpu_busy": 0.05},
        "typing": {"untouched_seconds": LOOK - 1},
        "tunnel": {"untouched_seconds": 0},
        "left": {"untouched_seconds": LOOK, "gpu_busy": 0.04},
    }
    look(stage, 3, {ids[name]: more for name, more in use.items()})
    idle = {name for name in names if idle_for(stage, ids[name]) is not None}
    assert idle == {"little", "left", "nothing"}
    assert idle_for(stage, ids["nothing"]) == 3 * LOOK
    look(stage, 1, {ids["nothing"]: {"cpu_seconds": 10}})
    assert idle_for(stage, ids["nothing"]) is None
    look(stage, 1)
    assert idle_for(stage, ids["nothing"]) == LOOK
    assert all(stage.find(each).status is Status.running for name, each in ids.items() if name != "stopped")


def test_it_is_warned_and_then_stopped_as_by_hand(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team, auto_stop_minutes=20)
    stage.forebay.idleness.run()
    began = stage.seconds()
    look(stage, 29)
    assert "idle-warning" not in stage.events(machine)
    look(stage, 1)
    assert stage.events(machine)[-1] == "idle-warning"
    [(sentence, ends)] = notices(stage, machine)
    assert ends == began + 20 * 60
    assert "unless it is used before" in sentence
    # Used, and idle once more: everything begins anew.
    look(stage, 1, {machine: {"cpu_seconds": 5}})
    assert stage.events(machine)[-1] == "idle-over"
    began = stage.seconds()
    look(stage, 39)
    assert stage.find(machine).status is Status.running
    assert [ends for _, ends in notices(stage, machine)][1:] == [began + 20 * 60]
    look(stage, 1)
    assert stage.find(machine).status is Status.stopped
    assert "deployments" in stage.forebay.nudged
    stage.settle()
    assert stage.segments(machine)[0][2] == began + 20 * 60
    assert stage.events(machine)[-3:] == ["idle-warning", "stopped", "halted"]
    with stage.database.read() as connection:
        [row] = connection.execute(sa.select(activity).where(activity.c.action == "deployment.stop")).all()
    assert (row.user_id, row.object_id, row.details["reason"]) == (None, machine, "autoStopMinutes")
    # Started again it is as good as new, and its term still holds.
    stage.start(team, machine)
    stage.settle()
    assert idle_for(stage, machine) is None
    look(stage, 41)
    assert stage.find(machine).status is Status.stopped
    stage.settle()
    stage.check()


def test_a_short_term_a_minimum_runtime_and_one_that_is_terminated(stage: Stage) -> None:
    team = stage.team()
    short = stage.running(team, auto_stop_minutes=1)
    minimum = stage.running(team, offer="minimum", auto_stop_minutes=2, auto_stop_action="terminate")
    off = stage.running(team, auto_stop_minutes=1)
    with stage.database.begin() as connection:
        schedules.set_terms(connection, team.context, off, {"auto_stop_minutes": None}, now=stage.clock.now())
    stage.forebay.idleness.run()
    look(stage, 1)
    assert stage.events(short)[-1] == "idle-warning", "half a minute before"
    look(stage, 1)
    assert stage.find(short).status is Status.stopped
    look(stage, 36)
    assert stage.find(minimum).status is Status.running
    assert stage.events(minimum)[-1] == "idle-warning"
    look(stage, 2)
    assert stage.find(minimum).status is Status.terminated
    assert stage.segments(minimum) == [("compute", 0, 20 * 60)]
    assert stage.find(off).status is Status.running
    # Decided for a machine that has been idle for long: it is warned first all the same.
    with stage.database.begin() as connection:
        schedules.set_terms(connection, team.context, off, {"auto_stop_minutes": 10}, now=stage.clock.now())
    look(stage, 10)
    assert stage.find(off).status is Status.running
    look(stage, 1)
    assert stage.find(off).status is Status.stopped
    stage.settle()
    stage.check()


def test_what_went_unseen_never_counts(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team, auto_stop_minutes=10)
    stage.forebay.idleness.run()
    look(stage, 12)
    assert idle_for(stage, machine) == 12 * LOOK
    stage.provider.be_unreachable()
    look(stage, 3)
    stage.provider.be_back()
    look(stage, 1)
    assert idle_for(stage, machine) is None, "somebody may have used it meanwhile"
    look(stage, 4)
    # Two processes: one looks at a time, and whoever takes over begins anew.
    other = stage.open()
    look(stage, 2, forebay=other)
    assert idle_for(stage, machine) == 6 * LOOK, "the first one is thought to be there still"
    look(stage, 3, forebay=other)
    assert idle_for(stage, machine) == LOOK
    look(stage, 1)
    assert idle_for(stage, machine) == 2 * LOOK, "the first one has learnt that it is not its turn"
    # A restart of the machine sets its counter back, a clock that jumps is believed by nobody.
    stage.provider.use(machine, cpu_seconds=-1)
    look(stage, 1, forebay=other)
    assert idle_for(stage, machine) is None
    look(stage, 2, forebay=other)
    stage.clock.jump(3600)
    look(stage, 1, forebay=other)
    assert idle_for(stage, machine) is None
    assert stage.find(machine).status is Status.running


def test_who_cannot_be_told_and_who_is_cut_off(stage: Stage) -> None:
    team = stage.team()
    for at in range(1, 60):
        machine = stage.running(team, auto_stop_minutes=1)
        stage.forebay.idleness.run()
        look(stage, 1)
        stage.provider.refusals["warn"] = ProviderUnavailable("The network is down")
        fuse = Fuse(at)
        doomed = stage.open(DyingDatabase(stage.database, fuse), DyingProvider(stage.provider, fuse))
        doomed.idleness.token, doomed.idleness.last = stage.forebay.idleness.token, dict(stage.forebay.idleness.last)
        with suppress(Death):
            look(stage, 1, forebay=doomed)
        stage.restart()
        stage.forebay.idleness.run()
        look(stage, 8)  # The lease of the one that was killed has to end first, where others may be at work.
        stage.settle()
        assert stage.find(machine).status is Status.stopped
        assert stage.events(machine).count("stopped") == 1
        stage.terminate(team, machine)
        stage.settle()
        if not fuse.is_burnt_out:
            break
    else:
        raise AssertionError("it never comes to its end")
    assert at > 5
    stage.check()


def test_an_offer_that_cannot_pause_is_terminated_only_if_somebody_says_so(database: Database) -> None:
    stage = Stage(database)
    stage.provider.capabilities = Capabilities()
    stage.forebay.catalogue.run()
    team = stage.team()
    for action in (None, "stop"):
        with pytest.raises(BadRequest) as refusal:
            stage.launch(team, auto_stop_minutes=10, auto_stop_action=action)
        assert set(refusal.value.details) == {"autoStopAction"}
    with pytest.raises(BadRequest):
        stage.launch(team, auto_stop_action="terminate")
    machine = stage.running(team, auto_stop_minutes=1, auto_stop_action="terminate")
    stage.forebay.idleness.run()
    look(stage, 2)
    assert stage.provider.machines[machine].notices == [], "it can't be told"
    assert stage.events(machine)[-2:] == ["idle-warning", "terminated"]
    assert stage.charged(team) == 60 * A_SECOND
