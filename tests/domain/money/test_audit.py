"""Books with a little of everything; then every value of every row is changed by hand, and the audit must see it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, event

from forebay.domain.money import audit, holds, ledger, metering
from forebay.domain.money.audit import Violation
from forebay.storage.database import Database
from forebay.storage.tables import (
    APPEND_ONLY,
    accounts,
    cycles,
    entries,
    payment_attempts,
    payments,
    segments,
    transfers,
    usage_lines,
)
from forebay.storage.tables import holds as holds_table
from forebay.storage.types import Timestamp
from tests.domain.money.books import DOLLAR, after, give, new_teams, resource

AUDITED = (transfers, entries, usage_lines, segments, accounts, holds_table, cycles)
NOT_PROVABLE = {("cycles", "started_at"), ("cycles", "finished_at"), ("segments", "sighted_at")}


def fill(connection: Connection) -> None:
    """Two teams, four machines and a disk: ended and running, holds untouched, used up in part and wholly."""
    teams = new_teams(connection, 3, credits_micros=20 * DOLLAR)
    mistaken = give(connection, teams[0], 7)
    ledger.take_back(connection, transfer_id=mistaken.id, created_by=None, reason="a slip", now=after(1))
    machines = [resource() for _ in range(4)]
    for machine, team_id, held in zip(machines, (*teams[:2], teams[0], teams[0]), (3, 1, 0, 2), strict=True):
        holds.take(connection, team_id=team_id, resource_id=machine, amount_micros=held * DOLLAR, now=after(2))
    for machine, team_id, rate in zip(machines, (*teams[:2], teams[0]), (1_234_567, 60 * DOLLAR, 1), strict=False):
        metering.start(
            connection, team_id=team_id, resource_type="compute", resource_id=machine, rate_micros=rate, at=after(5)
        )
    holds.release(connection, machines[3], now=after(6))
    for second in (60, 120):
        metering.sight(connection, machines, at=after(second))
        cycle = metering.open_cycle(connection, now=after(second))
        metering.deduct(connection, cycle_id=cycle, team_ids=teams, now=after(second))
        metering.close_cycle(connection, cycle, now=after(second))
    metering.end(connection, resource_id=machines[1], resource_type="compute", at=after(150))
    holds.release(connection, machines[1], now=after(150))
    metering.start(
        connection, team_id=teams[1], resource_type="storage", resource_id=machines[1], rate_micros=900, at=after(150)
    )
    metering.sight(connection, machines, at=after(180))
    cycle = metering.open_cycle(connection, now=after(180))
    metering.deduct(connection, cycle_id=cycle, team_ids=teams, now=after(180))


def violations(database: Database) -> list[Violation]:
    with audit.snapshot(database) as connection:
        return audit.run(connection)


@pytest.fixture
def filled(database: Database) -> Database:
    with database.begin() as connection:
        fill(connection)
    assert violations(database) == []
    return database


@contextmanager
def by_hand(database: Database) -> Iterator[Connection]:
    """A connection for which no trigger, CHECK or foreign key counts."""
    if database.is_sqlite:
        engine = database.sqlite_engine("BEGIN IMMEDIATE", connections=1)
        pragmas = ("foreign_keys=OFF", "ignore_check_constraints=ON")
        event.listen(engine, "connect", lambda raw, _: [raw.execute(f"PRAGMA {pragma}") for pragma in pragmas])
    else:
        engine = sa.create_engine(database.url)
    try:
        with engine.connect() as connection:
            if not database.is_sqlite:
                connection.exec_driver_sql("SET session_replication_role = replica")
                for table in (*AUDITED, payments, payment_attempts):
                    for check in sa.inspect(connection).get_check_constraints(table.name):
                        connection.exec_driver_sql(f'ALTER TABLE {table.name} DROP CONSTRAINT "{check["name"]}"')
                connection.commit()
            yield connection
    finally:
        engine.dispose()


@contextmanager
def without_triggers(connection: Connection) -> Iterator[None]:
    """Off with SQLite's triggers, and on again exactly as they were, within the transaction."""
    if connection.dialect.name != "sqlite":
        yield
        return
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
    for name, _ in found:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    yield
    for _, statement in found:
        connection.exec_driver_sql(statement)


def values_instead(column: sa.Column[object], value: object) -> list[object]:
    """What a hand might write there instead."""
    is_number = isinstance(column.type, (sa.Integer, Timestamp))
    if value is None:
        return [1 if is_number else "0" * 24]
    others: list[object] = [value + 1, value - 1] if isinstance(value, int) else [f"{str(value)[:-1]}~"]
    return [*others, None] if column.nullable else others


