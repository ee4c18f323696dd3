"""A payment processor that is only remembered: for tests, held to the same contract as the real one.

Cards are made from the numbers that Stripe has set aside for tests, and behave as they do there. What people do on the
processor's pages, and what banks do afterwards, is done here by calling what stands at the end.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from forebay.payments.base import (
    Card,
    Customer,
    Declined,
    Event,
    NoSuchObject,
    Order,
    Page,
    PageOrder,
    PageStatus,
    Payment,
    PaymentError,
    PaymentStatus,
    Refused,
)

T = TypeVar("T")

GOOD = "4242424242424242"
DECLINES = {"4000000000000341": "generic_decline", "4000000000009995": "insufficient_funds"}
DECLINES_AT_ONCE = frozenset({"4000000000009995"})
"""Can't even be saved."""
NEEDS_HOLDER = frozenset({"4000002500003155", "4000002760003184"})
DISPUTED = frozenset({"4000000000000259"})


class Wanted(msgspec.Struct):
    """A payment, what it is charged to, and how the card stood by it."""

    payment: Payment
    payment_method_id: str


class MemoryProcessor:
    """See the module. Safe to share between threads."""

    name = "memory"

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.lock = threading.RLock()
        self.numbers: dict[str, str] = {}
        self.owners: dict[str, str | None] = {}
        self.customers: dict[str, tuple[Customer, datetime]] = {}
        self.wanted: dict[str, Wanted] = {}
        self.pages: dict[str, tuple[PageOrder, Page]] = {}
        self.happened: list[Event] = []
        self.kept: dict[str, tuple[Any, Any]] = {}
        self.count = itertools.count(1)

    # What Forebay asks.

    def create_customer(self, customer: Customer, *, key: str) -> str:
        """One a key."""
        return self.once(key, ("customer", customer), lambda: self.new_customer(customer))

    def find_customer(self, marks: Mapping[str, str], *, since: datetime) -> str | None:
        """By its marks."""
        with self.lock:
            for customer_id, (customer, at) in self.customers.items():
                if at >= since and marks.items() <= customer.marks.items():
                    return customer_id
        return None

    def save_card(self, payment_method_id: str, customer_id: str, *, key: str) -> Card:
        """Some cards refuse that already."""
        return self.once(
            key, ("card", payment_method_id, customer_id), lambda: self.attach(payment_method_id, customer_id)
        )

    def card(self, payment_method_id: str) -> Card:
        """Every card is a visa, good to the end of 2034."""
        with self.lock:
            if payment_method_id not in self.numbers:
                raise NoSuchObject("There is no such card.", code="resource_missing")
            return Card(
                payment_method_id=payment_method_id,
                brand="visa",
                last_four=self.numbers[payment_method_id][-4:],
                expiry_month=12,
                expiry_year=2034,
            )

    def forget_card(self, payment_method_id: str) -> None:
        """It can't be saved again afterwards."""
        with self.lock:
            self.card(payment_method_id)
            self.owners[payment_method_id] = None

    def create_payment(self, order: Order, *, key: str) -> Payment:
        """For a card that is there, of a customer who is there."""
        return self.once(key, ("payment", order), lambda: self.new_payment(order))

    def confirm(self, payment_id: str, *, key: str) -> Payment:
        """As the card's number says."""
        with self.lock:
            self.payment(payment_id)
            return self.once(key, ("confirm", payment_id), lambda: self.charge(payment_id))

    def cancel(self, payment_id: str, *, key: str) -> Payment:
        """Unless it succeeded."""
        with self.lock:
            payment = self.payment(payment_id)
            if payment.status is not PaymentStatus.succeeded:
                payment = self.change(payment_id, "payment_intent.canceled", status=PaymentStatus.canceled)
            return payment

    def payment(self, payment_id: str) -> Payment:
        """As it stands."""
        with self.lock:
            if payment_id not in self.wanted:
                raise NoSuchObject("There is no such payment.", code="resource_missing")
            return self.wanted[payment_id].payment

    def payments(self, *, since: datetime, until: datetime) -> Iterator[Payment]:
        """All of them."""
        with self.lock:
            found = [each.payment for each in self.wanted.values()]
        yield from reversed([payment for payment in found if since <= payment.created_at < until])

    def open_page(self, order: PageOrder, *, key: str) -> Page:
        """Nobody sees it; see `pay` and `save_on`."""
        return self.once(key, ("page", order), lambda: self.new_page(order))

    def page(self, page_id: str) -> Page:
        """As it stands now: a page ends by itself."""
        with self.lock:
            if page_id not in self.pages:
                raise NoSuchObject("There is no such page.", code="resource_missing")
            order, page = self.pages[page_id]
            if page.status is PageStatus.open and order.expires_at <= self.now():
                page = msgspec.structs.replace(page, status=PageStatus.expired)
                self.pages[page_id] = (order, page)
            return page

    def expire_page(self, page_id: str) -> Page:
        """Unless it is complete."""
        with self.lock:
            page = self.page(page_id)
            if page.status is PageStatus.open:
                page = msgspec.structs.replace(page, status=PageStatus.expired)
                self.pages[page_id] = (self.pages[page_id][0], page)
            return page

    def events(self, *, since: datetime) -> Iterator[Event]:
        """Newest first."""
        with self.lock:
            found = [event for event in self.happened if event.occurred_at >= since]
        yield from reversed(found)

    def close(self) -> None:
        """Nothing is held."""

    # What people and banks do.

    def new_card(self, number: str = GOOD) -> str:
        """The id of a card as a page of the processor makes it: nobody's yet."""
        with self.lock:
            payment_method_id = self.new_id("pm")
            self.numbers[payment_method_id] = number
            return payment_method_id

    def pay(self, page_id: str, number: str = GOOD) -> Payment:
        """Somebody pays on a page, and is there to be asked by their bank. A card that declines leaves it open."""
        with self.lock:
            order, page = self.pages[page_id]
            assert self.page(page_id).status is PageStatus.open
            assert order.amount_micros is not None
            payment_id = page.payment_id or self.note(order.amount_micros, order.marks, self.new_card(number))
            self.wanted[payment_id].payment_method_id = self.new_card(GOOD if number in NEEDS_HOLDER else number)
            payment = self.charge(payment_id)
            is_paid = payment.status is PaymentStatus.succeeded
            status = PageStatus.complete if is_paid else PageStatus.open
            self.pages[page_id] = (order, msgspec.structs.replace(page, status=status, payment_id=payment_id))
            if is_paid:
                self.tell("checkout.session.completed", page_id, payment_id)
            return payment

    def save_on(self, page_id: str, number: str = GOOD) -> str:
        """Somebody saves a card on a page; its id."""
        with self.lock:
            order, page = self.pages[page_id]
            assert self.page(page_id).status is PageStatus.open
            payment_method_id = self.new_card(number)
            self.owners[payment_method_id] = order.customer_id
            page = msgspec.structs.replace(page, status=PageStatus.complete, payment_method_id=payment_method_id)
            self.pages[page_id] = (order, page)
            self.tell("checkout.session.completed", page_id, "")
            return payment_method_id

    def refund(self, payment_id: str, amount_micros: int) -> Payment:
        """An operator gives money back, on the processor's own pages."""
        with self.lock:
            refunded_micros = self.payment(payment_id).refunded_micros + amount_micros
            return self.change(payment_id, "charge.refunded", refunded_micros=refunded_micros)

    def dispute(self, payment_id: str, amount_micros: int) -> Payment:
        """The card's holder wants money back, and the bank withdraws it; zero: it is given back."""
        kind = "charge.dispute.funds_withdrawn" if amount_micros else "charge.dispute.funds_reinstated"
        return self.change(payment_id, kind, disputed_micros=amount_micros)

    # How it is done.

    def once(self, key: str, request: Any, act: Callable[[], T]) -> T:
        """The effect of the first request with this key; another request under it is refused."""
        with self.lock:
            result: T | PaymentError
            if key in self.kept:
                first, result = self.kept[key]
                if first != request:
                    raise Refused("The key belongs to another request.", code="idempotency_error")
            else:
                try:
                    result = act()
                except PaymentError as error:
                    result = error
                self.kept[key] = (request, result)
            if isinstance(result, PaymentError):
                raise result
            return result

    def new_id(self, kind: str) -> str:
        return f"{kind}_{next(self.count):08}"

    def new_customer(self, customer: Customer) -> str:
        customer_id = self.new_id("cus")
        self.customers[customer_id] = (customer, self.now())
        return customer_id

    def attach(self, payment_method_id: str, customer_id: str) -> Card:
        card = self.card(payment_method_id)
        owner = self.owners.get(payment_method_id, customer_id)
        if owner != customer_id or customer_id not in self.customers:
            raise Refused("The card can't be this customer's.", code="payment_method_unexpected_state")
        number = self.numbers[payment_method_id]
        if number in DECLINES_AT_ONCE:
            raise Declined("The card was declined.", code="generic_decline")
        self.owners[payment_method_id] = customer_id
        return card

    def new_payment(self, order: Order) -> Payment:
        self.card(order.payment_method_id)
        if order.customer_id not in self.customers:
            raise NoSuchObject("There is no such customer.", code="resource_missing")
        return self.payment(self.note(order.amount_micros, order.marks, order.payment_method_id))

    def note(self, amount_micros: int, marks: Mapping[str, str], payment_method_id: str) -> str:
        """A payment that waits to be confirmed; its id."""
        payment_id = self.new_id("pi")
        payment = Payment(
            id=payment_id,
            status=PaymentStatus.ready,
            amount_micros=amount_micros,
            currency="usd",
            created_at=self.now(),
            marks=dict(marks),
        )
        self.wanted[payment_id] = Wanted(payment, payment_method_id)
        return payment_id

    def charge(self, payment_id: str) -> Payment:
        wanted = self.wanted[payment_id]
        if wanted.payment.status in (PaymentStatus.succeeded, PaymentStatus.canceled):
            return wanted.payment
        number = self.numbers[wanted.payment_method_id]
        failed = "payment_intent.payment_failed"
        if number in NEEDS_HOLDER:
            needs = PaymentStatus.authentication_required
            return self.change(payment_id, failed, status=needs, code="authentication_required")
        if number in DECLINES:
            return self.change(payment_id, failed, status=PaymentStatus.declined, code=DECLINES[number])
        words = f"visa ending in {number[-4:]}"
        self.change(payment_id, "payment_intent.succeeded", status=PaymentStatus.succeeded, card_words=words, code="")
        if number in DISPUTED:
            self.dispute(payment_id, wanted.payment.amount_micros)
        return wanted.payment

    def new_page(self, order: PageOrder) -> Page:
        page_id = self.new_id("cs")
        page = Page(id=page_id, status=PageStatus.open, url=f"https://processor.test/{page_id}")
        self.pages[page_id] = (order, page)
        return page

    def change(self, payment_id: str, kind: str, **values: Any) -> Payment:
        with self.lock:
            wanted = self.wanted[payment_id]
            wanted.payment = msgspec.structs.replace(wanted.payment, **values)
            self.tell(kind, payment_id, payment_id)
            return wanted.payment

    def tell(self, kind: str, object_id: str, payment_id: str) -> None:
        self.happened.append(
            Event(id=self.new_id("evt"), type=kind, object_id=object_id, payment_id=payment_id, occurred_at=self.now())
        )
