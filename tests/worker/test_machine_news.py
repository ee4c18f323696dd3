"""What is told of machines that Forebay ends or warns by itself, because somebody has decided so beforehand."""

from typing import Any

import pytest
import sqlalchemy as sa

from forebay.storage.database import Database
from forebay.storage.tables import notifications
from tests.worker.stage import A_SECOND, Stage
from tests.worker.test_idleness import look
from tests.worker.test_planned_ends import decide


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def told(stage: Stage, machine: str) -> list[tuple[str, Any]]:
    """Kind and details of what was told of it since it ran."""
    with stage.database.read() as connection:
        rows = connection.execute(
            sa.select(notifications.c.kind, notifications.c.details).order_by(notifications.c.id)
        ).all()
    mine = [(row.kind, row.details) for row in rows if row.details["deployment"]["id"] == machine]
    assert mine.pop(0)[0] == "deployment.running"
    return mine


def test_one_that_has_cost_what_it_may_and_one_whose_time_is_over(stage: Stage) -> None:
    team = stage.team()
    dear, late = stage.running(team, max_cost_micros=30 * A_SECOND), stage.running(team)
    decide(stage, team, late, terminate_at=stage.clock.now().replace(minute=1))
    stage.pass_(60)
    assert stage.forebay.ends.run() == 2
    stage.settle()
    [(kind, details)] = told(stage, dear)
    assert (kind, details["limit"], details["maxCost"]) == ("limit.met", "maxCost", 30 * A_SECOND / 1_000_000)
    assert details["deployment"]["status"] == "terminated"
    [(kind, details)] = told(stage, late)
    assert (kind, details["cause"]) == ("deployment.stopped", "time")


def test_one_that_is_idle_is_warned_and_then_ended(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team, auto_stop_minutes=2)
    stage.forebay.idleness.run()
    look(stage, 2)
    [(kind, details)] = told(stage, machine)
    assert (kind, details["endsAt"] > details["idleSince"]) == ("deployment.idle", True)
    look(stage, 3)
    assert [kind for kind, _ in told(stage, machine)] == ["deployment.idle", "deployment.stopped"]
    assert told(stage, machine)[1][1]["cause"] == "idle"
    stage.terminate(team, machine)
    stage.settle()
    assert len(told(stage, machine)) == 2, "what one does oneself is no news"
