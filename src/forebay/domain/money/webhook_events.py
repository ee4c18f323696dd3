"""Events of the payment processor: each kept once by its id, however it came, and looked into afterwards.

An event says where to look and nothing else. One that comes twice, late, or out of order leads to the same look.
"""

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.storage.database import upsert_insert
from forebay.storage.tables import event_polls, webhook_events

TAKEN_SECONDS = 120
"""An event that was taken and not reported on for so long is taken again."""
POLL = "events"

WEBHOOK, POLLED = "webhook", "poll"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at the processor."""

    id: str
    type: str
    object_id: str
    related_id: str | None
    """The payment it is about, if it says so."""
    occurred_at: datetime
    tries: int = 0


COLUMNS = tuple(webhook_events.c[name] for name in Event.__struct_fields__)


def note(connection: Connection, event: Event, source: str, *, now: datetime) -> bool:
    """Keep it; whether it is news. Then nudge `payment-events`."""
    values = msgspec.structs.asdict(event) | {"source": source, "received_at": now, "due_at": now}
    inserted = connection.execute(upsert_insert(connection, webhook_events).values(**values).on_conflict_do_nothing())
    return inserted.rowcount == 1


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether there is one to look into, asked without writing."""
    statement = sa.select(webhook_events.c.id).where(webhook_events.c.due_at <= now).limit(1)
    return connection.execute(statement).first() is not None


def take_due(connection: Connection, *, now: datetime, limit: int = 50) -> list[Event]:
    """Take what is due, for a while, in the order in which it happened."""
    due = (
        sa.select(webhook_events.c.id)
        .where(webhook_events.c.due_at <= now)
        .order_by(webhook_events.c.due_at, webhook_events.c.occurred_at, webhook_events.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    chosen = [row.id for row in connection.execute(due)]
    if not chosen:
        return []
    mine = webhook_events.c.id.in_(chosen)
    connection.execute(
        sa.update(webhook_events)
        .where(mine)
        .values(due_at=now + timedelta(seconds=TAKEN_SECONDS), tries=webhook_events.c.tries + 1)
    )
    rows = connection.execute(
        sa.select(*COLUMNS).where(mine).order_by(webhook_events.c.occurred_at, webhook_events.c.id)
    )
    return [Event(**row._asdict()) for row in rows]


def note_handled(connection: Connection, event: Event, outcome: str, *, now: datetime) -> None:
    """It was looked into, with this outcome."""
    connection.execute(
        sa.update(webhook_events)
        .where(webhook_events.c.id == event.id)
        .values(handled_at=now, due_at=None, outcome=outcome[:200])
    )


def put_off(connection: Connection, event: Event, *, now: datetime) -> None:
    """The processor could not be asked: again later, each time after twice as long, an hour at most."""
    later = now + timedelta(seconds=min(3600, 2 ** min(event.tries, 12)))
    connection.execute(
        sa.update(webhook_events)
        .where(webhook_events.c.id == event.id, webhook_events.c.handled_at.is_(None))
        .values(due_at=later)
    )


def read_through(connection: Connection) -> datetime | None:
    """Up to when events are on record; None: they were never asked for."""
    found: datetime | None = connection.execute(
        sa.select(event_polls.c.read_through).where(event_polls.c.name == POLL)
    ).scalar()
    return found


def note_read_through(connection: Connection, at: datetime) -> None:
    """Events are on record up to then."""
    statement = upsert_insert(connection, event_polls).values(name=POLL, read_through=at)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[event_polls.c.name],
            set_={"read_through": statement.excluded.read_through},
            where=event_polls.c.read_through < statement.excluded.read_through,
        )
    )