def changed(connection: Connection, table: sa.Table) -> Iterator[str]:
    """Change one value of one row at a time (undone after each turn), then delete one row at a time; says which."""
    raw = sa.text(f"SELECT * FROM {table.name}")
    key = [column.name for column in table.primary_key.columns]
    rows = [dict(row) for row in connection.execute(raw).mappings()]
    connection.rollback()
    if not os.environ.get("PROVE"):
        # Reading is the same on both; the whole of it is for `make prove`.
        rows = [rows[0], rows[-1]] if connection.dialect.name == "sqlite" else [rows[-1]]
    where = " AND ".join(f"{name} = :key_{name}" for name in key)
    for row in rows:
        named = {f"key_{name}": row[name] for name in key}
        for column in table.columns:
            for value in values_instead(column, row[column.name]):
                if (table.name, column.name) in NOT_PROVABLE and row.get("ended_at") is None:
                    continue
                update = sa.text(f"UPDATE {table.name} SET {column.name} = :value WHERE {where}")
                # Only a unique index still refuses.
                with suppress(sa.exc.IntegrityError):
                    with without_triggers(connection):
                        connection.execute(update, {"value": value, **named})
                    yield f"{table.name} {row} with {column.name} = {value}"
                connection.rollback()
        with without_triggers(connection):
            connection.execute(sa.text(f"DELETE FROM {table.name} WHERE {where}"), named)
        yield f"{table.name} without {row}"
        connection.rollback()


@pytest.mark.grows
@pytest.mark.slow
@pytest.mark.parametrize("table", AUDITED, ids=lambda table: table.name)
def test_every_value_changed_and_every_row_deleted_by_hand_is_found(filled: Database, table: sa.Table) -> None:
    overlooked, tried = [], 0
    with by_hand(filled) as connection:
        for change in changed(connection, table):
            tried += 1
            found = audit.run(connection)
            if not found or any(violation.check == "append-only" for violation in found):
                overlooked.append(change)
    assert overlooked == []
    assert tried >= 5


def test_what_is_not_even_a_number_is_a_finding_too(filled: Database) -> None:
    if not filled.is_sqlite:
        statement = "UPDATE segments SET charged_through = 9223372036854775807, sighted_at = 9223372036854775807"
    else:
        statement = "UPDATE segments SET rate_micros = 'a lot'"
    with by_hand(filled) as connection:
        connection.exec_driver_sql(statement)
        assert any(violation.check == "segments" for violation in audit.run(connection))


def test_the_sentence_names_the_row(filled: Database) -> None:
    with by_hand(filled) as connection:
        team_id = connection.execute(sa.select(accounts.c.team_id).order_by(accounts.c.id.desc())).scalars().first()
        connection.execute(sa.update(accounts).where(accounts.c.team_id == team_id).values(balance_micros=5))
        first = audit.run(connection)[0]
    assert first.check == "heads"
    assert first.sentence == f"account team:{team_id} has a balance of 5, and its entries come to 20000000"
    assert str(first) == f"heads: {first.sentence}"


def test_only_so_many_violations_of_a_check_are_told(filled: Database) -> None:
    with by_hand(filled) as connection:
        connection.execute(sa.update(segments).values(seal="0"))
        assert len(audit.run(connection)) == 4
        [*_, last] = audit.run(connection, most=2)
    assert last.sentence == "and 2 more like these"


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_a_trigger_that_is_gone_is_found(database: Database, table: str) -> None:
    if database.is_sqlite:
        statements = [f"DROP TRIGGER {table}_no_delete", f"DROP TRIGGER {table}_no_update"]
    else:
        statements = [
            f"ALTER TABLE {table} DISABLE TRIGGER {table}_append_only",
            f"DROP TRIGGER {table}_append_only ON {table}",
        ]
    for statement in statements:
        with database.begin() as connection:
            connection.exec_driver_sql(statement)
        assert {violation.check for violation in violations(database)} == {"append-only"}
        assert table in violations(database)[0].sentence


def test_a_trigger_that_lets_changes_pass_is_found(database: Database) -> None:
    statements = [
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
    ]
    if database.is_sqlite:
        statements = [
            "DROP TRIGGER entries_no_update",
            "CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries BEGIN SELECT 1; END",
        ]
    with database.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    assert violations(database)[0].check == "append-only"


@pytest.mark.parametrize("name", ["ix_segments_team_id_started_at", "uq_entries_account_id_version"])
def test_an_index_that_is_gone_or_another_is_found(database: Database, name: str) -> None:
    sentence = f"indexes: the index {name} is missing or not what it was"
    with database.begin() as connection:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    assert [str(found) for found in violations(database)] == [sentence]
    with database.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE INDEX {name} ON {name.split('_')[1]} (rate_micros)"
            if "seg" in name
            else f"CREATE INDEX {name} ON entries (account_id, version)"
        )
    assert [str(found) for found in violations(database)] == [sentence]


def test_empty_books_balance(database: Database) -> None:
    assert violations(database) == []


def test_a_snapshot_sees_one_moment(filled: Database) -> None:
    with audit.snapshot(filled) as connection:
        before = connection.execute(sa.select(sa.func.count()).select_from(transfers)).scalar()
        with filled.begin() as writing:
            new_teams(writing, 1, credits_micros=1)
        assert connection.execute(sa.select(sa.func.count()).select_from(transfers)).scalar() == before
        with pytest.raises(sa.exc.DBAPIError, match=r"read-?only"):
            connection.execute(sa.update(accounts).values(balance_micros=5))
