"""Attempts to charge: the claim that comes first, how far each got, and its one end.

Claimed, then made at the processor, then confirmed, then closed as what it came to. A team has one open attempt, so
nobody is charged twice while an answer is missing: `unknown` keeps the slot until a look-up says how it ended. A page
of the processor (`checkout`) waits for a person and takes no slot. Whoever carries an attempt out has it for a while
(`lease_token`); an outcome counts only from whoever still has it, but for a payment that succeeded, which counts
whoever saw it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.money import ledger
from forebay.errors import Conflict
from forebay.storage.tables import payment_attempts
from forebay.storage.types import ID, Timestamp

LEASE_SECONDS = 180
"""Longer than all calls of one round may take."""
MOST_OPEN_PAGES = 10


class Path(StrEnum):
    """What began it."""

    manual = "manual"
    auto = "auto"
    checkout = "checkout"


class State(StrEnum):
    """How far it got."""

    claimed = "claimed"
    """Nothing is known to be made at the processor."""
    created = "created"
    """The processor has it; nothing is known to be charged. A page: it is open."""
    unknown = "unknown"
    """It may have been charged: only a look-up can tell."""
    canceling = "canceling"
    """It will not be charged any more, once the processor has said so."""
    succeeded = "succeeded"
    declined = "declined"
    authentication_required = "authentication_required"
    canceled = "canceled"


OPEN = frozenset({State.claimed, State.created, State.unknown, State.canceling})


class PaymentUnderWay(Conflict):
    """The team has an open attempt; `details` says which."""

    code = "PAYMENT_UNDER_WAY"


class LeaseLost(Exception):
    """Somebody else carries the attempt out by now, or it has come to its end."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as it is on record."""

    id: str
    team_id: str
    path: Path
    state: State
    amount_micros: int
    card_id: str | None
    request: Mapping[str, Any]
    """Frozen: every retry says the same."""
    idempotency_key: str
    client_key: str | None
    payment_intent_id: str | None
    page_id: str | None
    page_url: str | None
    error_code: str | None
    requested_by: str | None
    created_at: datetime
    closed_at: datetime | None
    tries: int
    lease_token: str | None

    @property
    def is_open(self) -> bool:
        """Whether it has not come to its end."""
        return self.closed_at is None


COLUMNS = tuple(payment_attempts.c[name] for name in Attempt.__struct_fields__)


def to_attempt(row: sa.Row[Any]) -> Attempt:
    """A row as a value."""
    values = row._asdict()
    return Attempt(**values | {"path": Path(values["path"]), "state": State(values["state"])})


def select_one(connection: Connection, *conditions: sa.ColumnElement[bool]) -> Attempt | None:
    """The attempt for which these hold."""
    row = connection.execute(sa.select(*COLUMNS).where(*conditions)).first()
    return None if row is None else to_attempt(row)


def find(connection: Connection, attempt_id: str) -> Attempt | None:
    """By our id."""
    return select_one(connection, payment_attempts.c.id == attempt_id)


def by_payment(connection: Connection, payment_id: str, marked_id: str = "") -> Attempt | None:
    """By the processor's id of the payment, or by the id of ours that the processor's object is marked with.

    A mark leads only to an attempt that has no payment yet: paid on a page, or made while the answer was lost.
    """
    found = select_one(connection, payment_attempts.c.payment_intent_id == payment_id)
    if found is not None or not marked_id:
        return found
    return select_one(connection, payment_attempts.c.id == marked_id, payment_attempts.c.payment_intent_id.is_(None))


def by_page(connection: Connection, page_id: str) -> Attempt | None:
    """By the processor's id of the page."""
    return select_one(connection, payment_attempts.c.page_id == page_id)


def by_client_key(connection: Connection, team_id: str, client_key: str) -> Attempt | None:
    """By what whoever asked knows it by."""
    return select_one(connection, payment_attempts.c.team_id == team_id, payment_attempts.c.client_key == client_key)


OPEN_ONE = sa.select(*COLUMNS).where(
    payment_attempts.c.team_id == sa.bindparam("team", type_=ID),
    payment_attempts.c.closed_at.is_(None),
    payment_attempts.c.path != Path.checkout.value,
)


def open_one(connection: Connection, team_id: str) -> Attempt | None:
    """The attempt that has the team's slot."""
    row = connection.execute(OPEN_ONE, {"team": team_id}).first()
    return None if row is None else to_attempt(row)


