"""What budgets go by: what machines, disks and volumes cost in a month, by where that comes from.

To the micro-dollar what usage says by member, key and label; beside it what is held for launches, what runs now costs
an hour, and what it comes to by the month's end.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
    """What comes to it by the month's end if nothing changes."""

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


OF_RESOURCE: Sequence[sa.ColumnElement[Any]] = (
    sa.func.coalesce(deployments.c.created_by, volumes.c.created_by).label("created_by"),
    sa.func.coalesce(deployments.c.api_key_id, volumes.c.api_key_id).label("api_key_id"),
    sa.type_coerce(deployments.c.labels, sa.Text).label("labels"),
)
"""Of whom a cost is, as in the usage by member, key and label."""


def by_origin(of: sa.FromClause, *figures: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """SQL: figures of resources, whose `resource_id` the source has, by where they come from: there are few of those,
    however many machines there are."""
    source = of.outerjoin(deployments, deployments.c.id == of.c.resource_id)
    source = source.outerjoin(volumes, volumes.c.id == of.c.resource_id)
    return sa.select(*OF_RESOURCE, *figures).select_from(source).group_by(*(column.element for column in OF_RESOURCE))


def spent_query(team_id: str, month: Month) -> sa.Select[Any]:
    """SQL: what was charged of the month, as the usage of it says."""
    of = usage.by_resource(usage.pieces_of(team_id, month.start_at, month.end_at))
    return by_origin(of, sa.func.sum(of.c.compute_micros + of.c.storage_micros).label("spent_micros"))


def coming_query(team_id: str, month: Month) -> sa.Select[Any]:
    """SQL: what is open now, an hour, and from where it is charged to until the month's end."""
    first, last = (sa.literal(int(moment.timestamp()), sa.BigInteger) for moment in (month.start_at, month.end_at))
    started = usage.seconds(segments.c.started_at)
    low = usage.greater(usage.seconds(segments.c.charged_through), first)

    def charged(moment: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
        found: sa.ColumnElement[int] = segments.c.rate_micros * (moment - started) // SECONDS_PER_HOUR
        return found

    of = (
        sa.select(
            segments.c.resource_id,
            segments.c.rate_micros,
            sa.case((low < last, charged(last) - charged(low)), else_=0).label("coming_micros"),
        )
        .where(segments.c.team_id == team_id, segments.c.ended_at.is_(None))
        .subquery("open_segments")
    )
    figures = (sa.func.sum(of.c[name]).label(name) for name in ("rate_micros", "coming_micros"))
    return by_origin(of, *figures)


def held_query(team_id: str) -> sa.Select[Any]:
    """SQL: what is held and not used up."""
    of = (
        sa.select(holds.c.resource_id, holds.c.remaining_micros)
        .where(holds.c.team_id == team_id, holds.c.released_at.is_(None))
        .subquery("open_holds")
    )
    return by_origin(of, sa.func.sum(of.c.remaining_micros).label("held_micros"))


def figures_of(connection: Connection, team_id: str, month: Month) -> list[tuple[Origin, Figures]]:
    """All that the team spends, by where it comes from. PostgreSQL's sums are decimals."""
    made: tuple[tuple[sa.Select[Any], Callable[[Any], Figures]], ...] = (
        (spent_query(team_id, month), lambda row: Figures(spent_micros=int(row.spent_micros))),
        (held_query(team_id), lambda row: Figures(held_micros=int(row.held_micros))),
        (
            coming_query(team_id, month),
            lambda row: Figures(burn_micros_per_hour=int(row.rate_micros), coming_micros=int(row.coming_micros)),
        ),
    )
    found: dict[tuple[str | None, str | None, str | None], Figures] = {}
    for statement, figures in made:
        for row in connection.execute(statement):
            where = (row.created_by, row.api_key_id, row.labels)
            found[where] = found.get(where, Figures()).plus(figures(row))
    latest = budget_scopes.latest_keys(connection, {key for _, key, _ in found if key is not None})
    return [
        (Origin(person, latest.get(key or ""), msgspec.json.decode(labels) if labels else {}), figures)
        for (person, key, labels), figures in found.items()
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
