"""Usage: what a team was charged for machines and disks in any stretch of time, by what it was spent on.

It is reckoned from the segments alone. A segment's usage lines tile it and follow the floor formula from its own start,
so what they come to between two moments is the formula at the one less the formula at the other, wherever the cycles
cut. That is exact to the second, adjoining stretches add up to the whole, and the whole is what the ledger took; it
takes as long as there were segments, not as long as there were cycles. `forebay audit` holds every line, and the
transfer that paid it, to the same formula ("segments", "usage lines", "usage transfers").

What has not been charged yet is not usage yet. Days are days in UTC. Names, owners and labels are those of today.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import spreadsheets
from forebay.domain.money.amounts import SECONDS_PER_HOUR, in_dollars
from forebay.domain.money.budget_scopes import latest_keys
from forebay.storage.tables import api_keys, deployments, segments, users, volumes

DAY_SECONDS = 86400
LABEL = re.compile(r"label:(.{1,63})", re.DOTALL)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class By(StrEnum):
    """What usage is grouped by, beside labels."""

    day = "day"
    gpu_type = "gpuType"
    member = "member"
    api_key = "apiKey"
    deployment = "deployment"
    volume = "volume"


FIGURES = ("compute_micros", "storage_micros", "machine_seconds")
NO_NAME: sa.ColumnElement[str] = sa.cast(sa.null(), sa.Text)
OF_MACHINE = {
    By.gpu_type: (deployments.c.gpu_type, deployments.c.gpu_model),
    By.member: (sa.func.coalesce(deployments.c.created_by, volumes.c.created_by), users.c.name),
    By.api_key: (sa.func.coalesce(deployments.c.api_key_id, volumes.c.api_key_id), api_keys.c.name),
    By.deployment: (deployments.c.id, deployments.c.name),
}
"""What identifies a group of machines, and what it is called. Volumes have nothing of it but a person."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What one day, machine, person … was charged. The key is None for what belongs to none of them."""

    key: str | None
    name: str | None
    compute_micros: int
    storage_micros: int
    machine_seconds: int
    """How long machines ran, each counted by itself."""

    @property
    def cost_micros(self) -> int:
        """Machines and disks."""
        return self.compute_micros + self.storage_micros


def label_of(group_by: str) -> str | None:
    """The label's key in `label:<key>`; None for what is no label."""
    found = LABEL.fullmatch(group_by)
    return None if found is None else found[1]


def used(connection: Connection, team_id: str, group_by: str, *, from_at: datetime, to_at: datetime) -> Sequence[Use]:
    """The team's usage from a moment up to another, which is not included.

    Days are in their order, and those without usage left out; everything else is by cost, the dearest first. Raises
    ValueError for a group that there is not.
    """
    label = label_of(group_by)
    group = None if label is not None else By(group_by)
    asked = {"team_id": team_id, "first": int(from_at.timestamp()), "last": int(to_at.timestamp())}
    rows = connection.execute(statement_of(group), asked)
    if label is not None:
        found = to_uses(rows, worded=partial(value_of, label))
    elif group is By.day:
        return to_uses(rows, worded=day)
    elif group is By.api_key:
        found = by_key(connection, to_uses(rows))
    elif group is By.volume:
        found = [part for use in to_uses(rows) for part in apart(use)]
    else:
        found = to_uses(rows)
    return sorted(merged(found), key=lambda use: (-use.cost_micros, use.key is None, use.key or ""))


@cache
def statement_of(group: By | None) -> sa.Select[Any]:
    """SQL: usage by a group, or by sets of labels; of a `team_id` from `first` to `last`, in seconds since 1970.

    Made once: that takes as long as the query. There are few different sets of labels, however many machines carry
    them.
    """
    first, last = (sa.bindparam(name, type_=sa.BigInteger()) for name in ("first", "last"))
    pieces = pieces_between(sa.bindparam("team_id", type_=sa.String()), first, last)
    if group is None:
        return by_machine(pieces, deployments.c.labels, NO_NAME)
    if group is By.day:
        return by_day(pieces)
    return by_disk(pieces) if group is By.volume else by_machine(pieces, *OF_MACHINE[group])


