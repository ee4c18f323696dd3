"""Stripe, through its own library: which request a wish becomes, and what an answer means.

The library's retries are off: whether a request may be repeated is for whoever asked to know. Nothing of a request or
an answer is logged, and no card number ever passes here: cards come as ids that Stripe's pages have made.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import stripe
from stripe import StripeClient

from forebay.domain.money.amounts import from_cents, to_cents
from forebay.payments.base import (
    Card,
    Customer,
    Declined,
    Event,
    NoSuchObject,
    Order,
    OutcomeUnknown,
    Page,
    PageOrder,
    PageStatus,
    Payment,
    PaymentError,
    PaymentStatus,
    Refused,
    TryAgain,
)
from forebay.payments.events import CONCERN_US, to_event

SECONDS = 20.0
"""How long an answer is waited for. Stripe itself may take as long over a card's bank."""
PAGE_OF_LIST = 100
OPEN_DISPUTES = frozenset({"needs_response", "under_review", "lost"})
"""States of a dispute in which the money is withdrawn. An inquiry (`warning_…`) withdraws none; `won` gave it back."""

CHARGE = {"expand": ["latest_charge"]}


class Http(stripe.HTTPClient):
    """How the library's requests travel: pooled connections, one time-out, nothing repeated."""

    name = "httpx"

    def __init__(self, seconds: float) -> None:
        super().__init__()
        context = ssl.create_default_context(cafile=stripe.ca_bundle_path)
        self.connections = httpx.Client(timeout=seconds, verify=context, trust_env=False)

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        """Body, status and headers of the answer."""
        try:
            answer = self.connections.request(method.upper(), url, headers=headers, content=post_data or None)
        except httpx.HTTPError as reason:
            # Not the library's own words: they name the address, and some of them the request.
            raise stripe.APIConnectionError(type(reason).__name__) from None  # type: ignore[no-untyped-call]
        return answer.text, answer.status_code, answer.headers

    def close(self) -> None:
        """End the connections."""
        self.connections.close()


