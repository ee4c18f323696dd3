"""Budgets as the worker sees them: each share told once, machines stopped after a notice, nothing ever deleted."""

from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.machines import budgets as machine_budgets
from forebay.domain.machines.budget_stops import Rules
from forebay.domain.machines.deployments import Status
from forebay.domain.money.budget_scopes import Scope
from forebay.domain.money.budgets import USUAL_SHARES, AtLimit, Budget, Terms, of_team
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.budgets import BudgetReconciler
from tests.worker.dying import Death, DyingDatabase, Fuse
from tests.worker.stage import DOLLAR, Stage, Team
from tests.worker.test_low_balance import actions, letters, subjects
from tests.worker.test_together import at_once

pytestmark = pytest.mark.slow

HOUR, DAY = 3600, 86400
RULES = Rules(notice_seconds=600, public_url="https://cloud.example.org")
MOST_STEPS = 30


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def put(
    stage: Stage,
    team: Team,
    dollars: float,
    at_limit: AtLimit = AtLimit.notify,
    *,
    shares: tuple[int, ...] = USUAL_SHARES,
    scope: Scope = Scope.team,
    subject: str = "",
) -> None:
    terms = Terms(scope=scope, subject=subject, amount_micros=round(dollars * DOLLAR), shares=shares, at_limit=at_limit)
    with stage.database.begin() as connection:
        machine_budgets.put(connection, team.context, terms, now=stage.clock.now())


def reconciler(stage: Stage, database: Any = None) -> BudgetReconciler:
    return BudgetReconciler(
        database or stage.database, stage.clock, stage.forebay.guard, rules=RULES, nudge=stage.forebay.nudged.add
    )


def look_after(stage: Stage, seconds: int, worker: BudgetReconciler) -> None:
    """Let so much be spent, and have a look."""
    stage.clock.pass_(seconds)
    stage.forebay.cycle.run()
    worker.run()
    stage.settle()


def run(worker: Any) -> None:
    worker.run()


def kept(stage: Stage, team: Team) -> Budget:
    with stage.database.read() as connection:
        [found] = of_team(connection, team.id)
    return found


def test_each_share_is_told_once_a_month(stage: Stage) -> None:
    team, worker = stage.team(dollars=10_000), reconciler(stage)
    put(stage, team, 18)
    stage.running(team)
    look_after(stage, 2 * HOUR, worker)
    assert subjects(stage) == []
    look_after(stage, HOUR, worker)
    look_after(stage, 60, worker)
    assert subjects(stage) == ["the team's budget is at 50 %"]
    text = letters(stage)[-1][1]
    assert "of the team's budget $10.80 of $18.00 for March is spent, 60 %." in text
    assert "It begins anew on 1 April." in text
    # Two at once: the higher one alone; and what is told is told, also by another process that knows of nothing.
    look_after(stage, 3 * HOUR, worker)
    reconciler(stage).run()
    assert subjects(stage)[1:] == ["the team's budget is used up"]
    assert [each for each in actions(stage, team) if each == "budget.tell"] == ["budget.tell"] * 2
    # More money: shares that aren't reached any more are told again when they are.
    put(stage, team, 60)
    worker.run()
    assert (subjects(stage)[2:], kept(stage, team).told_share) == ([], 0)
    look_after(stage, 3 * HOUR, worker)
    assert subjects(stage)[2:] == ["the team's budget is at 50 %"]
    # Less: what was told isn't told again.
    put(stage, team, 59)
    look_after(stage, 60, worker)
    assert subjects(stage)[3:] == []
    # Another month.
    stage.clock.pass_(31 * DAY - stage.seconds())
    stage.forebay.cycle.run()
    worker.run()
    told = len(subjects(stage))
    look_after(stage, 9 * HOUR, worker)
    assert subjects(stage)[told:] == ["the team's budget is at 50 %"]


def test_what_is_charged_for_a_month_when_it_is_over_is_told(stage: Stage) -> None:
    team, worker = stage.team(dollars=10_000), reconciler(stage)
    stage.clock.pass_(31 * DAY - 10 * HOUR - stage.seconds())
    put(stage, team, 30, AtLimit.stop)
    stage.running(team)
    look_after(stage, HOUR, worker)
    stage.clock.pass_(10 * HOUR)
    worker.run()
    assert subjects(stage) == [], "it isn't charged yet"
    # The charge brings nine hours of March, and one of April.
    look_after(stage, 60, worker)
    assert subjects(stage) == ["the team's budget was used up in March"]
    text = letters(stage)[-1][1]
    assert "of $30.00 for March was spent, 120 %." in text
    assert "It has begun anew on 1 April, and nothing is refused or stopped for this." in text
    assert (kept(stage, team).month, kept(stage, team).told_share, kept(stage, team).stops_at) == ("2026-03", 100, None)
    # Once; April is its own.
    reconciler(stage).run()
    look_after(stage, 60, worker)
    assert len(subjects(stage)) == 1
    look_after(stage, 4 * HOUR, worker)
    assert subjects(stage)[1:] == ["the team's budget is at 50 %"]


