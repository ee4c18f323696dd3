"""What every payment processor promises, asked of each of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from forebay.payments.base import Customer, Declined, NoSuchObject, Order, Payment, PaymentStatus, Refused
from tests.payments.bank import ALWAYS_NEEDS_HOLDER, DECLINED_LATER, DISPUTED, GOOD, NEEDS_HOLDER, NO_FUNDS, Bank

DOLLAR = 1_000_000
ALWAYS = datetime(2020, 1, 1, tzinfo=UTC)
NEVER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def customer(bank: Bank) -> str:
    return bank.processor.create_customer(named("a"), key="customer:a")


def named(team: str) -> Customer:
    return Customer(name="A team", email="owner@example.org", marks={"forebay_team": team})


def saved(bank: Bank, customer: str, number: str = GOOD) -> str:
    method = bank.new_card(number)
    return bank.processor.save_card(method, customer, key=f"card:{method}").payment_method_id


def order(customer: str, method: str, *, dollars: int = 50) -> Order:
    return Order(
        amount_micros=dollars * DOLLAR,
        customer_id=customer,
        payment_method_id=method,
        description="Credits",
        marks={"forebay_attempt": method},
    )


@pytest.fixture
def paid(bank: Bank, customer: str) -> Callable[..., Payment]:
    """Makes a payment and confirms it."""

    def pay(number: str = GOOD, *, dollars: int = 50) -> Payment:
        # A card that can't be saved can still be charged once.
        method = bank.new_card(number) if number == NO_FUNDS else saved(bank, customer, number)
        made = bank.processor.create_payment(order(customer, method, dollars=dollars), key=f"pay:{method}")
        assert made.status is PaymentStatus.ready
        return bank.processor.confirm(made.id, key=f"confirm:{method}")

    return pay


def all_payments(bank: Bank) -> list[Payment]:
    return list(bank.processor.payments(since=ALWAYS, until=NEVER))


def test_a_customer_is_made_once_for_its_key_and_found_by_its_marks(bank: Bank, customer: str) -> None:
    assert bank.processor.create_customer(named("a"), key="customer:a") == customer
    other = bank.processor.create_customer(named("b"), key="customer:b")
    assert other != customer
    assert bank.processor.find_customer({"forebay_team": "a"}, since=ALWAYS) == customer
    assert bank.processor.find_customer({"forebay_team": "c"}, since=ALWAYS) is None
    assert bank.processor.find_customer({"forebay_team": "a"}, since=datetime.now(UTC) + timedelta(hours=1)) is None


def test_a_key_stands_for_one_request(bank: Bank, customer: str) -> None:
    with pytest.raises(Refused):
        bank.processor.create_customer(named("b"), key="customer:a")


def test_a_card_is_saved_shown_and_forgotten(bank: Bank, customer: str) -> None:
    method = bank.new_card()
    card = bank.processor.save_card(method, customer, key="card")
    assert (card.payment_method_id, card.brand, card.last_four) == (method, "visa", "4242")
    assert (card.expiry_month, card.expiry_year) == (12, 2034)
    assert card.words == "visa ending in 4242"
    assert bank.processor.card(method) == card
    # Once more, under another key: it is the customer's already.
    assert bank.processor.save_card(method, customer, key="card again") == card
    bank.processor.forget_card(method)
    bank.processor.forget_card(method)


def test_cards_that_are_not_there_are_another_s_or_are_no_good(bank: Bank, customer: str) -> None:
    other = bank.processor.create_customer(named("b"), key="customer:b")
    with pytest.raises(NoSuchObject):
        bank.processor.save_card("pm_none", customer, key="1")
    with pytest.raises(NoSuchObject):
        bank.processor.card("pm_none")
    with pytest.raises(NoSuchObject):
        bank.processor.forget_card("pm_none")
    with pytest.raises(Refused):
        bank.processor.save_card(saved(bank, other), customer, key="2")
    with pytest.raises(Declined) as declined:
        bank.processor.save_card(bank.new_card(NO_FUNDS), customer, key="3")
    assert declined.value.code == "generic_decline"


def test_a_payment_succeeds_once_however_often_it_is_confirmed(bank: Bank, customer: str) -> None:
    method = saved(bank, customer)
    made = bank.processor.create_payment(order(customer, method), key="pay")
    assert (made.status, made.amount_micros, made.currency) == (PaymentStatus.ready, 50 * DOLLAR, "usd")
    assert bank.processor.create_payment(order(customer, method), key="pay").id == made.id
    first = bank.processor.confirm(made.id, key="confirm")
    assert (first.status, first.amount_micros) == (PaymentStatus.succeeded, 50 * DOLLAR)
    assert first.card_words == "visa ending in 4242"
    assert first.marks == {"forebay_attempt": method}
    for key in ("confirm", "confirm again"):
        assert bank.processor.confirm(made.id, key=key) == first
    assert bank.processor.payment(made.id) == first
    assert all_payments(bank) == [first]
    assert bank.processor.cancel(made.id, key="cancel") == first


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (DECLINED_LATER, PaymentStatus.declined, "generic_decline"),
        (NO_FUNDS, PaymentStatus.declined, "insufficient_funds"),
        (NEEDS_HOLDER, PaymentStatus.authentication_required, "authentication_required"),
        (ALWAYS_NEEDS_HOLDER, PaymentStatus.authentication_required, "authentication_required"),
    ],
)
def test_a_decline_is_a_fact_of_the_payment(
    bank: Bank, paid: Callable[..., Payment], number: str, status: PaymentStatus, code: str
) -> None:
    declined = paid(number)
    assert (declined.status, declined.code) == (status, code)
    assert bank.processor.payment(declined.id).status is status
    canceled = bank.processor.cancel(declined.id, key="cancel")
    assert canceled.status is PaymentStatus.canceled
    assert bank.processor.cancel(declined.id, key="cancel again").status is PaymentStatus.canceled
    assert bank.processor.confirm(declined.id, key="too late").status is PaymentStatus.canceled


def test_what_was_refunded_is_told_in_all(bank: Bank, paid: Callable[..., Payment]) -> None:
    payment = paid()
    assert (payment.refunded_micros, payment.disputed_micros) == (0, 0)
    bank.refund(payment.id, 10 * DOLLAR)
    bank.refund(payment.id, 5 * DOLLAR)
    assert bank.processor.payment(payment.id).refunded_micros == 15 * DOLLAR


def test_what_a_dispute_withdraws_is_told_until_it_is_won(bank: Bank, paid: Callable[..., Payment]) -> None:
    payment = bank.processor.payment(paid(DISPUTED).id)
    assert (payment.status, payment.disputed_micros) == (PaymentStatus.succeeded, 50 * DOLLAR)
    assert all_payments(bank) == [payment]
    bank.win_dispute(payment.id)
    assert bank.processor.payment(payment.id).disputed_micros == 0


def test_payments_of_a_card_or_customer_that_is_not_there(bank: Bank, customer: str) -> None:
    method = saved(bank, customer)
    for wrong in (order("cus_none", method), order(customer, "pm_none")):
        with pytest.raises(Refused):
            bank.processor.create_payment(wrong, key=f"{wrong.customer_id}{wrong.payment_method_id}")
    with pytest.raises(NoSuchObject):
        bank.processor.payment("pi_none")
    with pytest.raises(NoSuchObject):
        bank.processor.confirm("pi_none", key="x")
    assert all_payments(bank) == []


def test_events_say_where_to_look(bank: Bank, paid: Callable[..., Payment]) -> None:
    payment = paid(DISPUTED)
    bank.win_dispute(payment.id)
    events = list(bank.processor.events(since=ALWAYS))
    assert len({event.id for event in events}) == len(events)
    assert {event.payment_id for event in events} == {payment.id}
    kinds = {event.type for event in events}
    assert {"payment_intent.succeeded", "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated"} <= kinds
    assert list(bank.processor.events(since=NEVER)) == []


def test_payments_are_listed_by_when_they_were_made(bank: Bank, paid: Callable[..., Payment]) -> None:
    made = {paid().id, paid(DECLINED_LATER).id}
    assert {payment.id for payment in all_payments(bank)} == made
    at = bank.processor.payment(next(iter(made))).created_at
    assert list(bank.processor.payments(since=ALWAYS, until=at - timedelta(hours=1))) == []
