"""The timeline of a deployment: what happened to it, in words for the people who use it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.storage.rows import values_of
from forebay.storage.tables import deployment_events

MOST_CHARACTERS = 65536


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    id: str
    at: datetime
    kind: str
    message: str


def note(connection: Connection, deployment_id: str, kind: str, message: str, *, now: datetime) -> None:
    """Add an event; of a long message the end is kept, where the reason usually is."""
    connection.execute(
        sa.insert(deployment_events).values(
            id=ids.new_id(now), deployment_id=deployment_id, at=now, kind=kind, message=message[-MOST_CHARACTERS:]
        )
    )


def note_once(
    connection: Connection, deployment_id: str, kind: str, message: str, *, since: datetime | None, now: datetime
) -> None:
    """Add an event unless there is one of this kind since then: for what may be tried again after a crash."""
    columns = deployment_events.c
    there = sa.select(columns.id).where(
        columns.deployment_id == deployment_id, columns.kind == kind, columns.at >= (since or now)
    )
    if connection.execute(there.limit(1)).first() is None:
        note(connection, deployment_id, kind, message, now=now)


MINE = deployment_events.c.deployment_id == sa.bindparam("deployment_id")
COUNT = sa.select(sa.func.count()).select_from(deployment_events).where(MINE)
LISTED = (
    sa.select(*(deployment_events.c[name] for name in Event.__struct_fields__))
    .where(MINE)
    .order_by(deployment_events.c.id.desc())
    .limit(sa.bindparam("limit", type_=sa.Integer()))
    .offset(sa.bindparam("offset", type_=sa.Integer()))
)


def of_deployment(connection: Connection, deployment_id: str, *, page: int, limit: int) -> tuple[Sequence[Event], int]:
    """A page of the timeline, newest first, and how many events there are in all."""
    which: dict[str, str | int] = {"deployment_id": deployment_id}
    total = connection.execute(COUNT, which).scalar_one()
    rows = connection.execute(LISTED, which | {"limit": limit, "offset": (page - 1) * limit})
    return values_of(Event, rows), int(total)


def cloud_init_log(connection: Connection, deployment_id: str) -> str:
    """What is on record of cloud-init's log: the end of it, once first boot is over."""
    columns = deployment_events.c
    found = connection.execute(
        sa.select(columns.message)
        .where(columns.deployment_id == deployment_id, columns.kind.in_(("cloud-init-done", "cloud-init-failed")))
        .order_by(columns.id.desc())
        .limit(1)
    ).scalar()
    return str(found or "")
