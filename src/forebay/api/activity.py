"""`…/activity`: what was done and what was tried in vain, by whom, on what, when, from where, through which key."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Csv, Input, Wire, encoder, iso
from forebay.api.route import Needs, route
from forebay.domain.money import spreadsheets
from forebay.domain.people import activity_log, activity_words
from forebay.domain.people.access import Target
from forebay.domain.people.activity_log import Filter, Row
from forebay.domain.people.roles import Permission

MOST_LINES = 10_000
"""Of a table for spreadsheets: the newest."""
COLUMNS = (
    "time", "who", "email", "action", "outcome", "object", "object id", "api key", "address", "details", "in words",
    "about",
)  # fmt: skip

Text = Annotated[str, msgspec.Meta(max_length=80)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Which(Input):
    """Which rows."""

    user_id: Text | None = None
    action: Text | None = None
    """In full like `member.remove`, or a noun with its dot for all that was done with such things: `invitation.`"""
    object_type: Text | None = None
    object_id: Text | None = None
    outcome: Literal["done", "denied"] | None = None
    from_: Moment | None = msgspec.field(default=None, name="from")
    """The first moment, with its time zone."""
    to: Moment | None = None
    """The moment before which."""


class Page(Which):
    """Which rows, and which page of them."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Who(Wire):
    """A person."""

    id: str
    name: str
    email: str | None
    """Null for who never belonged to the team."""


class Activity(Wire):
    """One thing that was done, or tried in vain."""

    id: str
    at: str
    action: str
    outcome: Literal["done", "denied"]
    who: Who | None
    """Null: Forebay itself, or somebody who did not say who they are."""
    api_key_id: str | None
    api_key_name: str | None
    address: str | None
    object_type: str | None
    object_id: str | None
    team_id: str | None
    details: dict[str, Any] | None


class Activities(Wire):
    """A page of them, newest first."""

    activity: list[Activity]
    total: int
    page: int
    limit: int
    total_pages: int


def to_wire(row: Row) -> Activity:
    """A row as clients see it."""
    who = None if row.user_id is None else Who(id=row.user_id, name=row.name or "", email=row.email)
    return Activity(
        id=row.id,
        at=iso(int(row.at.timestamp())) or "",
        action=row.action,
        outcome=row.outcome,  # type: ignore[arg-type]
        who=who,
        api_key_id=row.api_key_id,
        api_key_name=row.api_key_name,
        address=row.address,
        object_type=row.object_type,
        object_id=row.object_id,
        team_id=row.team_id,
        details=row.details,
    )


def filter_of(query: Which) -> Filter:
    """What was asked for, as the domain knows it."""
    return Filter(
        user_id=query.user_id,
        action=query.action,
        object_type=query.object_type,
        object_id=query.object_id,
        outcome=query.outcome,
        since=query.from_,
        before=query.to,
    )


def paged(found: tuple[Sequence[Row], int], query: Page) -> Activities:
    """A page as clients see it."""
    rows, total = found
    return Activities(
        activity=[to_wire(row) for row in rows],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


@route(
    "GET",
    "/api/teams/{team_id}/activity",
    needs=Permission.read_activity,
    target=Target.team,
    target_from="path:team_id",
    query=Page,
    answers=Activities,
)
def of_team(call: Call, team_id: str, query: Page) -> Activities:
    """What was done in the team, and every attempt that was refused, newest first.

    Repeated refusals are one row a minute, with their `count`, written when the minute is over.
    """
    found = activity_log.of_team(
        call.connection, call.team.team_id, filter_of(query), page=query.page, limit=query.limit
    )
    return paged(found, query)


@route(
    "GET",
    "/api/teams/{team_id}/activity.csv",
    needs=Permission.read_activity,
    target=Target.team,
    target_from="path:team_id",
    query=Which,
    answers=Csv,
)
def of_team_as_csv(call: Call, team_id: str, query: Which) -> Csv:
    """The same as a table for spreadsheets: the newest 10,000 rows."""
    rows, _ = activity_log.of_team(call.connection, call.team.team_id, filter_of(query), page=1, limit=MOST_LINES)
    return Csv(f"activity-{call.team.slug}.csv", spreadsheets.table(COLUMNS, [cells(row) for row in rows]))


def cells(row: Row) -> Sequence[str | None]:
    """A line of the table."""
    return (
        iso(int(row.at.timestamp())),
        row.name,
        row.email,
        row.action,
        row.outcome,
        row.object_type,
        row.object_id,
        row.api_key_name or row.api_key_id,
        row.address,
        encoder.encode(row.details).decode() if row.details else None,
        activity_words.sentence(row),
        activity_words.about(row) or None,
    )


@route("GET", "/api/me/activity", needs=Needs.session, query=Page, answers=Activities)
def mine(call: Call, query: Page) -> Activities:
    """What I did, in all teams and with my account, newest first.

    What others tried with my name in vain is here too: sign-ins that were refused.
    """
    found = activity_log.of_person(
        call.connection, call.caller.user_id, filter_of(query), page=query.page, limit=query.limit
    )
    return paged(found, query)
