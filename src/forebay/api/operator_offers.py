"""`/api/operator/offers`: offers and prices as operators set them, with what was said before, by whom and why."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso_at
from forebay.api.operator import look
from forebay.api.operator_shapes import Because, Words
from forebay.api.route import Needs, route
from forebay.domain.machines import offer_changes, offer_terms, offers_file, operator_offers, price_changes
from forebay.domain.machines.offer_terms import Terms
from forebay.domain.machines.price_changes import Change
from forebay.domain.money.amounts import to_dollars
from forebay.domain.people import activity_log
from forebay.domain.people.activity_log import Filter
from forebay.errors import BadRequest, NotFound

Text = Annotated[str, msgspec.Meta(max_length=500)]
Number = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Dollars = float | str
"""As text to be exact."""


class OfferTerms(Input):
    """What is said of an offer. What is left out stays as it is; null is said no more: the provider's own counts again.

    Prices are dollars an hour, to the micro-dollar. `memory` and `storage` in GB.
    """

    name: Text | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    region: Text | UnsetType | None = UNSET
    vcpus: Number | UnsetType | None = UNSET
    memory: Number | UnsetType | None = UNSET
    storage: Number | UnsetType | None = UNSET
    gpu_count: Number | UnsetType | None = UNSET
    gpu_type: Text | UnsetType | None = UNSET
    instance_type: Literal["DEDICATED", "SPOT"] | UnsetType | None = UNSET
    minimum_runtime_minutes: Number | UnsetType | None = UNSET
    interconnect_type: Text | UnsetType | None = UNSET
    interconnect_description: Text | UnsetType | None = UNSET
    price: Dollars | UnsetType | None = UNSET
    spot_price: Dollars | UnsetType | None = UNSET
    storage_price: Dollars | UnsetType | None = UNSET
    price_from: str | UnsetType | None = UNSET
    """When the prices begin to hold for new launches, like 2026-12-01T00:00:00Z; at once if left out."""


class NewOffer(OfferTerms, kw_only=True):
    """An offer of one's own shape, which the provider launches in one of its pools."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    """The offer's id as in the catalogue; it begins with the provider's name and a hyphen."""
    provider: Text
    pool: Text
    reason: Words


class ChangedOffer(OfferTerms, kw_only=True):
    """Other terms of an offer, and why."""

    reason: Words
    offered: bool | UnsetType = UNSET
    """True: a withdrawn offer is offered again. False: it is withdrawn."""


class PriceChange(Wire):
    """A change of a price; dollars an hour."""

    id: str
    offer_id: str
    kind: Literal["machine", "spot", "disk"]
    from_price: float
    to_price: float
    announced_at: str | None
    launches_at: str | None
    """New launches pay it from then; a cut reaches what runs then too."""
    running_at: str | None
    """What ran when it was announced pays it from then."""
    applied_at: str | None
    cancelled_at: str | None
    source: Literal["provider", "file", "api"]
    by: str | None
    """The id of who was signed in, or what is known of who had a shell."""
    reason: str


class OfferOfPlatform(Wire):
    """An offer as operators see it; dollars an hour, GB."""

    id: str
    provider: str
    pool: str
    name: str
    region: str
    instance_type: str
    vcpus: int
    memory: int
    storage: int
    gpu_type: str
    gpu_count: int
    price: float
    spot_price: float | None
    storage_price: float
    minimum_runtime_minutes: int
    listed: bool
    maintenance: bool
    free: int
    """Instances that could be launched now."""
    machines: int
    """Those that the provider has not confirmed to be gone."""
    said: dict[str, dict[str, Any]]
    """What operators say of it, by source: `api`, and `file`, which wins."""
    problem: str | None
    """Why it can't be offered as it was said."""


class OffersOfPlatform(Wire):
    """All offers, withdrawn ones too, and the prices that wait for their date."""

    offers: list[OfferOfPlatform]
    price_changes: list[PriceChange]