class StripeProcessor:
    """See the module."""

    name = "stripe"

    def __init__(self, secret_key: str, *, api_base: str, seconds: float = SECONDS) -> None:
        self.http = Http(seconds)
        self.client = StripeClient(
            secret_key, base_addresses={"api": api_base.rstrip("/")}, max_network_retries=0, http_client=self.http
        ).v1

    def create_customer(self, customer: Customer, *, key: str) -> str:
        """One customer a key."""
        wanted: Any = {"name": customer.name, "email": customer.email, "metadata": dict(customer.marks)}
        with answers():
            return self.client.customers.create(wanted, {"idempotency_key": key}).id

    def find_customer(self, marks: Mapping[str, str], *, since: datetime) -> str | None:
        """Lists are read to their end, because Stripe's search lags behind."""
        wanted: Any = {"created": {"gte": int(since.timestamp())}, "limit": PAGE_OF_LIST}
        with answers():
            for found in self.client.customers.list(wanted).auto_paging_iter():
                if marks.items() <= (found.to_dict().get("metadata") or {}).items():
                    return found.id
        return None

    def save_card(self, payment_method_id: str, customer_id: str, *, key: str) -> Card:
        """Attach it. One that is the customer's already, as after a page that saved it, is only read."""
        with answers():
            found = self.client.payment_methods.retrieve(payment_method_id)
            if found.type != "card":
                raise Refused("This is no card.", code="not_a_card")
            if id_of(found.customer) not in ("", customer_id):
                raise Refused("The card is another customer's.", code="payment_method_unexpected_state")
            if found.customer is None:
                wanted: Any = {"customer": customer_id}
                found = self.client.payment_methods.attach(payment_method_id, wanted, {"idempotency_key": key})
            return to_card(found)

    def card(self, payment_method_id: str) -> Card:
        """As it is now: banks replace cards, and Stripe follows."""
        with answers():
            return to_card(self.client.payment_methods.retrieve(payment_method_id))

    def forget_card(self, payment_method_id: str) -> None:
        """Detach it. Stripe refuses that for one that is nobody's, which is what is wanted."""
        try:
            with answers():
                self.client.payment_methods.detach(payment_method_id)
        except Refused:
            with answers():
                found = self.client.payment_methods.retrieve(payment_method_id)
            if found.customer is not None:
                raise

    def create_payment(self, order: Order, *, key: str) -> Payment:
        """A PaymentIntent that waits to be confirmed."""
        wanted: Any = {
            "amount": to_cents(order.amount_micros),
            "currency": "usd",
            "customer": order.customer_id,
            "payment_method": order.payment_method_id,
            "payment_method_types": ["card"],
            "description": order.description,
            "metadata": dict(order.marks),
        }
        with answers():
            return self.to_payment(self.client.payment_intents.create(wanted, {"idempotency_key": key}))

    def confirm(self, payment_id: str, *, key: str) -> Payment:
        """Off-session. A decline is told by an error, and by the payment: the payment is what counts."""
        try:
            with answers():
                confirmed = self.client.payment_intents.confirm(
                    payment_id, {"off_session": True}, {"idempotency_key": key}
                )
                if confirmed.status == "succeeded":
                    return self.payment(payment_id)
                return self.to_payment(confirmed)
        except Refused as refused:
            return self.after_refusal(payment_id, refused)

    def cancel(self, payment_id: str, *, key: str) -> Payment:
        """A payment that succeeded can't be canceled, and says so."""
        try:
            with answers():
                return self.to_payment(self.client.payment_intents.cancel(payment_id, {}, {"idempotency_key": key}))
        except Refused:
            return self.payment(payment_id)

    def after_refusal(self, payment_id: str, refused: Refused) -> Payment:
        """How a payment stands whose confirmation was refused; Refused where it stands as if nothing had been asked."""
        found = self.payment(payment_id)
        if found.status is PaymentStatus.ready:
            raise refused
        return found

    def payment(self, payment_id: str) -> Payment:
        """With its charge and its disputes."""
        with answers():
            wanted: Any = CHARGE
            return self.to_payment(self.client.payment_intents.retrieve(payment_id, wanted))

    def payments(self, *, since: datetime, until: datetime) -> Iterator[Payment]:
        """Every PaymentIntent of the account, whoever made it."""
        created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
        wanted: Any = {"created": created, "limit": PAGE_OF_LIST, "expand": ["data.latest_charge"]}
        with answers():
            for found in self.client.payment_intents.list(wanted).auto_paging_iter():
                yield self.to_payment(found)

    def open_page(self, order: PageOrder, *, key: str) -> Page:
        """A hosted Checkout page."""
        with answers():
            wanted: Any = checkout_parameters(order)
            return to_page(self.client.checkout.sessions.create(wanted, {"idempotency_key": key}))

    def page(self, page_id: str) -> Page:
        """With the card that a set-up saved."""
        with answers():
            wanted: Any = {"expand": ["setup_intent"]}
            return to_page(self.client.checkout.sessions.retrieve(page_id, wanted))

    def expire_page(self, page_id: str) -> Page:
        """Stripe refuses that for one that isn't open any more."""
        try:
            with answers():
                return to_page(self.client.checkout.sessions.expire(page_id))
        except NoSuchObject:
            raise
        except Refused:
            return self.page(page_id)

    def events(self, *, since: datetime) -> Iterator[Event]:
        """Of the types that concern us."""
        wanted: Any = {
            "created": {"gte": int(since.timestamp())},
            "limit": PAGE_OF_LIST,
            "types": list(CONCERN_US),
        }
        with answers():
            for found in self.client.events.list(wanted).auto_paging_iter():
                yield to_event(found.to_dict())

    def close(self) -> None:
        """End the connections."""
        self.http.close()

    def to_payment(self, intent: stripe.PaymentIntent) -> Payment:
        """What a PaymentIntent says. Its charge must have been expanded, if it has one that matters."""
        found: dict[str, Any] = intent.to_dict()
        error = found.get("last_payment_error") or {}
        has_succeeded = found["status"] == "succeeded"
        charge = found.get("latest_charge") if has_succeeded else None
        charge = charge if isinstance(charge, dict) else {}
        code = str(error.get("decline_code") or error.get("code") or ("declined" if error else ""))
        return Payment(
            id=found["id"],
            status=status_of(found["status"], bool(error), code),
            amount_micros=from_cents(found["amount_received"] if has_succeeded else found["amount"]),
            currency=found["currency"],
            created_at=datetime.fromtimestamp(found["created"], UTC),
            code="" if has_succeeded else code,
            marks=dict(found.get("metadata") or {}),
            card_words=words_of(charge),
            refunded_micros=from_cents(charge.get("amount_refunded", 0)),
            disputed_micros=self.disputed_micros(found["id"]) if charge.get("disputed") else 0,
        )

    def disputed_micros(self, payment_id: str) -> int:
        """What the disputes of a payment have withdrawn."""
        wanted: Any = {"payment_intent": payment_id, "limit": PAGE_OF_LIST}
        disputes = self.client.disputes.list(wanted).auto_paging_iter()
        return from_cents(sum(dispute.amount for dispute in disputes if dispute.status in OPEN_DISPUTES))


