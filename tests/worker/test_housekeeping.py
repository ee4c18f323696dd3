"""What is too old to matter goes by itself, and what still counts stays."""

from datetime import timedelta

import sqlalchemy as sa

from forebay.domain.people import sent_links, steps
from forebay.domain.people.sent_links import Limits
from forebay.domain.people.steps import Purpose
from forebay.ids import new_id
from forebay.settings import Settings
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.housekeeping import HousekeepingReconciler
from tests.api.clock import Clock


class Nothing:
    """A server that has noted nothing."""

    def take_uses(self) -> list[tuple[str, object, str]]:
        return []

    def take_seen(self) -> list[tuple[str, object]]:
        return []

    def take_denials(self, now: object) -> list[object]:
        return []


def count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_links_and_steps_are_forgotten_when_they_count_no_more(database: Database) -> None:
    clock, limits = Clock(), Limits(address=10, team=10, address_and_team=10)
    housekeeping = HousekeepingReconciler(database, clock, Settings(), Nothing())  # type: ignore[arg-type]
    with database.begin() as connection:
        for hours in (0, 1):
            at = clock.now() + timedelta(hours=hours)
            sent_links.count(connection, "x", "a@b.test", limits, team_id=new_id(at), now=at)
            steps.begin(connection, Purpose.passkey, {}, b"key", now=at, seconds=1)
    assert housekeeping.run() == 0
    clock.forward(days=1, seconds=1)
    assert housekeeping.run() == 2
    assert (count(database, tables.sent_links), count(database, tables.sign_in_steps)) == (1, 1)
    clock.forward(seconds=3599)
    assert housekeeping.run() == 0, "not before the hour is over"
    clock.forward(seconds=1)
    assert housekeeping.run() == 2
    assert (count(database, tables.sent_links), count(database, tables.sign_in_steps)) == (0, 0)
