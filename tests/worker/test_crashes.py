"""Forebay is killed before and after every step of what it does; after a restart everything is as it should be.

Whatever is under way, the books balance, nobody pays twice, no machine is without its record and no record without its
machine. The restart itself is killed once more, at a step that a seed chooses, before it is let through.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from forebay.domain.machines.deployments import Status
from forebay.storage.database import Database
from forebay.worker.deduction_cycle import LEASE_SECONDS
from tests.worker.dying import Death, DyingDatabase, DyingProvider, Fuse
from tests.worker.stage import A_SECOND, DISK_SECOND, Forebay, Stage, Team

pytestmark = pytest.mark.slow

SEED = 20260301
MOST_STEPS = 200


class Doomed(msgspec.Struct, frozen=True):
    """A process that will be killed, on the stage's books and provider."""

    database: Any
    forebay: Forebay
    fuse: Fuse


class Crashes:
    """A stage on which one thing is done again and again, and each time cut off one step later."""

    def __init__(self, database: Database) -> None:
        self.stage = Stage(database)
        self.chance = random.Random(SEED)

    def doom(self, at: int) -> Doomed:
        """A process with so many steps to live."""
        fuse = Fuse(at)
        database = DyingDatabase(self.stage.database, fuse)
        return Doomed(database, self.stage.open(database, DyingProvider(self.stage.provider, fuse)), fuse)

    def lives(self, doomed: Doomed, act: Callable[[Doomed], None]) -> bool:
        """Let it act; whether it came to the end."""
        try:
            act(doomed)
        except Death:
            return False
        return not doomed.fuse.is_burnt_out

    def every_step(self, act: Callable[[Doomed], None], *, apart: int = 1) -> Iterator[list[str]]:
        """Cut `act` off at its first step, its second, and so on, until it comes to its end; the steps it got to.

        Where that takes too long, only at steps that are so far `apart`, beginning with one of the first.
        """
        for at in range(self.chance.randint(1, apart), MOST_STEPS, apart):
            doomed = self.doom(at)
            is_done = self.lives(doomed, act)
            self.kill_the_restart()
            self.stage.recover()
            self.stage.check()
            yield doomed.fuse.steps
            if is_done:
                assert at > 1
                return
        raise AssertionError("it never comes to its end")

    def kill_the_restart(self) -> None:
        """Start again, and be killed again on the way."""
        self.stage.restart()
        doomed = self.doom(self.chance.randint(1, 12))

        def look_around(doomed: Doomed) -> None:
            doomed.forebay.sightings.run()
            doomed.forebay.deployments.run()

        self.lives(doomed, look_around)


@pytest.fixture
def crashes(database: Database) -> Crashes:
    return Crashes(database)


def work(stage: Stage, doomed: Doomed) -> None:
    """What a process does until nothing is due, and one look at the providers more."""
    stage.settle(doomed.forebay)
    doomed.forebay.sightings.run()


def end(stage: Stage, team: Team) -> None:
    """Take the team's machines away again."""
    for deployment in stage.all():
        if deployment.team_id == team.id and deployment.status in (Status.running, Status.stopped):
            stage.terminate(team, deployment.id)
    stage.settle()


def test_a_launch(crashes: Crashes) -> None:
    stage = crashes.stage
    seen: set[str] = set()
    teams: list[Team] = []

    def act(doomed: Doomed) -> None:
        teams.append(stage.team(dollars=3.5))
        stage.launch(teams[-1], database=doomed.database)
        work(stage, doomed)

    for steps in crashes.every_step(act):
        seen |= set(steps)
        mine = [entry for entry in stage.all() if entry.team_id == teams[-1].id]
        # Not accepted, or running: a launch that was accepted is not lost.
        assert [entry.status for entry in mine] == ([Status.running] if "committed" in steps else [])
        end(stage, teams[-1])
    assert {"commit", "committed", "before launch", "after launch"} <= seen


def test_a_stop(crashes: Crashes) -> None:
    stage = crashes.stage
    seen: set[str] = set()
    made: list[tuple[Team, str]] = []

    def act(doomed: Doomed) -> None:
        team = stage.team()
        machine = stage.running(team)
        made.append((team, machine))
        stage.pass_(20)
        stage.stop(team, machine, doomed.database)
        work(stage, doomed)

    for steps in crashes.every_step(act):
        seen |= set(steps)
        team, machine = made[-1]
        is_accepted = "committed" in steps
        assert stage.find(machine).status is (Status.stopped if is_accepted else Status.running)
        if is_accepted:
            assert stage.charged(team) == 20 * A_SECOND
        end(stage, team)
    assert {"before stop", "after stop"} <= seen


