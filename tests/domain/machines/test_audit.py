"""What is done to machines for lack of credits is held against the books; what is planted is found."""

from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.machines import audit
from forebay.domain.machines.credit_stops import NO_CREDITS
from forebay.domain.money.audit import snapshot
from forebay.domain.people import activity
from forebay.storage import tables
from forebay.storage.database import Database
from tests.worker.stage import Stage, Team

pytestmark = pytest.mark.slow

DAY = 86400


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def found(stage: Stage) -> list[str]:
    with snapshot(stage.database) as connection:
        return [str(violation) for violation in audit.run(connection)]


def run_dry(stage: Stage) -> tuple[Team, str]:
    team = stage.team(dollars=3)
    machine = stage.running(team)
    stage.clock.pass_(3000)
    stage.forebay.cycle.run()
    stage.settle()
    return team, machine


def plant(stage: Stage, team: Team, machine: str, details: dict[str, Any] | None) -> None:
    with stage.database.begin() as connection:
        activity.record(
            connection,
            None,
            "deployment.terminate-for-credits",
            now=stage.clock.now(),
            team_id=team.id,
            object_type="deployment",
            object_id=machine,
            details=details,
        )


def test_a_team_that_runs_dry_and_loses_its_disks_is_in_order(stage: Stage) -> None:
    run_dry(stage)
    for days in (6, 1):
        stage.clock.pass_(days * DAY)
        stage.forebay.cycle.run()
        stage.settle()
    assert found(stage) == []


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"balance_micros": 1, "account_version": 1}, "was taken at a balance of 1"),
        ({"balance_micros": -1, "account_version": 2}, "which the books don't have as entry 2"),
        ({"balance_micros": 0, "account_version": 99}, "which the books don't have as entry 99"),
        ({"balance_micros": "0", "account_version": 2}, "says no balance"),
    ],
)
def test_a_step_that_the_books_do_not_bear_out_is_found(stage: Stage, details: dict[str, Any], words: str) -> None:
    team, machine = run_dry(stage)
    plant(stage, team, machine, details)
    [violation] = found(stage)
    assert violation.startswith("stops: the step deployment.terminate-for-credits")
    assert words in violation


def test_an_end_for_lack_of_credits_that_nobody_recorded_is_found(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    with stage.database.begin() as connection:
        connection.execute(
            sa.update(tables.deployments).where(tables.deployments.c.id == machine).values(error=NO_CREDITS)
        )
    assert found(stage) == [
        f"ends: machine {machine} is running for lack of credits, and nothing in the activity says who found that"
    ]
    plant(stage, team, machine, None)
    assert found(stage) == []


def test_machines_that_run_on_without_credits_are_found(stage: Stage) -> None:
    team = stage.team(dollars=3)
    stage.running(team)
    stage.clock.pass_(3000)
    for late_cycles in range(4):
        stage.forebay.sightings.run()
        stage.forebay.cycle.deduct()
        assert len(found(stage)) == (late_cycles > audit.LATE_CYCLES), late_cycles
        stage.clock.pass_(60)
    [violation] = found(stage)
    assert violation.startswith(f"debts: team {team.id} has had no credits since 2026-03-01 00:50")
    assert "and 3 cycles after" in violation
    stage.grant(team.id, 50)
    assert found(stage) == []


def test_the_wait_for_a_top_up_is_no_debt_too_many(stage: Stage) -> None:
    team = stage.team(dollars=3)
    stage.running(team)
    stage.clock.pass_(3000)
    attempt = {
        "id": "a" * 24,
        "team_id": team.id,
        "path": "manual",
        "state": "claimed",
        "amount_micros": 50_000_000,
        "request": {},
        "idempotency_key": "a",
        "created_at": stage.clock.now(),
    }
    with stage.database.begin() as connection:
        connection.execute(sa.insert(tables.payment_attempts).values(attempt))
    for _ in range(11):
        stage.forebay.cycle.run()
        stage.clock.pass_(60)
    with stage.database.begin() as connection:
        connection.execute(sa.delete(tables.payment_attempts))
    assert found(stage) == []
    with stage.database.begin() as connection:
        connection.execute(sa.delete(tables.low_balances))
    assert ["10 cycles after" in violation for violation in found(stage)] == [True]
