"""What a team pays for a machine: one function (`price_for`), asked by whoever shows, launches or charges.

The list price is the offer's, or its spot price for a machine that may be taken back; a change whose date has come
counts from its second on, also before it has been written to the offer. Off it goes the team's highest discount.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import discounts
from forebay.domain.machines.discounts import Discount
from forebay.domain.machines.offers import SPOT, Offer
from forebay.domain.money.amounts import discounted_micros
from forebay.storage.prepared import Prepared
from forebay.storage.tables import price_changes

FIELDS: Mapping[str, str] = {"machine": "rate_micros", "spot": "spot_rate_micros", "disk": "storage_rate_micros"}
"""What each kind of price is called in an offer: of the machine, of it as SPOT, of its disk while it is stopped."""
DUE = Prepared(
    sa.select(price_changes.c.offer_id, price_changes.c.kind, price_changes.c.to_micros)
    .where(
        price_changes.c.applied_at.is_(None),
        price_changes.c.cancelled_at.is_(None),
        price_changes.c.launches_at <= sa.bindparam("now", type_=sa.BigInteger()),
    )
    .order_by(price_changes.c.launches_at, price_changes.c.id)
)


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-dollars an hour."""

    list_rate_micros: int
    """Before the discount."""
    rate_micros: int
    """What the team pays while the machine runs."""
    discount_basis_points: int
    storage_rate_micros: int
    """What it pays for the disk while the machine is stopped."""


def price_for(connection: Connection, team_id: str, offer: Offer, instance_type: str, *, now: datetime) -> Price:
    """What a launch of the offer by the team costs now."""
    [offer] = as_of(connection, [offer], now)
    return price(offer, instance_type, discounts.of_team(connection, team_id), now)


def price(offer: Offer, instance_type: str, given: Sequence[Discount], now: datetime) -> Price:
    """The same, with what is known already."""
    list_rate_micros = list_rate(offer, instance_type)
    basis_points = discounts.best(given, offer.id, offer.gpu_type, now)
    return Price(
        list_rate_micros=list_rate_micros,
        rate_micros=discounted_micros(list_rate_micros, basis_points),
        discount_basis_points=basis_points,
        storage_rate_micros=offer.storage_rate_micros,
    )


def list_rate(offer: Offer, instance_type: str) -> int:
    """The offer's price for a machine of this type, before any discount."""
    if instance_type == SPOT and offer.spot_rate_micros is not None:
        return offer.spot_rate_micros
    return offer.rate_micros


def as_of(connection: Connection, found: Sequence[Offer], now: datetime) -> list[Offer]:
    """Offers with the prices that hold now: changes whose date has come count, though they aren't written yet."""
    due = DUE(connection, now=int(now.timestamp()))
    if not due:
        return list(found)
    changed: dict[str, dict[str, int]] = {}
    for offer_id, kind, to_micros in due:
        changed.setdefault(offer_id, {})[FIELDS[kind]] = to_micros
    return [msgspec.structs.replace(offer, **changed.get(offer.id, {})) for offer in found]