def test_a_start(crashes: Crashes) -> None:
    stage = crashes.stage
    seen: set[str] = set()
    made: list[tuple[Team, str]] = []

    def act(doomed: Doomed) -> None:
        team = stage.team()
        machine = stage.running(team)
        made.append((team, machine))
        stage.stop(team, machine)
        stage.settle()
        stage.pass_(30)
        stage.start(team, machine, doomed.database)
        work(stage, doomed)

    for steps in crashes.every_step(act):
        seen |= set(steps)
        team, machine = made[-1]
        is_accepted = "committed" in steps
        assert stage.find(machine).status is (Status.running if is_accepted else Status.stopped)
        if is_accepted:
            assert stage.charged(team) == 30 * DISK_SECOND
            assert stage.provider.machines[machine].starts == 2
        end(stage, team)
    assert {"before start", "after start"} <= seen


def test_a_terminate(crashes: Crashes) -> None:
    stage = crashes.stage
    seen: set[str] = set()
    made: list[tuple[Team, str]] = []

    def act(doomed: Doomed) -> None:
        team = stage.team()
        machine = stage.running(team)
        made.append((team, machine))
        stage.pass_(20)
        stage.terminate(team, machine, doomed.database)
        work(stage, doomed)

    for steps in crashes.every_step(act):
        seen |= set(steps)
        team, machine = made[-1]
        is_accepted = "committed" in steps
        assert stage.find(machine).status is (Status.terminated if is_accepted else Status.running)
        if is_accepted:
            assert stage.charged(team) == 20 * A_SECOND
            assert machine not in stage.provider.machines
        end(stage, team)
    assert {"before terminate", "after terminate"} <= seen


@pytest.mark.parametrize("fate", ["stopped by itself", "gone"])
def test_a_machine_that_ends_by_itself(crashes: Crashes, fate: str) -> None:
    stage = crashes.stage
    made: list[tuple[Team, str]] = []

    def act(doomed: Doomed) -> None:
        team = stage.team()
        machine = stage.running(team)
        made.append((team, machine))
        stage.pass_(20)
        if fate == "gone":
            stage.provider.lose(machine)
        else:
            stage.provider.stop_by_itself(machine)
        stage.clock.pass_(5)
        doomed.forebay.sightings.run()
        work(stage, doomed)

    for _ in crashes.every_step(act):
        team, machine = made[-1]
        assert stage.find(machine).status is (Status.terminated_provider if fate == "gone" else Status.running)
        assert [ended - started for _, started, ended in stage.segments(machine) if ended] == [20]
        end(stage, team)


def test_a_deduction_cycle(crashes: Crashes) -> None:
    """With a team that goes on, one whose machine must stop, and one with nothing but a disk left to pay for."""
    stage = crashes.stage
    made: list[tuple[Team, Team, Team, str, str, str]] = []
    before: list[int] = []

    def act(doomed: Doomed) -> None:
        rich, poor, idle = stage.team(dollars=1000), stage.team(dollars=3), stage.team(dollars=3)
        running, dying, stopped = (stage.running(team) for team in (rich, poor, idle))
        made.append((rich, poor, idle, running, dying, stopped))
        stage.stop(idle, stopped)
        stage.settle()
        before.append(stage.seconds())
        stage.clock.pass_(300_000)
        doomed.forebay.cycle.run()
        work(stage, doomed)

    for _ in crashes.every_step(act):
        rich, poor, idle, running, dying, stopped = made[-1]
        # On PostgreSQL the dead process's lease must run out first.
        stage.clock.pass_(LEASE_SECONDS)
        stage.forebay.cycle.run()
        stage.settle()
        assert stage.find(running).status is Status.running
        assert stage.find(dying).status is Status.stopped
        assert stage.find(stopped).status is Status.stopped
        assert stage.segments(dying)[0][2] is not None
        assert stage.charged(rich) == (stage.seconds() - before[-1]) * A_SECOND
        while stage.forebay.mails.run():
            pass
        told = [recipient for _, recipient, _ in stage.outbox.sent]
        assert [told.count(team.context.caller.email) for team in (rich, poor, idle)] == [0, 1, 1]
        for team in (rich, poor, idle):
            end(stage, team)
