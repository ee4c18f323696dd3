"""Charging saved cards, and pages on which people pay: what every answer of the processor comes to in the books."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from forebay.domain.money import cards, deposits, ledger, payment_attempts
from forebay.domain.money.deposits import AmountNotPossible, ClientKeyReused, NoCard
from forebay.domain.money.payment_attempts import LeaseLost, PaymentUnderWay
from forebay.errors import NotFound
from forebay.payments.base import OutcomeUnknown, PaymentStatus, TryAgain
from forebay.payments.memory import MemoryProcessor
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.customers import Customers
from tests import servers
from tests.payments.bank import (
    ALWAYS_NEEDS_HOLDER,
    DECLINED_LATER,
    DISPUTED,
    GOOD,
    NEEDS_HOLDER,
    NO_FUNDS,
    Bank,
    MemoryBank,
    StripeBank,
)
from tests.worker.stage import DOLLAR
from tests.worker.till import Till, outcome

pytestmark = pytest.mark.slow

OUTCOMES = [
    (GOOD, ("succeeded", None), 50),
    (DECLINED_LATER, ("declined", "generic_decline"), 0),
    (NO_FUNDS, ("declined", "insufficient_funds"), 0),
    (NEEDS_HOLDER, ("authentication_required", "authentication_required"), 0),
    (ALWAYS_NEEDS_HOLDER, ("authentication_required", "authentication_required"), 0),
    (DISPUTED, ("succeeded", None), 0),
]


@pytest.fixture
def memory() -> MemoryBank:
    return MemoryBank(MemoryProcessor(lambda: datetime.now(UTC)))


@pytest.fixture
def till(database: Database, memory: MemoryBank) -> Till:
    till = Till(database, memory)
    memory.memory.now = till.clock.now
    return till


@pytest.fixture
def stripe_till(sqlite_url: str, stripe_world: servers.StripeWorld) -> Iterator[Till]:
    """On Stripe's stand-in."""
    bank, database = StripeBank(stripe_world.account()), Database(sqlite_url)
    yield Till(database, bank)
    bank.close()
    database.close()


@pytest.mark.parametrize(("number", "end", "dollars"), OUTCOMES)
def test_what_each_card_comes_to(till: Till, number: str, end: tuple[str, str | None], dollars: int) -> None:
    comes_to(till, number, end, dollars)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "end", "dollars"), OUTCOMES)
def test_what_each_card_comes_to_at_stripe(
    stripe_till: Till, number: str, end: tuple[str, str | None], dollars: int
) -> None:
    comes_to(stripe_till, number, end, dollars)


def comes_to(till: Till, number: str, end: tuple[str, str | None], dollars: int) -> None:
    team = till.team(number)
    attempt = till.ask(team)
    assert till.find(attempt).state == "claimed"
    till.settle()
    assert outcome(till.find(attempt)) == end
    assert till.balance(team) == dollars
    till.check()
    # The slot is free again.
    till.ask(team)


def test_a_payment_under_way_leaves_no_room_for_another(till: Till) -> None:
    team = till.team()
    first = till.ask(team)
    with pytest.raises(PaymentUnderWay) as refused:
        till.ask(team)
    assert refused.value.details["topUpId"] == first.id
    with pytest.raises(PaymentUnderWay):
        till.ask_by_itself(team)
    till.ask(till.team())
    till.settle()
    till.ask_by_itself(team)
    till.settle()
    assert till.balance(team) == 100
    till.check()


def test_the_same_client_key_is_the_same_payment_even_long_after(till: Till) -> None:
    team = till.team()
    first = till.ask(team, key="a click")
    assert till.ask(team, key="a click").id == first.id
    till.settle()
    till.clock.pass_(365 * 86400)
    assert till.ask(team, key="a click").state == "succeeded"
    till.settle()
    assert till.balance(team) == 50
    for more in ({"dollars": 51}, {"is_page": True}, {"card_id": "0" * 24}):
        with pytest.raises(ClientKeyReused):
            till.ask(team, key="a click", **more)
    # Somebody else's key is their own.
    assert till.ask(till.team(), key="a click").id != first.id


