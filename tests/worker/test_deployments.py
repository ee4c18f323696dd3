"""What is desired comes about, whatever the provider does on the way; and only what ran is paid for."""

import msgspec
import pytest

from forebay.compute.base import InstanceState, OutOfStock, ProviderUnavailable, Rejected
from forebay.domain.machines.deployments import Status
from forebay.storage.database import Database
from tests.worker.stage import A_SECOND, DISK_SECOND, DOLLAR, Stage

pytestmark = pytest.mark.slow


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def test_a_launch_runs_when_ssh_answers_and_is_paid_for_from_then(stage: Stage) -> None:
    team = stage.team()
    stage.provider.is_silent = True
    machine = stage.launch(team)
    stage.forebay.deployments.run()
    assert stage.find(machine).status is Status.deploying
    assert stage.balance(team).held_micros == 3_000_000
    waited = stage.seconds()
    assert waited >= 20
    stage.provider.is_silent = False
    stage.settle()
    since = stage.seconds()
    assert stage.find(machine).status is Status.running
    assert stage.segments(machine) == [("compute", since, None)]
    stage.pass_(100, cycles=True)
    assert stage.charged(team) == 60 * A_SECOND
    stage.terminate(team, machine)
    assert stage.charged(team) == 100 * A_SECOND
    stage.settle()
    stage.check()
    assert stage.events(machine) == ["accepted", "placed", "running", "terminated", "gone"]


