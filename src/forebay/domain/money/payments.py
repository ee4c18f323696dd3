"""Payments that the processor has made: each becomes credits once, and what is taken back of it takes credits back.

A row says what the ledger was told of one payment. All of it happens under the lock of the team's account, and hangs on
nothing but what the processor says of the payment now: seeing the same thing twice, late, or out of order changes
nothing. A payment that is disputed may leave the team below zero; then it is frozen until an operator has looked.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import auto_top_ups, ledger, payment_attempts, receipts
from forebay.domain.money.ledger import Posting, account_id
from forebay.domain.money.payment_attempts import Attempt
from forebay.domain.money.receipts import Seller
from forebay.domain.people import activity
from forebay.storage.tables import payments, teams

DISPUTED = "a payment was disputed, and the credits it brought are spent"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the processor says of a payment that succeeded."""

    payment_id: str
    amount_micros: int
    card_words: str
    refunded_micros: int
    """In all."""
    disputed_micros: int
    """Withdrawn, and not given back."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as our books have it."""

    payment_intent_id: str
    team_id: str
    attempt_id: str
    card_words: str
    credited_micros: int
    refunded_micros: int
    disputed_micros: int
    taken_back_micros: int
    changes: int
    created_at: datetime


class TakenBack(NamedTuple):
    """How much of a payment's credits is taken back, and why. Never more than there were."""

    for_refunds_micros: int
    for_disputes_micros: int

    @property
    def micros(self) -> int:
        """In all."""
        return self.for_refunds_micros + self.for_disputes_micros


COLUMNS = tuple(payments.c[name] for name in Payment.__struct_fields__)


def to_take_back(credited_micros: int, refunded_micros: int, disputed_micros: int) -> TakenBack:
    """What these totals come to: refunds first, and of disputes what is left."""
    for_refunds = min(credited_micros, refunded_micros)
    return TakenBack(for_refunds, min(credited_micros - for_refunds, disputed_micros))


def find(connection: Connection, payment_id: str) -> Payment | None:
    """By the processor's id."""
    row = connection.execute(sa.select(*COLUMNS).where(payments.c.payment_intent_id == payment_id)).first()
    return None if row is None else Payment(**row._asdict())


def all_of(connection: Connection, payment_ids: Sequence[str]) -> dict[str, Payment]:
    """Those there are, by the processor's id."""
    rows = connection.execute(sa.select(*COLUMNS).where(payments.c.payment_intent_id.in_(payment_ids)))
    return {row.payment_intent_id: Payment(**row._asdict()) for row in rows}