@pytest.mark.parametrize("micros", [0, -50 * DOLLAR, 15 * DOLLAR - 10_000, 5000 * DOLLAR + 10_000, 50 * DOLLAR + 1])
def test_amounts_out_of_bounds_and_parts_of_cents_are_refused(till: Till, micros: int) -> None:
    team = till.team()
    wish = deposits.Wish(amount_micros=micros, client_key="x")
    with pytest.raises(AmountNotPossible), till.database.begin() as connection:
        deposits.ask(connection, team.context, wish, now=till.clock.now())


@pytest.mark.parametrize("dollars", [15, 5000])
def test_the_bounds_themselves_are_good(till: Till, dollars: int) -> None:
    team = till.team()
    till.ask(team, dollars)
    till.settle()
    assert till.balance(team) == dollars


def test_cards_of_others_and_deleted_ones_are_not_there(till: Till) -> None:
    team, other = till.team(), till.team()
    with till.database.begin() as connection:
        theirs = cards.of_team(connection, other.id)[0]
        mine = cards.of_team(connection, team.id)[0]
        cards.delete(connection, team.id, mine.id, now=till.clock.now())
    for card_id in (theirs.id, mine.id, "0" * 24):
        with pytest.raises(NotFound):
            till.ask(team, card_id=card_id)
    with pytest.raises(NoCard):
        till.ask(team)


def test_a_card_by_which_a_payment_is_under_way_is_not_deleted(till: Till) -> None:
    team = till.team()
    attempt = till.ask(team)
    assert attempt.card_id is not None
    with pytest.raises(cards.CardInUse), till.database.begin() as connection:
        cards.delete(connection, team.id, attempt.card_id, now=till.clock.now())


def test_the_receipt_goes_to_whoever_asked_and_says_who_sold(till: Till) -> None:
    team = till.team()
    attempt = till.ask(team)
    till.settle()
    assert till.mails() == [f"{team.context.caller.email}: Receipt: $50.00 of credits for {name_of(till, team.id)}"]
    with till.database.read() as connection:
        text = connection.execute(sa.select(tables.mails.c.text)).scalar_one()
    for words in (attempt.id, "Iron & Sons", "VAT number DE123456789", "$50.00 by visa ending in 4242", "2026-03-01"):
        assert words in text
    assert "mails" in till.nudged


def name_of(till: Till, team_id: str) -> str:
    with till.database.read() as connection:
        return str(connection.execute(sa.select(tables.teams.c.name).where(tables.teams.c.id == team_id)).scalar_one())


class Answers:
    """A processor that does as it is asked, and then loses the answer, or asks for patience before doing anything."""

    def __init__(self, bank: Bank) -> None:
        self.processor = bank.processor
        self.lose: set[str] = set()
        self.delay: set[str] = set()
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> object:
        found = getattr(self.processor, name)

        def ask(*args: object, **kwargs: object) -> object:
            self.asked.append(name)
            if name in self.delay:
                raise TryAgain("asked too much")
            result = found(*args, **kwargs)
            if name in self.lose:
                raise OutcomeUnknown("cut off")
            return result

        return ask


def test_a_lost_answer_is_looked_up_and_the_slot_kept_until_then(till: Till) -> None:
    team = till.team()
    answers = Answers(till.bank)
    answers.lose = {"confirm", "payment"}
    reconciler = till.open(processor=answers)
    attempt = till.ask(team)
    reconciler.run()
    assert till.find(attempt).state == "unknown"
    with pytest.raises(PaymentUnderWay):
        till.ask(team)
    till.clock.pass_(1)
    reconciler.run()
    assert till.find(attempt).state == "unknown"
    assert till.balance(team) == 0
    answers.lose.clear()
    till.settle(reconciler)
    assert till.find(attempt).state == "succeeded"
    assert answers.asked.count("confirm") == 1
    till.check()


