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
) -> Sequence[Group]:
    """The groups that have an offer matching the filters, and of each only those offers, at the team's prices.

    `popularity` is a rank: 1 for the type that was launched most in its time, so ascending order starts with it.
    """
    found = [offer for offer in offers.listed(connection) if matches(offer, search, instance_type)]
    by_type: dict[str, list[Listing]] = defaultdict(list)
    for listing in listings(connection, found, team_id, instance_type, now):
        by_type[listing.offer.gpu_type].append(listing)
    counts = connection.execute(
        sa.select(deployments.c.gpu_type, sa.func.count()).group_by(deployments.c.gpu_type)
    ).all()
    launched = {str(gpu_type): int(count) for gpu_type, count in counts}
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


def listings(
    connection: Connection, found: Sequence[Offer], team_id: str | None, instance_type: str | None, now: datetime
) -> list[Listing]:
    """These offers as the team sees them, the cheapest first. Asked for as SPOT they are shown as that."""
    given = [] if team_id is None else discounts.of_team(connection, team_id)
    free = offers.free(connection, found)
    seen = []
    for offer in prices.as_of(connection, found, now):
        is_spot = SPOT in (offer.instance_type, instance_type)
        spot_price = prices.price(offer, SPOT, given, now) if is_spot or offer.is_offered_as(SPOT) else None
        seen.append(
            Listing(
                offer=msgspec.structs.replace(offer, instance_type=SPOT) if is_spot else offer,
                price=spot_price if is_spot and spot_price else prices.price(offer, offer.instance_type, given, now),
                spot_price=spot_price,
                free=free[offer.id],
            )
        )
    return sorted(seen, key=lambda listing: (listing.price.rate_micros, listing.offer.id))


def page_count(total: int, limit: int) -> int:
    """How many pages of `limit` there are."""
    return math.ceil(total / limit)