def between(connection: Connection, since: datetime, until: datetime) -> list[Payment]:
    """Those that were credited in the time, oldest first."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(payments.c.created_at >= since, payments.c.created_at < until)
        .order_by(payments.c.created_at, payments.c.payment_intent_id)
    )
    return [Payment(**row._asdict()) for row in rows]


def record(connection: Connection, attempt: Attempt, facts: Facts, *, seller: Seller, now: datetime) -> bool:
    """Bring our books to what the processor says. Whether that changed anything; then nudge `mails`."""
    ledger.lock(connection, attempt.team_id)
    found = find(connection, facts.payment_id)
    is_new = found is None
    if found is None:
        found = credit(connection, attempt, facts, now=now)
        receipts.send(connection, attempt, found, seller, now=now)
    if (facts.refunded_micros, facts.disputed_micros) == (found.refunded_micros, found.disputed_micros):
        return is_new
    move(connection, found, facts, now=now)
    return True


def credit(connection: Connection, attempt: Attempt, facts: Facts, *, now: datetime) -> Payment:
    """The payment becomes credits, and the attempt has succeeded."""
    transfer = ledger.post(
        connection,
        team_id=attempt.team_id,
        kind=ledger.DEPOSIT,
        key=deposit_key(facts.payment_id),
        postings=[
            Posting(account_id(attempt.team_id), facts.amount_micros),
            Posting(ledger.CLEARING, -facts.amount_micros),
        ],
        reason=f"paid by {facts.card_words}" if facts.card_words else "",
        created_by=attempt.requested_by,
        now=now,
    )
    payment = Payment(
        payment_intent_id=facts.payment_id,
        team_id=attempt.team_id,
        attempt_id=attempt.id,
        card_words=facts.card_words[:60],
        credited_micros=facts.amount_micros,
        refunded_micros=0,
        disputed_micros=0,
        taken_back_micros=0,
        changes=0,
        created_at=transfer.created_at,
    )
    connection.execute(sa.insert(payments).values(**msgspec.structs.asdict(payment)))
    payment_attempts.note_succeeded(connection, attempt, facts.payment_id, now=now)
    auto_top_ups.note_success(connection, attempt)
    note(connection, payment, "payment.credit", facts.amount_micros, now=now)
    return payment


def move(connection: Connection, payment: Payment, facts: Facts, *, now: datetime) -> None:
    """Take back, or give back, the difference to what was taken back before; what is refunded and disputed apart."""
    before = to_take_back(payment.credited_micros, payment.refunded_micros, payment.disputed_micros)
    after = to_take_back(payment.credited_micros, facts.refunded_micros, facts.disputed_micros)
    changes = payment.changes
    for kind, difference_micros in (
        (ledger.REFUND, after.for_refunds_micros - before.for_refunds_micros),
        (ledger.DISPUTE, after.for_disputes_micros - before.for_disputes_micros),
    ):
        if difference_micros:
            changes += 1
            shift(connection, payment, kind, difference_micros, change=changes, now=now)
    connection.execute(
        sa.update(payments)
        .where(payments.c.payment_intent_id == payment.payment_intent_id)
        .values(
            refunded_micros=facts.refunded_micros,
            disputed_micros=facts.disputed_micros,
            taken_back_micros=after.micros,
            changes=changes,
        )
    )
    if after.for_disputes_micros > before.for_disputes_micros:
        freeze_if_below_zero(connection, payment.team_id, now=now)


def shift(
    connection: Connection, payment: Payment, kind: str, amount_micros: int, *, change: int, now: datetime
) -> None:
    """One transfer: so much less for the team, or if it is negative, more."""
    is_back = amount_micros < 0
    what = {ledger.REFUND: "refund", ledger.DISPUTE: "dispute"}[kind]
    ledger.post(
        connection,
        team_id=payment.team_id,
        kind=ledger.REINSTATEMENT if is_back else kind,
        key=change_key(payment.payment_intent_id, change),
        postings=[Posting(account_id(payment.team_id), -amount_micros), Posting(ledger.CLEARING, amount_micros)],
        reason=f"{what} of a payment by {payment.card_words}{', undone' if is_back else ''}",
        now=now,
    )
    note(connection, payment, f"payment.{'reinstate' if is_back else what}", abs(amount_micros), now=now)


def deposit_key(payment_id: str) -> str:
    """The ledger's key for the credits that a payment brought."""
    return f"payment-intent:{payment_id}"


def change_key(payment_id: str, change: int) -> str:
    """The ledger's key for the change of that number, from 1."""
    return f"{deposit_key(payment_id)}:{change}"


def freeze_if_below_zero(connection: Connection, team_id: str, *, now: datetime) -> None:
    """Freeze a team that a dispute has left with a debt, unless it is frozen already."""
    if ledger.balance(connection, team_id).balance_micros >= 0:
        return
    frozen = connection.execute(
        sa.update(teams)
        .where(teams.c.id == team_id, teams.c.frozen_at.is_(None))
        .values(frozen_at=now, frozen_reason=DISPUTED)
    )
    if frozen.rowcount:
        activity.record(
            connection, None, "team.freeze", now=now, team_id=team_id, object_type="team", object_id=team_id,
            details={"reason": DISPUTED},
        )  # fmt: skip


def note(connection: Connection, payment: Payment, action: str, amount_micros: int, *, now: datetime) -> None:
    """A row in the team's activity."""
    activity.record(
        connection,
        None,
        action,
        now=now,
        team_id=payment.team_id,
        object_type="payment",
        object_id=payment.attempt_id,
        details={"amountMicros": amount_micros, "paymentId": payment.payment_intent_id},
    )
