"""Saving a card: on a page of the processor, or by the id that a payment page of one's own got for it.

Asked for here, carried out by the worker, closed as saved, refused or expired.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.errors import Conflict, NotFound
from forebay.storage.tables import card_set_ups

LEASE_SECONDS = 180
MOST_OPEN = 10
PAGE_SECONDS = 1800
"""How long a page waits for a person."""

State = Literal["claimed", "open", "saved", "refused", "expired"]
CLAIMED: Final = "claimed"
OPEN: Final = "open"
SAVED: Final = "saved"
REFUSED: Final = "refused"
EXPIRED: Final = "expired"


class TooManySetUps(Conflict):
    """The team has as many under way as it may."""

    code = "TOO_MANY_CARD_SET_UPS"


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """One card on its way."""

    id: str
    team_id: str
    path: str
    """`page` or `given`."""
    state: State
    payment_method_id: str | None
    page_id: str | None
    page_url: str | None
    card_id: str | None
    error_code: str | None
    requested_by: str | None
    created_at: datetime
    lease_token: str | None


COLUMNS = tuple(card_set_ups.c[name] for name in SetUp.__struct_fields__)


def begin(
    connection: Connection,
    team_id: str,
    *,
    payment_method_id: str | None,
    requested_by: str | None,
    now: datetime,
) -> SetUp:
    """Ask for a card to be saved; without its id on a page. Then nudge `cards`. Raises TooManySetUps."""
    mine = (card_set_ups.c.team_id == team_id, card_set_ups.c.closed_at.is_(None))
    under_way = connection.execute(sa.select(sa.func.count()).select_from(card_set_ups).where(*mine)).scalar() or 0
    if under_way >= MOST_OPEN:
        raise TooManySetUps(f"{MOST_OPEN} cards of this team are being set up already: finish one of them first.")
    set_up = SetUp(
        id=ids.new_id(now),
        team_id=team_id,
        path="page" if payment_method_id is None else "given",
        state=CLAIMED,
        payment_method_id=payment_method_id,
        page_id=None,
        page_url=None,
        card_id=None,
        error_code=None,
        requested_by=requested_by,
        created_at=now,
        lease_token=None,
    )
    connection.execute(sa.insert(card_set_ups).values(**msgspec.structs.asdict(set_up), due_at=now))
    return set_up


def get(connection: Connection, team_id: str, set_up_id: str) -> SetUp:
    """One of the team's. Raises NotFound."""
    row = connection.execute(
        sa.select(*COLUMNS).where(card_set_ups.c.team_id == team_id, card_set_ups.c.id == set_up_id)
    ).first()
    if row is None:
        raise NotFound("Card set-up")
    return SetUp(**row._asdict())


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether there is one to carry on with, asked without writing."""
    return (
        connection.execute(sa.select(card_set_ups.c.id).where(card_set_ups.c.due_at <= now).limit(1)).first()
        is not None
    )


def make_due(connection: Connection, page_id: str, *, now: datetime) -> None:
    """Something happened on this page: look at it now."""
    connection.execute(
        sa.update(card_set_ups)
        .where(card_set_ups.c.page_id == page_id, card_set_ups.c.closed_at.is_(None))
        .values(due_at=now)
    )


def take_due(connection: Connection, *, now: datetime, limit: int = 20) -> Sequence[SetUp]:
    """Take what is due: nobody else does, until the lease is over."""
    due = (
        sa.select(card_set_ups.c.id)
        .where(card_set_ups.c.due_at <= now)
        .order_by(card_set_ups.c.due_at, card_set_ups.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    chosen = [row.id for row in connection.execute(due)]
    if not chosen:
        return []
    connection.execute(
        sa.update(card_set_ups)
        .where(card_set_ups.c.id.in_(chosen))
        .values(lease_token=ids.new_secret(16).hex(), due_at=now + timedelta(seconds=LEASE_SECONDS))
    )
    return [
        SetUp(**row._asdict()) for row in connection.execute(sa.select(*COLUMNS).where(card_set_ups.c.id.in_(chosen)))
    ]


def release_all(connection: Connection, *, now: datetime) -> None:
    """Whatever was being carried out is due now: for the only process of a cloud, at its start."""
    connection.execute(
        sa.update(card_set_ups)
        .where(card_set_ups.c.lease_token.is_not(None), card_set_ups.c.closed_at.is_(None))
        .values(lease_token=None, due_at=now)
    )


def note(connection: Connection, set_up: SetUp, **values: Any) -> bool:
    """Change one that is open and ours; whether it still was."""
    changed = connection.execute(
        sa.update(card_set_ups)
        .where(
            card_set_ups.c.id == set_up.id,
            card_set_ups.c.closed_at.is_(None),
            card_set_ups.c.lease_token == set_up.lease_token,
        )
        .values(lease_token=None, **values)
    )
    return changed.rowcount == 1


def put_off(connection: Connection, set_up: SetUp, *, now: datetime, seconds: int) -> None:
    """Look at it again later."""
    note(connection, set_up, due_at=now + timedelta(seconds=seconds))


def note_page(connection: Connection, set_up: SetUp, *, page_id: str, url: str, now: datetime, seconds: int) -> None:
    """The page is open; it is looked at again after so many seconds, if nothing is heard of it before."""
    note(connection, set_up, state=OPEN, page_id=page_id, page_url=url, due_at=now + timedelta(seconds=seconds))


def close(
    connection: Connection,
    set_up: SetUp,
    state: State,
    *,
    now: datetime,
    card_id: str | None = None,
    error_code: str | None = None,
) -> bool:
    """It came to its end; whether it was still open."""
    code = None if error_code is None else error_code[:60]
    return note(
        connection, set_up, state=state, card_id=card_id, error_code=code, page_url=None, closed_at=now, due_at=None
    )
