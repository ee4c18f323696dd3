"""The database: one way to read, one way to write, and all that differs between SQLite and PostgreSQL.

SQLite runs in WAL mode with `synchronous=FULL`. A write transaction starts with BEGIN IMMEDIATE on the only writing
connection, so writers of one process queue here instead of failing with SQLITE_BUSY; those of other processes are
waited for by SQLite itself. Readers have connections of their own that can't write.
On PostgreSQL readers see each statement's own moment.

Whoever calls `begin` owns the transaction: it commits when the block ends and rolls back when it raises. Refusals that
are facts to be kept (`ForebayError.is_kept`, such as a wrong guess that counts) commit what was written before them.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.pool import QueuePool

from forebay.errors import ForebayError

BUSY_SECONDS = 30
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS * 1000}")


class Database:
    """One database and its connections. Safe to share between threads; close it at the end."""

    def __init__(self, url: str, *, connections: int = 20) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.writer: Engine
        self.reader: Engine
        self.inline_connection: Connection | None = None
        if self.is_sqlite:
            self.create_file()
            self.writer = self.sqlite_engine("BEGIN IMMEDIATE", connections=1)
            self.reader = self.sqlite_engine("BEGIN", connections=connections, read_only=True)
        else:
            self.writer = self.postgresql_engine(connections, pool_pre_ping=True)
            # A read is one round trip: no BEGIN, no ROLLBACK, no ping. A connection that was cut is noticed by the
            # statement that fails, and whoever reads may simply read again.
            self.reader = self.postgresql_engine(connections, isolation_level="AUTOCOMMIT")

    def postgresql_engine(self, connections: int, **options: Any) -> Engine:
        """An engine with a pool of its own; connections are made when they are first needed."""
        return sa.create_engine(
            self.url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS,
            pool_recycle=1800,
            connect_args={"application_name": "forebay", "options": "-c timezone=UTC"},
            **options,
        )

    def create_file(self) -> None:
        """Make the SQLite file readable by its owner alone before anything is in it."""
        path = Path(self.url.database or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))

    def sqlite_engine(self, begin: str, *, connections: int, read_only: bool = False) -> Engine:
        """An engine whose transactions start with `begin`."""
        engine = sa.create_engine(
            self.url,
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS,
            # The driver must not start transactions of its own: `begin` is the only way in.
            connect_args={"check_same_thread": False, "isolation_level": None, "cached_statements": 512},
        )

        @event.listens_for(engine, "connect")
        def configure(raw: Any, _record: Any) -> None:
            for pragma in PRAGMAS:
                raw.execute(f"PRAGMA {pragma}")
            if read_only:
                raw.execute("PRAGMA query_only=ON")

        @event.listens_for(engine, "begin")
        def start(connection: Connection) -> None:
            if read_only:
                # It waits for nobody and can't fail, so nobody has to make an error of SQLAlchemy's of it.
                raw: Any = connection.connection.dbapi_connection
                raw.execute(begin)
            else:
                connection.exec_driver_sql(begin)

        return engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction: commits at the end of the block, rolls back if it raises anything that isn't kept."""
        kept: ForebayError | None = None
        with self.writer.begin() as connection:
            try:
                yield connection
            except ForebayError as error:
                if not error.is_kept:
                    raise
                kept = error
        if kept is not None:
            raise kept

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction for reading: one consistent view on SQLite, statement by statement on PostgreSQL."""
        with self.reader.connect() as connection:
            if self.is_sqlite:
                # Now, and not with the first statement: those that are prepared go by SQLAlchemy.
                connection.begin()
            yield connection

    @property
    def inline(self) -> Connection:
        """The one connection of the event loop on SQLite, kept open: taking one from the pool costs as much as a query.

        Prepared statements see the latest commit each; whoever executes others on it must call `end_inline` afterwards.
        """
        if self.inline_connection is None:
            self.inline_connection = self.reader.connect()
        return self.inline_connection

    def end_inline(self) -> None:
        """End the read transaction, if one was begun, so that the next request sees what was committed since."""
        if self.inline_connection is not None and self.inline_connection.in_transaction():
            self.inline_connection.rollback()

    def close(self) -> None:
        """End all connections."""
        if self.inline_connection is not None:
            self.inline_connection.close()
            self.inline_connection = None
        self.writer.dispose()
        self.reader.dispose()


def lock_rows(connection: Connection, table: sa.Table, ids: Sequence[str]) -> None:
    """Lock rows by primary key `id`, in id order, until the transaction ends.

    SQLite's writer has the whole file already.
    """
    if connection.dialect.name == "postgresql" and ids:
        connection.execute(
            sa.select(table.c.id).where(table.c.id.in_(ids)).order_by(table.c.id).with_for_update()
        ).all()


def lock_name(connection: Connection, name: str) -> None:
    """Be the only one in what goes by this name, until the transaction ends: before any row of it is locked.

    SQLite's writer is alone already.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


class Lease:
    """A named right to do something alone, for a while: a row and a token.

    `take` succeeds for one caller at a time, on either database, because it is a single statement.
    """

    @staticmethod
    def take(connection: Connection, leases: sa.Table, name: str, token: str, *, now: datetime, seconds: int) -> bool:
        """Take the lease, or prolong it if `token` has it. False while another token has it."""
        insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
        statement = insert(leases).values(name=name, token=token, expires_at=now + timedelta(seconds=seconds))
        statement = statement.on_conflict_do_update(
            index_elements=[leases.c.name],
            set_={"token": statement.excluded.token, "expires_at": statement.excluded.expires_at},
            where=sa.or_(leases.c.token == token, leases.c.expires_at <= now),
        ).returning(leases.c.token)
        return connection.execute(statement).scalar() == token

    @staticmethod
    def holds(connection: Connection, leases: sa.Table, name: str, token: str) -> bool:
        """Whether `token` still has the lease; on PostgreSQL the row is locked until the transaction ends."""
        found = connection.execute(sa.select(leases.c.token).where(leases.c.name == name).with_for_update()).scalar()
        return found == token

    @staticmethod
    def give_back(connection: Connection, leases: sa.Table, name: str, token: str) -> None:
        """Give the lease back, if `token` has it."""
        connection.execute(sa.delete(leases).where(leases.c.name == name, leases.c.token == token))

    @staticmethod
    def drop_all(connection: Connection, leases: sa.Table) -> None:
        """Drop every lease: for the only process of a cloud, which knows at its start that nobody holds one."""
        connection.execute(sa.delete(leases))


def sqlite_insert(table: sa.Table) -> Any:
    """SQLite's INSERT with ON CONFLICT."""
    from sqlalchemy.dialects.sqlite import insert

    return insert(table)


def postgresql_insert(table: sa.Table) -> Any:
    """PostgreSQL's INSERT with ON CONFLICT."""
    from sqlalchemy.dialects.postgresql import insert

    return insert(table)


def upsert_insert(connection: Connection, table: sa.Table) -> Any:
    """An INSERT of this connection's dialect that knows ON CONFLICT."""
    return postgresql_insert(table) if connection.dialect.name == "postgresql" else sqlite_insert(table)


def whole_seconds(moment: datetime) -> datetime:
    """The moment cut down to its second, in UTC: times are whole seconds everywhere."""
    return moment.astimezone(UTC).replace(microsecond=0)
