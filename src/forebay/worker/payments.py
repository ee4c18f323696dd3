"""Carries payment attempts to their end: makes them at the processor, confirms, records, and settles what is unknown.

Every step is committed before the next one is asked for, and whatever was cut off begins with a look at the processor.
A payment can succeed only once and becomes credits only once, so nothing that happens here twice charges or credits
twice. A request is repeated only under its own key, and never after a day, when the processor forgets keys: then the
payment is canceled instead.
"""

import logging
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from datetime import timedelta

from sqlalchemy import Connection

from forebay.clock import Clock
from forebay.domain.machines import alerts
from forebay.domain.money import auto_top_ups, ledger, payment_attempts, payments
from forebay.domain.money.payment_attempts import Attempt, LeaseLost, Path, State
from forebay.domain.money.payments import Facts
from forebay.domain.money.receipts import Seller
from forebay.errors import ForebayError
from forebay.payments.base import (
    NoSuchObject,
    Order,
    OutcomeUnknown,
    Page,
    PageOrder,
    PageStatus,
    Payment,
    PaymentError,
    PaymentProcessor,
    PaymentStatus,
    Refused,
    TryAgain,
)
from forebay.storage.database import Database
from forebay.worker.customers import REPEAT_SECONDS, Customers

log = logging.getLogger(__name__)

HANDS = 16
"""A processor takes a second or two over a card's bank."""
MOST_AT_ONCE = 2 * HANDS
"""So many are taken at a time, that no hand waits for the next one."""
MOST_IN_A_ROUND = 1000
REST_SECONDS = 1.0
"""So long nothing new is begun after the processor was asked too much: its limits are counted by the second."""
TOO_LONG_ASKED = timedelta(minutes=10)
"""An operator is told of a payment that is held up so long by the processor's limits."""
LOOK_SECONDS = 0.25
MOST_WAIT_SECONDS = 300
TRIES_BEFORE_ALARM = 8
PAGE_SECONDS = 30 * 60
PAGE_SLACK_SECONDS = 5 * 60
"""The processor wants a page to last half an hour from when it gets the request, which may be a retry."""
PAGE_LOOK_SECONDS = 60

AUTHENTICATION_REQUIRED = "authentication_required"
TOO_LATE = "too_late"
PAID_MEANWHILE = "paid_meanwhile"
NO_LONGER_NEEDED = "no_longer_needed"
PAGE_EXPIRED = "page_expired"
ENDS = {
    AUTHENTICATION_REQUIRED: State.authentication_required,
    TOO_LATE: State.canceled,
    PAID_MEANWHILE: State.canceled,
    NO_LONGER_NEEDED: State.canceled,
}
"""What a canceled payment came to, by the reason it was canceled for; for any other it was declined."""


