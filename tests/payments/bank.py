"""What cards' holders, banks and operators do at a processor, on either of them: the one in memory, and a stand-in for
Stripe that runs beside the tests.
"""

from typing import Any, Protocol

from stripe import StripeClient

from forebay.domain.money.amounts import to_cents
from forebay.payments.base import PaymentProcessor
from forebay.payments.memory import MemoryProcessor
from forebay.payments.stripe import Http, StripeProcessor

SECRET = "sk_test_of_no_use_elsewhere"
GOOD = "4242424242424242"
DECLINED_LATER = "4000000000000341"
NO_FUNDS = "4000000000009995"
NEEDS_HOLDER = "4000002500003155"
ALWAYS_NEEDS_HOLDER = "4000002760003184"
DISPUTED = "4000000000000259"


class Bank(Protocol):
    """See the module."""

    processor: PaymentProcessor

    def new_card(self, number: str = GOOD) -> str:
        """The id of a card that is nobody's yet."""

    def refund(self, payment_id: str, amount_micros: int) -> None:
        """Money goes back."""

    def win_dispute(self, payment_id: str) -> None:
        """The bank gives back what it withdrew."""


class MemoryBank:
    """In this process."""

    def __init__(self, processor: MemoryProcessor) -> None:
        self.processor: PaymentProcessor = processor
        self.memory = processor

    def new_card(self, number: str = GOOD) -> str:
        return self.memory.new_card(number)

    def refund(self, payment_id: str, amount_micros: int) -> None:
        self.memory.refund(payment_id, amount_micros)

    def win_dispute(self, payment_id: str) -> None:
        self.memory.dispute(payment_id, 0)


class StripeBank:
    """In the stand-in, by requests that a merchant's server or a person's browser would make."""

    def __init__(self, base: str, *, api_base: str | None = None, seconds: float = 10) -> None:
        """`api_base` is where Forebay asks, if something stands between it and the account; so long it waits."""
        self.http = Http(20)
        self.client = StripeClient(
            SECRET, base_addresses={"api": base}, max_network_retries=0, http_client=self.http
        ).v1
        self.processor: PaymentProcessor = StripeProcessor(SECRET, api_base=api_base or base, seconds=seconds)

    def new_card(self, number: str = GOOD) -> str:
        wanted: Any = {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}}
        return self.client.payment_methods.create(wanted).id

    def refund(self, payment_id: str, amount_micros: int) -> None:
        wanted: Any = {"payment_intent": payment_id, "amount": to_cents(amount_micros)}
        self.client.refunds.create(wanted)

    def win_dispute(self, payment_id: str) -> None:
        wanted: Any = {"payment_intent": payment_id}
        [dispute] = self.client.disputes.list(wanted).data
        evidence: Any = {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True}
        self.client.disputes.update(dispute.id, evidence)

    def close(self) -> None:
        self.processor.close()
        self.http.close()