def test_asked_for_patience_the_same_is_asked_again(till: Till) -> None:
    team = till.team()
    answers = Answers(till.bank)
    answers.delay = {"create_payment"}
    reconciler = till.open(processor=answers)
    attempt = till.ask(team)
    reconciler.run()
    assert till.find(attempt).state == "claimed"
    answers.delay = {"confirm"}
    till.clock.pass_(1)
    reconciler.run()
    assert till.find(attempt).state == "created"
    answers.delay = set()
    till.settle(reconciler)
    assert till.find(attempt).state == "succeeded"
    till.check()


class Limited:
    """A processor that takes 25 requests of a kind in a second, as Stripe does, and then says that it was too much."""

    def __init__(self, till: Till) -> None:
        self.till, self.asked = till, Counter[tuple[str, datetime]]()
        self.refused = 0

    def __getattr__(self, name: str) -> object:
        found = getattr(self.till.bank.processor, name)

        def ask(*args: object, **kwargs: object) -> object:
            self.asked[name, self.till.clock.now()] += 1
            if self.asked[name, self.till.clock.now()] > 25:
                self.refused += 1
                raise TryAgain("too much", is_too_much=True)
            return found(*args, **kwargs)

        return ask


def test_very_many_charges_go_as_fast_as_the_processor_takes_them(till: Till) -> None:
    teams = [till.team() for _ in range(60)]
    for team in teams:
        till.ask_by_itself(team)
    limited, began = Limited(till), till.clock.now()
    reconciler = till.open(processor=limited)
    person = till.team()
    reconciler.run()
    till.ask(person)
    till.clock.pass_(1)
    reconciler.run()
    assert till.balance(person) == 50, "who waits for it goes first"
    while len(till.charged()) <= len(teams):
        till.clock.pass_(1)
        reconciler.run()
        assert (till.clock.now() - began).total_seconds() <= 6
    assert 0 < limited.refused <= 100, "after a refusal nothing is asked for a moment"
    assert [till.balance(team) for team in teams] == [50] * len(teams)
    assert len(till.charged()) == len(teams) + 1
    assert till.stage.alerts() == []
    till.check()


def test_an_operator_is_told_of_a_payment_that_the_processor_s_limits_hold_up(till: Till) -> None:
    attempt = till.ask(till.team())
    limited = Limited(till)
    limited.asked.update({("create_payment", till.clock.now() + timedelta(seconds=each)): 25 for each in range(700)})
    reconciler = till.open(processor=limited)
    for seconds in (0, 300, 299):
        till.clock.pass_(seconds)
        reconciler.run()
        assert till.stage.alerts() == []
    till.clock.pass_(1)
    reconciler.run()
    assert till.stage.alerts() == [("money", f"payment attempt {attempt.id}")]
    till.clock.pass_(200)
    till.settle(reconciler)
    assert till.find(attempt).state == "succeeded"
    assert till.stage.alerts() == []


def test_after_a_day_nothing_is_asked_again_and_the_payment_is_canceled(till: Till) -> None:
    team = till.team()
    answers = Answers(till.bank)
    answers.delay = {"confirm"}
    reconciler = till.open(processor=answers)
    attempt = till.ask(team)
    reconciler.run()
    till.clock.pass_(23 * 3600 - 1)
    reconciler.run()
    assert answers.asked.count("confirm") == 2
    till.clock.pass_(300)
    till.settle(reconciler)
    assert outcome(till.find(attempt)) == ("canceled", "too_late")
    assert answers.asked.count("confirm") == 2
    assert till.balance(team) == 0
    till.check()


