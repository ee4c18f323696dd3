"""Offers as operators see them: withdrawn ones too, with what was said of each and how many machines there are."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import offers, prices, restrictions
from forebay.domain.machines.listed_offers import SOURCES
from forebay.domain.machines.offer_terms import Said, of_source
from forebay.domain.machines.offers import COLUMNS, Offer
from forebay.storage import tables


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An offer, and what is said of it by the API and by the file, which wins."""

    offer: Offer
    is_listed: bool
    free: int
    machines: int
    said: Sequence[Said]
    problem: str | None


def listed(connection: Connection, *, now: datetime, offer_id: str | None = None) -> Sequence[Seen]:
    """All offers there ever were, by id; or one."""
    where = [] if offer_id is None else [tables.offers.c.id == offer_id]
    rows = connection.execute(sa.select(tables.offers).where(*where).order_by(tables.offers.c.id)).all()
    found = [Offer(**{column.name: row._mapping[column.name] for column in COLUMNS}) for row in rows]
    free, standing = offers.free(connection, found), restrictions.listed(connection)
    there = offers.taken_by(connection)
    said = {source: of_source(connection, source) for source in SOURCES}
    is_listed = {row.id: bool(row.is_listed) for row in rows}
    seen = []
    for offer in prices.as_of(connection, found, now):
        parts = [said[source][offer.id] for source in SOURCES if offer.id in said[source]]
        is_held_back = restrictions.maintenance_of(standing, offers.concerned(offer)) is not None
        seen.append(
            Seen(
                offer=msgspec.structs.replace(offer, is_maintenance=offer.is_maintenance or is_held_back),
                is_listed=is_listed[offer.id],
                free=free[offer.id] if is_listed[offer.id] else 0,
                machines=there.get(("offer", offer.id), 0),
                said=parts,
                problem=next((part.problem for part in parts if part.problem is not None), None),
            )
        )
    return seen
