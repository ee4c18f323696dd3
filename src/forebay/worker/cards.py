"""Saves the cards that people set up, lets go of those they deleted, and says which are about to expire."""

import logging
from collections.abc import Callable
from datetime import timedelta

from forebay.clock import Clock
from forebay.domain.money import auto_top_ups, card_letters, card_set_ups, cards
from forebay.domain.money.card_set_ups import EXPIRED, PAGE_SECONDS, REFUSED, SAVED, SetUp, State
from forebay.errors import ForebayError
from forebay.payments.base import Card, NoSuchObject, PageOrder, PageStatus, PaymentError, PaymentProcessor, Refused
from forebay.storage.database import Database
from forebay.worker.customers import REPEAT_SECONDS, Customers

log = logging.getLogger(__name__)

PAGE_SLACK_SECONDS = 5 * 60
PAGE_LOOK_SECONDS = 30
RETRY_SECONDS = 15


class CardReconciler:
    """See the module."""

    name = "cards"
    interval_seconds = 5.0

    def __init__(
        self,
        database: Database,
        processor: PaymentProcessor,
        clock: Clock,
        *,
        return_url: str,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.processor, self.clock = database, processor, clock
        self.return_url, self.nudge = return_url, nudge
        self.customers = Customers(database, processor, clock)

    def run(self) -> int:
        """Carry on with what is due; how much there was to do."""
        return self.save() + self.forget() + self.tell()

    def save(self) -> int:
        """Cards on their way."""
        with self.database.read() as connection:
            if not card_set_ups.is_any_due(connection, now=self.clock.now()):
                return 0
        with self.database.begin() as connection:
            due = card_set_ups.take_due(connection, now=self.clock.now())
        for set_up in due:
            self.carry_out(set_up)
        return len(due)

    def carry_out(self, set_up: SetUp) -> None:
        """Carry on with one as far as it goes now."""
        try:
            if set_up.path == "given":
                self.save_given(set_up)
            else:
                self.see_to_page(set_up)
        except Refused as reason:
            self.end(set_up, REFUSED, reason.code)
        except ForebayError as reason:
            self.end(set_up, REFUSED, reason.code.lower())
        except PaymentError as reason:
            log.warning("card not saved yet", extra={"setUp": set_up.id, "reason": str(reason)})
            with self.database.begin() as connection:
                card_set_ups.put_off(connection, set_up, now=self.clock.now(), seconds=RETRY_SECONDS)

    def save_given(self, set_up: SetUp) -> None:
        """A card that a payment page of one's own got an id for. Raises PaymentError, ForebayError."""
        if self.is_too_old(set_up):
            self.end(set_up, EXPIRED, "too_late")
            return
        assert set_up.payment_method_id is not None
        customer_id = self.customers.ensure(set_up.team_id)
        card = self.processor.save_card(set_up.payment_method_id, customer_id, key=f"card:{set_up.id}")
        self.add(set_up, card)

    def see_to_page(self, set_up: SetUp) -> None:
        """Open a page, or look how it stands. Raises PaymentError, ForebayError."""
        if set_up.page_id is None:
            if self.is_too_old(set_up):
                self.end(set_up, EXPIRED, "too_late")
                return
            page = self.processor.open_page(self.page_order(set_up), key=f"card:{set_up.id}")
            with self.database.begin() as connection:
                card_set_ups.note_page(
                    connection, set_up, page_id=page.id, url=page.url, now=self.clock.now(), seconds=PAGE_LOOK_SECONDS
                )
            return
        page = self.processor.page(set_up.page_id)
        if page.status is PageStatus.complete:
            self.add(set_up, self.processor.card(page.payment_method_id))
        elif page.status is PageStatus.expired:
            self.end(set_up, EXPIRED, "page_expired")
        else:
            with self.database.begin() as connection:
                card_set_ups.put_off(connection, set_up, now=self.clock.now(), seconds=PAGE_LOOK_SECONDS)

    def page_order(self, set_up: SetUp) -> PageOrder:
        """The same for every retry."""
        return PageOrder(
            customer_id=self.customers.ensure(set_up.team_id),
            return_url=f"{self.return_url.rstrip('/')}/billing/{set_up.team_id}",
            description="A card for automatic and manual payments",
            marks={"forebay_team": set_up.team_id, "forebay_card_set_up": set_up.id},
            expires_at=set_up.created_at + timedelta(seconds=PAGE_SECONDS + PAGE_SLACK_SECONDS),
        )

    def is_too_old(self, set_up: SetUp) -> bool:
        """Whether the processor may have forgotten the key."""
        return self.clock.now() - set_up.created_at >= timedelta(seconds=REPEAT_SECONDS)

    def add(self, set_up: SetUp, found: Card) -> None:
        """Commit that the team has the card. Raises ForebayError."""
        facts = cards.Facts(
            payment_method_id=found.payment_method_id,
            brand=found.brand,
            last_four=found.last_four,
            expiry_month=found.expiry_month,
            expiry_year=found.expiry_year,
        )
        with self.database.begin() as connection:
            now = self.clock.now()
            card = cards.add(connection, set_up.team_id, facts, created_by=set_up.requested_by, now=now)
            card_set_ups.close(connection, set_up, SAVED, card_id=card.id, now=now)
            auto_top_ups.resume_by_card(connection, set_up.team_id, by=set_up.requested_by, now=now)
        self.nudge("auto-top-ups")

    def end(self, set_up: SetUp, state: State, code: str) -> None:
        """Commit that no card came of it, and why."""
        with self.database.begin() as connection:
            card_set_ups.close(connection, set_up, state, error_code=code, now=self.clock.now())

    def forget(self) -> int:
        """Let the processor let go of deleted cards. Those it can't be asked about now are asked about later."""
        with self.database.read() as connection:
            found = cards.to_forget(connection)
        done = 0
        for card_id, payment_method_id in found:
            try:
                self.processor.forget_card(payment_method_id)
            except NoSuchObject:
                pass
            except PaymentError as reason:
                log.warning("card not forgotten yet", extra={"card": card_id, "reason": str(reason)})
                continue
            with self.database.begin() as connection:
                cards.note_forgotten(connection, card_id, now=self.clock.now())
            done += 1
        return done

    def tell(self) -> int:
        """Mail owners and admins a month before a card expires, once."""
        with self.database.read() as connection:
            found = cards.expiring(connection, now=self.clock.now())
        for card in found:
            with self.database.begin() as connection:
                card_letters.tell_of_expiry(connection, card, now=self.clock.now())
        if found:
            self.nudge("mails")
            self.nudge("notifications")
        return len(found)

    def close(self) -> None:
        """What is under way is taken up at the next start."""
