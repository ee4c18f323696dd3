"""Auto top-up of 1,000 teams with ten machines each: how soon a charge is claimed once the cycle has found the balance
too low, how fast cards are charged, and what that costs the cycle.

A whole worker runs, as in `forebay serve`, on Stripe's stand-in. The peer is the least that charges a card safely: as
many hands, the same requests to the stand-in, and the bare driver that keeps claim, payment and outcome, each durably,
before the next step. It has no books, no decisions and no mails. A cycle during the charges is measured beside one
without any. Stripe itself takes 100 requests a second (https://docs.stripe.com/rate-limits), and a charge is two.
"""

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from benchmarks.deduction import start_machines
from benchmarks.figures import Figure, note
from forebay import ids
from forebay.app import Forebay
from forebay.domain.money import ledger
from forebay.payments.base import Customer, Order
from forebay.settings import Settings
from forebay.storage import tables
from forebay.worker.loop import Worker
from forebay.worker.payments import HANDS
from tests import servers
from tests.payments.bank import SECRET, StripeBank

TEAMS = 1000
ALONE = 5
"""So many teams fall below their threshold in a cycle of their own; then all the others at once."""
A_MINUTE_MICROS = 10_840
"""A little more than ten machines cost in a minute."""
THRESHOLD_MICROS = 20_000_000
AMOUNT_MICROS = 50_000_000
LONGEST_SECONDS = 180
POLL_SECONDS = 0.002

WRITING = threading.Lock()
Saved = tuple[str, str]
"""The processor's ids of a customer and a card."""


def run() -> Iterator[Figure]:
    """Claims, charges, and cycles meanwhile."""
    with servers.stripe_world() as world, tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        account = world.account()
        bank = StripeBank(account)
        with ThreadPoolExecutor(HANDS) as hands, closing(bare_books(Path(name) / "bare.db")) as books:
            saved = list(hands.map(lambda number: save(bank, number), range(TEAMS)))
            began = time.perf_counter()
            list(hands.map(lambda number: charge(bank, books, number, saved[number]), range(TEAMS)))
            bare = TEAMS / (time.perf_counter() - began)
        bank.close()
        settings = Settings(
            data_dir=Path(name),
            providers=(),
            cycle_seconds=3600,
            stripe_secret_key=SECRET,
            stripe_api_base=account,
        )
        yield from Measurement(settings, saved).figures(bare)


def save(bank: StripeBank, number: int) -> Saved:
    """A customer of the stand-in's with a card."""
    customer = Customer(name=f"Team {number}", email="a@example.test", marks={"forebay_team": str(number)})
    customer_id = bank.processor.create_customer(customer, key=f"customer {number}")
    card = bank.processor.save_card(bank.new_card(), customer_id, key=f"card {number}")
    return customer_id, card.payment_method_id


def bare_books(path: Path) -> sqlite3.Connection:
    """One table, kept as durably as Forebay keeps its own."""
    books = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        books.execute(f"PRAGMA {pragma}")
    books.execute("CREATE TABLE attempts (id INTEGER PRIMARY KEY, payment TEXT, state TEXT)")
    return books


def charge(bank: StripeBank, books: sqlite3.Connection, number: int, saved: Saved) -> None:
    """Claim, ask, note, ask, note."""
    order = Order(
        amount_micros=AMOUNT_MICROS,
        customer_id=saved[0],
        payment_method_id=saved[1],
        description="50.00 credits",
        marks={"number": str(number)},
    )
    keep(books, "INSERT INTO attempts VALUES (?, '', 'claimed')", number)
    made = bank.processor.create_payment(order, key=f"payment {number}")
    keep(books, "UPDATE attempts SET payment = ?, state = 'created' WHERE id = ?", made.id, number)
    bank.processor.confirm(made.id, key=f"confirm {number}")
    keep(books, "UPDATE attempts SET state = 'succeeded' WHERE id = ?", number)


def keep(books: sqlite3.Connection, statement: str, *values: Any) -> None:
    """Execute one statement, and commit it."""
    with WRITING:
        books.execute(statement, values)