def checkout_parameters(order: PageOrder) -> dict[str, Any]:
    """What a Checkout page is asked for with. Cards only: other ways to pay may take days to say that they failed."""
    wanted: dict[str, Any] = {
        "customer": order.customer_id,
        "success_url": order.return_url,
        "cancel_url": order.return_url,
        "payment_method_types": ["card"],
        "metadata": dict(order.marks),
        "expires_at": int(order.expires_at.timestamp()),
    }
    if order.amount_micros is None:
        return wanted | {"mode": "setup", "setup_intent_data": {"metadata": dict(order.marks)}}
    product = {"currency": "usd", "unit_amount": to_cents(order.amount_micros)}
    return wanted | {
        "mode": "payment",
        # A credit is a dollar: the page shows no other currency, and takes none.
        "adaptive_pricing": {"enabled": False},
        "line_items": [{"quantity": 1, "price_data": product | {"product_data": {"name": order.description}}}],
        "payment_intent_data": {"metadata": dict(order.marks), "description": order.description},
    }


def status_of(status: str, has_failed: bool, code: str) -> PaymentStatus:
    """What a PaymentIntent's status means to us."""
    if status in ("succeeded", "processing", "canceled"):
        return PaymentStatus(status)
    if status == "requires_action" or (has_failed and code == "authentication_required"):
        return PaymentStatus.authentication_required
    return PaymentStatus.declined if has_failed else PaymentStatus.ready


def words_of(charge: dict[str, Any]) -> str:
    """The card of a charge as people know it."""
    card = (charge.get("payment_method_details") or {}).get("card")
    return f"{card['brand']} ending in {card['last4']}" if card else ""


def to_card(found: stripe.PaymentMethod) -> Card:
    """What a payment method says. Raises Refused for what is no card."""
    if found.card is None:
        raise Refused("This is no card.", code="not_a_card")
    return Card(
        payment_method_id=found.id,
        brand=found.card.brand,
        last_four=found.card.last4,
        expiry_month=found.card.exp_month,
        expiry_year=found.card.exp_year,
    )


def to_page(found: Any) -> Page:
    """What a Checkout session says."""
    set_up = found.setup_intent
    method = None if set_up is None or isinstance(set_up, str) else set_up.payment_method
    return Page(
        id=found.id,
        status=PageStatus(found.status),
        url=found.url or "",
        payment_id=id_of(found.payment_intent),
        payment_method_id=id_of(method),
    )


def id_of(found: Any) -> str:
    """The id of something that is told by its id, or whole, or not at all."""
    return "" if found is None else str(getattr(found, "id", found))


@contextmanager
def answers() -> Iterator[None]:
    """Every error of the library as one of ours."""
    try:
        yield
    except stripe.StripeError as error:
        raise meaning(error) from None


def meaning(error: stripe.StripeError) -> PaymentError:
    """What an error of the library says about what was done. Of Stripe's own words only the code is kept."""
    status, code = error.http_status, error.code or ""
    if isinstance(error, stripe.APIConnectionError) or status is None or status >= 500:
        return OutcomeUnknown(f"Stripe did not answer ({type(error).__name__}, {status})", code=code)
    if status in (409, 429):
        return TryAgain(f"Stripe asks to be asked again ({status})", code=code, is_too_much=status == 429)
    if status in (401, 403):
        return TryAgain(f"Stripe does not take our secret key ({status})", code=code, is_ours_to_mend=True)
    if isinstance(error, stripe.CardError):
        decline = getattr(error.error, "decline_code", None)
        return Declined("The card was declined.", code=decline or code or "declined")
    if status == 404 or code == "resource_missing":
        return NoSuchObject("Stripe knows no such object.", code=code or "resource_missing")
    return Refused(f"Stripe refused the request ({status} {code})", code=code or "refused")