def open_pages(connection: Connection, team_id: str) -> list[Attempt]:
    """The team's pages on which somebody may still pay."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(
            payment_attempts.c.team_id == team_id,
            payment_attempts.c.closed_at.is_(None),
            payment_attempts.c.path == Path.checkout.value,
        )
        .order_by(payment_attempts.c.id)
    )
    return [to_attempt(row) for row in rows]


def counted_and_listed(*where: sa.ColumnElement[bool]) -> tuple[sa.Select[int], sa.Select[*tuple[Any, ...]]]:
    """SQL: how many of a team's attempts there are, and a page of them, newest first."""
    mine = sa.and_(payment_attempts.c.team_id == sa.bindparam("team_id"), *where)
    newest_first = payment_attempts.c.created_at.desc(), payment_attempts.c.id.desc()
    return (
        sa.select(sa.func.count()).select_from(payment_attempts).where(mine),
        sa.select(*COLUMNS)
        .where(mine)
        .order_by(*newest_first)
        .limit(sa.bindparam("limit", type_=sa.Integer()))
        .offset(sa.bindparam("offset", type_=sa.Integer())),
    )


OF_TEAM = counted_and_listed()
OF_PATH = counted_and_listed(payment_attempts.c.path == sa.bindparam("path"))


def of_team(
    connection: Connection, team_id: str, *, page: int = 1, limit: int = 20, path: Path | None = None
) -> tuple[list[Attempt], int]:
    """A team's attempts, newest first, all or those of one path, the pages from 1; and how many there are."""
    counted, listed = OF_TEAM if path is None else OF_PATH
    which = {"team_id": team_id} if path is None else {"team_id": team_id, "path": path.value}
    total = connection.execute(counted, which).scalar() or 0
    rows = connection.execute(listed, which | {"limit": limit, "offset": (page - 1) * limit})
    return [to_attempt(row) for row in rows.all()], int(total)


def unknown(connection: Connection, *, limit: int) -> tuple[list[Attempt], int]:
    """Attempts of all teams that may have been charged, oldest first, at most so many; and how many there are."""
    where = (payment_attempts.c.state == State.unknown, payment_attempts.c.closed_at.is_(None))
    total = connection.execute(sa.select(sa.func.count()).select_from(payment_attempts).where(*where)).scalar_one()
    oldest = payment_attempts.c.created_at, payment_attempts.c.id
    rows = connection.execute(sa.select(*COLUMNS).where(*where).order_by(*oldest).limit(limit))
    return [to_attempt(row) for row in rows], int(total)