def test_what_was_never_made_is_not_made_a_day_later(till: Till) -> None:
    team = till.team()
    answers = Answers(till.bank)
    attempt = till.ask(team)
    till.clock.pass_(23 * 3600)
    till.settle(till.open(processor=answers))
    assert outcome(till.find(attempt)) == ("canceled", "too_late")
    assert answers.asked == []


def test_an_operator_is_told_of_what_can_not_be_settled_until_it_is(till: Till) -> None:
    team = till.team()
    answers = Answers(till.bank)
    answers.lose = {"confirm", "payment"}
    reconciler = till.open(processor=answers)
    attempt = till.ask(team)
    for _ in range(8):
        assert till.stage.alerts() == []
        reconciler.run()
        till.clock.pass_(300)
    assert till.stage.alerts() == [("money", f"payment attempt {attempt.id}")]
    answers.lose = set()
    till.settle(reconciler)
    assert till.stage.alerts() == []


def test_a_payment_in_another_currency_is_no_credit_and_an_operator_is_told(till: Till, memory: MemoryBank) -> None:
    team = till.team()
    page = till.ask(team, is_page=True)
    till.reconciler.run()
    page_id = till.find(page).page_id
    assert page_id is not None
    memory.memory.change(memory.memory.pay(page_id).id, "payment_intent.succeeded", currency="eur")
    for _ in range(9):
        till.clock.pass_(300)
        till.reconciler.run()
    assert till.balance(team) == 0
    assert till.stage.alerts() == [("money", f"payment attempt {page.id}")]


def test_whoever_lost_the_lease_changes_nothing_but_a_success_counts(till: Till) -> None:
    team = till.team(DECLINED_LATER)
    till.ask(team)
    with till.database.begin() as connection:
        [mine] = payment_attempts.take_due(connection, now=till.clock.now(), limit=10)
        assert payment_attempts.take_due(connection, now=till.clock.now(), limit=10) == []
    till.clock.pass_(payment_attempts.LEASE_SECONDS)
    till.settle()
    with pytest.raises(LeaseLost), till.database.begin() as connection:
        payment_attempts.note_created(connection, mine, "pi_x")
    assert till.find(mine).state == "declined"
    till.check()


def test_a_customer_is_made_once_a_team(till: Till) -> None:
    team = till.stage.team(dollars=0)
    answers = Answers(till.bank)
    answers.lose = {"create_customer"}
    customers = Customers(till.database, answers, till.clock)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            customers.ensure(team.id)
    # A day later the key is forgotten, so it is looked for first.
    till.clock.pass_(2 * 86400)
    made = customers.ensure(team.id)
    assert made == customers.ensure(team.id)
    assert answers.asked.count("create_customer") == 2


def test_a_page_takes_no_slot_and_is_paid_by_a_person(till: Till, memory: MemoryBank) -> None:
    team = till.team(NEEDS_HOLDER)
    page = till.ask(team, is_page=True)
    till.reconciler.run()
    page = till.find(page)
    assert (page.state, page.page_url) == ("created", f"https://processor.test/{page.page_id}")
    till.ask(team)
    till.settle()
    assert page.page_id is not None
    assert memory.memory.pay(page.page_id, DECLINED_LATER).status is PaymentStatus.declined
    till.clock.pass_(60)
    till.reconciler.run()
    assert till.find(page).is_open
    memory.memory.pay(page.page_id, NEEDS_HOLDER)
    till.clock.pass_(60)
    till.reconciler.run()
    assert till.find(page).state == "succeeded"
    assert till.balance(team) == 50
    till.check()


def test_a_page_is_over_after_half_an_hour(till: Till) -> None:
    team = till.team()
    page = till.ask(team, is_page=True)
    for _ in range(36):
        till.reconciler.run()
        till.clock.pass_(60)
    assert outcome(till.find(page)) == ("canceled", "page_expired")
    till.check()


