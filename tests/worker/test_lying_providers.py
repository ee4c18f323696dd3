"""A provider that is slow, halves its work, or says what is not so: state and money stay right.

What it answers is taken for what it may be: a moment is held between the last sighting and now, an instance is a
deployment's only by its id, and no answer at all changes nothing but what is charged.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec
import pytest

from forebay.compute.base import Instance, InstanceState, LaunchSpec, ProviderUnavailable
from forebay.compute.memory import MemoryProvider
from forebay.domain.machines.deployments import Status
from forebay.storage.database import Database
from tests.worker.stage import A_SECOND, Stage

pytestmark = pytest.mark.slow


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


class Slow(MemoryProvider):
    """Every answer takes half a minute."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.clock.now)
        self.stage, self.seconds = stage, 30

    def launch(self, spec: LaunchSpec) -> None:
        self.stage.clock.pass_(self.seconds)
        super().launch(spec)

    def observe(self) -> Sequence[Instance]:
        found = super().observe()
        self.stage.clock.pass_(self.seconds)
        return found

    def inspect(self, deployment_id: str) -> Instance | None:
        found = super().inspect(deployment_id)
        self.stage.clock.pass_(self.seconds)
        return found

    def stop(self, deployment_id: str) -> None:
        self.stage.clock.pass_(self.seconds)
        super().stop(deployment_id)

    def terminate(self, deployment_id: str) -> None:
        self.stage.clock.pass_(self.seconds)
        super().terminate(deployment_id)


def test_a_provider_that_takes_half_a_minute_for_each_answer(stage: Stage) -> None:
    team = stage.team()
    stage.provider = Slow(stage)
    stage.forebay = stage.open()
    machine = stage.running(team)
    since = stage.seconds()
    [(kind, began, _)] = stage.segments(machine)
    assert kind == "compute"
    assert 0 <= since - began < 35, "it runs when that was seen, not when it was asked for"
    stage.clock.pass_(100)
    asked = stage.seconds()
    stage.forebay.cycle.run()
    assert stage.charged(team) <= (asked + 60 - began) * A_SECOND
    ended = stage.seconds()
    stage.terminate(team, machine)
    stage.settle()
    assert stage.segments(machine) == [("compute", began, ended)]
    assert stage.charged(team) == (ended - began) * A_SECOND
    assert [verb for verb, _ in stage.provider.calls] == ["launch", "terminate"]
    stage.check()


def altered(stage: Stage, machine: str, change: Callable[[Instance], Instance]) -> None:
    """Let the provider say something else of the machine from now on."""
    record = stage.provider.machines[machine]
    record.instance = change(record.instance)


@pytest.mark.parametrize(("off_seconds", "until"), [(-86_400, 60), (86_400, 70), (-3, 62), (5, 70)])
def test_a_stop_at_a_time_that_can_not_be(stage: Stage, off_seconds: int, until: int) -> None:
    """Its clock is off by a day or by seconds: the end is never before the last sighting, nor after now."""
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(60)
    stage.clock.pass_(5)
    stage.provider.stop_by_itself(machine)
    shift = timedelta(seconds=off_seconds)
    altered(
        stage, machine, lambda was: msgspec.structs.replace(was, stopped_at=was.stopped_at and was.stopped_at + shift)
    )
    stage.clock.pass_(5)
    stage.forebay.sightings.run()
    stage.settle()
    assert stage.segments(machine)[0] == ("compute", 0, until)
    assert stage.find(machine).status is Status.running, "it was started again"
    stage.check()


