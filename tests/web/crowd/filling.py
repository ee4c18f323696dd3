"""One crowd while it is written: how much of everything there is, and when."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from forebay import ids
from forebay.storage.tables import metadata

DAY, MINUTE = 86400, 60
DAYS = 60
RATE_MICROS = 2_490_000
LINE_MICROS = RATE_MICROS // 60
CHECKED = {"api_access": "approved", "member_mode": "deploy-only", "outcome": "done", "role": "member"}
"""What the tables' own conditions want instead of nothing."""
GPUS = (
    ("H100_SXM5", "NVIDIA H100 SXM5"),
    ("A100_80G", "NVIDIA A100"),
    ("L40S", "NVIDIA L40S"),
    ("RTX_4090", "RTX 4090"),
)


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is, in all teams together."""

    machines: int
    lines: int
    doings: int
    teams: int = 50

    @property
    def things(self) -> int:
        """How many there are of what is not so many: keys, volumes, invitations, payments of the large team."""
        return max(2, self.machines // 20)


class Pen:
    """Writes rows; what they leave open is 0 or empty where it may not be null."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw

    def write(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        """All of one table, each with the same columns."""
        given = list(rows)
        if not given:
            return
        otherwise = {name: value for name, value in needed(table).items() if name not in given[0]}
        names = [*otherwise, *given[0]]
        marks = ", ".join("?" * len(names))
        self.raw.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
            [[*otherwise.values(), *row.values()] for row in given],
        )


def needed(table: str) -> dict[str, Any]:
    """What the columns of a table that take no null hold where nothing is said."""
    found: dict[str, Any] = {}
    for column in metadata.tables[table].columns:
        if not column.nullable and column.server_default is None:
            is_text = isinstance(column.type, sa.String) or "Document" in type(column.type).__name__
            found[column.name] = CHECKED.get(column.name, "" if is_text else 0)
    return found


class Filling:
    """One cloud while it is written."""

    def __init__(self, pen: Pen, secret_key: bytes, size: Size, now: datetime) -> None:
        self.pen, self.secret_key, self.size, self.now = pen, secret_key, size, now
        self.end = int(now.timestamp()) // MINUTE * MINUTE
        self.begin = self.end - DAYS * DAY
        self.team_ids = [self.id(self.begin) for _ in range(size.teams)]
        self.large = self.team_ids[0]
        self.people: dict[str, list[str]] = {}
        self.keys: dict[str, list[str]] = {}
        self.machines: list[dict[str, Any]] = []
        self.names: dict[str, str] = {"slug": "team-0", "team_id": self.large}
        self.running: list[dict[str, Any]] = []
        self.offers: list[dict[str, Any]] = []
        self.volumes: list[dict[str, Any]] = []

    def id(self, at: int) -> str:
        """An id of that second."""
        return ids.new_id(datetime.fromtimestamp(at, self.now.tzinfo))

    def number(self, team_id: str, most: int) -> int:
        """How many of something a team has, if the large one has so many."""
        return most if team_id == self.large else max(1, most // 40)

    def team_of(self, number: int) -> str:
        """Two fifths are the large team's."""
        return self.large if number % 5 < 2 else self.team_ids[1 + number // 5 * 3 % (self.size.teams - 1)]

    def spread(self, number: int, count: int) -> int:
        """The second of one of so many, evenly from the beginning to the end."""
        return self.begin + (self.end - self.begin) * number // max(1, count)
