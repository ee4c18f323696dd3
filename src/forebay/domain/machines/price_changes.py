"""Changes of prices, as records: what an offer cost, what it will cost, who said so, and from when for whom.

New launches pay a new price from its date, which is at once where none is said. What runs already pays less from the
same second where it is a cut; a rise reaches it after seven days' mailed notice at the earliest (`repricing.py`).
An offer has at most one change of each kind that waits for its date.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines.discounts import NOTICE_DAYS
from forebay.domain.machines.prices import FIELDS
from forebay.domain.machines.repricing import is_active, is_spot_of_other
from forebay.domain.people.access import Caller
from forebay.storage.rows import values_of
from forebay.storage.tables import deployments, offers, price_changes, price_notices


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one price; micro-dollars an hour."""

    id: str
    offer_id: str
    kind: str
    """`machine`, `spot` (the machine launched as SPOT) or `disk` (of a stopped machine)."""
    from_micros: int
    to_micros: int
    announced_at: datetime
    launches_at: datetime
    running_at: datetime
    applied_at: datetime | None = None
    cancelled_at: datetime | None = None
    source: str
    user_id: str | None
    said_by: str | None
    reason: str


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants a price, and why."""

    source: str
    """`provider`, `file` or `api`."""
    reason: str
    caller: Caller | None = None
    by: str | None = None


COLUMNS = [price_changes.c[name] for name in Change.__struct_fields__]
IS_OPEN = sa.and_(price_changes.c.applied_at.is_(None), price_changes.c.cancelled_at.is_(None))


def ask(
    connection: Connection,
    offer_id: str,
    kind: str,
    *,
    current_micros: int,
    wanted_micros: int,
    at: datetime | None,
    who: Who,
    now: datetime,
) -> Change | None:
    """Let an offer's price be so from `at` on, at once where that is None or past; the change, if one is begun by it.

    Asked again for the same, nothing happens; what waited and is not wanted any more is cancelled.
    """
    waiting = waiting_of(connection, offer_id, kind)
    launches_at = max(at or now, now)
    if waiting is not None:
        if waiting.to_micros == wanted_micros and waiting.launches_at == (at or now):
            return None
        cancel(connection, waiting, now)
    if wanted_micros == current_micros:
        return None
    is_rise = wanted_micros > current_micros
    change = Change(
        id=ids.new_id(now),
        offer_id=offer_id,
        kind=kind,
        from_micros=current_micros,
        to_micros=wanted_micros,
        announced_at=now,
        launches_at=launches_at,
        running_at=max(launches_at, now + timedelta(days=NOTICE_DAYS)) if is_rise else launches_at,
        source=who.source,
        user_id=who.caller.user_id if who.caller else None,
        said_by=who.by,
        reason=who.reason[:500],
    )
    connection.execute(sa.insert(price_changes).values(**msgspec.structs.asdict(change)))
    if launches_at <= now:
        apply(connection, change, now)
    return change


def waiting_of(connection: Connection, offer_id: str, kind: str) -> Change | None:
    """The change that waits for its date, if there is one."""
    row = connection.execute(
        sa.select(*COLUMNS).where(price_changes.c.offer_id == offer_id, price_changes.c.kind == kind, IS_OPEN)
    ).first()
    return None if row is None else Change(**row._mapping)


def cancel(connection: Connection, change: Change, now: datetime) -> None:
    """It won't come. Whoever was told of it is raised to nothing by it."""
    connection.execute(
        sa.update(price_changes).where(price_changes.c.id == change.id, IS_OPEN).values(cancelled_at=now)
    )
    connection.execute(
        sa.update(price_notices)
        .where(price_notices.c.change_id == change.id, price_notices.c.closed_at.is_(None))
        .values(closed_at=now)
    )


def apply(connection: Connection, change: Change, now: datetime) -> None:
    """Make it the price of the offer. Rises that were announced before and go beyond it go no further than it.

    What runs at more is noted to be cut, so that a cut counts also where the next change follows at its heels.
    """
    connection.execute(
        sa.update(offers).where(offers.c.id == change.offer_id).values({FIELDS[change.kind]: change.to_micros})
    )
    connection.execute(sa.update(price_changes).where(price_changes.c.id == change.id).values(applied_at=now))
    came = sa.select(price_changes.c.id).where(
        price_changes.c.offer_id == change.offer_id, price_changes.c.applied_at.is_not(None)
    )
    connection.execute(
        sa.update(price_notices)
        .where(
            price_notices.c.offer_id == change.offer_id,
            price_notices.c.kind == change.kind,
            price_notices.c.closed_at.is_(None),
            ~price_notices.c.is_cut,
            price_notices.c.rate_micros > change.to_micros,
            price_notices.c.change_id.in_(came),
        )
        .values(rate_micros=change.to_micros)
    )
    note_cuts(connection, change, now)


def note_cuts(connection: Connection, change: Change, now: datetime) -> None:
    """Note for each machine that pays more than this that it pays this from the change's second on."""
    own_kind = sa.case((is_spot_of_other, "spot"), else_="machine")
    is_disk = change.kind == "disk"
    paid = deployments.c.storage_rate_micros if is_disk else deployments.c.list_rate_micros
    columns = ("deployment_id", "change_id", "offer_id", "kind", "rate_micros", "is_cut", "told_at", "effective_at")
    at = sa.literal(int(change.launches_at.timestamp()), sa.BigInteger)
    dearer = (
        sa.select(
            deployments.c.id,
            sa.literal(change.id),
            sa.literal(change.offer_id),
            sa.literal(change.kind),
            sa.literal(change.to_micros, sa.BigInteger),
            sa.true(),
            sa.literal(int(now.timestamp()), sa.BigInteger),
            at,
        )
        .select_from(deployments.join(offers, offers.c.id == deployments.c.offer_id))
        .where(
            is_active,
            deployments.c.offer_id == change.offer_id,
            paid > change.to_micros,
            sa.true() if is_disk else own_kind == change.kind,
        )
    )
    connection.execute(sa.insert(price_notices).from_select(columns, dearer, include_defaults=False))


def apply_due(connection: Connection, *, now: datetime) -> int:
    """Apply all whose date has come; how many."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(IS_OPEN, price_changes.c.launches_at <= now)
        .order_by(price_changes.c.launches_at, price_changes.c.id)
        .with_for_update()
    ).all()
    for row in rows:
        apply(connection, Change(**row._mapping), now)
    return len(rows)


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether there is one to apply, asked without writing."""
    due = sa.select(price_changes.c.id).where(IS_OPEN, price_changes.c.launches_at <= now).limit(1)
    return connection.execute(due).first() is not None


def of_offer(connection: Connection, offer_id: str, *, most: int = 200) -> Sequence[Change]:
    """Those of an offer, newest first."""
    rows = connection.execute(
        sa.select(*COLUMNS).where(price_changes.c.offer_id == offer_id).order_by(price_changes.c.id.desc()).limit(most)
    )
    return values_of(Change, rows)


def waiting(connection: Connection) -> Sequence[Change]:
    """Those that wait for their date, the next one first."""
    rows = connection.execute(
        sa.select(*COLUMNS).where(IS_OPEN).order_by(price_changes.c.launches_at, price_changes.c.id)
    )
    return values_of(Change, rows)
