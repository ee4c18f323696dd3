"""A cloud that takes cards, for the tests of the wire and of the pages."""

from typing import Any

from forebay.domain.money import ledger
from forebay.payments.memory import MemoryProcessor
from forebay.worker.cards import CardReconciler
from forebay.worker.payments import PaymentReconciler
from tests.api.clock import Here
from tests.api.cloud import DOLLAR, Cloud, Person
from tests.payments.bank import GOOD

KEY = {"stripe_secret_key": "sk_test_x", "stripe_api_base": "http://127.0.0.1:1"}


class Shop:
    """A cloud that takes cards, on a processor in memory."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.processor = MemoryProcessor(cloud.clock.now)
        cloud.forebay.processor = self.processor
        cloud.worker.reconcilers |= {each.name: each for each in cloud.forebay.payment_reconcilers()}
        cloud.worker.failures |= dict.fromkeys(cloud.worker.reconcilers, 0)
        reconciler = cloud.worker.reconcilers["payments"]
        assert isinstance(reconciler, PaymentReconciler)
        reconciler.executor = Here()
        assert isinstance(cloud.worker.reconcilers["cards"], CardReconciler)
        self.pat = cloud.person(credits_micros=0)
        self.path = f"/api/teams/{self.pat.team}"

    def post(self, path: str, body: Any, person: Person | None = None, **more: Any) -> Any:
        return self.cloud.post(f"{self.path}{path}", (person or self.pat).session, body, **more)

    def get(self, path: str) -> Any:
        return self.cloud.get(f"{self.path}{path}", self.pat.session).ok()

    def card(self, number: str = GOOD) -> str:
        """The id of a card that was saved."""
        set_up = self.post("/cards", {"paymentMethodId": self.processor.new_card(number)}).ok(202)
        self.cloud.run("cards")
        found = self.get(f"/card-set-ups/{set_up['id']}")
        assert found["state"] == "saved"
        return str(found["cardId"])

    def top_up(self, **body: Any) -> Any:
        """A top-up as it is once the worker has seen to it."""
        made = self.post("/top-ups", {"amount": 50, "clientKey": "k"} | body).ok(202)
        self.cloud.run("payments")
        return self.get(f"/top-ups/{made['id']}")

    @property
    def balance(self) -> float:
        with self.cloud.database.read() as connection:
            return ledger.balance(connection, self.pat.team).balance_micros / DOLLAR
