"""`/api/teams/{id}/usage`: what the team was charged for machines and disks, and what it was spent on."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Csv, Input, Wire, moment
from forebay.api.route import route
from forebay.domain.machines import usage
from forebay.domain.money.amounts import to_dollars
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


LAST_SECOND = 253_402_300_799
"""Of the year 9999."""


def in_utc(given: datetime) -> datetime:
    """The moment in UTC, cut down to its second. There was no use before 1970."""
    return datetime.fromtimestamp(min(max(int(given.timestamp()), 0), LAST_SECOND), UTC)


class Stretch(Input):
    """From a moment up to another, which is not included, by what; without `from` since the month of `to` began."""

    group_by: Annotated[
        str, msgspec.Meta(pattern="^(day|gpuType|member|apiKey|deployment|volume|label:[^\n]{1,63})$")
    ] = "day"
    from_: Moment | None = msgspec.field(name="from", default=None)
    to: Moment | None = None

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """Both moments."""
        to_at = in_utc(self.to or now)
        if self.from_ is not None:
            return in_utc(self.from_), to_at
        return to_at.replace(day=1, hour=0, minute=0, second=0), to_at


class Page(Stretch):
    """A page of groups."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class Use(Wire):
    """What one of them was charged, in dollars."""

    key: str | None
    """The day, type, value of the label, or id; null for what belongs to none."""
    name: str | None
    cost: float
    compute_cost: float
    storage_cost: float
    machine_seconds: int
    """How long machines ran, each counted by itself."""


class Usage(Wire):
    """A page of groups; the figures beside it are of all pages."""

    group_by: str
    from_: str = msgspec.field(name="from")
    to: str
    time_zone: Literal["UTC"]
    cost: float
    compute_cost: float
    storage_cost: float
    machine_seconds: int
    usage: list[Use]
    total: int
    page: int
    limit: int
    total_pages: int


def to_wire(use: usage.Use) -> Use:
    """A group as clients see it."""
    return Use(
        key=use.key,
        name=use.name,
        cost=to_dollars(use.cost_micros),
        compute_cost=to_dollars(use.compute_micros),
        storage_cost=to_dollars(use.storage_micros),
        machine_seconds=use.machine_seconds,
    )


@route(
    "GET",
    "/api/teams/{team_id}/usage",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    query=Page,
    answers=Usage,
)
def show(call: Call, team_id: str, query: Page) -> Usage:
    """What the team was charged for machines and disks.

    By day, GPU type, member, API key, deployment, volume or label.

    Exact to the second; adjoining stretches add up, and all of it is what the transactions took. What runs is included
    up to its last charge, about a minute ago. Days are in UTC; a label counts as it is now.
    """
    from_at, to_at = query.bounds(call.now)
    found = usage.used(call.connection, team_id, query.group_by, from_at=from_at, to_at=to_at)
    first = (query.page - 1) * query.limit
    return Usage(
        group_by=query.group_by,
        from_=moment(int(from_at.timestamp())),
        to=moment(int(to_at.timestamp())),
        time_zone="UTC",
        cost=to_dollars(sum(use.cost_micros for use in found)),
        compute_cost=to_dollars(sum(use.compute_micros for use in found)),
        storage_cost=to_dollars(sum(use.storage_micros for use in found)),
        machine_seconds=sum(use.machine_seconds for use in found),
        usage=[to_wire(use) for use in found[first : first + query.limit]],
        total=len(found),
        page=query.page,
        limit=query.limit,
        total_pages=-(-len(found) // query.limit),
    )


@route(
    "GET",
    "/api/teams/{team_id}/usage.csv",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    query=Stretch,
    answers=Csv,
)
def as_csv(call: Call, team_id: str, query: Stretch) -> Csv:
    """The same as a CSV file, all of it."""
    from_at, to_at = query.bounds(call.now)
    found = usage.used(call.connection, team_id, query.group_by, from_at=from_at, to_at=to_at)
    return Csv(f"usage-{call.team.slug}.csv", usage.sheet(query.group_by, found))