def claim(
    connection: Connection,
    *,
    team_id: str,
    path: Path,
    amount_micros: int,
    request: Mapping[str, Any],
    now: datetime,
    card_id: str | None = None,
    client_key: str | None = None,
    requested_by: str | None = None,
) -> Attempt:
    """Take the team's slot, or for a page note it, under the lock of the team's account. Then nudge `payments`.

    Raises PaymentUnderWay while another attempt has the slot, or too many pages are open.
    """
    ledger.lock(connection, team_id)
    if path is Path.checkout:
        if len(open_pages(connection, team_id)) >= MOST_OPEN_PAGES:
            raise PaymentUnderWay(f"There are {MOST_OPEN_PAGES} open payment pages already: use one of them.")
    elif (other := open_one(connection, team_id)) is not None:
        raise PaymentUnderWay(
            "Another payment of this team is under way. Wait until it has come to its end.",
            details={"topUpId": other.id, "path": other.path.value, "state": other.state.value},
        )
    attempt_id = ids.new_id(now)
    attempt = Attempt(
        id=attempt_id,
        team_id=team_id,
        path=path,
        state=State.claimed,
        amount_micros=amount_micros,
        card_id=card_id,
        request=dict(request),
        idempotency_key=f"attempt:{attempt_id}",
        client_key=client_key,
        payment_intent_id=None,
        page_id=None,
        page_url=None,
        error_code=None,
        requested_by=requested_by,
        created_at=now,
        closed_at=None,
        tries=0,
        lease_token=None,
    )
    values = {name: getattr(attempt, name) for name in Attempt.__struct_fields__}
    own = {"path": path.value, "state": State.claimed.value, "due_at": now}
    connection.execute(sa.insert(payment_attempts), values | own)
    return attempt


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether there is one to carry on with, asked without writing."""
    statement = sa.select(payment_attempts.c.id).where(payment_attempts.c.due_at <= now).limit(1)
    return connection.execute(statement).first() is not None


def take_due(connection: Connection, *, now: datetime, limit: int) -> list[Attempt]:
    """Take what is due, what people wait for first: nobody else does, until the lease is over."""
    due = (
        sa.select(payment_attempts.c.id)
        .where(payment_attempts.c.due_at <= now)
        .order_by(payment_attempts.c.path == Path.auto.value, payment_attempts.c.due_at, payment_attempts.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return take(connection, [row.id for row in connection.execute(due)], now=now)


def take(connection: Connection, attempt_ids: Sequence[str], *, now: datetime) -> list[Attempt]:
    """Take these for a while, whoever had them."""
    if not attempt_ids:
        return []
    chosen = payment_attempts.c.id.in_(attempt_ids)
    connection.execute(
        sa.update(payment_attempts)
        .where(chosen)
        .values(lease_token=ids.new_secret(16).hex(), due_at=now + timedelta(seconds=LEASE_SECONDS))
    )
    return [to_attempt(row) for row in connection.execute(sa.select(*COLUMNS).where(chosen)).all()]


def release_all(connection: Connection, *, now: datetime) -> None:
    """Whatever was being carried out is due now: for the only process of a cloud, at its start."""
    connection.execute(
        sa.update(payment_attempts)
        .where(payment_attempts.c.lease_token.is_not(None), payment_attempts.c.closed_at.is_(None))
        .values(lease_token=None, due_at=now)
    )


def note(connection: Connection, attempt: Attempt, **values: Any) -> Attempt:
    """Change an open attempt that is ours; as it is then. Raises LeaseLost."""
    changed = connection.execute(
        sa.update(payment_attempts)
        .where(
            payment_attempts.c.id == attempt.id,
            payment_attempts.c.closed_at.is_(None),
            payment_attempts.c.lease_token == attempt.lease_token,
        )
        .values(**values)
    )
    if changed.rowcount != 1:
        raise LeaseLost(attempt.id)
    found = find(connection, attempt.id)
    assert found is not None
    return found


def note_created(connection: Connection, attempt: Attempt, payment_intent_id: str) -> Attempt:
    """The processor has it. Raises LeaseLost."""
    return note(connection, attempt, state=State.created.value, payment_intent_id=payment_intent_id)


def note_page(connection: Connection, attempt: Attempt, *, page_id: str, url: str) -> Attempt:
    """The page is open. Raises LeaseLost."""
    return note(connection, attempt, state=State.created.value, page_id=page_id, page_url=url)


def note_canceling(connection: Connection, attempt: Attempt, *, error_code: str) -> Attempt:
    """It is to be canceled, for this reason. Raises LeaseLost."""
    return note(connection, attempt, state=State.canceling.value, error_code=error_code[:60])


def put_off(
    connection: Connection,
    attempt: Attempt,
    *,
    now: datetime,
    seconds: int,
    is_unknown: bool = False,
    is_counted: bool = True,
) -> int:
    """An answer is missing: let it be looked at again later. How often that was so by now. Raises LeaseLost.

    `is_unknown`: it may have been charged. One that is not made at the processor can't have been. `is_counted`: it
    counts among the tries after which an operator is told.
    """
    found = find(connection, attempt.id)
    state = State.unknown if is_unknown and found is not None and found.state is State.created else None
    changed = note(
        connection,
        attempt,
        due_at=now + timedelta(seconds=seconds),
        lease_token=None,
        tries=payment_attempts.c.tries + int(is_counted),
        **({"state": state.value} if state else {}),
    )
    return changed.tries


def look_again(connection: Connection, attempt: Attempt, *, at: datetime) -> None:
    """Nothing is amiss: it waits for somebody. Raises LeaseLost."""
    note(connection, attempt, due_at=at, lease_token=None, tries=0)


def make_due(connection: Connection, attempt: Attempt, *, now: datetime) -> None:
    """Something happened to it: look at it now, unless somebody does."""
    connection.execute(
        sa.update(payment_attempts)
        .where(
            payment_attempts.c.id == attempt.id,
            payment_attempts.c.closed_at.is_(None),
            payment_attempts.c.lease_token.is_(None),
        )
        .values(due_at=now)
    )


def close(
    connection: Connection, attempt: Attempt, state: State, *, now: datetime, error_code: str | None = None
) -> None:
    """It came to its end, and nothing was charged. Raises LeaseLost."""
    if state in OPEN or state is State.succeeded:
        raise ValueError(f"{state} is no end without a charge")
    code = attempt.error_code if error_code is None else error_code[:60]
    values = {"state": state.value, "closed_at": now, "due_at": None, "lease_token": None}
    note(connection, attempt, error_code=code, **values)


def note_succeeded(connection: Connection, attempt: Attempt, payment_intent_id: str, *, now: datetime) -> None:
    """The card was charged, whatever was thought before: a fact needs no lease."""
    connection.execute(
        sa.update(payment_attempts)
        .where(payment_attempts.c.id == attempt.id)
        .values(
            state=State.succeeded.value,
            payment_intent_id=payment_intent_id,
            error_code=None,
            closed_at=sa.func.coalesce(payment_attempts.c.closed_at, sa.literal(now, Timestamp())),
            due_at=None,
            lease_token=None,
        )
    )