class OfferChange(Wire):
    """Something that was said of an offer."""

    at: str | None
    action: str
    by: str | None
    details: dict[str, Any]
    """By field what was said before and after, and the reason."""


class OfferHistory(Wire):
    """What was said of an offer, and what its prices were; newest first, at most 200 of each."""

    changes: list[OfferChange]
    price_changes: list[PriceChange]


@route("GET", "/api/operator/offers", needs=Needs.operator, answers=OffersOfPlatform, writes=True)
def listed(call: Call) -> OffersOfPlatform:
    """All offers with what operators say of them, and prices that wait for their date."""
    look(call, "offers")
    return OffersOfPlatform(
        offers=[to_offer(each) for each in operator_offers.listed(call.connection, now=call.now)],
        price_changes=[to_change(each) for each in price_changes.waiting(call.connection)],
    )


@route(
    "POST",
    "/api/operator/offers",
    needs=Needs.operator,
    body=NewOffer,
    answers=OfferOfPlatform,
    status=201,
    is_recent=True,
)
def create(call: Call, body: NewOffer) -> OfferOfPlatform:
    """Make an offer of one's own shape. What is left out is as in the other offers of the pool.

    409 where there is an offer of this id, or the offers file names it.
    """
    if offers_file.ID.fullmatch(body.id) is None:
        raise BadRequest("The offer's id is not usable.", details={"id": "[a-z0-9-], at most 80 characters"})
    said = {name: value for name, value in read_terms(body).items() if value is not None}
    named = {"provider": checked("provider", body.provider), "pool": checked("pool", body.pool)}
    terms = msgspec.structs.replace(Terms(), **said, **named)
    with wire_names():
        offer_changes.create(call.connection, call.caller, body.id, terms, reason=body.reason, now=call.now)
    return one(call, body.id)


@route(
    "PATCH",
    "/api/operator/offers/{offer_id}",
    needs=Needs.operator,
    body=ChangedOffer,
    answers=OfferOfPlatform,
    raises=(409,),
    is_recent=True,
)
def change(call: Call, offer_id: str, body: ChangedOffer) -> OfferOfPlatform:
    """Change an offer, a provider's or one's own.

    New launches pay a new price at once, or from `priceFrom`. A cut reaches everybody at that second; a rise reaches
    what runs after seven days, of which the teams with such machines are told by mail. 409 where the offers file names
    the offer: it is changed there.
    """
    said = read_terms(body)
    if body.offered is not UNSET:
        said["offered"] = None if body.offered else False
    with wire_names():
        offer_changes.change(call.connection, call.caller, offer_id, said, reason=body.reason, now=call.now)
    call.nudge("prices")
    return one(call, offer_id)


@route(
    "DELETE",
    "/api/operator/offers/{offer_id}",
    needs=Needs.operator,
    body=Because,
    answers=OfferOfPlatform,
    raises=(409,),
    is_recent=True,
)
def withdraw(call: Call, offer_id: str, body: Because) -> OfferOfPlatform:
    """Offer it no longer. What runs, runs on at its price."""
    offer_changes.withdraw(call.connection, call.caller, offer_id, reason=body.reason, now=call.now)
    return one(call, offer_id)


@route("GET", "/api/operator/offers/{offer_id}/history", needs=Needs.operator, answers=OfferHistory, writes=True)
def history(call: Call, offer_id: str) -> OfferHistory:
    """Who said what of an offer and why, and what its prices were."""
    offer_changes.provider_of(call.connection, offer_id)
    look(call, "offer", offer_id[:80])
    which = Filter(object_type="offer", object_id=offer_id[:80], action="offer.")
    rows = activity_log.of_platform(call.connection, which, limit=200)
    return OfferHistory(
        changes=[
            OfferChange(
                at=iso_at(row.at),
                action=row.action,
                by=row.email or (row.details or {}).get("by"),
                details=row.details or {},
            )
            for row in rows
        ],
        price_changes=[to_change(each) for each in price_changes.of_offer(call.connection, offer_id)],
    )


