"""Looks into what the payment processor says has happened, and asks once a minute what it may have said in vain.

Whatever an event claims, the object itself is asked for, and our books are brought to what it says now. So an event
that is forged, repeated, late or out of order does no harm, and one that never came is found by the poll.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from forebay.clock import Clock
from forebay.domain.money import card_set_ups, payment_attempts, webhook_events
from forebay.domain.money.webhook_events import POLLED, Event
from forebay.payments.base import NoSuchObject, PaymentError, PaymentProcessor, PaymentStatus
from forebay.storage.database import Database
from forebay.worker.payments import PaymentReconciler

log = logging.getLogger(__name__)

POLL_SECONDS = 60
OVERLAP = timedelta(hours=1)
"""How far back a poll looks again: events become visible late, and not in order."""
FIRST_LOOK = timedelta(days=2)


class PaymentEventReconciler:
    """See the module."""

    name = "payment-events"
    interval_seconds = 5.0

    def __init__(
        self,
        database: Database,
        processor: PaymentProcessor,
        clock: Clock,
        reconciler: PaymentReconciler,
        *,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.processor, self.clock = database, processor, clock
        self.reconciler, self.nudge = reconciler, nudge
        self.polled_at: float | None = None

    def run(self) -> int:
        """Ask for events if it is time, and look into what is due; how much there was to do."""
        now = self.clock.monotonic()
        if self.polled_at is None or now - self.polled_at >= POLL_SECONDS:
            self.polled_at = now
            self.poll()
        return self.look()

    def poll(self) -> None:
        """Keep the events that no webhook brought. Fails quietly: the next minute tries again."""
        asked_at = self.clock.now()
        with self.database.read() as connection:
            since = webhook_events.read_through(connection)
        try:
            found = list(self.processor.events(since=since - OVERLAP if since else asked_at - FIRST_LOOK))
        except PaymentError as reason:
            log.warning("events not read", extra={"reason": str(reason)})
            return
        with self.database.begin() as connection:
            for event in reversed(found):
                known = Event(
                    id=event.id,
                    type=event.type,
                    object_id=event.object_id,
                    related_id=event.payment_id or None,
                    occurred_at=event.occurred_at,
                )
                webhook_events.note(connection, known, POLLED, now=asked_at)
            webhook_events.note_read_through(connection, asked_at)

    def look(self) -> int:
        """Look into what is due; how many events there were."""
        with self.database.read() as connection:
            if not webhook_events.is_any_due(connection, now=self.clock.now()):
                return 0
        with self.database.begin() as connection:
            due = webhook_events.take_due(connection, now=self.clock.now())
        for event in due:
            try:
                outcome = self.look_into(event)
            except PaymentError as reason:
                log.warning("event not looked into", extra={"event": event.id, "reason": str(reason)})
                with self.database.begin() as connection:
                    webhook_events.put_off(connection, event, now=self.clock.now())
                continue
            with self.database.begin() as connection:
                webhook_events.note_handled(connection, event, outcome, now=self.clock.now())
        return len(due)

    def look_into(self, event: Event) -> str:
        """Bring our books to what the object says now; the outcome in words. Raises PaymentError."""
        if event.type.startswith("checkout.session."):
            self.wake_page(event.object_id, self.clock.now())
        if event.related_id is None:
            return "no payment to look at"
        try:
            payment = self.processor.payment(event.related_id)
        except NoSuchObject:
            return "the processor does not know this payment"
        with self.database.begin() as connection:
            attempt = payment_attempts.by_payment(connection, payment.id, payment.marks.get("forebay_attempt", ""))
            if attempt is None:
                return "no payment of ours"
            if payment.status is not PaymentStatus.succeeded:
                payment_attempts.make_due(connection, attempt, now=self.clock.now())
                has_changed = False
            else:
                has_changed = self.reconciler.record(connection, attempt, payment)
        self.nudge("mails" if has_changed else "payments")
        return "our books were changed" if has_changed else f"the payment is {payment.status}"

    def wake_page(self, page_id: str, now: datetime) -> None:
        """Something happened on a page: whoever waits for it looks now."""
        with self.database.begin() as connection:
            attempt = payment_attempts.by_page(connection, page_id)
            if attempt is not None:
                payment_attempts.make_due(connection, attempt, now=now)
            card_set_ups.make_due(connection, page_id, now=now)
        self.nudge("payments")
        self.nudge("cards")

    def close(self) -> None:
        """Nothing is held."""