class PaymentReconciler:
    """See the module."""

    name = "payments"
    interval_seconds = 1.0

    def __init__(
        self,
        database: Database,
        processor: PaymentProcessor,
        clock: Clock,
        *,
        seller: Seller,
        return_url: str,
        nudge: Callable[[str], None] = lambda name: None,
        executor: Executor | None = None,
    ) -> None:
        self.database, self.processor, self.clock = database, processor, clock
        self.seller, self.return_url, self.nudge = seller, return_url, nudge
        self.customers = Customers(database, processor, clock)
        self.is_closed, self.rests_until = False, 0.0
        self.executor = executor or ThreadPoolExecutor(HANDS, thread_name_prefix="forebay-payment")

    def run(self) -> int:
        """Carry on with what is due, and with what becomes so meanwhile; how many there were.

        One over which the processor takes long keeps no other waiting.
        """
        done, under_way = 0, set[Future[None]]()
        while not self.is_closed:
            if len(under_way) <= HANDS and done < MOST_IN_A_ROUND:
                under_way |= {self.executor.submit(self.carry_out, attempt) for attempt in self.take()}
            if not under_way:
                break
            ended, under_way = wait(under_way, LOOK_SECONDS, FIRST_COMPLETED)
            for each in ended:
                each.result()
            done += len(ended)
        return done

    def take(self) -> list[Attempt]:
        """What is due now, as much as there are hands for; nothing while the processor was asked too much."""
        if self.clock.monotonic() < self.rests_until:
            return []
        with self.database.read() as connection:
            if not payment_attempts.is_any_due(connection, now=self.clock.now()):
                return []
        with self.database.begin() as connection:
            return payment_attempts.take_due(connection, now=self.clock.now(), limit=MOST_AT_ONCE - HANDS)

    def carry_out(self, attempt: Attempt) -> None:
        """Carry on with one as far as it goes now."""
        try:
            if attempt.path is Path.checkout:
                self.see_to_page(attempt)
            else:
                self.charge(attempt)
        except LeaseLost:
            log.info("payment attempt is somebody else's by now", extra={"attempt": attempt.id})
        except (OutcomeUnknown, TryAgain) as reason:
            self.put_off(attempt, reason)
        except Refused as reason:
            self.give_up(attempt, reason)
        except ForebayError as reason:
            # Nothing that the processor would mend: what this was for is gone.
            self.give_up(attempt, Refused(reason.sentence, code=reason.code.lower()))

    @property
    def public_url(self) -> str:
        """Where this cloud is, for links in mails."""
        return self.return_url.rstrip("/")

    # A charge of a saved card.

    def charge(self, attempt: Attempt) -> None:
        """Make it or look it up, confirm it, and settle it. Raises PaymentError, LeaseLost."""
        if attempt.payment_intent_id is not None:
            payment = self.look_up(attempt.payment_intent_id)
        elif self.is_too_old(attempt):
            # Without a confirmation nothing was charged, whether or not the processor has made it.
            self.end(attempt, State.canceled, TOO_LATE)
            return
        else:
            payment = self.processor.create_payment(self.order(attempt), key=attempt.idempotency_key)
            with self.database.begin() as connection:
                attempt = payment_attempts.note_created(connection, attempt, payment.id)
        if payment.status is PaymentStatus.ready and attempt.state is not State.canceling:
            if self.is_too_old(attempt):
                attempt = self.note_canceling(attempt, TOO_LATE)
            elif attempt.path is Path.auto and self.was_paid_meanwhile(attempt):
                attempt = self.note_canceling(attempt, PAID_MEANWHILE)
            elif attempt.path is Path.auto and self.is_pointless(attempt):
                attempt = self.note_canceling(attempt, NO_LONGER_NEEDED)
            else:
                payment = self.confirm(attempt, payment)
        if payment.status is PaymentStatus.authentication_required and attempt.state is not State.canceling:
            attempt = self.note_canceling(attempt, AUTHENTICATION_REQUIRED)
        if attempt.state is State.canceling and payment.status is not PaymentStatus.canceled:
            payment = self.processor.cancel(payment.id, key=f"{attempt.idempotency_key}:cancel")
        self.settle(attempt, payment)

    def order(self, attempt: Attempt) -> Order:
        """What was frozen with the claim."""
        request = attempt.request
        return Order(
            amount_micros=request["amountMicros"],
            customer_id=self.customers.ensure(attempt.team_id),
            payment_method_id=request["paymentMethodId"],
            description=request["description"],
            marks=marks(attempt),
        )

    def confirm(self, attempt: Attempt, payment: Payment) -> Payment:
        """Charge the card; how the payment stands then. One whose confirmation is refused is canceled. Raises all."""
        try:
            return self.processor.confirm(payment.id, key=f"{attempt.idempotency_key}:confirm")
        except Refused as reason:
            attempt = self.note_canceling(attempt, reason.code)
            return self.processor.cancel(payment.id, key=f"{attempt.idempotency_key}:cancel")

    def look_up(self, payment_id: str) -> Payment:
        """How it stands. A payment of ours that the processor doesn't know may have been charged: OutcomeUnknown."""
        try:
            return self.processor.payment(payment_id)
        except NoSuchObject as reason:
            raise OutcomeUnknown("The processor does not know a payment that it made.", code=reason.code) from None

    def was_paid_meanwhile(self, attempt: Attempt) -> bool:
        """End the team's open pages, so that nobody pays twice; whether somebody had paid on one. Raises all."""
        with self.database.read() as connection:
            if not payment_attempts.open_pages(connection, attempt.team_id):
                return False
        with self.database.begin() as connection:
            found = payment_attempts.open_pages(connection, attempt.team_id)
            pages = payment_attempts.take(connection, [page.id for page in found if page.page_id], now=self.clock.now())
        was_paid = False
        for page in pages:
            assert page.page_id is not None
            was_paid |= self.settle_page(page, self.processor.expire_page(page.page_id))
        return was_paid

    def is_pointless(self, attempt: Attempt) -> bool:
        """Whether what auto top-up claimed a while ago isn't wanted any more."""
        with self.database.read() as connection:
            return auto_top_ups.is_pointless(connection, attempt)

    def settle(self, attempt: Attempt, payment: Payment) -> bool:
        """Record what it came to; whether the card was charged. Raises OutcomeUnknown where that isn't sure yet."""
        if payment.status is PaymentStatus.succeeded:
            with self.database.begin() as connection:
                self.record(connection, attempt, payment)
            self.nudge("mails")
            self.nudge("notifications")
            return True
        if payment.status is PaymentStatus.declined:
            self.end(attempt, State.declined, payment.code)
        elif payment.status is PaymentStatus.canceled:
            code = self.reason_of(attempt)
            self.end(attempt, ENDS.get(code, State.declined if code else State.canceled), code)
        else:
            raise OutcomeUnknown(f"The payment is {payment.status}.")
        return False

    def reason_of(self, attempt: Attempt) -> str:
        """Why it was canceled, as it is on record by now."""
        with self.database.read() as connection:
            found = payment_attempts.find(connection, attempt.id)
        return (found.error_code if found else None) or ""

    def record(self, connection: Connection, attempt: Attempt, payment: Payment) -> bool:
        """Bring our books to what the processor says of a payment that succeeded. Whether that changed anything."""
        if payment.currency != "usd":
            raise OutcomeUnknown(f"The payment is in {payment.currency}: an operator must look at it.")
        facts = Facts(
            payment_id=payment.id,
            amount_micros=payment.amount_micros,
            card_words=payment.card_words,
            refunded_micros=payment.refunded_micros,
            disputed_micros=payment.disputed_micros,
        )
        now = self.clock.now()
        alerts.clear(connection, "money", subject(attempt), now=now)
        return payments.record(connection, attempt, facts, seller=self.seller, now=now)

    # A page of the processor.

    def see_to_page(self, attempt: Attempt) -> None:
        """Open it, or look how it stands. Raises PaymentError, LeaseLost."""
        ends_at = attempt.created_at + timedelta(seconds=PAGE_SECONDS + PAGE_SLACK_SECONDS)
        if attempt.page_id is None:
            page = self.processor.open_page(self.page_order(attempt), key=attempt.idempotency_key)
            with self.database.begin() as connection:
                attempt = payment_attempts.note_page(connection, attempt, page_id=page.id, url=page.url)
                auto_top_ups.mail_page(connection, attempt, page.url, public_url=self.public_url, now=self.clock.now())
            self.nudge("mails")
        else:
            is_over = self.clock.now() >= ends_at
            page = (self.processor.expire_page if is_over else self.processor.page)(attempt.page_id)
        self.settle_page(attempt, page)

    def page_order(self, attempt: Attempt) -> PageOrder:
        """What was frozen with the claim."""
        return PageOrder(
            customer_id=self.customers.ensure(attempt.team_id),
            return_url=f"{self.public_url}/billing/{attempt.team_id}",
            description=attempt.request["description"],
            marks=marks(attempt),
            expires_at=attempt.created_at + timedelta(seconds=PAGE_SECONDS + PAGE_SLACK_SECONDS),
            amount_micros=attempt.request["amountMicros"],
        )

    def settle_page(self, attempt: Attempt, page: Page) -> bool:
        """Record what a page came to; whether somebody paid on it. Raises PaymentError, LeaseLost."""
        if page.status is PageStatus.complete:
            return self.settle(attempt, self.look_up(page.payment_id))
        if page.status is PageStatus.expired:
            self.end(attempt, State.canceled, PAGE_EXPIRED)
            return False
        with self.database.begin() as connection:
            at = self.clock.now() + timedelta(seconds=PAGE_LOOK_SECONDS)
            payment_attempts.look_again(connection, attempt, at=at)
        return False

    # Ends, and what is none.

    def is_too_old(self, attempt: Attempt) -> bool:
        """Whether the processor may have forgotten the attempt's keys."""
        return self.clock.now() - attempt.created_at >= timedelta(seconds=REPEAT_SECONDS)

    def note_canceling(self, attempt: Attempt, code: str) -> Attempt:
        """Commit that it will not be charged any more, before the processor is asked to see to that."""
        with self.database.begin() as connection:
            return payment_attempts.note_canceling(connection, attempt, error_code=code)

    def end(self, attempt: Attempt, state: State, code: str) -> None:
        """Commit that nothing was charged, and why."""
        with self.database.begin() as connection:
            now = self.clock.now()
            # The account before the attempt, as where a payment is recorded.
            ledger.lock(connection, attempt.team_id)
            payment_attempts.close(connection, attempt, state, error_code=code or None, now=now)
            auto_top_ups.note_end(connection, attempt, state, code, public_url=self.public_url, now=now)
            alerts.clear(connection, "money", subject(attempt), now=now)
        if attempt.path is Path.auto:
            self.nudge("mails")
        self.nudge("notifications")

    def give_up(self, attempt: Attempt, reason: Refused) -> None:
        """The processor won't make it: nothing was charged. One that it has made is looked up again instead."""
        with self.database.read() as connection:
            found = payment_attempts.find(connection, attempt.id)
        if found is None or found.payment_intent_id is not None or found.page_id is not None:
            self.put_off(attempt, reason)
            return
        try:
            self.end(attempt, State.declined, reason.code or "refused")
        except LeaseLost:
            log.info("payment attempt is somebody else's by now", extra={"attempt": attempt.id})

    def put_off(self, attempt: Attempt, reason: PaymentError) -> None:
        """Look again soon, later each time; an operator is told where that goes on.

        Where the processor was only asked too much, all rest for a moment, and this one waits no longer than others.
        """
        log.warning("payment not settled", extra={"attempt": attempt.id, "reason": str(reason)})
        now = self.clock.now()
        is_too_much = isinstance(reason, TryAgain) and reason.is_too_much
        must_be_mended = isinstance(reason, TryAgain) and reason.is_ours_to_mend
        if is_too_much:
            self.rests_until = self.clock.monotonic() + REST_SECONDS
            must_be_mended = now - attempt.created_at >= TOO_LONG_ASKED
        try:
            with self.database.begin() as connection:
                tries = payment_attempts.put_off(
                    connection,
                    attempt,
                    now=now,
                    seconds=1 if is_too_much else min(MOST_WAIT_SECONDS, 2 ** min(attempt.tries, 10)),
                    is_unknown=not isinstance(reason, TryAgain),
                    is_counted=not is_too_much,
                )
                if tries >= TRIES_BEFORE_ALARM or must_be_mended:
                    text = f"A payment of team {attempt.team_id} can't be settled: {reason}"
                    alerts.raise_(connection, "money", subject(attempt), text, now=now)
        except LeaseLost:
            log.info("payment attempt is somebody else's by now", extra={"attempt": attempt.id})

    def close(self) -> None:
        """What is under way is taken up at the next start."""
        self.is_closed = True
        self.executor.shutdown(wait=False)


def marks(attempt: Attempt) -> dict[str, str]:
    """What the processor's objects are marked with, so that they lead back to the attempt."""
    return {**attempt.request["marks"], "forebay_attempt": attempt.id}


def subject(attempt: Attempt) -> str:
    """What an alert about it is about."""
    return f"payment attempt {attempt.id}"