class Measurement:
    """A cloud whose worker runs, and the time that each of its cycles has taken."""

    def __init__(self, settings: Settings, saved: list[Saved]) -> None:
        self.forebay = Forebay(settings)
        self.sighted_at = self.forebay.clock.now() - timedelta(hours=1)
        with self.forebay.database.begin() as connection:
            fill(connection, saved, self.sighted_at)
        self.forebay.open_providers("http://127.0.0.1")
        self.worker: Worker = self.forebay.build_worker()
        self.cycles: list[float] = []
        self.has_run = threading.Event()
        self.worker.reconcilers["cycle"].run = self.timed(self.worker.reconcilers["cycle"].run)  # type: ignore[method-assign]
        self.raw = sqlite3.connect(settings.data_dir / "forebay.db", isolation_level=None)

    def timed(self, run: Callable[[], int]) -> Callable[[], int]:
        """The same, with the seconds it took kept."""

        def timed() -> int:
            began = time.perf_counter()
            found = run()
            self.cycles.append(time.perf_counter() - began)
            self.has_run.set()
            return found

        return timed

    def figures(self, bare: float) -> Iterator[Figure]:
        """Run the cycles one after the other, and reckon."""
        self.forebay.start_worker()
        self.await_(self.has_run.is_set, "the first cycle, which has nothing to charge")
        try:
            alone = []
            for number in range(1, ALONE + 1):
                noticed = self.cycle()
                alone.append(self.claimed(number) - noticed)
                self.closed(number)
            quiet = self.cycles[1:]
            noticed = self.cycle()
            claimed = self.claimed(TEAMS) - noticed
            self.await_(self.has_run.is_set, "the cycle")
            busy_from = len(self.cycles)
            while self.count("closed_at IS NOT NULL") < TEAMS and len(self.cycles) < busy_from + ALONE:
                self.cycle()
                self.await_(self.has_run.is_set, "the cycle")
            busy = self.cycles[busy_from:]
            rate = (TEAMS - ALONE) / (self.closed(TEAMS) - noticed)
            balances = self.value(
                "SELECT count(*) FROM accounts WHERE team_id IS NOT NULL AND balance_micros > 60000000"
            )
        finally:
            self.raw.close()
            self.forebay.close()
        if balances != TEAMS:
            raise RuntimeError(f"{balances} teams were credited")
        note(
            f"one claimed after {', '.join(f'{1000 * seconds:.0f}' for seconds in alone)} ms; "
            f"{TEAMS - ALONE} at once in {claimed:.1f} s"
        )
        note(f"{rate:.0f} charges/s; the least that is safe {bare:.0f} charges/s")
        note(f"a cycle takes {median(quiet):.2f} s, and {median(busy):.2f} s while cards are charged")
        yield Figure("auto-top-up-claim-seconds", max(alone), "s", "<=", 1)
        yield Figure("auto-top-up-1000-claims-seconds", claimed, "s", "<=", 10)
        yield Figure("auto-top-up-charges-rate", rate, "/s", ">=", 50)
        yield Figure("auto-top-up-charges-ratio", rate / bare, "x", ">=", 0.5)
        yield Figure("auto-top-up-cycle-ratio", median(quiet) / median(busy), "x", ">=", 0.5)

    def cycle(self) -> float:
        """Let the machines have run for another minute, and the worker charge it; when that was on record."""
        self.has_run.clear()
        self.sighted_at += timedelta(minutes=1)
        with self.forebay.database.begin() as connection:
            connection.execute(sa.update(tables.segments).values(sighted_at=self.sighted_at))
        lines = self.value("SELECT count(*) FROM usage_lines")
        self.worker.nudge("cycle")
        return self.await_(lambda: self.value("SELECT count(*) FROM usage_lines") > lines, "a cycle has charged")

    def claimed(self, number: int) -> float:
        """When so many charges had been claimed."""
        return self.await_(lambda: self.count("TRUE") >= number, f"{number} claims")

    def closed(self, number: int) -> float:
        """When so many had come to their end."""
        return self.await_(lambda: self.count("closed_at IS NOT NULL") >= number, f"{number} charges", every=0.02)

    def count(self, condition: str) -> int:
        return self.value(f"SELECT count(*) FROM payment_attempts WHERE {condition}")

    def value(self, statement: str) -> int:
        """One number of the database, read beside the worker."""
        return int(self.raw.execute(statement).fetchone()[0])

    def await_(self, claim: Callable[[], bool], what: str, *, every: float = POLL_SECONDS) -> float:
        """When the claim was true."""
        until = time.perf_counter() + LONGEST_SECONDS
        while not claim():
            if time.perf_counter() > until:
                raise RuntimeError(f"{what}: not within {LONGEST_SECONDS} s")
            time.sleep(every)
        return time.perf_counter()


def fill(connection: sa.Connection, saved: list[Saved], at: datetime) -> None:
    """The teams, each with machines, a card, auto top-up, and credits until its cycle."""
    user_id = ids.new_id(at)
    person = {"id": user_id, "email": "a@example.test", "email_key": "a@example.test", "name": "A"}
    connection.execute(sa.insert(tables.users).values(**person, created_at=at))
    for number, (customer_id, method) in enumerate(saved):
        team_id = ids.new_id(at)
        team: dict[str, Any] = {"id": team_id, "number": number + 1, "slug": f"team-{number}", "name": f"Team {number}"}
        own = {"team_id": team_id, "created_at": at}
        connection.execute(
            sa.insert(tables.teams).values(**team, member_mode="deploy-only", created_at=at, created_by=user_id)
        )
        ledger.open_account(connection, team_id)
        credit = THRESHOLD_MICROS + min(number, ALONE) * A_MINUTE_MICROS
        ledger.grant(connection, team_id=team_id, amount_micros=credit, reason="", created_by=user_id, now=at)
        start_machines(connection, team_id, at)
        connection.execute(
            sa.insert(tables.customers).values(
                team_id=team_id, customer_id=customer_id, request={"name": "", "email": ""}, claimed_at=at, made_at=at
            )
        )
        facts = {"brand": "visa", "last_four": "4242", "expiry_month": 12, "expiry_year": 2034}
        connection.execute(
            sa.insert(tables.cards).values(
                id=ids.new_id(at), payment_method_id=method, is_default=True, created_by=user_id, **facts, **own
            )
        )
        connection.execute(
            sa.insert(tables.auto_top_ups).values(
                team_id=team_id,
                is_on=True,
                threshold_micros=THRESHOLD_MICROS,
                amount_micros=AMOUNT_MICROS,
                max_charge_micros=AMOUNT_MICROS,
                consent_text="benchmark",
                consented_by=user_id,
                consented_at=at,
                updated_at=at,
            )
        )
