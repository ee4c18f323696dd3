"""The database: one way to write, several to read, leases that one at a time has."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from forebay.errors import ForebayError
from forebay.storage.database import Database, Lease
from forebay.storage.prepared import Prepared
from forebay.storage.tables import counters, leases
from forebay.storage.types import Timestamp

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    def write_and_fail() -> None:
        with database.begin() as connection:
            connection.execute(sa.insert(counters).values(name="x", value=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.read() as connection:
        assert connection.execute(sa.select(counters)).all() == []


@pytest.mark.parametrize(("is_kept", "left"), [(True, 1), (False, 0)])
def test_a_refusal_that_is_a_fact_to_be_kept_commits_what_came_before(
    database: Database, is_kept: bool, left: int
) -> None:
    refusal = ForebayError("no")
    refusal.is_kept = is_kept

    def write_and_refuse() -> None:
        with database.begin() as connection:
            connection.execute(sa.insert(counters).values(name="x", value=1))
            raise refusal

    with pytest.raises(ForebayError) as raised:
        write_and_refuse()
    assert raised.value is refusal
    with database.read() as connection:
        assert len(connection.execute(sa.select(counters)).all()) == left


def test_threads_that_write_wait_for_each_other(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sa.insert(counters).values(name="x", value=0))

    def count() -> None:
        for _ in range(25):
            with database.begin() as connection:
                connection.execute(sa.update(counters).values(value=counters.c.value + 1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(sa.select(counters.c.value)).scalar() == 200


def test_one_at_a_time_has_a_lease(database: Database) -> None:
    won: list[str] = []
    gate = threading.Barrier(8)

    def take(token: str) -> None:
        gate.wait()
        with database.begin() as connection:
            if Lease.take(connection, leases, "cycle", token, now=NOW, seconds=60):
                won.append(token)

    threads = [threading.Thread(target=take, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = won
    with database.begin() as connection:
        assert Lease.holds(connection, leases, "cycle", winner)
        assert not Lease.take(connection, leases, "cycle", "late", now=NOW + timedelta(seconds=59), seconds=60)
        assert Lease.take(connection, leases, "cycle", winner, now=NOW + timedelta(seconds=59), seconds=60)
        assert Lease.take(connection, leases, "cycle", "late", now=NOW + timedelta(seconds=119), seconds=60)
        Lease.give_back(connection, leases, "cycle", winner)
        assert Lease.holds(connection, leases, "cycle", "late")


def test_readers_can_not_write_on_sqlite(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with pytest.raises(sa.exc.OperationalError), database.read() as connection:
        connection.execute(sa.insert(counters).values(name="x", value=1))
    database.close()


def test_sqlite_is_as_durable_and_private_as_promised(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'deep' / 'new.db'}")
    assert (tmp_path / "deep" / "new.db").stat().st_mode & 0o777 == 0o600
    with database.begin() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]
    database.close()


def test_the_inline_connection_sees_what_was_committed_since(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    prepared = Prepared(sa.select(counters.c.value).where(counters.c.name == sa.bindparam("name", type_=sa.String())))
    for number in range(3):
        with database.begin() as connection:
            connection.execute(sa.delete(counters))
            connection.execute(sa.insert(counters).values(name="x", value=number))
        assert prepared(database.inline, name="x") == [(number,)]
        assert database.inline.execute(sa.select(counters.c.value)).scalar() == number
        database.end_inline()
    database.close()


def test_prepared_statements_take_constants_and_limits(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sa.insert(counters), [{"name": f"n{number}", "value": number} for number in range(5)])
    statement = sa.select(counters.c.value).where(counters.c.value > 0).order_by(counters.c.value)
    prepared = Prepared(statement.limit(sa.bindparam("most", type_=sa.Integer())))
    with database.read() as connection:
        assert prepared(connection, most=2) == [(1,), (2,)]
        assert prepared(connection, most=9) == [(1,), (2,), (3,), (4,)]


def test_a_moment_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Timestamp().process_bind_param(datetime(2026, 1, 1), sa.dialects.sqlite.dialect())
