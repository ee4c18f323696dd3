"""A deduction cycle over 1,000 teams with ten running machines each, against the bare driver writing the same rows.

The peer gets its rows ready made, from the cycle that Forebay has just run on a copy of the same file: it reckons
nothing, reads nothing and hashes nothing, but inserts and updates by prepared statements in one transaction, durably.
"""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from benchmarks.figures import Figure, note
from forebay import ids
from forebay.app import Forebay
from forebay.domain.money import ledger, metering
from forebay.domain.money.digests import seal
from forebay.settings import Settings
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.deduction_cycle import CHUNK

TEAMS = 1000
MACHINES = 10
RATE_MICROS = 65_000
CREDIT_MICROS = 100_000_000
ROUNDS = 3
INSERTED = ("transfers", "entries", "usage_lines")
UPDATED = {"accounts": ("balance_micros", "version", "last_hash"), "segments": ("charged_micros", "charged_through")}


def run() -> Iterator[Figure]:
    """Rows a second, as a ratio."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        folder = Path(name)
        now = prepare(folder / "origin")
        ours, bare = [], []
        for turn in range(ROUNDS):
            before, after = folder / f"before-{turn}.db", folder / f"after-{turn}.db"
            shutil.copy(folder / "origin" / "forebay.db", before)
            shutil.copy(before, after)
            ours.append(cycle(after, now))
            work = difference(before, after)
            bare.append(replay(before, work))
    rows = sum(len(parameters) for _, parameters in work)
    note(f"{rows} rows: forebay {rows / median(ours):.0f} rows/s, bare sqlite3 {rows / median(bare):.0f} rows/s")
    note(f"a cycle of {TEAMS} teams × {MACHINES} machines takes {median(ours):.2f} s")
    yield Figure("deduction-cycle-throughput-ratio", median(bare) / median(ours), "x", ">=", 0.3)


def prepare(data_dir: Path) -> datetime:
    """Fill a cloud; the moment at which its machines, sighted and not yet charged, have run for a minute."""
    forebay = Forebay(Settings(data_dir=data_dir, providers=()))
    now = forebay.clock.now()
    with forebay.database.begin() as connection:
        user_id = ids.new_id(now)
        person = {"id": user_id, "email": "a@example.test", "email_key": "a@example.test", "name": "A"}
        connection.execute(sa.insert(tables.users).values(**person, created_at=now))
        for number in range(1, TEAMS + 1):
            team_id = ids.new_id(now)
            team = {"id": team_id, "number": number, "slug": f"team-{number}", "name": f"Team {number}"}
            connection.execute(
                sa.insert(tables.teams).values(**team, member_mode="deploy-only", created_at=now, created_by=user_id)
            )
            ledger.open_account(connection, team_id)
            ledger.grant(
                connection,
                team_id=team_id,
                amount_micros=CREDIT_MICROS,
                reason="benchmark",
                created_by=user_id,
                now=now,
            )
            start_machines(connection, team_id, now)
        connection.execute(sa.update(tables.segments).values(sighted_at=now + timedelta(minutes=1)))
    with forebay.database.read() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(tables.segments)).scalar_one()
    assert count == TEAMS * MACHINES
    forebay.close()
    # All of it into the one file that is copied.
    with closing(sqlite3.connect(data_dir / "forebay.db")) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return now + timedelta(minutes=1)


def start_machines(connection: sa.Connection, team_id: str, at: datetime) -> None:
    """Ten open segments, in the rows that `metering.start` would have written one by one."""
    rows = []
    for _ in range(MACHINES):
        row: dict[str, Any] = {
            "id": ids.new_id(at),
            "team_id": team_id,
            "resource_type": "compute",
            "resource_id": ids.new_id(at),
        }
        row |= {"rate_micros": RATE_MICROS, "started_at": at}
        more = {"charged_through": at, "charged_micros": 0, "sighted_at": at, "seal": seal(row, metering.SEALED)}
        rows.append({**row, **more})
    connection.execute(sa.insert(tables.segments), rows)


def cycle(path: Path, now: datetime) -> float:
    """Seconds of one cycle, as the worker runs it."""
    database = Database(f"sqlite:///{path}")
    with database.read() as connection:
        connection.execute(sa.text("SELECT 1"))
    began = time.perf_counter()
    with database.begin() as connection:
        cycle_id = metering.open_cycle(connection, now=now)
    after = ""
    while True:
        with database.begin() as connection:
            team_ids = metering.teams_to_charge(connection, now=now, after=after, limit=CHUNK)
            if team_ids:
                metering.deduct(connection, cycle_id=cycle_id, team_ids=team_ids, now=now)
        if not team_ids:
            break
        after = team_ids[-1]
    with database.begin() as connection:
        done = metering.close_cycle(connection, cycle_id, now=now)
    seconds = time.perf_counter() - began
    database.close()
    if (done.teams, done.lines) != (TEAMS, TEAMS * MACHINES):
        raise RuntimeError(f"the cycle charged {done.teams} teams by {done.lines} lines")
    return seconds


def difference(before: Path, after: Path) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """The statements, each with its parameters, that turn the one file's books into the other's."""
    work: list[tuple[str, list[tuple[Any, ...]]]] = []
    with closing(sqlite3.connect(after)) as raw:
        raw.execute("ATTACH ? AS old", (str(before),))
        raw.execute("PRAGMA temp_store=MEMORY")
        for table in INSERTED:
            rows = raw.execute(f"SELECT * FROM main.{table} EXCEPT SELECT * FROM old.{table}").fetchall()
            marks = ", ".join("?" * len(rows[0]))
            work.append((f"INSERT INTO {table} VALUES ({marks})", rows))
        for table, columns in UPDATED.items():
            listed = ", ".join((*columns, "id"))
            rows = raw.execute(f"SELECT {listed} FROM main.{table} EXCEPT SELECT {listed} FROM old.{table}").fetchall()
            assignments = ", ".join(f"{column} = ?" for column in columns)
            work.append((f"UPDATE {table} SET {assignments} WHERE id = ?", rows))
    return work


def replay(path: Path, work: list[tuple[str, list[tuple[Any, ...]]]]) -> float:
    """Seconds the bare driver takes for it in one transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            raw.execute(f"PRAGMA {pragma}")
        began = time.perf_counter()
        raw.execute("BEGIN IMMEDIATE")
        for statement, parameters in work:
            raw.executemany(statement, parameters)
        raw.execute("COMMIT")
        return time.perf_counter() - began
