"""A team's saved cards: what of them may be shown, which one is charged unless another is named, and their end.

The card itself is the processor's; here is the id it goes by. A deleted card is charged no more from that moment on,
and the processor is told to let go of it afterwards.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.money import ledger
from forebay.errors import Conflict, NotFound
from forebay.storage.prepared import PreparedValues
from forebay.storage.tables import cards, payment_attempts

EXPIRY_NOTICE_DAYS = 30


class CardInUse(Conflict):
    """A payment by this card is under way."""

    code = "CARD_IN_USE"


class CardDeleted(Conflict):
    """The card was deleted here, and the processor is letting go of it."""

    code = "CARD_DELETED"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the processor says of a card."""

    payment_method_id: str
    brand: str
    last_four: str
    expiry_month: int
    expiry_year: int


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A saved card."""

    id: str
    team_id: str
    payment_method_id: str
    brand: str
    last_four: str
    expiry_month: int
    expiry_year: int
    is_default: bool
    created_at: datetime

    @property
    def words(self) -> str:
        """How people know it."""
        return f"{self.brand} ending in {self.last_four}"

    @property
    def expires_at(self) -> datetime:
        """The first moment at which it is no good any more: the month on it is its last."""
        months = self.expiry_year * 12 + self.expiry_month
        return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


COLUMNS = tuple(cards.c[name] for name in Card.__struct_fields__)
IS_SAVED = cards.c.deleted_at.is_(None)


OF_TEAM = PreparedValues(
    Card,
    sa.select(*COLUMNS)
    .where(cards.c.team_id == sa.bindparam("team_id", type_=sa.String()), IS_SAVED)
    .order_by(cards.c.is_default.desc(), cards.c.id.desc()),
)


def to_cards(rows: sa.CursorResult[Any]) -> list[Card]:
    """Rows as values."""
    return [Card(**row._asdict()) for row in rows]


def of_team(connection: Connection, team_id: str) -> list[Card]:
    """The default first, then the newest first."""
    return OF_TEAM(connection, team_id=team_id)


def get(connection: Connection, team_id: str, card_id: str) -> Card:
    """One of the team's. Raises NotFound, also for a deleted one and one of another team."""
    mine = (cards.c.team_id == team_id, cards.c.id == card_id, IS_SAVED)
    found = to_cards(connection.execute(sa.select(*COLUMNS).where(*mine)))
    if not found:
        raise NotFound("Card")
    return found[0]


def default(connection: Connection, team_id: str) -> Card | None:
    """The one that is charged unless another is named."""
    found = of_team(connection, team_id)
    return found[0] if found and found[0].is_default else None


def add(connection: Connection, team_id: str, facts: Facts, *, created_by: str | None, now: datetime) -> Card:
    """Put a card that the processor has made the team's on record; the first one is the default. Once for each card.

    Raises CardDeleted.
    """
    ledger.lock(connection, team_id)
    same = (cards.c.team_id == team_id, cards.c.payment_method_id == facts.payment_method_id)
    known = connection.execute(sa.select(cards.c.id, cards.c.deleted_at).where(*same)).first()
    if known is not None:
        if known.deleted_at is not None:
            raise CardDeleted("This card was deleted. Save it anew.")
        return get(connection, team_id, known.id)
    card = Card(
        id=ids.new_id(now),
        team_id=team_id,
        is_default=default(connection, team_id) is None,
        created_at=now,
        **msgspec.structs.asdict(facts),
    )
    connection.execute(sa.insert(cards).values(**msgspec.structs.asdict(card), created_by=created_by))
    return card


def make_default(connection: Connection, team_id: str, card_id: str) -> Card:
    """From now on this one is charged. Raises NotFound."""
    ledger.lock(connection, team_id)
    get(connection, team_id, card_id)
    connection.execute(sa.update(cards).where(cards.c.team_id == team_id, cards.c.is_default).values(is_default=False))
    connection.execute(sa.update(cards).where(cards.c.id == card_id).values(is_default=True))
    return get(connection, team_id, card_id)


def delete(connection: Connection, team_id: str, card_id: str, *, now: datetime) -> Card:
    """Charge it no more; then nudge `cards`. No other becomes the default by itself. Raises NotFound, CardInUse."""
    ledger.lock(connection, team_id)
    card = get(connection, team_id, card_id)
    in_use = sa.select(payment_attempts.c.id).where(
        payment_attempts.c.team_id == team_id,
        payment_attempts.c.card_id == card_id,
        payment_attempts.c.closed_at.is_(None),
    )
    if connection.execute(in_use).first() is not None:
        raise CardInUse("A payment by this card is under way. Wait until it has come to its end.")
    connection.execute(sa.update(cards).where(cards.c.id == card_id).values(deleted_at=now, is_default=False))
    return card


def to_forget(connection: Connection, *, limit: int = 20) -> Sequence[tuple[str, str]]:
    """Id, and the processor's id, of deleted cards that the processor has not let go of."""
    rows = connection.execute(
        sa.select(cards.c.id, cards.c.payment_method_id)
        .where(cards.c.deleted_at.is_not(None), cards.c.forgotten_at.is_(None))
        .order_by(cards.c.deleted_at, cards.c.id)
        .limit(limit)
    )
    return [(row.id, row.payment_method_id) for row in rows]


def note_forgotten(connection: Connection, card_id: str, *, now: datetime) -> None:
    """The processor has let go of it."""
    connection.execute(sa.update(cards).where(cards.c.id == card_id).values(forgotten_at=now))


def expiring(connection: Connection, *, now: datetime, limit: int = 100) -> list[Card]:
    """Cards that are about to expire, or have, and nobody has been told."""
    soon = now + timedelta(days=EXPIRY_NOTICE_DAYS)
    last_month = soon.year * 12 + soon.month - 1
    statement = (
        sa.select(*COLUMNS)
        .where(
            IS_SAVED, cards.c.expiry_mailed_at.is_(None), cards.c.expiry_year * 12 + cards.c.expiry_month <= last_month
        )
        .order_by(cards.c.id)
        .limit(limit)
    )
    return to_cards(connection.execute(statement))


def note_expiry_mailed(connection: Connection, card_id: str, *, now: datetime) -> bool:
    """The team is being told that the card expires. Whether that is news: it is told once."""
    changed = connection.execute(
        sa.update(cards).where(cards.c.id == card_id, cards.c.expiry_mailed_at.is_(None)).values(expiry_mailed_at=now)
    )
    return changed.rowcount == 1
