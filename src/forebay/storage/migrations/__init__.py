"""Migrations: forward only, the same files for both databases, run by `forebay migrate` and at each start.

`upgrade` looks at the recorded revision first and leaves Alembic alone when there is nothing to do, because a server
should answer its first request quickly. `HEAD` is kept true by a test.
"""

from pathlib import Path

import sqlalchemy as sa

HEAD = "0014"


class DatabaseIsNewer(RuntimeError):
    """The database was written by a later version of Forebay; this one must not touch it."""


def current_revision(connection: sa.Connection) -> str | None:
    """The revision the database is at, or None for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if revision is None else str(revision)


def upgrade(url: str) -> bool:
    """Bring the database to HEAD. Returns whether anything had to be done. Several processes may call it at once.

    Raises DatabaseIsNewer for a revision this version does not know.
    """
    from forebay.storage.database import Database

    database = Database(url, connections=2)
    try:
        with database.read() as connection:
            found = current_revision(connection)
        if found == HEAD:
            return False
        if found is not None and found > HEAD:
            raise DatabaseIsNewer(
                f"the database is at revision {found}, this Forebay knows {HEAD}: use the newer version"
            )
        with database.begin() as connection:
            run(connection)
        return True
    finally:
        database.close()


def run(connection: sa.Connection, revision: str = "head") -> None:
    """Run what is missing up to a revision on this connection, alone."""
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7046029254386353131)")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
