"""Our books beside the payment processor's list: each payment in which they differ, in a sentence."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from forebay.domain.money import payments
from forebay.domain.money.amounts import as_dollars
from forebay.domain.money.payments import Payment, to_take_back

LOOK_UP = 500


class Theirs(msgspec.Struct, frozen=True, kw_only=True):
    """A payment on the processor's list."""

    payment_id: str
    has_succeeded: bool
    amount_micros: int
    refunded_micros: int
    disputed_micros: int
    is_marked: bool
    """Whether it was made by this cloud, or says so."""


def differences(connection: Connection, theirs: Sequence[Theirs]) -> Iterator[str]:
    """What differs in the payments on their list. One neither marked as ours nor in our books is passed over."""
    for start in range(0, len(theirs), LOOK_UP):
        some = theirs[start : start + LOOK_UP]
        ours = payments.all_of(connection, [each.payment_id for each in some])
        for each in some:
            for wrong in between(each, ours.get(each.payment_id)):
                yield f"payment {each.payment_id}: {wrong}"


def between(theirs: Theirs, ours: Payment | None) -> Iterator[str]:
    """What differs in one payment."""
    if ours is None:
        if theirs.has_succeeded and theirs.is_marked:
            yield f"{as_dollars(theirs.amount_micros)} were paid, and our books don't have it"
        return
    if not theirs.has_succeeded:
        yield f"our books credit {as_dollars(ours.credited_micros)}, and it has not succeeded"
        return
    for what, said, found in (
        ("paid", theirs.amount_micros, ours.credited_micros),
        ("refunded", theirs.refunded_micros, ours.refunded_micros),
        ("withdrawn by disputes", theirs.disputed_micros, ours.disputed_micros),
    ):
        if said != found:
            yield f"{as_dollars(said)} were {what}, and our books say {as_dollars(found)}"
    due = to_take_back(ours.credited_micros, ours.refunded_micros, ours.disputed_micros).micros
    if ours.taken_back_micros != due:
        yield f"{as_dollars(ours.taken_back_micros)} of credits are taken back, and {as_dollars(due)} should be"


def missing(connection: Connection, since: datetime, until: datetime, theirs: Sequence[Theirs]) -> list[str]:
    """The processor's ids of payments that our books credit in the time and that are not on their list: to look up."""
    listed = {each.payment_id for each in theirs}
    found = payments.between(connection, since, until)
    return [payment.payment_intent_id for payment in found if payment.payment_intent_id not in listed]
