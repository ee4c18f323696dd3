"""Forebay is killed before and after every step of telling something: mailed once, delivered at least once, one id."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people import notifications, webhook_deliveries, webhooks
from forebay.domain.people.notification_kinds import Kind
from forebay.domain.people.public_addresses import Walls
from forebay.outside import Outside
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.notifications import NotificationReconciler
from forebay.worker.webhooks import WebhookReconciler
from tests.receiver import Receiver, receiver
from tests.worker.dying import Death, DyingDatabase, DyingProvider, Fuse
from tests.worker.stage import AtOnce, Stage, Team

pytestmark = pytest.mark.slow

SECRET_KEY = b"a key for tests, of no use elsewhere"
WALLS = Walls(("127.0.0.0/8",), allows_http=True)
MOST_STEPS = 40


@pytest.fixture
def other() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def rows(stage: Stage, table: sa.Table) -> list[Any]:
    with stage.database.read() as connection:
        return list(connection.execute(sa.select(table).order_by(table.c.id)).all())


def add(stage: Stage, team: Team, other: Receiver) -> None:
    with stage.database.begin() as connection:
        webhooks.add(
            connection,
            team.context,
            name="here",
            url=other.url,
            kinds=None,
            walls=WALLS,
            secret_key=SECRET_KEY,
            now=stage.clock.now(),
        )


def tell(stage: Stage, team: Team) -> str:
    with stage.database.begin() as connection:
        user = team.context.caller.user_id
        now = stage.clock.now()
        return notifications.tell(connection, Kind.limit_met, "x", ["y"], team_id=team.id, user_id=user, now=now)


def bring(stage: Stage, fuse: Fuse | None = None) -> None:
    """One round of both, by a process with so many steps to live."""
    database: Any = stage.database if fuse is None else DyingDatabase(stage.database, fuse)
    outside: Any = Outside(WALLS) if fuse is None else DyingProvider(Outside(WALLS), fuse)
    executor: Executor = AtOnce()
    NotificationReconciler(database, stage.clock, public_url="https://cloud.example.org").run()
    WebhookReconciler(database, stage.clock, outside, secret_key=SECRET_KEY, executor=executor).run()


def test_every_step(database: Database, other: Receiver) -> None:
    stage = Stage(database)
    team = stage.team()
    add(stage, team, other)
    seen: set[str] = set()
    for at in range(1, MOST_STEPS):
        event, fuse, mails = tell(stage, team), Fuse(at), len(rows(stage, tables.mails))
        other.found.clear()
        with suppress(Death):
            bring(stage, fuse)
        seen |= set(fuse.steps)
        stage.clock.pass_(webhook_deliveries.SENDING_SECONDS)
        for _ in range(3):
            bring(stage)
        assert len(rows(stage, tables.mails)) == mails + 1
        assert {found.headers["webhook-id"] for found in other.found} == {event}
        assert len(other.found) <= 2
        assert len({found.body for found in other.found}) == 1
        delivery = rows(stage, tables.webhook_deliveries)[-1]
        assert (delivery.event_id, delivery.state, delivery.due_at) == (event, "delivered", None)
        if not fuse.is_burnt_out:
            break
    else:
        raise AssertionError("never at an end")
    assert {"before post", "after post", "begin", "commit", "committed"} <= seen
