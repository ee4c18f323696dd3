"""Teams with cards, what charges them, and an account at a payment processor to compare the books with."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from forebay.domain.money import audit, cards, deposits, payment_attempts, payments
from forebay.domain.money.deposits import Wish
from forebay.domain.money.payment_attempts import Attempt, Path
from forebay.domain.money.receipts import Seller
from forebay.payments.base import Payment, PaymentStatus
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.customers import Customers
from forebay.worker.payments import PaymentReconciler
from tests.payments.bank import GOOD, NO_FUNDS, Bank
from tests.worker.stage import DOLLAR, AtOnce, Stage, Team, numbers

ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
NEVER = datetime(2100, 1, 1, tzinfo=UTC)
SELLER = Seller("Iron & Sons", "DE123456789")
NEVER_QUIET = 500


class Till:
    """See the module."""

    def __init__(self, database: Database, bank: Bank) -> None:
        self.stage, self.bank, self.database = Stage(database), bank, database
        self.clock = self.stage.clock
        self.nudged: set[str] = set()
        self.reconciler = self.open()

    def open(self, database: Any = None, processor: Any = None) -> PaymentReconciler:
        """A process on the same books and the same account, or on what stands before them."""
        return PaymentReconciler(
            database or self.database,
            processor or self.bank.processor,
            self.clock,
            seller=SELLER,
            return_url="http://forebay.test/",
            nudge=self.nudged.add,
            executor=AtOnce(),
        )

    def restart(self) -> None:
        """End the process without a word and start it again."""
        self.reconciler = self.open()
        if self.database.is_sqlite:
            with self.database.begin() as connection:
                payment_attempts.release_all(connection, now=self.clock.now())

    def team(self, number: str = GOOD, *, dollars: float = 0) -> Team:
        """A team with a saved card of this number."""
        team = self.stage.team(dollars=dollars)
        self.save_card(team, number)
        return team

    def save_card(self, team: Team, number: str = GOOD) -> str:
        """The id of a new card of the team's."""
        processor = self.bank.processor
        customer_id = Customers(self.database, processor, self.clock).ensure(team.id)
        method = self.bank.new_card(number)
        if number != NO_FUNDS:
            # A card without funds can't even be saved; it may have lost them since.
            processor.save_card(method, customer_id, key=method)
        facts = cards.Facts(
            payment_method_id=method, brand="visa", last_four=number[-4:], expiry_month=12, expiry_year=2034
        )
        with self.database.begin() as connection:
            owner = team.context.caller.user_id
            return cards.add(connection, team.id, facts, created_by=owner, now=self.clock.now()).id

    def ask(self, team: Team, dollars: int = 50, *, database: Any = None, key: str = "", **more: Any) -> Attempt:
        """A deposit that the owner asks for."""
        wish = Wish(amount_micros=dollars * DOLLAR, client_key=key or f"key {next(numbers)}", **more)
        with (database or self.database).begin() as connection:
            return deposits.ask(connection, team.context, wish, now=self.clock.now())

    def ask_by_itself(self, team: Team, dollars: int = 50) -> Attempt:
        """A charge that nobody is there for."""
        with self.database.begin() as connection:
            card = deposits.card_of(connection, team.id, None)
            return payment_attempts.claim(
                connection,
                team_id=team.id,
                path=Path.auto,
                amount_micros=dollars * DOLLAR,
                card_id=card.id,
                request=deposits.request(dollars * DOLLAR, card=card, marks={"forebay_team": team.id}),
                now=self.clock.now(),
            )

    def settle(self, reconciler: PaymentReconciler | None = None) -> None:
        """Let it work until no charge is open; the clock goes on only while something has to wait."""
        for _ in range(NEVER_QUIET):
            (reconciler or self.reconciler).run()
            columns = tables.payment_attempts.c
            is_charge = (columns.closed_at.is_(None), columns.path != "checkout")
            with self.database.read() as connection:
                due_at = connection.execute(sa.select(columns.due_at).where(*is_charge)).scalars().first()
            if due_at is None:
                return
            self.clock.pass_(max(0, (due_at - self.clock.now()).total_seconds()))
        raise AssertionError("never quiet")

    def find(self, attempt: Attempt) -> Attempt:
        """The attempt as it is now."""
        with self.database.read() as connection:
            found = payment_attempts.find(connection, attempt.id)
        assert found is not None
        return found

    def balance(self, team: Team) -> float:
        """In dollars."""
        return self.stage.balance(team).balance_micros / DOLLAR

    def charged(self) -> list[Payment]:
        """What the processor says it has charged."""
        found = self.bank.processor.payments(since=ALWAYS, until=NEVER)
        return [payment for payment in found if payment.status is PaymentStatus.succeeded]

    def mails(self) -> list[str]:
        """Whom each mail was for, and its subject."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(tables.mails.c.recipient, tables.mails.c.subject))
            return [f"{row.recipient}: {row.subject}" for row in rows]

    def check(self) -> None:
        """The books balance, and show exactly the payments that the processor shows."""
        with audit.snapshot(self.database) as connection:
            assert audit.run(connection) == []
        theirs = {
            payment.id: (payment.amount_micros, payment.refunded_micros, payment.disputed_micros)
            for payment in self.charged()
        }
        with self.database.read() as connection:
            ours = {
                payment.payment_intent_id: (payment.credited_micros, payment.refunded_micros, payment.disputed_micros)
                for payment in payments.between(connection, ALWAYS, NEVER)
            }
            credited = connection.execute(
                sa.select(sa.func.sum(tables.entries.c.amount_micros)).where(tables.entries.c.account_id == "clearing")
            ).scalar()
        assert ours == theirs
        kept = sum(amount - min(amount, refunded + disputed) for amount, refunded, disputed in theirs.values())
        assert -(credited or 0) == kept


def outcome(attempt: Attempt) -> tuple[str, str | None]:
    """State and code."""
    return attempt.state.value, attempt.error_code
