"""Orphans: instances that carry this cloud's mark and have no record. They cost, and nobody pays.

They are shown until they are gone. An operator may have one ended, with a reason: the wish is on record first, then the
worker asks the provider, and again until it is gone. Whatever has a record by then is never ended by this.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import operators
from forebay.domain.people.access import Caller
from forebay.errors import Conflict, NotFound
from forebay.storage.database import upsert_insert
from forebay.storage.rows import values_of
from forebay.storage.tables import orphans


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """An instance without a record, as its provider names it."""

    provider: str
    instance_id: str
    """The deployment's id that it carries."""
    team_id: str
    """The team's id that it carries, or nothing."""
    state: str
    found_at: datetime
    seen_at: datetime
    end_asked_at: datetime | None


COLUMNS = [orphans.c[name] for name in Orphan.__struct_fields__]


def standing(connection: Connection, provider: str | None = None) -> Sequence[Orphan]:
    """Those that are there, longest first; of one provider, or of all."""
    where = [orphans.c.gone_at.is_(None), *([] if provider is None else [orphans.c.provider == provider])]
    rows = connection.execute(sa.select(*COLUMNS).where(*where).order_by(orphans.c.found_at, orphans.c.instance_id))
    return values_of(Orphan, rows)


def note(connection: Connection, provider: str, found: Mapping[str, tuple[str, str]], *, now: datetime) -> None:
    """What was found at a provider just now, with team and state by id; what isn't among it is gone."""
    for instance_id, (team_id, state) in found.items():
        seen = {"team_id": team_id[:80], "state": state, "seen_at": now}
        insert = upsert_insert(connection, orphans).values(
            provider=provider, instance_id=instance_id[:80], found_at=now, **seen
        )
        back = sa.case((orphans.c.gone_at.is_(None), orphans.c.found_at), else_=int(now.timestamp()))
        asked = sa.case((orphans.c.gone_at.is_(None), orphans.c.end_asked_at), else_=None)
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=[orphans.c.provider, orphans.c.instance_id],
                set_=seen | {"found_at": back, "end_asked_at": asked, "gone_at": None},
            )
        )
    connection.execute(
        sa.update(orphans)
        .where(
            orphans.c.provider == provider,
            orphans.c.gone_at.is_(None),
            orphans.c.instance_id.not_in([instance_id[:80] for instance_id in found]),
        )
        .values(gone_at=now)
    )


def ask_end(
    connection: Connection,
    caller: Caller | None,
    provider: str,
    instance_id: str,
    *,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> None:
    """Have one ended. Raises NotFound, Conflict where that was asked for already."""
    where = sa.and_(orphans.c.provider == provider, orphans.c.instance_id == instance_id, orphans.c.gone_at.is_(None))
    row = connection.execute(sa.select(orphans.c.end_asked_at).where(where).with_for_update()).first()
    if row is None:
        raise NotFound("Orphan")
    if row.end_asked_at is not None:
        raise Conflict("It is being ended already.", code="ENDING")
    connection.execute(sa.update(orphans).where(where).values(end_asked_at=now))
    details = {"provider": provider, "reason": reason}
    operators.record(connection, caller, "orphan.end", "orphan", instance_id, now=now, by=by, details=details)