def read_terms(body: OfferTerms) -> dict[str, Any]:
    """What is said, by field of `Terms`, checked as the offers file is. Raises BadRequest."""
    said: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name in OfferTerms.__struct_fields__:
        value = getattr(body, name)
        if value is UNSET:
            continue
        try:
            said[offers_file.NAMES[name]] = None if value is None else offers_file.value_of(name, moment(name, value))
        except ValueError as reason:
            wrong[camel(name)] = str(reason)
    if wrong:
        raise BadRequest("The offer can't be as it was asked for.", details=wrong)
    return said


def moment(name: str, value: Any) -> Any:
    """A moment as one; everything else as it is. Raises ValueError."""
    if name != "price_from":
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a moment, like 2026-12-01T00:00:00Z") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def checked(name: str, value: str) -> str:
    """A text that is one line. Raises BadRequest."""
    try:
        return str(offers_file.value_of(name, value))
    except ValueError as reason:
        raise BadRequest("The offer can't be as it was asked for.", details={name: str(reason)}) from None


def camel(name: str) -> str:
    """The name of a field on the wire."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


@contextmanager
def wire_names() -> Iterator[None]:
    """Name the fields of a refusal as the wire does."""
    try:
        yield
    except BadRequest as error:
        error.details = {camel(offers_file.IN_FILE.get(field, field)): text for field, text in error.details.items()}
        raise


def one(call: Call, offer_id: str) -> OfferOfPlatform:
    """One offer. Raises NotFound."""
    for each in operator_offers.listed(call.connection, now=call.now, offer_id=offer_id):
        return to_offer(each)
    raise NotFound("Offer")


def to_offer(found: operator_offers.Seen) -> OfferOfPlatform:
    """An offer as operators see it."""
    offer = found.offer
    return OfferOfPlatform(
        id=offer.id,
        provider=offer.provider,
        pool=offer.pool_id,
        name=offer.name,
        region=offer.region,
        instance_type=offer.instance_type,
        vcpus=offer.vcpus,
        memory=offer.memory_gb,
        storage=offer.storage_gb,
        gpu_type=offer.gpu_type,
        gpu_count=offer.gpu_count,
        price=to_dollars(offer.rate_micros),
        spot_price=None if offer.spot_rate_micros is None else to_dollars(offer.spot_rate_micros),
        storage_price=to_dollars(offer.storage_rate_micros),
        minimum_runtime_minutes=offer.minimum_runtime_minutes,
        listed=found.is_listed,
        maintenance=offer.is_maintenance,
        free=found.free,
        machines=found.machines,
        said={each.source: said_of(each.terms) for each in found.said},
        problem=found.problem,
    )


def said_of(terms: offer_terms.Terms) -> dict[str, Any]:
    """What is said, as the file and the API name it."""
    said: dict[str, Any] = {}
    for field, value in terms.said().items():
        name = offers_file.IN_FILE[field]
        if isinstance(value, datetime):
            said[camel(name)] = iso_at(value)
        else:
            said[camel(name)] = to_dollars(value) if name in offers_file.DOLLARS else value
    return said


def to_change(change: Change) -> PriceChange:
    """A change of a price as operators see it."""
    return PriceChange(
        id=change.id,
        offer_id=change.offer_id,
        kind=change.kind,  # type: ignore[arg-type]
        from_price=to_dollars(change.from_micros),
        to_price=to_dollars(change.to_micros),
        announced_at=iso_at(change.announced_at),
        launches_at=iso_at(change.launches_at),
        running_at=iso_at(change.running_at),
        applied_at=iso_at(change.applied_at),
        cancelled_at=iso_at(change.cancelled_at),
        source=change.source,  # type: ignore[arg-type]
        by=change.user_id or change.said_by,
        reason=change.reason,
    )
