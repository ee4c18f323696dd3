"""Alerts: what an operator must look at. One open row for each kind and subject, however often it is seen."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.storage.rows import values_of
from forebay.storage.tables import alerts


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it should be."""

    kind: str
    subject: str
    text: str
    raised_at: datetime
    seen_at: datetime


def raise_(connection: Connection, kind: str, subject: str, text: str, *, now: datetime) -> bool:
    """Raise an alert, or note that it is still there. Whether it is new."""
    mine = sa.and_(alerts.c.kind == kind, alerts.c.subject == subject, alerts.c.cleared_at.is_(None))
    seen = connection.execute(sa.update(alerts).where(mine).values(seen_at=now, text=text[:500]))
    if seen.rowcount:
        return False
    connection.execute(
        sa.insert(alerts).values(
            id=ids.new_id(now), kind=kind, subject=subject, text=text[:500], raised_at=now, seen_at=now
        )
    )
    return True


def clear(
    connection: Connection,
    kind: str,
    subject: str | None = None,
    *,
    of: str = "",
    keep: Sequence[str] = (),
    now: datetime,
) -> None:
    """What was wrong is right again: one subject, or all of a kind that begin with `of`, but those to keep."""
    statement = sa.update(alerts).where(alerts.c.kind == kind, alerts.c.cleared_at.is_(None))
    if subject is not None:
        statement = statement.where(alerts.c.subject == subject)
    else:
        statement = statement.where(alerts.c.subject.startswith(of, autoescape=True), alerts.c.subject.not_in(keep))
    connection.execute(statement.values(cleared_at=now))


def is_any_open(connection: Connection, kind: str) -> bool:
    """Whether there is an alert of this kind."""
    mine = sa.select(alerts.c.id).where(alerts.c.kind == kind, alerts.c.cleared_at.is_(None)).limit(1)
    return connection.execute(mine).first() is not None


def open_ones(connection: Connection) -> Sequence[Alert]:
    """What is wrong now, oldest first."""
    columns = [alerts.c[name] for name in Alert.__struct_fields__]
    rows = connection.execute(sa.select(*columns).where(alerts.c.cleared_at.is_(None)).order_by(alerts.c.id))
    return values_of(Alert, rows)