def test_open_pages_are_ended_before_a_charge_that_nobody_is_there_for(till: Till, memory: MemoryBank) -> None:
    team = till.team()
    paid, waiting = till.ask(team, 100, is_page=True), till.ask(team, 200, is_page=True)
    till.reconciler.run()
    page_id = till.find(paid).page_id
    assert page_id is not None
    memory.memory.pay(page_id)
    charge = till.ask_by_itself(team)
    till.settle()
    assert outcome(till.find(charge)) == ("canceled", "paid_meanwhile")
    assert till.find(paid).state == "succeeded"
    assert outcome(till.find(waiting)) == ("canceled", "page_expired")
    assert till.balance(team) == 100
    till.check()


def test_a_tenth_page_is_the_last(till: Till) -> None:
    team = till.team()
    for _ in range(10):
        till.ask(team, is_page=True)
    with pytest.raises(PaymentUnderWay):
        till.ask(team, is_page=True)


def test_refunds_and_disputes_take_back_the_difference_whatever_the_order(till: Till, memory: MemoryBank) -> None:
    team = till.team(dollars=1)
    attempt = till.ask(team, 100)
    till.settle()
    payment_id = till.find(attempt).payment_intent_id
    assert payment_id is not None
    steps = [(30, 0, 71), (30, 50, 21), (60, 50, 1), (60, 0, 41), (100, 100, 1), (20, 0, 81), (0, 0, 101)]
    for refunded, disputed, dollars in steps:
        memory.memory.change(
            payment_id, "charge.refunded", refunded_micros=refunded * DOLLAR, disputed_micros=disputed * DOLLAR
        )
        for _ in range(2):
            with till.database.begin() as connection:
                till.reconciler.record(connection, attempt, memory.memory.payment(payment_id))
        assert till.balance(team) == dollars
        till.check()


def test_a_dispute_of_what_is_spent_freezes_the_team_and_a_refund_does_not(till: Till, memory: MemoryBank) -> None:
    for kind in ("refund", "dispute"):
        team = till.team()
        attempt = till.ask(team, 100)
        till.settle()
        payment_id = till.find(attempt).payment_intent_id
        assert payment_id is not None
        with till.database.begin() as connection:
            ledger.post(
                connection,
                team_id=team.id,
                kind=ledger.GIVEN_UP,
                key=f"spent:{team.id}",
                postings=[ledger.Posting(f"team:{team.id}", -DOLLAR), ledger.Posting(ledger.GRANTS, DOLLAR)],
                now=till.clock.now(),
            )
        getattr(memory.memory, kind)(payment_id, 100 * DOLLAR)
        with till.database.begin() as connection:
            till.reconciler.record(connection, attempt, memory.memory.payment(payment_id))
        assert till.balance(team) == -1
        with till.database.read() as connection:
            frozen_at = connection.execute(sa.select(tables.teams.c.frozen_at).where(tables.teams.c.id == team.id))
            assert (frozen_at.scalar_one() is not None) == (kind == "dispute")
        till.check()
        # Deposits work all the same, and pay the debt first.
        till.ask(team, 50)
        till.settle()
        assert till.balance(team) == 49


@pytest.mark.slow
def test_many_processes_at_once_charge_each_team_once(till: Till) -> None:
    teams = [till.team() for _ in range(12)]
    started = threading.Barrier(6)

    def process(number: int) -> None:
        started.wait()
        for team in teams[number % 2 :] + teams[: number % 2]:
            with suppress(PaymentUnderWay):
                till.ask(team)
        for _ in range(3):
            till.open().run()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(process, range(6)))
    till.settle()
    # A second wish may have found the slot free again: then it is a second payment, asked for and made once.
    with till.database.read() as connection:
        for team in teams:
            attempts, total = payment_attempts.of_team(connection, team.id, limit=100)
            assert {attempt.state for attempt in attempts} == {"succeeded"}
            assert till.balance(team) == 50 * total
    assert len({payment.id for payment in till.charged()}) == len(till.charged())
    till.check()
