"""What Forebay asks of a payment processor, and what it can hear back.

A processor is asked over a network that loses answers, so every call ends in one of three ways: with a fact about the
object (a payment that was declined is a fact too, not an error), with a refusal that stays the same however often it
is asked, or with `OutcomeUnknown` and `TryAgain`, after which only a look-up, or the same request under the same key,
may follow. Amounts are whole cents of US dollars, given and told in micro-dollars.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec


class PaymentError(Exception):
    """The root. `code` is the processor's word for it; the text is for an operator and holds no secrets."""

    def __init__(self, sentence: str, *, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


class OutcomeUnknown(PaymentError):
    """No answer, or one that says nothing (a time-out, a cut connection, a 5xx): it may have been done."""


class TryAgain(PaymentError):
    """It was not done, and may be asked again under the same key: another request has the key (409), or too many (429).

    The same where our own credentials are refused (401, 403): an operator must act, and nothing was done. With
    `is_too_much` nothing should be asked for a moment.
    """

    def __init__(
        self, sentence: str, *, code: str = "", is_ours_to_mend: bool = False, is_too_much: bool = False
    ) -> None:
        super().__init__(sentence, code=code)
        self.is_ours_to_mend, self.is_too_much = is_ours_to_mend, is_too_much


class Refused(PaymentError):
    """The request can't be carried out, now or later: a parameter the processor does not take, a wrong state."""


class Declined(Refused):
    """The card's bank says no."""


class NoSuchObject(Refused):
    """The processor knows no object by this id."""


class PaymentStatus(StrEnum):
    """How far a payment got."""

    ready = "ready"
    """It waits to be confirmed; nothing was charged."""
    processing = "processing"
    succeeded = "succeeded"
    declined = "declined"
    """Not charged; `code` says why."""
    authentication_required = "authentication_required"
    """Not charged: the card's bank wants its holder to be there."""
    canceled = "canceled"
    """Not charged, and it never will be."""


class PageStatus(StrEnum):
    """How far a page of the processor got on which a person pays or saves a card."""

    open = "open"
    complete = "complete"
    expired = "expired"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A card as it may be shown."""

    payment_method_id: str
    brand: str
    last_four: str
    expiry_month: int
    expiry_year: int

    @property
    def words(self) -> str:
        """How people know it."""
        return f"{self.brand} ending in {self.last_four}"


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Whom cards belong to: a team."""

    name: str
    email: str
    marks: Mapping[str, str]
    """What we call it: comes back with the object."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that is wanted of a saved card, its holder not there."""

    amount_micros: int
    customer_id: str
    payment_method_id: str
    description: str
    marks: Mapping[str, str]


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the processor has it now."""

    id: str
    status: PaymentStatus
    amount_micros: int
    """Wanted; once it succeeded: received."""
    currency: str
    created_at: datetime
    code: str = ""
    """Why it was declined: the bank's own word where there is one."""
    marks: Mapping[str, str] = {}
    card_words: str = ""
    refunded_micros: int = 0
    disputed_micros: int = 0
    """What disputes have withdrawn and not given back."""


class PageOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A page that is wanted. Without an amount it saves a card and charges nothing."""

    customer_id: str
    return_url: str
    description: str
    marks: Mapping[str, str]
    expires_at: datetime
    """Half an hour ahead at least, which is the least that Stripe takes."""
    amount_micros: int | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page as the processor has it now."""

    id: str
    status: PageStatus
    url: str = ""
    payment_id: str = ""
    """Of the payment made on it, if there is one."""
    payment_method_id: str = ""
    """Of the card saved on it, if there is one."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at the processor: no more than where to look."""

    id: str
    type: str
    object_id: str
    payment_id: str
    """The payment that the object belongs to; empty where it doesn't say."""
    occurred_at: datetime


class PaymentProcessor(Protocol):
    """All of them raise OutcomeUnknown and TryAgain, and what they name. `key`: the same key, one effect, for a day."""

    name: str

    def create_customer(self, customer: Customer, *, key: str) -> str:
        """Make a customer; its id."""

    def find_customer(self, marks: Mapping[str, str], *, since: datetime) -> str | None:
        """The id of the customer that was made with these marks, looked for among those made since then."""

    def save_card(self, payment_method_id: str, customer_id: str, *, key: str) -> Card:
        """Make a card the customer's. Raises Declined, NoSuchObject, Refused where it is another customer's."""

    def card(self, payment_method_id: str) -> Card:
        """The card as it is. Raises NoSuchObject."""

    def forget_card(self, payment_method_id: str) -> None:
        """Let go of a card; nothing where that was done already."""

    def create_payment(self, order: Order, *, key: str) -> Payment:
        """Note what is wanted; charges nothing. Raises Refused."""

    def confirm(self, payment_id: str, *, key: str) -> Payment:
        """Charge the card, once however often it is asked; how the payment stands then. Raises Refused."""

    def cancel(self, payment_id: str, *, key: str) -> Payment:
        """See to it that it is never charged, unless it was; how it stands then."""

    def payment(self, payment_id: str) -> Payment:
        """How it stands. Raises NoSuchObject."""

    def payments(self, *, since: datetime, until: datetime) -> Iterator[Payment]:
        """All that were made from `since` to before `until`, newest first."""

    def open_page(self, order: PageOrder, *, key: str) -> Page:
        """Make a page. Raises Refused."""

    def page(self, page_id: str) -> Page:
        """How it stands. Raises NoSuchObject."""

    def expire_page(self, page_id: str) -> Page:
        """End it, unless it is complete or has ended; how it stands then."""

    def events(self, *, since: datetime) -> Iterator[Event]:
        """What happened since then and concerns us, newest first."""

    def close(self) -> None:
        """Let go of connections."""


DEAD_CARD_CODES = frozenset(
    {
        "card_not_supported",
        "currency_not_supported",
        "expired_card",
        "incorrect_number",
        "invalid_account",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
        "lost_card",
        "new_account_information_available",
        "no_such_card",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "stop_payment_order",
    }
)
"""Codes after which a card won't work however long one waits. https://docs.stripe.com/declines/codes"""