def test_a_start_at_a_time_that_can_not_be_changes_no_charge(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    for days in (-400, 400):
        record = stage.provider.machines[machine]
        record.instance = msgspec.structs.replace(record.instance, started_at=stage.clock.now() + timedelta(days=days))
        stage.pass_(60, cycles=True)
    assert stage.charged(team) == 120 * A_SECOND
    assert stage.segments(machine) == [("compute", 0, None)]
    stage.check()


def test_a_machine_that_vanishes_from_the_list_and_is_there_after_all(stage: Stage) -> None:
    """A list that leaves one out is no end: it is looked for by its id before anything is done."""
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(60, cycles=True)
    hidden = stage.provider.observe

    stage.provider.observe = lambda: ()  # type: ignore[method-assign]
    stage.pass_(60, cycles=True)
    stage.settle()
    assert stage.find(machine).status is Status.running
    assert stage.charged(team) <= 120 * A_SECOND
    stage.provider.observe = hidden  # type: ignore[method-assign]
    stage.pass_(60, cycles=True)
    assert stage.charged(team) == 180 * A_SECOND
    assert stage.segments(machine) == [("compute", 0, None)]
    assert stage.provider.calls == [("launch", machine)]
    stage.check()


def test_an_id_that_another_machine_has_now(stage: Stage) -> None:
    """What was lost is over: a machine that turns up later under its id is ended, and nobody pays for it."""
    team, other = stage.team(), stage.team()
    machine = stage.running(team)
    spec = stage.provider.machines[machine].spec
    stage.pass_(50)
    stage.provider.lose(machine)
    stage.pass_(10)
    stage.settle()
    assert stage.find(machine).status is Status.terminated_provider
    charged = stage.charged(team)
    stage.provider.launch(msgspec.structs.replace(spec, team_id=other.id, hostname="impostor"))
    stage.pass_(120, cycles=True)
    assert stage.provider.machines == {}
    assert (stage.charged(team), stage.charged(other)) == (charged, 0)
    assert stage.find(machine).status is Status.terminated_provider
    assert stage.alerts() == []
    stage.check()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_launch_whose_answer_was_lost(stage: Stage, is_there: bool) -> None:
    """The provider made it, or didn't, and said neither: asked again, there is one machine, paid from `running` on."""
    team = stage.team()
    launch = stage.provider.launch

    def cut_off(spec: LaunchSpec) -> None:
        stage.provider.launch = launch  # type: ignore[method-assign]
        if is_there:
            launch(spec)
            altered(
                stage, spec.deployment_id, lambda was: msgspec.structs.replace(was, state=InstanceState.starting)
            )  # fmt: skip
        raise ProviderUnavailable("The connection broke")

    stage.provider.launch = cut_off  # type: ignore[method-assign]
    machine = stage.launch(team)
    stage.forebay.deployments.run()
    stage.pass_(10)
    assert stage.alerts() == [], "what is on its way is no orphan"
    if is_there:
        altered(stage, machine, lambda was: msgspec.structs.replace(was, state=InstanceState.running))
    stage.settle()
    assert stage.find(machine).status is Status.running
    assert [each for each in stage.provider.calls if each[0] == "launch"] == [("launch", machine)]
    since = stage.segments(machine)[0][1]
    assert since >= 10
    assert stage.charged(team) == 0
    stage.terminate(team, machine)
    stage.settle()
    assert stage.provider.machines == {}
    stage.check()


def test_a_host_that_restarts_with_all_its_machines(stage: Stage) -> None:
    """The host is gone for five minutes: every machine is paid to when it went, started again, and none is lost."""
    team = stage.team()
    machines = [stage.running(team) for _ in range(3)]
    stopped = stage.running(team)
    stage.stop(team, stopped)
    stage.settle()
    stage.pass_(60, cycles=True)
    went = stage.seconds()
    for machine in machines:
        stage.provider.stop_by_itself(machine, "The host went down.")
        altered(stage, machine, lambda was: msgspec.structs.replace(was, stopped_at=None, exit_reason=None))
    stage.provider.be_unreachable()
    stage.pass_(300, cycles=True)
    stage.provider.be_back()
    stage.restart()
    stage.pass_(10)
    stage.settle()
    back = stage.seconds()
    for machine in machines:
        assert stage.find(machine).status is Status.running
        (_, _, first_end), (_, second_start, second_end) = stage.segments(machine)
        assert first_end is not None
        assert went - 10 <= first_end <= went
        assert went + 300 <= second_start <= back
        assert second_end is None
    assert stage.find(stopped).status is Status.stopped
    stage.check()
