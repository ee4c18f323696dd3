"""The pool refills itself: a real server, Stripe's stand-in behind a Checkout page of our own, and a person's terminal.

A card is saved, a deposit made, the server killed while a card is charged, auto top-up set off; cards decline, want
their holder, are disputed and refunded. At the end our books, the processor's list and the statement agree.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from forebay.payments.base import Event, PaymentStatus
from tests import servers
from tests.api.pdf_text import texts
from tests.e2e.cloud import Cloud, cloud, eventually, forebay
from tests.e2e.test_command_line import Terminal
from tests.payments.bank import DECLINED_LATER, DISPUTED, GOOD, NEEDS_HOLDER, SECRET
from tests.payments.own_checkout import OwnCheckout
from tests.payments.relay import Relay, body_of

SIGNING = "whsec_of_no_use_elsewhere"
ALWAYS, NEVER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class Bank(OwnCheckout):
    """Stripe's stand-in with Checkout pages, which can keep an answer back after a card was charged."""

    def __init__(self, port: int, account: str) -> None:
        super().__init__(port, account)
        self.keeps_back, self.has_charged = threading.Event(), threading.Event()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if not (self.keeps_back.is_set() and request.path.endswith("/confirm")):
            super().answer(request)
            return
        self.forward(request, request.rfile.read(int(request.headers.get("content-length") or 0)))
        self.has_charged.set()
        self.over.wait(20)
        request.close_connection = True

    def open_page(self) -> str:
        """The id of the page that waits for somebody."""

        def claim() -> str | None:
            return next((key for key, page in self.sessions.items() if page["status"] == "open"), None)

        return str(eventually(claim, "a page is open"))

    def payments(self) -> list[Any]:
        """What was charged, newest first."""
        found = self.bank.processor.payments(since=ALWAYS, until=NEVER)
        return [payment for payment in found if payment.status is PaymentStatus.succeeded]


class Pool:
    """The server, the bank, the relay between them, and the owner at a terminal."""

    def __init__(self, server: Cloud, bank: Bank, folder: Path) -> None:
        self.server, self.bank = server, bank
        self.team = server.facts["teams"][0]
        self.person = Terminal(folder / "olga", server.url, server.facts["people"][0])
        self.relay = Relay(self.deliver, SIGNING, lambda: datetime.now(UTC))

    @property
    def now(self) -> dict[str, str]:
        """Where the server is, and who asks."""
        key = self.server.facts["people"][0]["apiKey"]
        return {"FOREBAY_SERVER": self.server.url, "FOREBAY_TOKEN": key, "FOREBAY_TEAM": self.team["slug"]}

    def types(self, *words: str, answer: str = "", status: int = 0) -> str:
        """What a command shows."""
        return self.person.types(*words, answer=answer, status=status, **self.now)

    def deliver(self, body: bytes, signature: str) -> int:
        headers = {"stripe-signature": signature}
        return httpx.post(f"{self.server.url}/api/stripe/webhook", content=body, headers=headers).status_code

    def tell(self, *types: str) -> None:
        """Bring what the bank has to say of these types, in disorder and twice."""
        found = [event for event in self.bank.bank.processor.events(since=ALWAYS) if event.type in types]
        assert found, types
        self.relay.bring(body_of(event) for event in found)
        self.relay.bring_late()

    def tell_of_page(self, page_id: str) -> None:
        """Bring what Stripe would say of a page that is done: the small page has no events of its own."""
        done = Event(
            id=f"evt_{page_id}",
            type="checkout.session.completed",
            object_id=page_id,
            payment_id="",
            occurred_at=datetime.now(UTC),
        )
        self.relay.send(body_of(done))

    def at_page(self, *words: str, does: Callable[[str], object]) -> str:
        """What a command shows that waits for somebody at a page."""
        with ThreadPoolExecutor(1) as hands:
            shown = hands.submit(self.types, *words, "--no-browser")
            page_id = self.bank.open_page()
            table = "card_set_ups" if words[0] == "cards" else "payment_attempts"
            known = f"SELECT 1 FROM {table} WHERE page_id = '{page_id}'"
            eventually(lambda: self.server.rows(known), "the page is on record")
            does(page_id)
            self.tell_of_page(page_id)
            return shown.result()

    def await_balance(self, dollars: float) -> None:
        client = self.server.client()
        eventually(lambda: client.balance(self.team["id"]) == dollars, f"the balance is {dollars}")

    def add_card(self, number: str) -> None:
        """By a payment page of one's own, and charged from now on."""
        shown = self.types("cards", "add", "--payment-method", self.bank.bank.new_card(number))
        assert "The card is saved" in shown
        self.types("cards", "default", number[-4:])


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with servers.stripe_world() as world, Bank(world.port, account := world.account()) as bank:
        settings = {
            "providers": "",
            "company_name": "Iron & Sons",
            "company_vat_number": "DE123456789",
            "stripe_secret_key": SECRET,
            "stripe_webhook_secret": SIGNING,
            "stripe_api_base": bank.to(account),
        }
        with cloud(tmp_path / "cloud", **settings) as server:
            yield Pool(server, bank, tmp_path)
        bank.bank.close()


