"""Events of the processor, by webhook and by poll: whatever reaches us, our books are what the processor's are."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.request import Request, urlopen

import pytest
import sqlalchemy as sa

from forebay.domain.money import audit, payments
from forebay.payments import events
from forebay.payments.base import Event, OutcomeUnknown
from forebay.storage import tables
from tests import servers
from tests.api.clock import START
from tests.api.cloud import DOLLAR, Cloud
from tests.api.shop import KEY, Shop
from tests.payments.bank import DISPUTED
from tests.payments.relay import Relay, body_of

pytestmark = pytest.mark.slow

SECRET = "whsec_of_no_use_elsewhere"
ALWAYS = START - timedelta(days=365)
NEVER = START + timedelta(days=3650)


@pytest.fixture
def shop(make_cloud: Callable[..., Cloud]) -> Shop:
    return Shop(make_cloud(**KEY, stripe_webhook_secret=SECRET))


def deliver(shop: Shop, body: bytes, signature: str) -> int:
    headers = {"stripe-signature": signature}
    return shop.cloud.post("/api/stripe/webhook", raw=body, headers=headers).status


@pytest.fixture
def relay(shop: Shop) -> Relay:
    return Relay(lambda body, signature: deliver(shop, body, signature), SECRET, shop.cloud.clock.now)


def told(shop: Shop) -> list[bytes]:
    """All that the processor has to say, as it would send it."""
    return [body_of(event) for event in shop.processor.events(since=ALWAYS)]


def look(shop: Shop) -> None:
    """Let everything that is due be looked into, without a poll."""
    reconciler: Any = shop.cloud.worker.reconcilers["payment-events"]
    reconciler.polled_at = shop.cloud.clock.monotonic()
    for _ in range(5):
        shop.cloud.run("payment-events")
        shop.cloud.run("payments")


def poll(shop: Shop) -> None:
    reconciler: Any = shop.cloud.worker.reconcilers["payment-events"]
    reconciler.polled_at = None
    shop.cloud.run("payment-events")
    shop.cloud.run("payments")


def check(shop: Shop) -> None:
    """Our books are the processor's, and balance."""
    with audit.snapshot(shop.cloud.database) as connection:
        assert audit.run(connection) == []
        ours = {
            payment.payment_intent_id: (payment.credited_micros, payment.refunded_micros, payment.disputed_micros)
            for payment in payments.between(connection, ALWAYS, NEVER)
        }
    assert ours == {
        payment.id: (payment.amount_micros, payment.refunded_micros, payment.disputed_micros)
        for payment in shop.processor.payments(since=ALWAYS, until=NEVER)
        if payment.status == "succeeded"
    }


def paid(shop: Shop, key: str, **body: Any) -> str:
    """The processor's id of a payment by the default card."""
    made = shop.top_up(clientKey=key, **body)
    assert made["state"] == "succeeded"
    with shop.cloud.database.read() as connection:
        rows = tables.payment_attempts
        return str(connection.execute(sa.select(rows.c.payment_intent_id).where(rows.c.id == made["id"])).scalar_one())


@pytest.mark.grows
@pytest.mark.parametrize("seed", range(100 if os.environ.get("PROVE") else 4))
def test_duplicates_delays_and_any_order_come_to_the_same(shop: Shop, relay: Relay, seed: int) -> None:
    relay.chance.seed(seed)
    shop.card()
    first, second = paid(shop, "a", amount=100), paid(shop, "b", amount=60)
    page = shop.top_up(clientKey="c", amount=40, checkout=True)
    shop.processor.pay(page["pageUrl"].rpartition("/")[2])
    shop.processor.refund(first, 30 * DOLLAR)
    relay.bring(told(shop))
    look(shop)
    shop.processor.refund(first, 20 * DOLLAR)
    shop.processor.dispute(second, 60 * DOLLAR)
    relay.bring(told(shop))
    look(shop)
    relay.bring_late()
    shop.processor.dispute(second, 0)
    relay.bring(told(shop))
    relay.bring_late()
    look(shop)
    check(shop)
    assert shop.balance == 100 - 50 + 60 + 40
    with shop.cloud.database.read() as connection:
        rows = tables.webhook_events
        kept = connection.execute(sa.select(rows.c.id, rows.c.due_at)).all()
    assert len(kept) == len(told(shop))
    assert all(row.due_at is None for row in kept)


def test_what_no_webhook_brought_the_poll_finds(shop: Shop, relay: Relay) -> None:
    shop.card()
    payment_id = paid(shop, "a", amount=100)
    shop.processor.refund(payment_id, 30 * DOLLAR)
    relay.bring(told(shop), drop=1)
    look(shop)
    assert shop.balance == 100
    poll(shop)
    assert shop.balance == 70
    # What becomes visible late is found too: a poll looks an hour back.
    shop.cloud.clock.forward(seconds=3000)
    poll(shop)
    late = shop.processor.refund(payment_id, 10 * DOLLAR)
    event = shop.processor.happened[-1]
    shop.processor.happened[-1] = Event(
        id=event.id, type=event.type, object_id=late.id, payment_id=late.id,
        occurred_at=event.occurred_at - timedelta(seconds=2000),
    )  # fmt: skip
    poll(shop)
    assert shop.balance == 60
    check(shop)


