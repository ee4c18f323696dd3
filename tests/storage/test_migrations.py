"""Migrations: forward only, on both databases, agreeing with the tables as declared."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from forebay.storage import migrations
from forebay.storage.database import Database
from forebay.storage.tables import APPEND_ONLY, metadata


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
