"""A month's usage of a team with 1,000,000 usage lines, by each of the columns, against SQLite's own sum of that month.

Histories of the same size: a few machines that ran all year, and very many that ran for an hour or ten minutes each.
The bare query adds up the month's lines by their index, without grouping them, cutting them at the edges, or saying
what they were for.
"""

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Figure, note
from forebay import ids
from forebay.app import Forebay
from forebay.domain.machines import usage
from forebay.domain.money.amounts import charge_micros
from forebay.settings import Settings
from forebay.storage.database import Database

LINES = 1_000_000
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
MINUTES_OF_A_YEAR = 365 * 24 * 60
GROUPS = ("day", "gpuType", "member", "deployment", "volume", "label:project")
ROUNDS = 5
MOST_SECONDS = 0.3
CHECKED = {"api_access": "none", "status": "terminated", "desired": "terminated"}
"""What the tables' own conditions want instead of nothing."""
HISTORIES = {"machines of a year": MINUTES_OF_A_YEAR, "machines of an hour": 60, "machines of ten minutes": 10}
"""How many minutes, which are usage lines, each segment has."""


def run() -> Iterator[Figure]:
    """The slowest of the columns, in any history."""
    slowest, ratios = [], []
    for history, minutes in HISTORIES.items():
        with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
            folder = Path(name)
            team_id, segments = fill(folder, minutes)
            path = folder / "forebay.db"
            bare = median(bare_query(path, team_id) for _ in range(ROUNDS))
            database = Database(f"sqlite:///{path}")
            found = {group_by: median(ours(database, team_id, group_by) for _ in range(ROUNDS)) for group_by in GROUPS}
            database.close()
        of_columns = ", ".join(f"{group_by} {1000 * seconds:.0f}" for group_by, seconds in found.items())
        note(f"{history}, {segments} segments: {of_columns} ms; the bare sum {1000 * bare:.0f} ms")
        slowest.append(max(found.values()))
        ratios.append(bare / max(found.values()))
    yield Figure("usage-of-a-month-seconds", max(slowest), "s", "<=", MOST_SECONDS)
    yield Figure("usage-of-a-month-ratio", min(ratios), "x", ">=", 0.1)


def fill(data_dir: Path, minutes: int) -> tuple[str, int]:
    """A team whose segments of so many minutes have a million lines in a year; its id and their number.

    Written by the bare driver, which asks for no foreign keys: what the lines were paid by is not looked at here.
    """
    Forebay(Settings(data_dir=data_dir, providers=())).close()
    team_id, people = ids.new_id(YEAR), [ids.new_id(YEAR) for _ in range(20)]
    count = -(-LINES // minutes)
    apart_seconds = (MINUTES_OF_A_YEAR - minutes) * 60 // count
    with closing(sqlite3.connect(data_dir / "forebay.db")) as raw:
        raw.execute("BEGIN")
        for number, user_id in enumerate(people):
            insert(raw, "users", {"id": user_id, "name": f"Person {number}", "email": user_id, "email_key": user_id})
        for place in range(count):
            started = int(YEAR.timestamp()) + place * apart_seconds
            machine = {
                "id": ids.new_id(YEAR),
                "team_id": team_id,
                "created_by": people[place % len(people)],
                "gpu_type": f"type-{place % 5}",
                "labels": f'{{"project":"project-{place % 11}"}}',
                "name": f"machine-{place}",
            }
            insert(raw, "deployments", machine)
            row = {
                "id": ids.new_id(YEAR),
                "team_id": team_id,
                "resource_type": "storage" if place % 10 == 9 else "compute",
                "resource_id": machine["id"],
                "rate_micros": 1_234_567 + place % 7,
                "started_at": started,
                "ended_at": None if minutes == MINUTES_OF_A_YEAR else started + 60 * minutes,
                "charged_through": started + 60 * minutes,
                "sighted_at": started + 60 * minutes,
                "charged_micros": charge_micros(1_234_567 + place % 7, 60 * minutes),
            }
            insert(raw, "segments", row)
            lines = range(min(minutes, LINES - place * minutes))
            raw.executemany(
                "INSERT INTO usage_lines (segment_id, from_at, to_at, team_id, amount_micros, transfer_id)"
                " VALUES (?, ?, ?, ?, ?, 'none')",
                [(row["id"], started + 60 * line, started + 60 * line + 60, team_id, 20576) for line in lines],
            )
        raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return team_id, count


def insert(raw: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    """A row; what it leaves open is 0 or empty where it may not be null."""
    row = {**needed(raw, table), **row}
    marks = ", ".join("?" * len(row))
    raw.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


@cache
def needed(raw: sqlite3.Connection, table: str) -> dict[str, Any]:
    """What the columns of a table that take no null may hold."""
    return {
        name: CHECKED.get(name, "" if "CHAR" in kind or kind == "TEXT" else 0)
        for _, name, kind, is_needed, default, _ in raw.execute(f"PRAGMA table_info({table})")
        if is_needed and default is None
    }


def ours(database: Database, team_id: str, group_by: str) -> float:
    """Seconds of the month's usage by one of the columns, as the API asks for it."""
    began = time.perf_counter()
    with database.read() as connection:
        found = usage.used(connection, team_id, group_by, from_at=MONTH[0], to_at=MONTH[1])
    seconds = time.perf_counter() - began
    if not found:
        raise RuntimeError("there is no usage in this month")
    return seconds


def bare_query(path: Path, team_id: str) -> float:
    """Seconds of the sum of the month's lines, by the driver alone."""
    first, last = (int(moment.timestamp()) for moment in MONTH)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("SELECT COUNT(*) FROM users").fetchone()
        began = time.perf_counter()
        raw.execute(
            "SELECT SUM(amount_micros), COUNT(*) FROM usage_lines WHERE team_id = ? AND to_at > ? AND to_at <= ?",
            (team_id, first, last),
        ).fetchone()
        return time.perf_counter() - began
