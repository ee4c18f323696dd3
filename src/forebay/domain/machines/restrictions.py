"""What operators hold back: so many machines of an offer or a pool at most, and no launches during maintenance.

Machines run on, whatever is held back; stopped ones start again, because their room is theirs. Maintenance of an offer,
a pool, a region or a provider lasts until it is ended: the day it is expected to be over is for people to read.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import operators
from forebay.domain.people.access import Caller
from forebay.errors import BadRequest, NotFound
from forebay.storage.database import upsert_insert
from forebay.storage.prepared import PreparedValues
from forebay.storage.tables import offers, pools, restrictions

MOST_MACHINES = 1_000_000


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is held back. `subject` is the id of the offer or pool, or the name of the region or provider."""

    kind: str
    """`stock` or `maintenance`."""
    scope: str
    subject: str
    most: int | None
    until_at: datetime | None
    reason: str
    set_at: datetime


COLUMNS = [restrictions.c[name] for name in Restriction.__struct_fields__]
LISTED = PreparedValues(
    Restriction,
    sa.select(*COLUMNS).order_by(restrictions.c.kind, restrictions.c.scope, restrictions.c.subject),
)


def listed(connection: Connection) -> Sequence[Restriction]:
    """All that stand, in order of kind, scope and subject."""
    return LISTED(connection)


def subjects(offer_id: str, pool_id: str, region: str, provider: str) -> dict[str, str]:
    """What concerns an offer, by scope."""
    return {"offer": offer_id, "pool": pool_id, "region": region, "provider": provider}


def maintenance_of(standing: Sequence[Restriction], concerned: dict[str, str]) -> Restriction | None:
    """The maintenance that keeps an offer from being launched, if there is one."""
    return next((each for each in standing if is_maintenance(each) and concerned[each.scope] == each.subject), None)


def is_maintenance(restriction: Restriction) -> bool:
    """Whether it is one."""
    return restriction.kind == "maintenance"


def cap_stock(
    connection: Connection,
    caller: Caller | None,
    scope: str,
    subject: str,
    most: int,
    *,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> None:
    """Let at most so many machines of an offer or in a pool be there at once; 0: none more. Raises NotFound."""
    if not 0 <= most <= MOST_MACHINES:
        raise BadRequest("This is no number of machines.", details={"most": f"0 to {MOST_MACHINES}"})
    put(connection, "stock", scope, subject, most=most, until_at=None, reason=reason, now=now)
    details = {"scope": scope, "most": most, "reason": reason}
    operators.record(connection, caller, "stock.cap", scope, subject[:80], now=now, by=by, details=details)


def begin_maintenance(
    connection: Connection,
    caller: Caller | None,
    scope: str,
    subject: str,
    *,
    until_at: datetime | None,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> None:
    """Let nothing of it be launched. Told again it takes the new reason and day. Raises NotFound, BadRequest."""
    if until_at is not None and until_at <= now:
        raise BadRequest("Maintenance can't be over before it begins.", details={"until": "not in the past"})
    put(connection, "maintenance", scope, subject, most=None, until_at=until_at, reason=reason, now=now)
    details = {"scope": scope, "until": until_at and until_at.isoformat(), "reason": reason}
    operators.record(connection, caller, "maintenance.begin", scope, subject[:80], now=now, by=by, details=details)


def lift(
    connection: Connection,
    caller: Caller | None,
    kind: str,
    scope: str,
    subject: str,
    *,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> None:
    """Hold it back no longer. Raises NotFound where nothing is."""
    gone = connection.execute(
        sa.delete(restrictions).where(
            restrictions.c.kind == kind, restrictions.c.scope == scope, restrictions.c.subject == subject
        )
    )
    if not gone.rowcount:
        raise NotFound("Restriction")
    action = "maintenance.end" if kind == "maintenance" else "stock.uncap"
    details = {"scope": scope, "reason": reason}
    operators.record(connection, caller, action, scope, subject[:80], now=now, by=by, details=details)


def put(
    connection: Connection,
    kind: str,
    scope: str,
    subject: str,
    *,
    most: int | None,
    until_at: datetime | None,
    reason: str,
    now: datetime,
) -> None:
    """Write it, in the place of what stood there. Raises NotFound for what there is none of."""
    there = {
        "offer": sa.select(offers.c.id).where(offers.c.id == subject),
        "pool": sa.select(pools.c.id).where(pools.c.id == subject),
        "region": sa.select(offers.c.region).where(offers.c.region == subject),
        "provider": sa.select(offers.c.provider).where(offers.c.provider == subject),
    }[scope]
    if connection.execute(there.limit(1)).first() is None:
        raise NotFound(scope.capitalize())
    values = {"most": most, "until_at": until_at, "reason": reason, "set_at": now}
    insert = upsert_insert(connection, restrictions).values(kind=kind, scope=scope, subject=subject, **values)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[restrictions.c.kind, restrictions.c.scope, restrictions.c.subject], set_=values
        )
    )
