"""Attempts and payments with a little of everything; then values are changed by hand, and the audit must see it."""

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import audit, payment_attempts, payments
from forebay.domain.money.payment_attempts import Attempt, Path, State
from forebay.domain.money.payments import Facts
from forebay.domain.money.receipts import Seller
from forebay.storage import tables
from forebay.storage.database import Database
from tests.domain.money.books import DOLLAR, after, new_teams
from tests.domain.money.test_audit import by_hand, violations, without_triggers

pytestmark = pytest.mark.slow


def attempt(connection: Connection, team_id: str, path: Path = Path.manual) -> Attempt:
    claimed = payment_attempts.claim(
        connection, team_id=team_id, path=path, amount_micros=50 * DOLLAR, request={}, now=after(0)
    )
    [taken] = payment_attempts.take(connection, [claimed.id], now=after(0))
    return taken


def pay(connection: Connection, made: Attempt, name: str, *, refunded: int = 0, disputed: int = 0) -> None:
    facts = Facts(
        payment_id=name,
        amount_micros=50 * DOLLAR,
        card_words="visa ending in 4242",
        refunded_micros=refunded * DOLLAR,
        disputed_micros=disputed * DOLLAR,
    )
    payments.record(connection, made, facts, seller=Seller(), now=after(1))


@pytest.fixture
def filled(database: Database) -> Database:
    """Paid, paid and disputed, refunded in steps and won back, declined, and one that is under way."""
    with database.begin() as connection:
        team, other = new_teams(connection, 2)
        pay(connection, attempt(connection, team), "pi_paid")
        pay(connection, attempt(connection, other, Path.checkout), "pi_disputed", disputed=50)
        changing = attempt(connection, team, Path.auto)
        for refunded, disputed in ((10, 0), (20, 30), (20, 0)):
            pay(connection, changing, "pi_changing", refunded=refunded, disputed=disputed)
        payment_attempts.close(
            connection, attempt(connection, team), State.declined, error_code="lost_card", now=after(2)
        )
        payment_attempts.note_created(connection, attempt(connection, other), "pi_open")
    assert violations(database) == []
    return database


TABLES = {table.name: table for table in (tables.payments, tables.payment_attempts, tables.transfers)}
PLANTED: list[tuple[str, str, dict[str, object]]] = [
    ("payments", "pi_paid", {"credited_micros": 40 * DOLLAR}),
    ("payments", "pi_paid", {"team_id": "0" * 24}),
    ("payments", "pi_paid", {"attempt_id": "0" * 24}),
    ("payments", "pi_paid", {"payment_intent_id": "pi_other"}),
    ("payments", "pi_paid", {"refunded_micros": DOLLAR}),
    ("payments", "pi_disputed", {"disputed_micros": 0}),
    ("payments", "pi_disputed", {"taken_back_micros": 0}),
    ("payments", "pi_changing", {"changes": 3}),
    ("payment_attempts", "pi_paid", {"state": "canceled"}),
    ("payment_attempts", "pi_paid", {"payment_intent_id": "pi_other"}),
    ("payment_attempts", "pi_paid", {"payment_intent_id": None}),
    ("payment_attempts", "pi_paid", {"idempotency_key": "attempt:x"}),
    ("payment_attempts", "pi_paid", {"closed_at": None}),
    ("payment_attempts", "pi_open", {"state": "succeeded"}),
    ("payment_attempts", "pi_open", {"closed_at": after(0)}),
    ("payment_attempts", "pi_open", {"due_at": None}),
    ("payment_attempts", "pi_open", {"state": "declined"}),
]


def test_a_value_changed_by_hand_is_found(filled: Database) -> None:
    overlooked = []
    with by_hand(filled) as connection:
        for table, name, values in PLANTED:
            found = TABLES[table]
            connection.execute(sa.update(found).where(found.c.payment_intent_id == name).values(**values))
            checks = {violation.check for violation in audit.run(connection)}
            connection.rollback()
            if not checks & {"payments", "payment attempts"}:
                overlooked.append((table, name, values))
    assert overlooked == []


def test_a_row_deleted_by_hand_is_found(filled: Database) -> None:
    with by_hand(filled) as connection:
        for table in ("payments", "payment_attempts"):
            found = TABLES[table]
            connection.execute(sa.delete(found).where(found.c.payment_intent_id == "pi_paid"))
            checks = {violation.check for violation in audit.run(connection)}
            connection.rollback()
            assert checks & {"payments", "payment attempts"}


def test_two_open_attempts_of_a_team_are_found(filled: Database) -> None:
    with by_hand(filled) as connection:
        rows = tables.payment_attempts
        connection.exec_driver_sql("DROP INDEX uq_payment_attempts_open")
        team_id = connection.execute(sa.select(rows.c.team_id).where(rows.c.payment_intent_id == "pi_open")).scalar()
        connection.execute(
            sa.insert(rows).values(
                id="f" * 24, team_id=team_id, path="auto", state="claimed", amount_micros=1, request={},
                idempotency_key=f"attempt:{'f' * 24}", created_at=after(0), due_at=after(0), tries=0,
            )
        )  # fmt: skip
        [violation] = audit.run(connection)
        connection.rollback()
    assert str(violation) == f"payment attempts: team {team_id} has 2 open payment attempts"


@pytest.mark.parametrize(("before", "kind"), [("deposit", "grant"), ("dispute", "usage"), ("reinstatement", "grant")])
def test_a_change_of_kind_in_the_ledger_is_found(filled: Database, before: str, kind: str) -> None:
    with by_hand(filled) as connection:
        with without_triggers(connection):
            rows = tables.transfers
            connection.execute(sa.update(rows).where(rows.c.kind == before).values(kind=kind))
        assert "payments" in {violation.check for violation in audit.run(connection)}
        connection.rollback()