def value_of(label: str, labels: str) -> str | None:
    """The value of a label in a set of them."""
    return msgspec.json.decode(labels, type=dict[str, str]).get(label)


def by_key(connection: Connection, found: Sequence[Use]) -> list[Use]:
    """Usage by the key it came through. A key that was rotated is the one that has come in its place."""
    latest = latest_keys(connection, {use.key for use in found if use.key is not None})
    return [msgspec.structs.replace(use, key=latest.get(use.key or "")) for use in found]


def day(number: str) -> str:
    """The day that is so many days after the first of 1970."""
    return (BEGINNING + timedelta(days=int(number))).strftime("%Y-%m-%d")


def apart(use: Use) -> Iterator[Use]:
    """A machine's usage and that of its disk."""
    if use.compute_micros or use.machine_seconds:
        yield msgspec.structs.replace(use, key=None, name=None, storage_micros=0)
    if use.storage_micros:
        yield msgspec.structs.replace(use, compute_micros=0, machine_seconds=0)


def lesser(one: sa.ColumnElement[int], other: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """SQL: the smaller of two, the same on both databases."""
    return sa.case((one < other, one), else_=other)


def greater(one: sa.ColumnElement[int], other: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """SQL: the larger of two."""
    return sa.case((one > other, one), else_=other)


def seconds(column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """SQL: a moment as seconds since 1970."""
    return sa.type_coerce(column, sa.BigInteger)


def pieces_of(team_id: str, from_at: datetime, to_at: datetime) -> sa.CTE:
    """SQL: what lies of the team's segments between the two moments, as far as it has been charged."""
    first, last = (sa.literal(int(moment.timestamp()), sa.BigInteger) for moment in (from_at, to_at))
    return pieces_between(sa.literal(team_id, sa.String()), first, last)


def pieces_between(team_id: sa.ColumnElement[str], first: sa.ColumnElement[int], last: sa.ColumnElement[int]) -> sa.CTE:
    """The same, the moments in seconds since 1970."""
    started, through = seconds(segments.c.started_at), seconds(segments.c.charged_through)
    return (
        sa.select(
            segments.c.resource_type,
            segments.c.resource_id,
            segments.c.rate_micros,
            started.label("started"),
            greater(started, first).label("low"),
            lesser(through, last).label("high"),
        )
        .where(
            segments.c.team_id == team_id,
            started < last,
            # The end is in the index, and what it is charged up to is not: that changes with every cycle.
            sa.or_(segments.c.ended_at.is_(None), seconds(segments.c.ended_at) > first),
            through > first,
            first < last,
        )
        .cte("pieces")
    )


def sums(pieces: Any, low: sa.ColumnElement[int], high: sa.ColumnElement[int]) -> list[sa.ColumnElement[int]]:
    """SQL: what pieces cost between their `low` and `high`, machines and disks apart, and how long machines ran."""

    def charged(moment: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
        """`amounts.charge_micros` from the segment's own start."""
        found: sa.ColumnElement[int] = pieces.c.rate_micros * (moment - pieces.c.started) // SECONDS_PER_HOUR
        return found

    cost = charged(high) - charged(low)
    is_machine = pieces.c.resource_type == "compute"
    return [
        sa.func.sum(sa.case((is_machine, cost), else_=0)).label("compute_micros"),
        sa.func.sum(sa.case((is_machine, 0), else_=cost)).label("storage_micros"),
        sa.func.sum(sa.case((is_machine, high - low), else_=0)).label("machine_seconds"),
    ]


def by_day(pieces: sa.CTE) -> sa.Select[Any]:
    """SQL: usage by days since 1970: each piece is cut at every midnight that it spans."""
    cut = sa.select(*pieces.c, (pieces.c.low // DAY_SECONDS).label("day")).cte("cut", recursive=True)
    following = sa.select(*[cut.c[column.name] for column in pieces.c], cut.c.day + 1)
    cut = cut.union_all(following.where((cut.c.day + 1) * DAY_SECONDS < cut.c.high))
    low = greater(cut.c.low, cut.c.day * DAY_SECONDS)
    high = lesser(cut.c.high, (cut.c.day + 1) * DAY_SECONDS)
    columns: list[sa.ColumnElement[Any]] = [cut.c.day.label("key"), NO_NAME.label("name"), *sums(cut, low, high)]
    return sa.select(*columns).group_by(cut.c.day).order_by(cut.c.day)


def by_resource(pieces: sa.CTE) -> sa.Subquery:
    """SQL: usage by machine, disk or volume."""
    figures = sums(pieces, pieces.c.low, pieces.c.high)
    return sa.select(pieces.c.resource_id, *figures).group_by(pieces.c.resource_id).subquery("by_resource")


def by_machine(pieces: sa.CTE, key: sa.ColumnElement[Any], name: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """SQL: usage by something of the machines, or of who made a volume; what has nothing of it has no key."""
    of = by_resource(pieces)
    source = of.outerjoin(deployments, deployments.c.id == of.c.resource_id)
    source = source.outerjoin(volumes, volumes.c.id == of.c.resource_id)
    source = source.outerjoin(users, users.c.id == OF_MACHINE[By.member][0])
    source = source.outerjoin(api_keys, api_keys.c.id == OF_MACHINE[By.api_key][0])
    raw_key = sa.type_coerce(key, sa.Text)
    columns: list[sa.ColumnElement[Any]] = [raw_key.label("key"), sa.func.max(name).label("name")]
    columns += [sa.func.sum(of.c[column]).label(column) for column in FIGURES]
    return sa.select(*columns).select_from(source).group_by(raw_key)


def by_disk(pieces: sa.CTE) -> sa.Select[Any]:
    """SQL: usage by volume, or the machine whose disk it is; machines themselves have no key."""
    of = by_resource(pieces)
    source = of.outerjoin(deployments, deployments.c.id == of.c.resource_id)
    source = source.outerjoin(volumes, volumes.c.id == of.c.resource_id)
    name = sa.func.coalesce(volumes.c.name, deployments.c.name)
    return sa.select(
        of.c.resource_id.label("key"), name.label("name"), *[of.c[column] for column in FIGURES]
    ).select_from(source)


def to_uses(rows: Iterable[sa.Row[Any]], *, worded: Callable[[str], str | None] = str) -> list[Use]:
    """Rows as values, their keys made into words; PostgreSQL's sums are decimals."""
    return [
        Use(
            key=None if row.key is None else worded(row.key),
            name=row.name,
            compute_micros=int(row.compute_micros),
            storage_micros=int(row.storage_micros),
            machine_seconds=int(row.machine_seconds),
        )
        for row in rows
    ]


def merged(uses: Iterable[Use]) -> list[Use]:
    """Those of the same key in one."""
    found: dict[str | None, Use] = {}
    for use in uses:
        before = found.get(use.key)
        found[use.key] = (
            use
            if before is None
            else msgspec.structs.replace(
                use,
                compute_micros=use.compute_micros + before.compute_micros,
                storage_micros=use.storage_micros + before.storage_micros,
                machine_seconds=use.machine_seconds + before.machine_seconds,
            )
        )
    return list(found.values())


def sheet(group_by: str, found: Iterable[Use]) -> bytes:
    """The same as a CSV file."""
    return spreadsheets.table(
        [group_by, "name", "cost", "compute cost", "storage cost", "machine seconds"],
        [
            [
                use.key,
                use.name,
                in_dollars(use.cost_micros),
                in_dollars(use.compute_micros),
                in_dollars(use.storage_micros),
                use.machine_seconds,
            ]
            for use in found
        ],
        ours=["cost", "compute cost", "storage cost"],
    )
