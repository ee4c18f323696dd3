"""The audit's part about cards: attempts, the payments they came to, and what the ledger was told of those.

What the processor itself says is not on record here; `forebay payments reconcile` compares with that.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from forebay.domain.money.audit_books import stream
from forebay.domain.money.payment_attempts import OPEN
from forebay.domain.money.payments import deposit_key, to_take_back

SLOTS = """
    SELECT team_id, COUNT(*) AS count FROM payment_attempts
    WHERE closed_at IS NULL AND path <> 'checkout'
    GROUP BY team_id HAVING COUNT(*) > 1 ORDER BY team_id
"""

ATTEMPTS = """
    SELECT
        payment_attempts.id, payment_attempts.team_id, payment_attempts.state, payment_attempts.closed_at,
        payment_attempts.payment_intent_id, payment_attempts.idempotency_key, payment_attempts.due_at,
        payments.payment_intent_id AS paid, payments.team_id AS paid_team,
        other.id AS other_id
    FROM payment_attempts
    LEFT JOIN payments ON payments.attempt_id = payment_attempts.id
    LEFT JOIN payment_attempts AS other
        ON other.payment_intent_id = payment_attempts.payment_intent_id AND other.id <> payment_attempts.id
    ORDER BY payment_attempts.id
"""

PAYMENTS = """
    SELECT
        payments.payment_intent_id, payments.team_id, payments.attempt_id, payments.credited_micros,
        payments.refunded_micros, payments.disputed_micros, payments.taken_back_micros, payments.changes,
        payment_attempts.id AS found_attempt,
        transfers.kind, transfers.team_id AS transfer_team, own.amount_micros, others.amount_micros AS clearing_micros
    FROM payments
    LEFT JOIN payment_attempts ON payment_attempts.id = payments.attempt_id
    LEFT JOIN transfers ON transfers.idempotency_key = 'payment-intent:' || payments.payment_intent_id
    LEFT JOIN entries AS own ON own.transfer_id = transfers.id AND own.account_id = 'team:' || payments.team_id
    LEFT JOIN entries AS others ON others.transfer_id = transfers.id AND others.account_id = 'clearing'
    ORDER BY payments.payment_intent_id
"""

CHANGES = """
    SELECT
        transfers.idempotency_key, transfers.team_id, own.amount_micros, others.amount_micros AS clearing_micros
    FROM transfers
    LEFT JOIN entries AS own ON own.transfer_id = transfers.id AND own.account_id = 'team:' || transfers.team_id
    LEFT JOIN entries AS others ON others.transfer_id = transfers.id AND others.account_id = 'clearing'
    WHERE transfers.kind IN ('refund', 'dispute', 'reinstatement')
    ORDER BY transfers.team_id, transfers.sequence
"""

DEPOSITS_WITHOUT_PAYMENT = """
    SELECT transfers.id, transfers.idempotency_key
    FROM transfers
    LEFT JOIN payments
        ON payments.payment_intent_id = substr(transfers.idempotency_key, 16) AND payments.team_id = transfers.team_id
    WHERE transfers.kind = 'deposit' AND payments.payment_intent_id IS NULL
    ORDER BY transfers.id
"""


def attempts_come_to_payments(connection: Connection) -> Iterator[str]:
    """At most one open attempt a team, one payment of the processor an attempt; succeeded exactly when it is paid."""
    for row in stream(connection, SLOTS):
        yield f"team {row.team_id} has {row.count} open payment attempts"
    for row in stream(connection, ATTEMPTS):
        attempt = f"payment attempt {row.id}"
        if (row.state in OPEN) != (row.closed_at is None):
            yield f"{attempt} is {row.state}, and open or closed as such an attempt isn't"
        if (row.closed_at is None) != (row.due_at is not None):
            yield f"{attempt} is open and nobody will look at it, or closed and somebody will"
        if row.other_id is not None:
            yield f"{attempt} has the same payment {row.payment_intent_id} as attempt {row.other_id}"
        if (row.state == "succeeded") != (row.paid is not None):
            yield f"{attempt} is {row.state}, and its payment is {row.paid}"
        elif row.paid is not None and (row.paid, row.paid_team) != (row.payment_intent_id, row.team_id):
            yield f"{attempt} came to another payment, or another team's, than it says"
        if row.idempotency_key != f"attempt:{row.id}":
            yield f"{attempt} has another idempotency key than its own"


def payments_are_credited_once(connection: Connection) -> Iterator[str]:
    """Each payment was credited by one transfer, and what was taken back of it is what its totals come to."""
    taken: dict[tuple[str, str], list[int]] = {}
    for row in stream(connection, CHANGES):
        of_payment = row.idempotency_key.rpartition(":")[0]
        changes = taken.setdefault((row.team_id, of_payment), [])
        changes.append(-(row.amount_micros or 0))
        if row.idempotency_key != f"{of_payment}:{len(changes)}":
            yield f"the change {row.idempotency_key} is out of order, or one before it is missing"
        if row.amount_micros is None or row.clearing_micros != -row.amount_micros:
            yield f"the change {row.idempotency_key} is not between its team and the processor"
    for row in stream(connection, PAYMENTS):
        yield from wrong_with_payment(row, taken.pop((row.team_id, deposit_key(row.payment_intent_id)), []))
    for _, of_payment in taken:
        yield f"there are changes of {of_payment}, and no such payment"
    for row in stream(connection, DEPOSITS_WITHOUT_PAYMENT):
        yield f"transfer {row.id} was made for {row.idempotency_key}, and there is no such payment"


def wrong_with_payment(row: Any, changes: list[int]) -> Iterator[str]:
    """What is wrong with a payment, given the amounts that were taken back of it."""
    payment = f"payment {row.payment_intent_id}"
    if row.found_attempt is None:
        yield f"{payment} has lost its attempt {row.attempt_id}"
    credit = (row.kind, row.transfer_team, row.amount_micros, row.clearing_micros)
    if credit != ("deposit", row.team_id, row.credited_micros, -row.credited_micros):
        yield f"{payment} of {row.credited_micros} was credited otherwise"
    due = to_take_back(row.credited_micros, row.refunded_micros, row.disputed_micros).micros
    if not due == row.taken_back_micros == sum(changes) or len(changes) != row.changes:
        yield (
            f"{payment} says that {row.taken_back_micros} is taken back in {row.changes} changes; "
            f"its totals come to {due}, and its {len(changes)} transfers to {sum(changes)}"
        )