def test_a_budget_that_stops_gives_a_notice_and_keeps_every_disk(stage: Stage) -> None:
    team, worker = stage.team(dollars=10_000), reconciler(stage)
    person = team.context.caller.user_id
    whose: Any = {"scope": Scope.member, "subject": person, "shares": (100,)}
    small, whole = stage.running(team), stage.running(team)
    with stage.database.begin() as connection:
        unpausable = sa.update(tables.deployments).where(tables.deployments.c.id == whole)
        connection.execute(unpausable.values(supports_pause=False))
    put(stage, team, 72, AtLimit.stop, **whose)
    look_after(stage, 10 * HOUR - 60, worker)
    assert subjects(stage) == []
    look_after(stage, 60, worker)
    name = team.context.caller.name
    assert subjects(stage) == [f"the budget of {name} is used up, machines will be stopped"]
    [(_, notice)] = letters(stage)
    assert "in 10 minutes" in notice
    assert notice.index(small) < notice.index("These run on and go on costing") < notice.index(whole)
    look_after(stage, 540, worker)
    assert stage.find(small).status is Status.running, "the notice isn't over"
    look_after(stage, 60, worker)
    assert [stage.find(each).status for each in (small, whole)] == [Status.stopped, Status.running]
    assert stage.find(small).error == f"The budget of {name} is used up."
    assert stage.provider.machines[small].instance.state.value == "stopped"
    assert actions(stage, team) == ["budget.tell", "deployment.stop-for-budget", "budget.tell"]
    # Nothing more is started, nothing is deleted, and nobody is told every minute.
    with pytest.raises(machine_budgets.BudgetExceeded):
        stage.start(team, small)
    for _ in range(3):
        look_after(stage, HOUR, worker)
    assert len(subjects(stage)) == 2
    assert [stage.find(each).status for each in (small, whole)] == [Status.stopped, Status.running]
    # More money: it may be started again, and goes on.
    put(stage, team, 1000, AtLimit.stop, **whose)
    assert kept(stage, team).stops_at is None
    stage.start(team, small)
    stage.settle()
    look_after(stage, HOUR, worker)
    assert stage.find(small).status is Status.running


def test_a_minimum_runtime_is_waited_for(stage: Stage) -> None:
    team, worker = stage.team(dollars=10_000), reconciler(stage)
    put(stage, team, 4, AtLimit.stop)
    machine = stage.running(team, offer="minimum")
    put(stage, team, 0.05, AtLimit.stop)
    look_after(stage, 60, worker)
    assert kept(stage, team).stops_at is not None
    look_after(stage, 660, worker)
    assert stage.find(machine).status is Status.running
    look_after(stage, 480, worker)
    assert stage.find(machine).status is Status.stopped


def test_a_month_that_ends_within_the_notice_stops_nothing(stage: Stage) -> None:
    team, worker = stage.team(dollars=10_000), reconciler(stage)
    machine = stage.running(team)
    stage.clock.pass_(31 * DAY - stage.seconds() - 300)
    stage.forebay.cycle.run()
    put(stage, team, 5, AtLimit.stop)
    worker.run()
    assert kept(stage, team).stops_at is not None
    look_after(stage, 900, worker)
    assert stage.find(machine).status is Status.running


def test_two_workers_tell_and_stop_once(database_url: str, database: Database) -> None:
    stage = Stage(database)
    teams = [stage.team(dollars=10_000) for _ in range(3)]
    machines = [stage.running(team) for team in teams]
    for team in teams:
        put(stage, team, 5, AtLimit.stop)
    stage.clock.pass_(2 * HOUR)
    stage.forebay.cycle.run()
    databases = [Database(database_url, connections=4) for _ in range(2)]
    workers: Any = [reconciler(stage, own) for own in databases]
    try:
        for _ in range(2):
            at_once(workers, run)
            stage.clock.pass_(660)
            stage.forebay.cycle.run()
        at_once(workers, run)
    finally:
        for own in databases:
            own.close()
    for team, machine in zip(teams, machines, strict=True):
        assert stage.find(machine).status is Status.stopped
        assert actions(stage, team).count("deployment.stop-for-budget") == 1
        assert actions(stage, team).count("budget.tell") == 2, "the notice, and that it was done"


def test_killed_at_every_step_it_tells_once(stage: Stage) -> None:
    """Before and after each commit: afterwards there is one notice and one stop, whatever was cut off."""
    for at in range(1, MOST_STEPS):
        team, fuse = stage.team(dollars=10_000), Fuse(at)
        machine = stage.running(team)
        put(stage, team, 5, AtLimit.stop)
        stage.clock.pass_(2 * HOUR)
        stage.forebay.cycle.run()
        with suppress(Death):
            reconciler(stage, DyingDatabase(stage.database, fuse)).run()
        reconciler(stage).run()
        stage.clock.pass_(601)
        stage.forebay.cycle.run()
        with suppress(Death):
            reconciler(stage, DyingDatabase(stage.database, Fuse(at))).run()
        reconciler(stage).run()
        assert stage.find(machine).status is Status.stopped
        told = actions(stage, team)
        assert (told.count("budget.tell"), told.count("deployment.stop-for-budget")) == (2, 1)
        with stage.database.begin() as connection:
            connection.execute(sa.delete(tables.budgets))
        if not fuse.is_burnt_out:
            return
    raise AssertionError("never at an end")


def test_a_team_that_spent_nothing_is_passed_over(stage: Stage) -> None:
    team, fuse = stage.team(dollars=10_000), Fuse()
    put(stage, team, 5)
    worker = reconciler(stage, DyingDatabase(stage.database, fuse))
    worker.run()
    first = fuse.steps.count("read")
    worker.run()
    assert fuse.steps.count("read") - first == first - 1, "only the list of teams was read"
    assert "begin" not in fuse.steps
    stage.running(team)
    look_after(stage, HOUR, worker)
    assert subjects(stage) == ["the team's budget is at 50 %"]
