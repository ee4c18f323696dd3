"""The catalogue: what can be launched, at the team's prices, as cards or as a table."""

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import catalogue
from forebay.domain.machines.catalogue import Group, Listing
from forebay.domain.money.amounts import MICROS_PER_DOLLAR
from forebay.domain.people.roles import Permission, who_has
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page
from forebay.web.launch_templates import with_standings
from forebay.web.visits import Visit

SORTS = {
    "popularity": "Most launched first",
    "lowestPrice": "Price, lowest first",
    "-highestPrice": "Price, highest first",
}
MOST_TEMPLATES = 5
"""That stand above the offers; the others are on a page of their own."""
VIEWS = ("cards", "table")
COUNTS = ("0", "1", "2", "4", "8")
MEMORIES = ("16", "24", "40", "48", "80", "141")


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; empty: all of it."""

    search: str
    gpu_count: str
    gpu_memory: str
    region: str
    provider: str
    instance_type: str
    most: str
    """Dollars an hour."""
    available: str
    sort: str
    view: str

    def passes(self, listing: Listing) -> bool:
        """Whether an offer is among what was asked for."""
        offer = listing.offer
        checks: tuple[tuple[str, Callable[[], bool]], ...] = (
            (self.gpu_count, lambda: offer.gpu_count == int(self.gpu_count)),
            (self.gpu_memory, lambda: offer.gpu_memory_gb >= int(self.gpu_memory)),
            (self.region, lambda: offer.region == self.region),
            (self.provider, lambda: offer.provider == self.provider),
            (self.available, lambda: listing.free > 0),
            (self.most, lambda: listing.price.rate_micros <= int(Decimal(self.most) * MICROS_PER_DOLLAR)),
        )
        return all(check() for asked, check in checks if asked)


def filters_of(query: dict[str, str]) -> Filters:
    """The filters in an address; what is none of those that there are asks for nothing."""
    most = query.get("most", "").strip().lstrip("$")[:12]
    try:
        is_amount = Decimal(most).is_finite() and 0 <= Decimal(most) <= 1_000_000
    except InvalidOperation:
        is_amount = False
    return Filters(
        search=query.get("search", "").strip()[:100],
        gpu_count=one_of(query.get("gpuCount", ""), COUNTS),
        gpu_memory=one_of(query.get("gpuMemory", ""), MEMORIES),
        region=query.get("region", "")[:60],
        provider=query.get("provider", "")[:40],
        instance_type=one_of(query.get("instanceType", ""), ("SPOT", "DEDICATED", "CLUSTER")),
        most=most if is_amount else "",
        available=one_of(query.get("available", ""), ("yes",)),
        sort=one_of(query.get("sort", ""), tuple(SORTS)) or "popularity",
        view=one_of(query.get("view", ""), VIEWS) or "cards",
    )


def one_of(text: str, known: Sequence[str]) -> str:
    """The text if it is known, else empty."""
    return text if text in known else ""


class OfferPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard

    def handlers(self) -> list[HTTPRouteHandler]:
        """The one: everybody in the team may look."""
        return [self.dashboard.page("GET", "/deploy", self.show)]

    def show(self, visit: Visit) -> Page:
        """The offers that pass the filters, in groups of one type of GPU."""
        filters = filters_of(visit.query)
        with self.dashboard.read() as connection:
            all_of_them = catalogue.listings(connection, visit.context.team_id, visit.now)
            found = catalogue.catalogue(
                connection,
                every=all_of_them,
                now=visit.now,
                team_id=visit.context.team_id,
                search=filters.search,
                instance_type=filters.instance_type or None,
                sort_by=filters.sort.lstrip("-"),
                descending=filters.sort.startswith("-"),
            )
            every = [listing.offer for group in found for listing in group.listings]
            values: dict[str, Any] = {
                "groups": passing(found, filters),
                "filters": filters,
                "sorts": SORTS,
                "regions": sorted({offer.region for offer in every} | ({filters.region} - {""})),
                "providers": sorted({offer.provider for offer in every} | ({filters.provider} - {""})),
                "counts": COUNTS,
                "memories": MEMORIES,
                "is_filtered": bool(set(visit.query) - {"view", "sort"}),
                "who_launches": who_has(Permission.launch),
                "most_templates": MOST_TEMPLATES,
                **with_standings(connection, visit, all_of_them),
            }
            return self.dashboard.show(visit, connection, "offers.html", **values)


def passing(groups: Sequence[Group], filters: Filters) -> list[tuple[Group, list[Listing]]]:
    """Groups with those of their offers that pass."""
    kept = [(group, [listing for listing in group.listings if filters.passes(listing)]) for group in groups]
    return [(group, listings) for group, listings in kept if listings]
