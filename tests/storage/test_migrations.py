"""Migrations: forward only, on both databases, agreeing with the tables as declared."""

from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from forebay.storage import migrations
from forebay.storage.database import Database
from forebay.storage.tables import APPEND_ONLY, deployments, metadata, users, volumes


def test_head_is_the_newest_migration() -> None:
    (found,) = ScriptDirectory(migrations.__path__[0]).get_heads()
    assert found == migrations.HEAD


def test_an_empty_database_is_brought_to_what_the_tables_declare(blank_url: str) -> None:
    assert migrations.upgrade(blank_url)
    assert not migrations.upgrade(blank_url)
    database = Database(blank_url)
    with database.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": False}), metadata)
    # Comments are for readers of the declarations, the databases don't carry them.
    assert [found for found in differences if not (isinstance(found, list) and found[0][0] == "modify_comment")] == []
    database.close()


def test_a_database_of_a_later_version_is_left_alone(database: Database) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(migrations.DatabaseIsNewer):
        migrations.upgrade(database.url.render_as_string(hide_password=False))


def fill(connection: sa.Connection, table: sa.Table) -> None:
    """A row of whatever the columns take; foreign keys lead to the row that every table has by then."""
    row: dict[str, object] = {}
    for column in table.columns:
        words = [
            str(check.sqltext).split("'")[1]
            for check in table.constraints
            if isinstance(check, sa.CheckConstraint)
            and check.name == f"ck_{table.name}_{column.name}"
            and "'" in str(check.sqltext)
        ]
        if column.name in APART:
            row[column.name] = APART[column.name]
        elif words:
            row[column.name] = words[0]
        elif column.foreign_keys or (isinstance(column.type, sa.String) and column.primary_key):
            row[column.name] = ROW_ID
        elif column.nullable:
            continue
        elif isinstance(column.type, sa.Boolean):
            row[column.name] = False
        elif isinstance(column.type, sa.Integer):
            row[column.name] = 1
        elif isinstance(column.type, sa.LargeBinary):
            row[column.name] = b"x"
        else:
            row[column.name] = "1"
    connection.execute(table.insert().values(**row))


ROW_ID = "000000000000000000000001"
APART: dict[str, object] = {"from_at": 0, "to_at": 2, "method": "POST"}
"""What a CHECK wants other than everywhere else."""
HOW_MANY = sa.func.count()


@pytest.mark.parametrize("before", ["0001", "0002", "0003"])
def test_a_database_with_rows_in_it_keeps_them_all(blank_url: str, before: str) -> None:
    with closing(Database(blank_url)) as database:
        keep_them_all(database, before)


def keep_them_all(database: Database, before: str) -> None:
    with database.begin() as connection:
        migrations.run(connection, before)
    with database.begin() as connection:
        old = sa.MetaData()
        old.reflect(connection)
        for table in old.sorted_tables:
            if table.name != "alembic_version":
                fill(connection, table)
    assert migrations.upgrade(database.url.render_as_string(hide_password=False))
    with database.begin() as connection:
        for table in old.sorted_tables:
            assert connection.execute(sa.select(HOW_MANY).select_from(sa.table(table.name))).scalar() == 1, table
        connection.execute(sa.update(users).values(name="still writable"))
        if database.is_sqlite:
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    for table_name in APPEND_ONLY:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.begin() as connection:
            connection.execute(sa.delete(sa.table(table_name)))


def test_machines_learn_through_which_key_they_were_launched(blank_url: str) -> None:
    with closing(Database(blank_url)) as database:
        with database.begin() as connection:
            migrations.run(connection, "0011")
        with database.begin() as connection:
            old = sa.MetaData()
            old.reflect(connection)
            wanted = ("users", "teams", "pools", "ssh_keys", "deployments", "volume_regions", "volumes")
            for table in old.sorted_tables:
                if table.name in wanted:
                    fill(connection, table)
            done = {"at": 1, "outcome": "done", "object_id": ROW_ID}
            for number, (action, key) in enumerate((("deployment.launch", "a key"), ("volume.create", None)), 2):
                row = {"id": f"{number:024}", "action": action, "api_key_id": key}
                connection.execute(old.tables["activity"].insert().values(**done, **row))
        assert migrations.upgrade(database.url.render_as_string(hide_password=False))
        with database.read() as connection:
            for table, key in ((deployments, "a key"), (volumes, None)):
                assert connection.execute(sa.select(table.c.api_key_id)).scalar() == key


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE"])
def test_append_only_tables_refuse_changes(database: Database, table: str, verb: str) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO activity (id, at, action, outcome) VALUES ('000000000000000000000001', 1, 'x', 'done')"
        )
    names = {row[0] for row in triggers(database)}
    assert any(name.startswith(f"{table}_") for name in names)
    if table == "activity":
        statement = "UPDATE activity SET action = 'y'" if verb == "UPDATE" else "DELETE FROM activity"
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.begin() as connection:
            connection.exec_driver_sql(statement)


def triggers(database: Database) -> list[tuple[str]]:
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if database.is_sqlite
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    with database.read() as connection:
        return [(str(row[0]),) for row in connection.exec_driver_sql(query)]