def test_a_stop_pays_for_the_disk_and_a_start_for_the_machine_again(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(50)
    stage.stop(team, machine)
    stage.settle()
    stage.check()
    stage.pass_(200, cycles=True)
    stage.start(team, machine)
    stage.settle()
    stage.check()
    stage.pass_(30)
    stage.terminate(team, machine)
    stage.settle()
    stage.check()
    assert stage.segments(machine) == [("compute", 0, 50), ("storage", 50, 250), ("compute", 250, 280)]
    assert stage.charged(team) == 80 * A_SECOND + 200 * DISK_SECOND
    assert stage.provider.calls == [(verb, machine) for verb in ("launch", "stop", "start", "terminate")]


def test_a_machine_that_stopped_by_itself_is_paid_to_then_and_started_again(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(100)
    stage.clock.pass_(3)
    stage.provider.stop_by_itself(machine)
    stage.clock.pass_(7)
    stage.forebay.sightings.run()
    assert "deployments" in stage.forebay.nudged
    stage.settle()
    assert stage.segments(machine) == [("compute", 0, 103), ("compute", 110, None)]
    assert stage.find(machine).status is Status.running
    stage.check()


def test_without_credits_for_a_start_it_stays_stopped(stage: Stage) -> None:
    team = stage.team(dollars=3.05)
    machine = stage.running(team)
    stage.pass_(120, cycles=True)
    stage.provider.stop_by_itself(machine)
    stage.pass_(10)
    stage.settle()
    assert stage.find(machine).status is Status.stopped
    assert stage.segments(machine) == [("compute", 0, 120), ("storage", 130, None)]
    stage.check()


def test_a_stop_time_the_provider_can_not_tell_is_the_last_sighting(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(40)
    stage.clock.pass_(5)
    stage.provider.stop_by_itself(machine)
    record = stage.provider.machines[machine]
    record.instance = msgspec.structs.replace(record.instance, stopped_at=None)
    stage.pass_(10)
    stage.settle()
    assert stage.segments(machine)[0] == ("compute", 0, 40)
    stage.check()


def test_a_machine_that_is_gone_is_paid_to_its_last_sighting(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(45)
    stage.provider.lose(machine)
    stage.pass_(10)
    stage.settle()
    found = stage.find(machine)
    assert found.status is Status.terminated_provider
    assert found.gone_at is not None
    assert stage.segments(machine) == [("compute", 0, 40)]
    stage.check()


def test_a_stopped_machine_that_is_gone_is_lost_too(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.stop(team, machine)
    stage.settle()
    stage.pass_(25)
    stage.provider.lose(machine)
    stage.pass_(10)
    stage.settle()
    assert stage.find(machine).status is Status.terminated_provider
    assert stage.segments(machine)[-1] == ("storage", 0, 20)
    stage.check()


def test_a_machine_that_is_gone_when_it_is_to_be_started_is_lost(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.stop(team, machine)
    stage.settle()
    stage.provider.lose(machine)
    stage.start(team, machine)
    stage.settle()
    assert stage.find(machine).status is Status.terminated_provider
    stage.check()


def test_a_provider_that_can_not_be_reached_changes_nothing_but_what_is_charged(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(60, cycles=True)
    stage.provider.be_unreachable()
    stage.pass_(600, cycles=True)
    assert stage.find(machine).status is Status.running
    assert stage.charged(team) == 60 * A_SECOND
    assert ("provider", "memory") in stage.alerts()
    stage.provider.be_back()
    stage.pass_(60, cycles=True)
    assert stage.charged(team) == 720 * A_SECOND
    assert stage.alerts() == []
    stage.check()


def test_after_an_outage_it_is_paid_to_the_time_at_which_it_stopped(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(60, cycles=True)
    stage.provider.be_unreachable()
    stage.pass_(90, cycles=True)
    stage.provider.stop_by_itself(machine)
    stage.pass_(500, cycles=True)
    stage.provider.be_back()
    stage.pass_(10)
    stage.settle()
    assert stage.segments(machine) == [("compute", 0, 150), ("compute", 660, None)]
    stage.check()


def test_a_machine_that_was_not_seen_for_long_is_ended_at_its_last_sighting(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.pass_(60, cycles=True)
    stage.provider.be_unreachable()
    stage.pass_(600)
    stage.terminate(team, machine)
    assert stage.segments(machine) == [("compute", 0, 60)]
    stage.forebay.deployments.run()
    assert stage.find(machine).gone_at is None
    stage.provider.be_back()
    stage.settle()
    stage.check()


@pytest.mark.parametrize("refusal", [Rejected("This image is not known"), OutOfStock("The last one went")])
def test_a_launch_that_is_refused_costs_nothing(stage: Stage, refusal: Rejected | OutOfStock) -> None:
    team = stage.team()
    stage.provider.refusals["launch"] = refusal
    with stage.nothing_charged(team):
        machine = stage.launch(team)
        stage.settle()
    found = stage.find(machine)
    assert found.status is Status.failed
    assert found.gone_at is not None
    assert str(refusal) in (found.error or "")
    stage.check()


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["silent", "unreachable", "broken"])
def test_a_launch_that_takes_too_long_has_failed_and_costs_nothing(stage: Stage, trouble: str) -> None:
    team = stage.team()
    if trouble == "silent":
        stage.provider.is_silent = True
    elif trouble == "unreachable":
        stage.provider.refusals["launch"] = ProviderUnavailable("No answer")
    else:
        stage.provider.refusals["launch"] = RuntimeError("no ProviderError")  # type: ignore[assignment]
    with stage.nothing_charged(team):
        machine = stage.launch(team)
        stage.settle()
    assert stage.find(machine).status is Status.failed
    assert 300 < stage.seconds() < 400
    assert stage.alerts() == []
    stage.check()


@pytest.mark.slow
def test_a_start_that_takes_too_long_leaves_the_machine_stopped_with_its_disk(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.stop(team, machine)
    stage.settle()
    stage.provider.is_silent = True
    stage.start(team, machine)
    stage.settle()
    assert stage.find(machine).status is Status.stopped
    assert stage.provider.machines[machine].instance.state is InstanceState.stopped
    stage.check()
    assert stage.charged(team) == 0


def test_what_is_not_confirmed_to_be_gone_keeps_its_capacity_and_shows(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.provider.be_slow_to_end()
    stage.pass_(10)
    stage.terminate(team, machine)
    for _ in range(600):
        stage.forebay.deployments.run()
        stage.clock.pass_(1)
    found = stage.find(machine)
    assert (found.status, found.gone_at) == (Status.terminated, None)
    assert stage.charged(team) == 10 * A_SECOND
    assert stage.alerts() == [("provider", f"deployment {machine}")]
    stage.check_room(stage.all())
    stage.provider.be_back()
    stage.settle()
    assert stage.alerts() == []
    stage.check()


def test_a_stop_that_is_refused_is_tried_again_now_and_then(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.provider.refusals["stop"] = Rejected("Not today")
    stage.stop(team, machine)
    rounds = 0
    before = stage.find(machine).attempts
    for _ in range(30):
        stage.forebay.deployments.run()
        stage.clock.pass_(1)
    rounds = stage.find(machine).attempts - before
    assert 2 <= rounds <= 6
    assert stage.alerts() == [("provider", f"deployment {machine}")]
    stage.provider.be_back()
    stage.settle()
    assert stage.alerts() == []
    stage.check()


def test_terminated_while_it_is_being_launched(stage: Stage) -> None:
    team = stage.team()

    def terminate_in_between(instance: object) -> bool:
        stage.forebay.deployments.probe = stage.provider.answers
        stage.terminate(team, machine)
        return True

    stage.forebay.deployments.probe = terminate_in_between
    machine = stage.launch(team)
    stage.settle()
    assert stage.find(machine).status is Status.terminated
    assert stage.charged(team) == 0
    stage.check()


def test_who_lost_the_lease_applies_nothing(stage: Stage) -> None:
    team = stage.team()
    other = stage.open()

    def be_overtaken(instance: object) -> bool:
        stage.clock.pass_(60)
        other.deployments.run()
        return True

    stage.forebay.deployments.probe = be_overtaken
    machine = stage.launch(team)
    stage.forebay.deployments.run()
    assert stage.events(machine) == ["accepted", "placed", "running"]
    assert stage.segments(machine) == [("compute", 60, None)]
    assert stage.provider.calls == [("launch", machine)]
    stage.settle()
    stage.check()


def test_minimum_runtime_binds_people_but_not_the_end_of_credits(stage: Stage) -> None:
    from forebay.errors import MinimumRuntimeNotMet

    team = stage.team(dollars=3.6)
    machine = stage.running(team, offer="minimum")
    stage.clock.pass_(1100)
    stage.pass_(99)
    for verb in (stage.stop, stage.terminate):
        with pytest.raises(MinimumRuntimeNotMet):
            verb(team, machine)
    stage.pass_(1)
    stage.stop(team, machine)
    stage.settle()
    assert stage.charged(team) == 1200 * A_SECOND
    stage.check()


def test_how_cloud_init_ended_is_kept_as_an_event(stage: Stage) -> None:
    from forebay.compute.base import CloudInitOutcome

    team = stage.team()
    good, bad, none = (stage.running(team, cloud_init={"runcmd": ["true"]}) for _ in range(3))
    stage.provider.outcomes[good] = CloudInitOutcome(succeeded=True, log="fine")
    stage.provider.outcomes[bad] = CloudInitOutcome(succeeded=False, log="exit status 7")
    stage.pass_(20)
    assert stage.events(good) == ["accepted", "placed", "running", "cloud-init-done"]
    assert stage.events(bad) == ["accepted", "placed", "running", "cloud-init-failed"]
    assert stage.events(none) == ["accepted", "placed", "running"]
    stage.stop(team, none)
    stage.settle()
    stage.check()


def test_ten_at_once_on_credits_for_four(stage: Stage) -> None:
    from forebay.errors import InsufficientBalance

    team = stage.team(dollars=12.5)
    refused = 0
    for _ in range(8):
        try:
            stage.launch(team)
        except InsufficientBalance:
            refused += 1
    stage.settle()
    assert refused == 4
    assert stage.balance(team).available_micros == DOLLAR // 2
    assert stage.balance(team).held_micros == 12 * DOLLAR
    stage.check()
