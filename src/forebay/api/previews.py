"""`POST /api/deployments/preview`: what a launch would come to, and all that would refuse it, without launching."""

from typing import Any

from forebay.api.call import Call
from forebay.api.deployment_shapes import NewDeployment
from forebay.api.deployments import limits, order_of, refuse_later
from forebay.api.envelope import Wire, iso, iso_at
from forebay.api.route import route
from forebay.domain.machines import orders, previews
from forebay.domain.machines.orders import Refusal
from forebay.domain.machines.previews import Preview
from forebay.domain.money.amounts import to_dollars
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest

HOURS_A_DAY, HOURS_A_MONTH = 24, 730


class Price(Wire):
    """What something costs, in dollars; a month has 730 hours."""

    per_hour: float
    per_day: float
    per_month: float


class LaunchWarning(Wire):
    """What one may want to know before launching."""

    code: str
    message: str


class LaunchRefusal(Wire):
    """Why the launch would be refused now: `error`, `code` and `details` as it would say them."""

    code: str
    error: str
    details: dict[str, Any]
    who_can: list[str]
    """Who can do something about it: roles in the team, or `operator`; empty: nobody but time."""


class LaunchPreview(Wire):
    """What a launch would come to at this moment. Amounts in dollars.

    What depends on the offer is null or 0 where there is no such offer.
    """

    can_launch: bool
    """Whether nothing would refuse it."""
    refusals: list[LaunchRefusal]
    """All of them, in the order in which a launch would come upon them."""
    warnings: list[LaunchWarning]
    provider: str | None
    offer_id: str | None
    in_stock: int
    """How many such machines fit now."""
    cost: Price
    """As this team pays it."""
    original_cost: Price
    """Before any discount."""
    has_discount: bool
    discount_percentage: float
    storage_cost: Price
    """Of its disk, while the machine is stopped."""
    volumes_cost: Price
    """Of the volumes in `volumeIds`, with this machine or without: it is in `burnPerHour` already."""
    hold: float
    """What would be set aside at the launch, and is used up first."""
    balance: float
    available: float
    """What a launch may count on now: the balance less what is held."""
    available_after: float
    """What the hold would leave of it."""
    burn_per_hour: float
    """What everything costs an hour that the team has running now."""
    burn_per_hour_after: float
    runway_seconds: int | None
    """How long the balance would last with this machine beside all the others; null when nothing would burn."""
    runway: str
    """The same in words."""
    minimum_runtime_minutes: int
    minimum_cost: float
    """What the minimum runtime costs: the least that a launch comes to."""
    first_terminable_at: str | None
    """When it could be terminated, if it ran from now on."""
    ends_at: str | None
    """When it would be terminated by `terminateAt` or `maxCost`, if it ran from now on."""


def priced(rate_micros: int) -> Price:
    """A rate an hour over the usual stretches."""
    return Price(
        per_hour=to_dollars(rate_micros),
        per_day=to_dollars(rate_micros * HOURS_A_DAY),
        per_month=to_dollars(rate_micros * HOURS_A_MONTH),
    )


@route(
    "POST",
    "/api/deployments/preview",
    needs=Permission.launch,
    target=Target.team,
    target_from="body:teamId",
    body=NewDeployment,
    answers=LaunchPreview,
    writes=False,
)
def preview(call: Call, body: NewDeployment) -> LaunchPreview:
    """Say what a launch would come to, without launching.

    The body is that of `POST /api/deployments`. The answer has what it would cost, hold and leave, how long the credits
    would last, and everything that would refuse it now. Nothing is written, and it doesn't count as a launch.
    """
    refused = []
    try:
        refuse_later(body)
    except BadRequest as error:
        refused.append(orders.refusal(error, []))
    found = previews.preview(call.connection, call.team, order_of(body), limits(call), now=call.now)
    return to_wire(found, [*refused, *found.refusals])


def to_wire(found: Preview, refusals: list[Refusal]) -> LaunchPreview:
    """A preview as clients see it."""
    offer, original = found.offer, found.original_rate_micros
    terminable = found.first_terminable_at
    return LaunchPreview(
        can_launch=not refusals,
        refusals=[
            LaunchRefusal(code=each.code, error=each.sentence, details=dict(each.details), who_can=each.who_can)
            for each in refusals
        ],
        warnings=[LaunchWarning(code=each.code, message=each.sentence) for each in found.warnings],
        provider=None if offer is None else offer.provider,
        offer_id=None if offer is None else offer.id,
        in_stock=found.in_stock,
        cost=priced(found.rate_micros),
        original_cost=priced(original),
        has_discount=found.rate_micros < original,
        discount_percentage=round(100 * (original - found.rate_micros) / original, 2) if original else 0.0,
        storage_cost=priced(0 if offer is None else offer.storage_rate_micros),
        volumes_cost=priced(found.volumes_rate_micros),
        hold=to_dollars(found.hold_micros),
        balance=to_dollars(found.before.balance_micros),
        available=to_dollars(found.before.available_micros),
        available_after=to_dollars(found.after.available_micros),
        burn_per_hour=to_dollars(found.before.burn_micros_per_hour),
        burn_per_hour_after=to_dollars(found.after.burn_micros_per_hour),
        runway_seconds=found.after.runway_seconds,
        runway=found.after.runway,
        minimum_runtime_minutes=0 if offer is None else offer.minimum_runtime_minutes,
        minimum_cost=to_dollars(found.minimum_micros),
        first_terminable_at=iso_at(terminable),
        ends_at=None if found.end is None else iso(int(found.end.at.timestamp())),
    )
