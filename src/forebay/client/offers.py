"""Offers: what can be launched, in groups of one type of GPU, and who provides it. Money in dollars an hour."""

from typing import Any

import msgspec

from forebay.client.request import Answer, Page, Request, given


class Offer(Answer):
    """One kind of machine; `memory`, `storage` and `gpu_memory` in GB.

    `price` is what the team pays; with a discount `original_price` is the price before it.
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
    """What it costs launched as SPOT, where it can be."""
    original_price: float | None = None
    discounted_price: float | None = None
    discount_percentage: float | None = None
    has_discount: bool | None = None


class OfferGroup(Answer):
    """Offers of one type of GPU."""

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


class OfferPage(Page):
    """A page of groups."""

    data: list[OfferGroup]


def listed(
    *,
    search: str | None = None,
    sort_by: str | None = None,
    sort_order: str | None = None,
    instance_type: str | None = None,
    team_id: str | None = None,
    page: int | None = None,
    limit: int | None = None,
) -> Request[OfferPage]:
    """What can be launched."""
    query = given(
        search=search,
        sortBy=sort_by,
        sortOrder=sort_order,
        instanceType=instance_type,
        teamId=team_id,
        page=page,
        limit=limit,
    )
    return Request(method="GET", path="/api/gpu-offers", query=query, answers=OfferPage, is_open=True)


def providers() -> Request[list[str]]:
    """The names of the providers."""
    return Request(method="GET", path="/api/providers", answers=list[str], is_open=True)
