"""What budgets go by: what machines, disks and volumes cost in a month, by where that comes from.

To the micro-dollar what usage says by member, key and label; beside it what is held for launches, what runs now costs
an hour, and what it comes to by the month's end, or by the planned end of a machine.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import usage
from forebay.domain.money import budget_scopes
from forebay.domain.money.amounts import SECONDS_PER_HOUR
from forebay.domain.money.budget_scopes import Scope
from forebay.domain.money.budgets import Month
from forebay.storage.tables import deployments, holds, segments, volumes


class Origin(msgspec.Struct, frozen=True):
    """Where a cost comes from, as far as budgets ask."""

    created_by: str | None
    api_key_id: str | None = None
    """The latest one of those that it was rotated to."""
    labels: Mapping[str, str] = {}

    def is_of(self, scope: Scope, subject: str) -> bool:
        """Whether a budget of that scope is about it; `subject` is a key's latest one."""
        if scope is Scope.label:
            key, _, value = subject.partition("=")
            return self.labels.get(key) == value
        return scope is Scope.team or subject == (self.created_by if scope is Scope.member else self.api_key_id)


class Figures(msgspec.Struct, frozen=True):
    """Micro-dollars."""

    spent_micros: int = 0
    """Charged for this month so far."""
    held_micros: int = 0
    """Held for launches, and not charged yet."""
    burn_micros_per_hour: int = 0
    coming_micros: int = 0
    """What comes to it by the month's end if nothing changes but what is planned."""

    def plus(self, other: "Figures") -> "Figures":
        """Both."""
        return Figures(
            self.spent_micros + other.spent_micros,
            self.held_micros + other.held_micros,
            self.burn_micros_per_hour + other.burn_micros_per_hour,
            self.coming_micros + other.coming_micros,
        )


def total(figures: Iterable[Figures]) -> Figures:
    """The sum."""
    found = Figures()
    for each in figures:
        found = found.plus(each)
    return found


OF_RESOURCE: Mapping[Scope, sa.ColumnElement[Any]] = {
    Scope.member: sa.func.coalesce(deployments.c.created_by, volumes.c.created_by).label("created_by"),
    Scope.api_key: sa.func.coalesce(deployments.c.api_key_id, volumes.c.api_key_id).label("api_key_id"),
    Scope.label: sa.type_coerce(deployments.c.labels, sa.Text).label("labels"),
}
"""Of whom a cost is, as in the usage by member, key and label."""


def spent_parts(team_id: str, month: Month) -> sa.Select[Any]:
    """SQL: what was charged of the month, as the usage of it says."""
    of = usage.by_resource(usage.pieces_of(team_id, month.start_at, month.end_at))
    return part(of, of.c.resource_id, spent_micros=of.c.compute_micros + of.c.storage_micros)


def coming_parts(team_id: str, month: Month) -> sa.Select[Any]:
    """SQL: what is open now, an hour, and what it comes to from where it is charged to: until the month's end, or until
    its machine's own where that is planned before.
    """
    first, over = (sa.literal(int(moment.timestamp()), sa.BigInteger) for moment in (month.start_at, month.end_at))
    last: sa.ColumnElement[int] = over
    for planned in (deployments.c.ends_at, deployments.c.reclaim_at):
        last = usage.lesser(sa.func.coalesce(usage.seconds(planned), over), last)
    started = usage.seconds(segments.c.started_at)
    low = usage.greater(usage.seconds(segments.c.charged_through), first)

    def charged(moment: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
        found: sa.ColumnElement[int] = segments.c.rate_micros * (moment - started) // SECONDS_PER_HOUR
        return found

    coming = sa.case((low < last, charged(last) - charged(low)), else_=0)
    source = segments.outerjoin(deployments, deployments.c.id == segments.c.resource_id)
    parts = part(source, segments.c.resource_id, burn_micros_per_hour=segments.c.rate_micros, coming_micros=coming)
    return parts.where(segments.c.team_id == team_id, segments.c.ended_at.is_(None))


def held_parts(team_id: str) -> sa.Select[Any]:
    """SQL: what is held and not used up."""
    parts = part(holds, holds.c.resource_id, held_micros=holds.c.remaining_micros)
    return parts.where(holds.c.team_id == team_id, holds.c.released_at.is_(None))


def part(of: sa.FromClause, resource_id: sa.ColumnElement[str], **figures: sa.ColumnElement[int]) -> sa.Select[Any]:
    """SQL: some figures of resources; the others are 0."""
    nothing: sa.ColumnElement[int] = sa.literal_column("0", sa.BigInteger)
    columns: list[sa.ColumnElement[Any]] = [resource_id.label("resource_id")]
    columns += [figures.get(name, nothing).label(name) for name in Figures.__struct_fields__]
    return sa.select(*columns).select_from(of)


def figures_of(
    connection: Connection, team_id: str, month: Month, scopes: Collection[Scope]
) -> list[tuple[Origin, Figures]]:
    """All that the team spends, by what budgets of these scopes ask of where it comes from, and no finer: of a team
    whose machines all have labels of their own that would be as many rows as machines.

    PostgreSQL's sums are decimals, and none of nothing.
    """
    whose = [column for scope, column in OF_RESOURCE.items() if scope in scopes]
    source: sa.FromClause = sa.union_all(
        spent_parts(team_id, month), coming_parts(team_id, month), held_parts(team_id)
    ).subquery("parts")
    sums = [sa.func.coalesce(sa.func.sum(source.c[name]), 0).label(name) for name in Figures.__struct_fields__]
    if whose:
        resource_id = source.c.resource_id
        source = source.outerjoin(deployments, deployments.c.id == resource_id)
        source = source.outerjoin(volumes, volumes.c.id == resource_id)
    query = sa.select(*whose, *sums).select_from(source).group_by(*(column.element for column in whose))
    names = [column.key for column in (*whose, *sums)]
    rows = [dict(zip(names, row, strict=True)) for row in connection.execute(query)]
    keys = {row["api_key_id"] for row in rows if row.get("api_key_id")}
    latest = budget_scopes.latest_keys(connection, keys) if keys else {}
    return [
        (
            Origin(
                row.get("created_by"),
                latest.get(row.get("api_key_id") or "", row.get("api_key_id")),
                msgspec.json.decode(row["labels"]) if row.get("labels") else {},
            ),
            Figures(*(int(row[name]) for name in Figures.__struct_fields__)),
        )
        for row in rows
    ]


def origins(connection: Connection, resource_ids: Collection[str]) -> dict[str, Origin]:
    """Where what these machines and volumes cost comes from."""
    found: dict[str, Origin] = {}
    for table, labels in ((deployments, deployments.c.labels), (volumes, sa.null())):
        rows = connection.execute(
            sa.select(table.c.id, table.c.created_by, table.c.api_key_id, labels.label("labels")).where(
                table.c.id.in_(sorted(resource_ids))
            )
        ).all()
        found |= {row.id: Origin(row.created_by, row.api_key_id, row.labels or {}) for row in rows}
    latest = budget_scopes.latest_keys(connection, {each.api_key_id for each in found.values() if each.api_key_id})
    return {
        each_id: msgspec.structs.replace(origin, api_key_id=latest.get(origin.api_key_id or ""))
        for each_id, origin in found.items()
    }
