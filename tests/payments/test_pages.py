"""Pages on which a person pays or saves a card, at each processor; Stripe's with a small Checkout page of our own."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema_rs
import pytest

from forebay.payments.base import Customer, NoSuchObject, PageOrder, PageStatus, PaymentStatus
from forebay.payments.memory import MemoryProcessor
from forebay.payments.stripe import checkout_parameters
from tests import servers
from tests.payments.bank import MemoryBank
from tests.payments.own_checkout import OwnCheckout

DOLLAR = 1_000_000
MARKS = {"forebay_team": "a", "forebay_attempt": "b"}


class Memory(MemoryBank):
    """The processor in memory, and people who visit its pages."""

    def pay(self, page_id: str) -> str:
        return self.memory.pay(page_id).id

    def save_on(self, page_id: str) -> str:
        return self.memory.save_on(page_id)


@pytest.fixture(params=["memory", pytest.param("stripe", marks=pytest.mark.slow)])
def visitor(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Somebody who visits pages, and `processor`, who makes them."""
    if request.param == "memory":
        yield Memory(MemoryProcessor(lambda: datetime.now(UTC)))
        return
    world: servers.StripeWorld = request.getfixturevalue("stripe_world")
    with OwnCheckout(world.port, world.account()) as checkout:
        yield checkout
        checkout.bank.close()


def order(visitor: Any, amount_micros: int | None) -> PageOrder:
    customer = Customer(name="A team", email="owner@example.org", marks={"forebay_team": "a"})
    return wanted(visitor.processor.create_customer(customer, key="customer:a"), amount_micros)


def wanted(customer_id: str, amount_micros: int | None) -> PageOrder:
    return PageOrder(
        customer_id=customer_id,
        return_url="http://forebay.test/",
        description="50.00 credits",
        marks=MARKS,
        expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=35),
        amount_micros=amount_micros,
    )


def test_a_page_is_made_once_for_its_key_paid_and_complete(visitor: Any) -> None:
    wish = order(visitor, 50 * DOLLAR)
    page = visitor.processor.open_page(wish, key="page")
    assert (page.status, page.payment_id) == (PageStatus.open, "")
    assert page.url.endswith(page.id)
    assert visitor.processor.open_page(wish, key="page") == page
    assert visitor.processor.page(page.id) == page
    payment_id = visitor.pay(page.id)
    done = visitor.processor.page(page.id)
    assert (done.status, done.payment_id) == (PageStatus.complete, payment_id)
    payment = visitor.processor.payment(payment_id)
    assert (payment.status, payment.amount_micros) == (PaymentStatus.succeeded, 50 * DOLLAR)
    assert payment.marks == MARKS
    # Too late to end it.
    assert visitor.processor.expire_page(page.id).status is PageStatus.complete


def test_a_page_that_is_ended_stays_so(visitor: Any) -> None:
    page = visitor.processor.open_page(order(visitor, 50 * DOLLAR), key="page")
    for _ in range(2):
        assert visitor.processor.expire_page(page.id).status is PageStatus.expired
    assert visitor.processor.page(page.id).status is PageStatus.expired


def test_a_page_saves_a_card_and_charges_nothing(visitor: Any) -> None:
    page = visitor.processor.open_page(order(visitor, None), key="page")
    method = visitor.save_on(page.id)
    done = visitor.processor.page(page.id)
    assert (done.status, done.payment_method_id, done.payment_id) == (PageStatus.complete, method, "")
    assert visitor.processor.card(method).last_four == "4242"


def test_a_page_that_is_not_there(visitor: Any) -> None:
    for ask in (visitor.processor.page, visitor.processor.expire_page):
        with pytest.raises(NoSuchObject):
            ask("cs_none")


def strict(schema: Any) -> Any:
    """The schema with no room for parameters that it doesn't name."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(part) for name, part in schema.items()}
    return (
        found | {"additionalProperties": False}
        if "properties" in found and "additionalProperties" not in found
        else found
    )


@pytest.mark.slow
@pytest.mark.parametrize("amount_micros", [None, 50 * DOLLAR, 15 * DOLLAR + 10_000])
def test_what_checkout_is_asked_for_is_what_stripe_s_own_document_takes(
    stripe_world: servers.StripeWorld, amount_micros: int | None
) -> None:
    [path] = servers.STRIPE_WORLD_FOLDER.glob("site/seahaven_stripe_world/spec/spec3.json")
    document = json.loads(path.read_bytes())
    operation = document["paths"]["/v1/checkout/sessions"]["post"]
    schema = strict(operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"])
    given = checkout_parameters(wanted("cus_1", amount_micros))
    jsonschema_rs.validate(schema, given)
    # And the validation can fail.
    for wrong in ({"mode": "pay"}, {"price": 5}, {"expires_at": "soon"}):
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(schema, given | wrong)
