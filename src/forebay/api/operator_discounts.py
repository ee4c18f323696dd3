"""`/api/operator/discounts`: percents off the prices of a team."""

from typing import Annotated

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso_at
from forebay.api.operator import known, look
from forebay.api.operator_shapes import Paged, Words
from forebay.api.operator_stock import moment_of
from forebay.api.route import Needs, route
from forebay.domain.machines import discounts
from forebay.domain.machines.discounts import Wish


class NewDiscount(Input):
    """A discount; of all machines, or of an offer or a type of GPU alone."""

    percent: float | str
    """More than 0, at most 100, with at most two places behind the point."""
    reason: Words
    offer_id: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    gpu_type: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    starts_at: str | None = None
    """At once, if left out."""
    ends_at: str | None = None
    """The first second without it; if left out, it holds until it is ended."""


class DiscountEnd(Input):
    """The end of a discount before its time."""

    reason: Words
    ends_at: str | None = None
    """At least seven days from now, which it is if left out: what runs costs more from then on."""


class Discount(Wire):
    """A discount of a team."""

    id: str
    team_id: str
    percent: float
    offer_id: str | None
    gpu_type: str | None
    starts_at: str | None
    ends_at: str | None
    reason: str
    created_at: str | None


class DiscountSearch(Paged):
    """Of a team, or all."""

    team_id: Annotated[str, msgspec.Meta(max_length=40)] | None = None


class Discounts(Wire):
    """A page of them, newest first, past ones too."""

    discounts: list[Discount]
    total: int
    page: int
    limit: int
    total_pages: int


@route("GET", "/api/operator/discounts", needs=Needs.operator, query=DiscountSearch, answers=Discounts, writes=True)
def listed(call: Call, query: DiscountSearch) -> Discounts:
    """All discounts, past ones too, or those of a team."""
    look(call, "discounts")
    found, total = discounts.listed(call.connection, team_id=query.team_id, page=query.page, limit=query.limit)
    return Discounts(
        discounts=[to_discount(each) for each in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


@route(
    "POST",
    "/api/operator/teams/{team_id}/discounts",
    needs=Needs.operator,
    body=NewDiscount,
    answers=Discount,
    status=201,
    is_recent=True,
)
def give(call: Call, team_id: str, body: NewDiscount) -> Discount:
    """Give a team a discount. Owners and admins are told; what runs is cheaper from its first second.

    Where several hold, the highest counts. Disks and volumes are paid in full.
    """
    wish = Wish(
        basis_points=discounts.basis_points_of(body.percent),
        offer_id=body.offer_id,
        gpu_type=body.gpu_type,
        starts_at=None if body.starts_at is None else moment_of(body.starts_at, "startsAt"),
        ends_at=None if body.ends_at is None else moment_of(body.ends_at, "endsAt"),
    )
    given = discounts.give(call.connection, call.caller, known(team_id, "Team"), wish, reason=body.reason, now=call.now)
    call.nudge("prices")
    call.nudge("mails")
    return to_discount(given)


@route(
    "POST",
    "/api/operator/discounts/{discount_id}/end",
    needs=Needs.operator,
    body=DiscountEnd,
    answers=Discount,
    is_recent=True,
)
def end(call: Call, discount_id: str, body: DiscountEnd) -> Discount:
    """End a discount before its time, seven days from now at the earliest; owners and admins are told.

    One that hasn't begun ends at once. 409 where it ends by itself before that.
    """
    at = None if body.ends_at is None else moment_of(body.ends_at, "endsAt")
    ended = discounts.end(
        call.connection, call.caller, known(discount_id, "Discount"), at=at, reason=body.reason, now=call.now
    )
    call.nudge("mails")
    return to_discount(ended)


def to_discount(found: discounts.Discount) -> Discount:
    """A discount as operators see it."""
    return Discount(
        id=found.id,
        team_id=found.team_id,
        percent=found.basis_points / 100,
        offer_id=found.offer_id,
        gpu_type=found.gpu_type,
        starts_at=iso_at(found.starts_at),
        ends_at=iso_at(found.ends_at),
        reason=found.reason,
        created_at=iso_at(found.created_at),
    )
