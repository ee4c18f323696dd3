"""`/api/gpu-offers`: what can be launched, in groups of one type of GPU."""

from typing import Annotated, Any, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire
from forebay.api.route import Needs, route
from forebay.domain.machines import catalogue
from forebay.domain.machines.catalogue import Group, Listing
from forebay.domain.people import teams
from forebay.errors import NotFound

NO_PAUSE = "This provider can't stop a machine and keep its disk."


class OfferSearch(Input):
    """Which groups, and in which order; `limit` counts groups."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    search: Annotated[str, msgspec.Meta(max_length=200)] = ""
    sort_by: Literal["popularity", "lowestPrice", "highestPrice", "averagePrice"] = "popularity"
    sort_order: Literal["asc", "desc"] = "asc"
    instance_type: Literal["SPOT", "DEDICATED", "CLUSTER"] | None = None
    team_id: str | None = None
    """Whose prices are shown, for who is signed in or has a key; else those of the current team."""


class Offer(Wire, omit_defaults=True):
    """Something that can be launched.

    `memory`, `storage`, `gpu_memory` in GB; `price` in dollars an hour for all of it, as the team pays it. With a
    discount `originalPrice` is the price before it, and `discountedPrice` the same as `price`. `spot_price` is what it
    costs launched as SPOT, which may be taken back with notice.
    """

    provider: str
    offer_id: str
    name: str
    description: str
    vcpus: int
    memory: int
    storage: int
    gpu_count: int
    price: float
    available: bool
    clusters: list[str]
    region: str
    gpu_memory: int = msgspec.field(name="gpu_memory")
    os_options: list[str] = msgspec.field(name="os_options")
    maintenance: bool
    interconnect_type: str
    interconnect_description: str
    instance_type: str
    supports_cloud_init: bool
    minimum_runtime_minutes: int
    supports_pause: bool
    pause_unsupported_reason: str | None
    extras: dict[str, Any]
    spot_price: float | None = msgspec.field(name="spot_price", default=None)
    original_price: float | None = None
    discounted_price: float | None = None
    discount_percentage: float | None = None
    has_discount: bool | None = None


class OfferGroup(Wire):
    """Offers of one type of GPU; prices in dollars an hour."""

    gpu_type: str
    gpu_model: str
    base_gpu_type: str
    interconnect_variants: list[str]
    has_multiple_variants: bool
    display_name: str
    popularity: int
    total_available: int
    lowest_price: float
    highest_price: float
    average_price: float
    providers: list[str]
    offers: list[Offer]


class OfferPage(Wire):
    """A page of groups."""

    data: list[OfferGroup]
    total: int
    page: int
    limit: int
    total_pages: int


def to_offer(listing: Listing) -> Offer:
    """An offer as clients see it."""
    offer, price, spot_price = listing.offer, listing.price, listing.spot_price
    has_discount = price.discount_basis_points > 0
    return Offer(
        provider=offer.provider,
        offer_id=offer.id,
        name=offer.name,
        description=offer.description,
        vcpus=offer.vcpus,
        memory=offer.memory_gb,
        storage=offer.storage_gb,
        gpu_count=offer.gpu_count,
        price=price.rate_micros / 1_000_000,
        available=listing.free > 0,
        clusters=[offer.region],
        region=offer.region,
        gpu_memory=offer.gpu_memory_gb,
        os_options=offer.os_options,
        maintenance=offer.is_maintenance,
        interconnect_type=offer.interconnect_type,
        interconnect_description=offer.interconnect_description,
        instance_type=offer.instance_type,
        supports_cloud_init=offer.supports_cloud_init,
        minimum_runtime_minutes=offer.minimum_runtime_minutes,
        supports_pause=offer.supports_pause,
        pause_unsupported_reason=None if offer.supports_pause else NO_PAUSE,
        extras={
            "deployment_type": "container" if offer.provider == "local" else "vm",
            "nvlink": "nvlink" in offer.interconnect_type.lower(),
            "simulated": offer.is_simulated,
            "free": listing.free,
        },
        spot_price=None if spot_price is None else spot_price.rate_micros / 1_000_000,
        original_price=price.list_rate_micros / 1_000_000 if has_discount else None,
        discounted_price=price.rate_micros / 1_000_000 if has_discount else None,
        discount_percentage=price.discount_basis_points / 100 if has_discount else None,
        has_discount=has_discount or None,
    )


def to_group(group: Group) -> OfferGroup:
    """A group as clients see it."""
    variants = sorted({each.offer.interconnect_type for each in group.listings if each.offer.interconnect_type})
    return OfferGroup(
        gpu_type=group.gpu_type,
        gpu_model=group.gpu_model,
        base_gpu_type=group.gpu_type,
        interconnect_variants=variants,
        has_multiple_variants=len(variants) > 1,
        display_name=group.gpu_model or group.gpu_type,
        popularity=group.popularity,
        total_available=group.total_available,
        lowest_price=min(group.rates) / 1_000_000,
        highest_price=max(group.rates) / 1_000_000,
        average_price=group.average_micros / 1_000_000,
        providers=sorted({each.offer.provider for each in group.listings}),
        offers=[to_offer(each) for each in group.listings],
    )


def team_of(call: Call, wanted_id: str | None) -> str | None:
    """The team whose prices are shown; None for who is nobody here. Raises NotFound for a team of others."""
    if call.person is None:
        return None
    team_id = wanted_id or call.person.current_team_id
    if team_id is None:
        return None
    if call.person.reaches(team_id) and teams.is_member(call.connection, team_id, call.person.user_id):
        return team_id
    if wanted_id is not None:
        raise NotFound("Team")
    return None


@route("GET", "/api/gpu-offers", needs=Needs.nothing, query=OfferSearch, answers=OfferPage, raises=(404,))
def search(call: Call, query: OfferSearch) -> OfferPage:
    """What can be launched, and whether there is room for it now.

    `gpuCount` 0 is a machine without a GPU. `instanceType` filters the groups and the offers in them; an offer that can
    be launched as SPOT too is shown as that, at its spot price, where SPOT is asked for. Who comes with a key or a
    session sees the prices of their team, discounts included.
    """
    found = catalogue.catalogue(
        call.connection,
        now=call.now,
        team_id=team_of(call, query.team_id),
        search=query.search,
        instance_type=query.instance_type,
        sort_by=query.sort_by,
        descending=query.sort_order == "desc",
    )
    first = (query.page - 1) * query.limit
    return OfferPage(
        data=[to_group(group) for group in found[first : first + query.limit]],
        total=len(found),
        page=query.page,
        limit=query.limit,
        total_pages=catalogue.page_count(len(found), query.limit),
    )
