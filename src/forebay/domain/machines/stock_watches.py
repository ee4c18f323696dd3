"""Watched offers: whoever waits for one is told when there is room for it again.

A watch is a person's; one for a team tells the team's webhooks too. It is told of once, when an offer that was out has
room, and ends with that. A lasting one goes on, and is told of once an hour at most.
"""

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import offers
from forebay.domain.machines.offers import Offer
from forebay.domain.money.amounts import as_dollars, to_dollars
from forebay.domain.people import activity, notifications
from forebay.domain.people.access import Caller
from forebay.domain.people.letters import plain
from forebay.domain.people.notification_kinds import Kind
from forebay.errors import Conflict, NotFound
from forebay.storage.database import upsert_insert
from forebay.storage.rows import values_of
from forebay.storage.tables import offers as offer_rows
from forebay.storage.tables import stock_watches, teams

MOST_WATCHES = 50
"""Of one person."""
BETWEEN = timedelta(hours=1)


class TooManyWatches(Conflict):
    """The person watches as many offers as they may."""

    code = "TOO_MANY_WATCHES"


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody waits for an offer."""

    offer_id: str
    user_id: str
    for_team: str
    """Empty: for the person alone."""
    is_lasting: bool
    is_out: bool
    told_at: datetime | None
    created_at: datetime


COLUMNS = [stock_watches.c[name] for name in Watch.__struct_fields__]


def is_mine(offer_id: str, user_id: str, for_team: str) -> sa.ColumnElement[bool]:
    """SQL: whether a row is this watch."""
    return sa.and_(
        stock_watches.c.offer_id == offer_id,
        stock_watches.c.user_id == user_id,
        stock_watches.c.for_team == for_team,
    )


def free(connection: Connection, offer: Offer) -> int:
    """How many instances of it can be launched now."""
    return offers.in_stock(connection, offer)


def watch(
    connection: Connection, caller: Caller, offer_id: str, *, for_team: str, is_lasting: bool, now: datetime
) -> Watch:
    """Begin to watch, or change whether it lasts. Raises NotFound, TooManyWatches."""
    offer = offers.find(connection, offer_id)
    if offer is None:
        raise NotFound("Offer")
    others = sa.select(sa.func.count()).select_from(stock_watches)
    others = others.where(
        stock_watches.c.user_id == caller.user_id, sa.not_(is_mine(offer_id, caller.user_id, for_team))
    )
    if connection.execute(others).scalar_one() >= MOST_WATCHES:
        raise TooManyWatches(f"You watch {MOST_WATCHES} offers already: end a watch that isn't needed.")
    values = {"is_lasting": is_lasting, "is_out": free(connection, offer) == 0}
    insert = upsert_insert(connection, stock_watches).values(
        offer_id=offer_id, user_id=caller.user_id, for_team=for_team, created_at=now, **values
    )
    connection.execute(insert.on_conflict_do_update(index_elements=["offer_id", "user_id", "for_team"], set_=values))
    record(connection, caller, "watch", offer_id, for_team, now=now)
    row = connection.execute(sa.select(*COLUMNS).where(is_mine(offer_id, caller.user_id, for_team))).one()
    return Watch(**row._mapping)


def end(connection: Connection, caller: Caller, offer_id: str, *, for_team: str, now: datetime) -> None:
    """Watch it no more. Raises NotFound."""
    ended = connection.execute(sa.delete(stock_watches).where(is_mine(offer_id, caller.user_id, for_team)))
    if ended.rowcount == 0:
        raise NotFound("Watch")
    record(connection, caller, "unwatch", offer_id, for_team, now=now)


def of_person(connection: Connection, user_id: str) -> list[Watch]:
    """What the person watches, oldest first."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(stock_watches.c.user_id == user_id)
        .order_by(stock_watches.c.created_at, stock_watches.c.offer_id, stock_watches.c.for_team)
    )
    return values_of(Watch, rows)


def record(connection: Connection, caller: Caller, verb: str, offer_id: str, for_team: str, *, now: datetime) -> None:
    """A row in the activity, of the team where it is the team's."""
    activity.record(
        connection,
        caller,
        f"offer.{verb}",
        now=now,
        team_id=for_team or None,
        object_type="offer",
        object_id=offer_id[:80],
    )


def are_any(connection: Connection) -> bool:
    """Whether anybody watches anything."""
    return connection.execute(sa.select(stock_watches.c.offer_id).limit(1)).first() is not None


def look(connection: Connection, *, now: datetime) -> int:
    """Tell whoever waits for an offer that has room again; how many. Then nudge `notifications`."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .order_by(stock_watches.c.offer_id, stock_watches.c.user_id, stock_watches.c.for_team)
        .with_for_update()
    ).all()
    watches = [Watch(**row._mapping) for row in rows]
    wanted = {each.offer_id for each in watches}
    listed = {
        row.id: Offer(**{name: row._mapping[name] for name in Offer.__struct_fields__})
        for row in connection.execute(
            sa.select(*offers.COLUMNS).where(offer_rows.c.is_listed, offer_rows.c.id.in_(wanted))
        )
    }
    in_stock = offers.free(connection, list(listed.values()))
    told = 0
    for each in watches:
        offer = listed.get(each.offer_id)
        count = in_stock.get(each.offer_id, 0)
        mine = is_mine(each.offer_id, each.user_id, each.for_team)
        if count == 0 and not each.is_out:
            connection.execute(sa.update(stock_watches).where(mine).values(is_out=True))
        elif count and offer and each.is_out and (each.told_at is None or each.told_at + BETWEEN <= now):
            tell(connection, each, offer, count, now=now)
            told += 1
            if each.is_lasting:
                connection.execute(sa.update(stock_watches).where(mine).values(is_out=False, told_at=now))
            else:
                connection.execute(sa.delete(stock_watches).where(mine))
    return told


def tell(connection: Connection, found: Watch, offer: Offer, count: int, *, now: datetime) -> None:
    """The person by mail, and where it is a team's its webhooks."""
    name = plain(offer.name)
    whose = ""
    if found.for_team:
        team = connection.execute(sa.select(teams.c.name).where(teams.c.id == found.for_team)).scalar_one()
        whose = f"{plain(team)}: "
    once = (
        "You are told again the next time." if found.is_lasting else "You watch it no more: watch it again if you like."
    )
    notifications.tell(
        connection,
        Kind.offer_in_stock,
        f"{whose}{name} is in stock again",
        [
            f"{name} ({offer.id}) in {offer.region} is in stock again, at {as_dollars(offer.rate_micros)} an hour. "
            f"{count} can be launched now; nothing is kept for you.",
            once,
        ],
        team_id=found.for_team or None,
        user_id=found.user_id,
        details={
            "offer": {
                "offerId": offer.id,
                "name": offer.name,
                "provider": offer.provider,
                "gpuType": offer.gpu_type,
                "gpuCount": offer.gpu_count,
                "region": offer.region,
                "price": to_dollars(offer.rate_micros),
                "free": count,
            }
        },
        now=now,
    )
