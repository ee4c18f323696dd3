"""A deleted key is off every machine within a minute, whatever happens in between, and nothing puts it back."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from forebay.compute.base import LaunchSpec
from forebay.compute.memory import MemoryProvider
from forebay.domain.machines import alerts, authorized_keys, deployment_keys, events, ssh_keys
from forebay.domain.machines.deployments import Status
from forebay.errors import BadRequest
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.ssh_keys import RETRY_SECONDS, TAKEN_SECONDS
from tests.worker.dying import Death, DyingDatabase, DyingProvider, Fuse
from tests.worker.stage import PUBLIC_KEY, AtOnce, Stage, Team

pytestmark = pytest.mark.slow


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def keys_of(stage: Stage, machine: str) -> tuple[str, ...]:
    return stage.provider.machines[machine].keys


def is_due(stage: Stage, machine: str) -> bool:
    with stage.database.read() as connection:
        column = tables.deployments.c.keys_due_at
        return connection.execute(sa.select(column).where(tables.deployments.c.id == machine)).scalar() is not None


def told(stage: Stage, machine: str) -> list[str]:
    with stage.database.read() as connection:
        found, _ = events.of_deployment(connection, machine, page=1, limit=100)
    return [event.message for event in found if event.kind.startswith("ssh-key")]


def fingerprint_of(stage: Stage, key_id: str) -> str:
    with stage.database.read() as connection:
        column = tables.ssh_keys.c.fingerprint
        return str(connection.execute(sa.select(column).where(tables.ssh_keys.c.id == key_id)).scalar_one())


def choose(stage: Stage, team: Team, machine: str, *key_ids: str) -> None:
    """Somebody chooses the keys of a machine."""
    with stage.database.begin() as connection:
        deployment_keys.change(connection, team.context, machine, key_ids, now=stage.clock.now())


def another_key(stage: Stage, team: Team) -> Team:
    """The same team, whose next machines have a key of their own."""
    with stage.database.begin() as connection:
        key = ssh_keys.add(
            connection,
            team_id=team.id,
            name="another",
            public_key=PUBLIC_KEY[:-2] + "Ig",
            created_by=team.context.caller.user_id,
            now=stage.clock.now(),
        )
    return Team(team.context, key.id)


def test_a_deleted_key_leaves_its_machines_and_no_others(stage: Stage) -> None:
    team = stage.team()
    other = another_key(stage, team)
    running, stopped, untouched = stage.running(team), stage.running(team), stage.running(other)
    stage.stop(team, stopped)
    stage.settle()
    ended = stage.running(team)
    stage.terminate(team, ended)
    stage.settle()
    assert keys_of(stage, running) == (PUBLIC_KEY,)
    assert stage.forebay.keys.run() == 0
    stage.delete_key(team, team.key_id)
    assert stage.forebay.keys.run() == 2
    assert (keys_of(stage, running), keys_of(stage, stopped)) == ((), ())
    assert keys_of(stage, untouched) != ()
    assert stage.find(running).status is Status.running
    assert stage.forebay.keys.run() == 0
    [message] = told(stage, running)
    assert message.startswith("The SSH key key (SHA256:")
    assert message.endswith("is off the machine.")
    assert told(stage, untouched) == []


def test_the_same_key_sent_along_with_a_launch_goes_too(stage: Stage) -> None:
    team = stage.team()
    with stage.database.begin() as connection:
        temporary = ssh_keys.add(
            connection,
            team_id=team.id,
            name="temporary",
            public_key=PUBLIC_KEY,
            created_by=team.context.caller.user_id,
            now=stage.clock.now(),
            is_temporary=True,
        )
    machine = stage.running(Team(team.context, temporary.id))
    stage.delete_key(team, team.key_id)
    stage.forebay.keys.run()
    assert keys_of(stage, machine) == ()


def test_a_machine_that_is_launched_later_never_gets_it(stage: Stage) -> None:
    team = stage.team()
    machine = stage.launch(team)
    stage.delete_key(team, team.key_id)
    # It isn't there yet: that is no cause for alarm, and tried again.
    assert stage.forebay.keys.run() == 1
    assert is_due(stage, machine)
    with stage.database.read() as connection:
        assert alerts.open_ones(connection) == []
    stage.settle()
    assert keys_of(stage, machine) == ()
    stage.clock.pass_(RETRY_SECONDS)
    stage.forebay.keys.run()
    assert keys_of(stage, machine) == ()
    assert not is_due(stage, machine)


class Interrupted:
    """A provider during whose verb something else happens: after it has heard the keys, before it puts them there."""

    def __init__(self, provider: MemoryProvider, verb: str, meanwhile: Callable[[], None]) -> None:
        self.provider, self.verb, self.meanwhile = provider, verb, meanwhile

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.provider, name)
        if name != self.verb:
            return found

        def ask(*args: Any) -> Any:
            meanwhile, self.meanwhile = self.meanwhile, lambda: None
            meanwhile()
            return found(*args)

        return ask


def test_a_launch_that_read_the_key_before_it_was_deleted(stage: Stage) -> None:
    team = stage.team()
    machine = stage.launch(team)

    def meanwhile() -> None:
        stage.delete_key(team, team.key_id)
        stage.forebay.keys.run()

    stage.settle(stage.open(provider=Interrupted(stage.provider, "launch", meanwhile)))
    assert keys_of(stage, machine) == (PUBLIC_KEY,)
    stage.forebay.keys.run()
    assert keys_of(stage, machine) == ()


def test_a_launch_that_was_killed_after_the_key_was_deleted(stage: Stage) -> None:
    """Nobody is left who knows with which keys it came to be: they are written once more when it runs."""
    team = stage.team()
    machine = stage.launch(team)
    fuse = Fuse()

    def die(spec: LaunchSpec) -> None:
        stage.delete_key(team, team.key_id)
        MemoryProvider.launch(stage.provider, spec)
        stage.forebay.keys.run()
        stage.provider.machines[machine].keys = spec.authorized_keys
        fuse.is_burnt_out = True

    stage.provider.launch = die  # type: ignore[method-assign]
    with pytest.raises(Death):
        stage.open(DyingDatabase(stage.database, fuse)).deployments.run()
    assert keys_of(stage, machine) == (PUBLIC_KEY,)
    assert not is_due(stage, machine)
    stage.recover()
    assert stage.find(machine).status is Status.running
    stage.forebay.keys.run()
    assert keys_of(stage, machine) == ()


def test_a_late_write_by_an_older_version_is_put_right(stage: Stage) -> None:
    """Two workers: one is held up inside the provider for so long that the other has written and settled."""
    team = stage.team()
    machine = stage.running(team)
    with stage.database.begin() as connection:
        authorized_keys.make_due(connection, tables.deployments.c.id == machine, now=stage.clock.now())

    def meanwhile() -> None:
        stage.delete_key(team, team.key_id)
        assert stage.forebay.keys.run() == 1
        assert keys_of(stage, machine) == ()
        assert not is_due(stage, machine)

    late = stage.open(provider=Interrupted(stage.provider, "set_authorized_keys", meanwhile))
    late.keys.run()
    assert keys_of(stage, machine) == (PUBLIC_KEY,)
    assert is_due(stage, machine)
    assert stage.forebay.keys.run() == 1
    assert keys_of(stage, machine) == ()


def test_a_deletion_while_older_keys_are_written_is_not_settled_with_them(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    with stage.database.begin() as connection:
        authorized_keys.make_due(connection, tables.deployments.c.id == machine, now=stage.clock.now())
    provider = Interrupted(stage.provider, "set_authorized_keys", lambda: stage.delete_key(team, team.key_id))
    stage.open(provider=provider).keys.run()
    assert told(stage, machine) == []
    assert stage.forebay.keys.run() == 1
    assert keys_of(stage, machine) == ()
    assert len(told(stage, machine)) == 1


def test_a_provider_that_is_away_is_asked_again(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.delete_key(team, team.key_id)
    stage.provider.be_unreachable()
    assert stage.forebay.keys.run() == 1
    with stage.database.read() as connection:
        [alert] = alerts.open_ones(connection)
    assert alert.subject == f"keys of deployment {machine}"
    assert stage.forebay.keys.run() == 0
    stage.provider.be_back()
    stage.clock.pass_(RETRY_SECONDS - 1)
    assert stage.forebay.keys.run() == 0
    stage.clock.pass_(1)
    assert stage.forebay.keys.run() == 1
    assert keys_of(stage, machine) == ()
    with stage.database.read() as connection:
        assert alerts.open_ones(connection) == []


def test_a_provider_that_cannot_change_keys_is_not_asked_and_the_machine_says_so(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.provider.capabilities = msgspec.structs.replace(stage.provider.capabilities, live_keys=False)
    stage.delete_key(team, team.key_id)
    stage.forebay.keys.run()
    assert keys_of(stage, machine) == (PUBLIC_KEY,)
    [message] = told(stage, machine)
    assert "can't take keys off a machine" in message
    assert stage.forebay.keys.run() == 0


def test_what_has_ended_waits_for_no_keys(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.delete_key(team, team.key_id)
    stage.terminate(team, machine)
    assert stage.forebay.keys.run() == 0
    assert not is_due(stage, machine)


@pytest.mark.slow
def test_killed_at_any_step_it_is_done_within_a_minute(stage: Stage) -> None:
    seen: set[str] = set()
    for at in range(1, 50):
        team = stage.team()
        machine = stage.running(team)
        stage.provider.machines[machine].sessions = [fingerprint_of(stage, team.key_id)]
        began = stage.clock.now()
        stage.delete_key(team, team.key_id)
        fuse = Fuse(at)
        database = DyingDatabase(stage.database, fuse)
        with suppress(Death):
            stage.open(database, DyingProvider(stage.provider, fuse)).keys.run()
        seen |= set(fuse.steps)
        while is_due(stage, machine):
            stage.clock.pass_(stage.forebay.keys.interval_seconds)
            stage.forebay.keys.run()
        assert (stage.clock.now() - began).total_seconds() <= TAKEN_SECONDS + 2 * 10
        assert keys_of(stage, machine) == ()
        assert stage.provider.machines[machine].sessions == []
        assert [message for message in told(stage, machine) if "off the machine" in message] != []
        stage.terminate(team, machine)
        stage.settle()
        if not fuse.is_burnt_out:
            break
    assert {"before set_authorized_keys", "after end_sessions", "commit", "committed"} <= seen


def test_keys_chosen_before_the_machine_is_there_come_with_it(stage: Stage) -> None:
    team = stage.team()
    other = another_key(stage, team)
    machine = stage.launch(team)
    choose(stage, team, machine, other.key_id)
    stage.settle()
    [key] = keys_of(stage, machine)
    assert key != PUBLIC_KEY
    stage.clock.pass_(RETRY_SECONDS)
    assert stage.forebay.keys.run() == 1
    assert stage.provider.machines[machine].removed == (PUBLIC_KEY,)
    assert "on the machine" in told(stage, machine)[1] + told(stage, machine)[0]


def test_keys_chosen_while_a_launch_is_under_way_are_written_after_it(stage: Stage) -> None:
    team = stage.team()
    other = another_key(stage, team)
    machine = stage.launch(team)

    def meanwhile() -> None:
        choose(stage, team, machine, team.key_id, other.key_id)
        stage.forebay.keys.run()

    stage.settle(stage.open(provider=Interrupted(stage.provider, "launch", meanwhile)))
    assert keys_of(stage, machine) == (PUBLIC_KEY,)
    stage.forebay.keys.run()
    assert len(keys_of(stage, machine)) == 2


def test_a_key_that_was_deleted_stays_out_of_machines_that_had_it_even_if_its_twin_comes_back(stage: Stage) -> None:
    """Until the twin is chosen for the machine: then it is on it, and nowhere kept out."""
    team = stage.team()
    other = another_key(stage, team)
    machine = stage.running(team)
    choose(stage, team, machine, team.key_id, other.key_id)
    stage.delete_key(team, team.key_id)
    stage.forebay.keys.run()
    assert stage.provider.machines[machine].removed == (PUBLIC_KEY,)
    with stage.database.begin() as connection:
        owner = team.context.caller.user_id
        twin = ssh_keys.add(
            connection, team_id=team.id, name="twin", public_key=PUBLIC_KEY, created_by=owner, now=stage.clock.now()
        )
    choose(stage, team, machine, other.key_id, twin.id)
    stage.forebay.keys.run()
    assert stage.provider.machines[machine].removed == ()
    assert PUBLIC_KEY in keys_of(stage, machine)


def test_a_provider_that_cannot_end_connections_says_so(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    stage.provider.capabilities = msgspec.structs.replace(stage.provider.capabilities, session_ends=False)
    stage.delete_key(team, team.key_id)
    stage.forebay.keys.run()
    assert keys_of(stage, machine) == ()
    [message] = told(stage, machine)
    assert "memory can't end them" in message


@pytest.mark.slow
def test_launches_and_a_deletion_at_once(stage: Stage) -> None:
    """Either the launch is refused, or the machine loses the key: no machine keeps it for having been accepted then."""
    for _ in range(10):
        team = stage.team(dollars=1000)
        accepted: list[str] = []
        start = threading.Barrier(4)

        def launch(team: Team = team, start: threading.Barrier = start, accepted: list[str] = accepted) -> None:
            start.wait()
            with suppress(BadRequest):
                accepted.append(stage.launch(team))

        def delete(team: Team = team, start: threading.Barrier = start) -> None:
            start.wait()
            stage.delete_key(team, team.key_id)

        run_all([launch, launch, launch, delete])
        stage.settle()
        stage.clock.pass_(RETRY_SECONDS)
        while stage.forebay.keys.run():
            pass
        for machine in accepted:
            assert keys_of(stage, machine) == ()
            assert not is_due(stage, machine)
            stage.terminate(team, machine)
        stage.settle()


def run_all(tasks: Sequence[Callable[[], None]]) -> None:
    """All of them at once; what one raises is raised here."""
    failures: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_writes_go_out_beside_each_other_and_one_that_fails_keeps_no_other(stage: Stage) -> None:
    team = stage.team()
    lost, there = stage.running(team), stage.running(team)
    stage.provider.lose(lost)
    stage.delete_key(team, team.key_id)
    assert isinstance(stage.forebay.keys.executor, AtOnce)
    assert stage.forebay.keys.run() == 2
    assert keys_of(stage, there) == ()
    assert is_due(stage, lost)