def test_the_pool_refills_itself_and_nobody_pays_twice(pool: Pool) -> None:
    assert "The card is saved" in pool.at_page("cards", "add", does=lambda page: pool.bank.save_on(page, GOOD))
    shown = pool.types("top-up", "50", answer="y")
    assert "Charge $50.00 to visa ending in 4242" in shown
    assert "has $50.00 of credits more" in shown
    pool.await_balance(150)
    killed_while_a_card_is_charged(pool)
    assert "A day can cost up to" in pool.types("auto-top-up", "set", "300", "50", answer="y")
    pool.await_balance(300)
    assert "auto" in pool.types("top-ups")
    declines(pool)
    afterwards(pool)
    agrees(pool)


def killed_while_a_card_is_charged(pool: Pool) -> None:
    """The card was charged, the answer never came, and the server is no more: it is looked up, not charged again."""
    pool.bank.keeps_back.set()
    assert "The payment goes on" in pool.types("top-up", "100", "--key", "once", "--yes", "--no-wait")
    assert pool.bank.has_charged.wait(20)
    pool.server.server.kill()
    pool.bank.keeps_back.clear()
    pool.server.start()
    assert "has $100.00 of credits more" in pool.types("top-up", "100", "--key", "once", "--yes")
    pool.await_balance(250)
    assert [payment.amount_micros for payment in pool.bank.payments()] == [100_000_000, 50_000_000]


def declines(pool: Pool) -> None:
    """A card that declines says why; one that wants its holder is paid by on a page."""
    pool.add_card(DECLINED_LATER)
    assert "Nothing was charged. The card was declined" in pool.types("top-up", "60", "--yes", status=1)
    pool.add_card(NEEDS_HOLDER)
    assert "payment page" in pool.types("top-up", "60", "--yes", status=1)
    shown = pool.at_page("top-up", "60", "--checkout", does=lambda page: pool.bank.pay(page, GOOD))
    assert "has $60.00 of credits more" in shown
    pool.await_balance(360)
    outbox = pool.server.data_dir / "outbox"

    def receipt() -> bool:
        mails = [path.read_text(errors="replace") for path in outbox.glob("*")]
        return any("Iron & Sons" in mail and "VAT number DE123456789" in mail for mail in mails)

    eventually(receipt, "a receipt by mail")


def afterwards(pool: Pool) -> None:
    """A refund and a dispute, told by a relay that repeats and shuffles; and a stranger who makes one up."""
    pool.types("auto-top-up", "off")
    paid = pool.bank.payments()[-1]
    pool.bank.bank.refund(paid.id, 20_000_000)
    pool.tell("charge.refunded")
    pool.await_balance(340)
    forged = Event(
        id="evt_forged", type="charge.refunded", object_id=paid.id, payment_id=paid.id, occurred_at=datetime.now(UTC)
    )
    pool.relay.forge(body_of(forged))
    pool.add_card(DISPUTED)
    pool.types("top-up", "40", "--yes")
    pool.await_balance(340)
    pool.bank.bank.win_dispute(pool.bank.payments()[0].id)
    pool.tell("charge.dispute.closed", "charge.dispute.funds_reinstated")
    pool.await_balance(380)


def agrees(pool: Pool) -> None:
    """The statement, the processor's list and the books."""
    month = f"{datetime.now(UTC):%Y-%m}"
    path = pool.person.folder / "statement.pdf"
    pool.types("statement", month, "--output", str(path))
    shown = texts(path.read_bytes())
    assert shown[shown.index("Closing balance") + 1] == "380.000000"
    told = forebay("payments", "reconcile", "--data-dir", pool.server.data_dir, **pool.server.settings)
    assert (told.returncode, "agree on 5 payments" in told.stdout) == (0, True), told
    assert pool.server.violations() == []