def test_forged_replayed_and_strange_ones_change_nothing(shop: Shop, relay: Relay) -> None:
    shop.card()
    payment_id = paid(shop, "a", amount=100)
    forged = Event(
        id="evt_forged", type="charge.refunded", object_id=payment_id, payment_id=payment_id, occurred_at=START
    )
    relay.forge(body_of(forged))
    # Even a well signed one only says where to look.
    relay.send(body_of(forged))
    body = body_of(forged, id="evt_old")
    signature = events.sign(body, SECRET, now=shop.cloud.clock.now())
    shop.cloud.clock.forward(days=365)
    assert deliver(shop, body, signature) == 400
    for strange in (
        body_of(forged, id="evt_a", data={"object": {"id": "pi_none", "object": "payment_intent"}}),
        body_of(forged, id="evt_b", data={"object": {"id": "du_1", "object": "dispute", "payment_intent": "pi_none"}}),
        body_of(forged, id="evt_c", type="checkout.session.completed", data={"object": {"id": "cs_none"}}),
        body_of(forged, id="evt_d", type="customer.deleted"),
    ):
        relay.send(strange)
    look(shop)
    assert shop.balance == 100
    check(shop)
    for nonsense in (b"", b"{}", b"[]", b"\xff", body_of(forged, data=None)):
        assert deliver(shop, nonsense, events.sign(nonsense, SECRET, now=shop.cloud.clock.now())) == 400


def test_payments_that_are_not_ours_stay_theirs(shop: Shop, relay: Relay) -> None:
    """Somebody charges a card on the same account, and even marks it as if it were ours."""
    shop.card()
    attempt = shop.top_up(clientKey="a")
    marks = {"forebay_attempt": attempt["id"]}
    for foreign in ({}, marks):
        payment_id = shop.processor.note(50 * DOLLAR, foreign, shop.processor.new_card())
        shop.processor.charge(payment_id)
    relay.bring(told(shop))
    relay.bring_late()
    look(shop)
    assert shop.balance == 50


def test_a_payment_whose_page_we_thought_over_is_credited(shop: Shop, relay: Relay) -> None:
    page = shop.top_up(clientKey="a", amount=40, checkout=True)
    page_id = page["pageUrl"].rpartition("/")[2]
    shop.processor.pay(page_id)
    # The page's own answer is lost, and it is given up.
    with shop.cloud.database.begin() as connection:
        rows = tables.payment_attempts
        connection.execute(
            sa.update(rows)
            .where(rows.c.id == page["id"])
            .values(state="canceled", closed_at=shop.cloud.clock.now(), due_at=None)
        )
    relay.bring(told(shop))
    relay.bring_late()
    look(shop)
    assert shop.balance == 40
    check(shop)


def test_a_processor_that_does_not_answer_is_asked_again(shop: Shop, relay: Relay) -> None:
    shop.card()
    payment_id = paid(shop, "a", amount=100)
    shop.processor.refund(payment_id, 30 * DOLLAR)
    reconciler: Any = shop.cloud.worker.reconcilers["payment-events"]

    class Silent:
        def __getattr__(self, name: str) -> Any:
            raise OutcomeUnknown("no answer")

    reconciler.processor = Silent()
    relay.bring(told(shop))
    relay.bring_late()
    look(shop)
    poll(shop)
    assert shop.balance == 100
    reconciler.processor = shop.processor
    shop.cloud.clock.forward(seconds=60)
    look(shop)
    assert shop.balance == 70
    check(shop)


def test_a_cloud_without_a_secret_takes_no_events(cloud: Cloud) -> None:
    cloud.post("/api/stripe/webhook", raw=b"{}").refused(409, "PAYMENTS_NOT_SET_UP")


def test_a_disputed_card_is_credited_and_taken_back(shop: Shop, relay: Relay) -> None:
    shop.card(DISPUTED)
    payment_id = paid(shop, "a", amount=100)
    assert shop.balance == 0
    shop.processor.dispute(payment_id, 0)
    relay.bring(told(shop))
    relay.bring_late()
    look(shop)
    assert shop.balance == 100
    check(shop)


@contextmanager
def listening() -> Iterator[tuple[int, list[tuple[bytes, str]]]]:
    """A port of this machine, and what was posted there: bodies and signatures."""
    heard: list[tuple[bytes, str]] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((self.rfile.read(int(self.headers["content-length"])), self.headers["stripe-signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Ear)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server.server_port, heard
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
def test_signatures_of_another_implementation_are_taken() -> None:
    """localstripe signs webhooks by itself, knowing nothing of our code."""
    with listening() as (port, heard), servers.localstripe() as base:
        ask(f"{base}/_config/webhooks/one", {"url": f"http://127.0.0.1:{port}/", "secret": SECRET})
        ask(f"{base}/v1/customers", {"email": "a@example.org"})
        for _ in range(200):
            if heard:
                break
            threading.Event().wait(0.05)
        body, signature = heard[0]
    now = datetime.now(UTC)
    events.verify(body, signature, SECRET, now=now)
    assert events.read(body).type == json.loads(body)["type"]
    with pytest.raises(events.BadSignature):
        events.verify(body, signature, "whsec_else", now=now)


def ask(url: str, form: dict[str, str]) -> None:
    body = "&".join(f"{name}={value}" for name, value in form.items()).encode()
    with urlopen(Request(url, body, {"authorization": "Bearer sk_test_x"}), timeout=10) as answer:
        assert answer.status == 200


def test_the_processor_never_has_to_wait(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(**KEY, stripe_webhook_secret=SECRET, rate_limit_anonymous=2)
    statuses = [cloud.post("/api/stripe/webhook", raw=b"{}", headers={"stripe-signature": "x"}).status for _ in "12345"]
    assert statuses == [400] * 5
    assert [cloud.get("/api/me").status for _ in "123"] == [401, 401, 429]
