"""The catalogue: offers in groups of one type of GPU, with what each costs a team and how many can be launched now."""

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import discounts, offers, prices
from forebay.domain.machines.offers import SPOT, Offer
from forebay.domain.machines.prices import Price
from forebay.storage.prepared import Prepared
from forebay.storage.tables import deployments


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as somebody sees it: launched as it stands here, it costs what stands here."""

    offer: Offer
    price: Price
    spot_price: Price | None
    """Of a machine that may be taken back, where it can be launched so."""
    free: int
    """Instances that can be launched now, if nothing else is."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Offers of one type of GPU."""

    gpu_type: str
    gpu_model: str
    listings: list[Listing]
    popularity: int

    @property
    def rates(self) -> list[int]:
        """Micro-dollars an hour of its offers."""
        return [listing.price.rate_micros for listing in self.listings]

    @property
    def average_micros(self) -> int:
        """The mean rate, rounded to a micro-dollar."""
        return sum(self.rates) // len(self.rates)

    @property
    def total_available(self) -> int:
        """Instances that can be launched now, if nothing else is."""
        return sum(listing.free for listing in self.listings)


LAUNCHED = Prepared(sa.select(deployments.c.gpu_type, sa.func.count()).group_by(deployments.c.gpu_type))
ORDERS = ("popularity", "lowestPrice", "highestPrice", "averagePrice")


def catalogue(
    connection: Connection,
    *,
    now: datetime,
    team_id: str | None = None,
    search: str = "",
    instance_type: str | None = None,
    sort_by: str = "popularity",
    descending: bool = False,
    every: Sequence[Listing] | None = None,
) -> Sequence[Group]:
    """The groups that have an offer matching the filters, and of each only those offers, at the team's prices.

    `popularity` is a rank: 1 for the type that was launched most in its time, so ascending order starts with it.
    `every`, what `listings` found, spares looking again.
    """
    every = listings(connection, team_id, now) if every is None else every
    found = [listing for listing in every if matches(listing.offer, search, instance_type)]
    if instance_type == SPOT:
        found = sorted(map(as_spot, found), key=cheapest)
    by_type: dict[str, list[Listing]] = defaultdict(list)
    for listing in found:
        by_type[listing.offer.gpu_type].append(listing)
    launched = {str(gpu_type): int(count) for gpu_type, count in LAUNCHED(connection)}
    ranked = sorted(by_type, key=lambda gpu_type: (-launched.get(gpu_type, 0), gpu_type))
    groups = [
        Group(
            gpu_type=gpu_type,
            gpu_model=by_type[gpu_type][0].offer.gpu_model,
            listings=by_type[gpu_type],
            popularity=rank,
        )
        for rank, gpu_type in enumerate(ranked, start=1)
    ]
    keys = {
        "popularity": lambda group: group.popularity,
        "lowestPrice": lambda group: min(group.rates),
        "highestPrice": lambda group: max(group.rates),
        "averagePrice": lambda group: group.average_micros,
    }
    return sorted(groups, key=keys[sort_by], reverse=descending)


def matches(offer: Offer, search: str, instance_type: str | None) -> bool:
    """Whether an offer passes the filters."""
    text = f"{offer.gpu_type} {offer.gpu_model} {offer.name} {offer.provider} {offer.region}".casefold()
    return (instance_type is None or offer.is_offered_as(instance_type)) and search.casefold() in text


def listings(connection: Connection, team_id: str | None, now: datetime) -> list[Listing]:
    """All offers that are on the list as the team sees them, the cheapest first."""
    found = offers.listed(connection)
    given = [] if team_id is None else discounts.of_team(connection, team_id)
    free = offers.free(connection, found)
    seen = [
        Listing(
            offer=offer,
            price=prices.price(offer, offer.instance_type, given, now),
            spot_price=prices.price(offer, SPOT, given, now) if offer.is_offered_as(SPOT) else None,
            free=free[offer.id],
        )
        for offer in prices.as_of(connection, found, now)
    ]
    return sorted(seen, key=cheapest)


def cheapest(listing: Listing) -> tuple[int, str]:
    """By this they are sorted."""
    return listing.price.rate_micros, listing.offer.id


def as_spot(listing: Listing) -> Listing:
    """An offer as it is launched as SPOT."""
    offer = msgspec.structs.replace(listing.offer, instance_type=SPOT)
    return msgspec.structs.replace(listing, offer=offer, price=listing.spot_price or listing.price)


def page_count(total: int, limit: int) -> int:
    """How many pages of `limit` there are."""
    return math.ceil(total / limit)
