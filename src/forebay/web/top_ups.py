"""Buying credits: by a saved card or on a page of the payment processor, and what comes of it.

A form carries a client key of its own, so that a double click, or a form sent again, is one payment.
"""

from collections.abc import Callable, Sequence

import msgspec
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.money import card_changes, declines, deposits, payment_attempts
from forebay.domain.money.amounts import from_dollars
from forebay.domain.money.deposits import AmountNotPossible, Wish
from forebay.domain.money.payment_attempts import Attempt, Path, State
from forebay.domain.people.roles import Permission
from forebay.errors import ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.visits import Visit

LAST = 5
PAGE_ROWS = 25
PAGE = "page"
"""What stands for no saved card in the form: the processor's page asks for one."""
WORDS = {
    State.claimed: ("on its way", "calm"),
    State.created: ("on its way", "calm"),
    State.unknown: ("being checked", "warn"),
    State.canceling: ("being given up", "warn"),
    State.succeeded: ("paid", "good"),
    State.declined: ("declined", "bad"),
    State.authentication_required: ("needs you", "warn"),
    State.canceled: ("not paid", "idle"),
}
PATHS = {Path.manual: "Saved card", Path.auto: "Auto top-up", Path.checkout: "Payment page"}


Again = Callable[[Visit, ForebayError], Page]
"""Shows the billing page once more, with what went wrong."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as pages show it."""

    attempt: Attempt
    word: str
    tone: str
    path: str
    message: str
    """Why nothing was charged, and what to do."""

    @property
    def waits_for_person(self) -> bool:
        """Whether somebody is to pay on the processor's page."""
        return self.attempt.is_open and bool(self.attempt.page_url)


def payment(attempt: Attempt) -> Payment:
    """With its words."""
    word, tone = WORDS[attempt.state]
    if attempt.is_open and attempt.page_url:
        word = "waits for you"
    message = declines.sentence(attempt.error_code) or ""
    return Payment(attempt=attempt, word=word, tone=tone, path=PATHS[attempt.path], message=message)


def payments(found: Sequence[Attempt]) -> list[Payment]:
    """The same of several."""
    return [payment(attempt) for attempt in found]


class TopUpPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard, again: Again) -> None:
        self.dashboard, self.frame, self.again = dashboard, dashboard.frame, again

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them, for those who may manage billing."""
        page, needs = self.dashboard.page, Permission.manage_billing
        return [
            page("POST", "/billing/top-ups", self.ask, needs=needs),
            page("GET", "/billing/top-ups", self.show_all, needs=needs),
            page("GET", "/billing/top-ups/{top_up_id}", self.show, needs=needs),
            page("GET", "/billing/top-ups/{top_up_id}/pay", self.pay, needs=needs),
        ]

    def ask(self, visit: Visit) -> Page:
        """Begin a payment; its page says how far it has come."""
        self.frame.demand_recent(visit)
        form = visit.form
        try:
            card_changes.demand_payments(takes_cards=self.frame.settings.takes_cards)
            wish = Wish(
                amount_micros=amount_of(form.get("amount") or form.get("preset", "")),
                client_key=form.get("clientKey", "")[:255] or "none",
                is_page=form.get("cardId", PAGE) == PAGE,
                card_id=None if form.get("cardId", PAGE) == PAGE else form["cardId"],
            )
            with self.dashboard.begin(visit) as connection:
                visit.context.demand(Permission.manage_billing)
                attempt = deposits.ask(connection, visit.context, wish, now=visit.now)
        except ForebayError as error:
            if error.status in (401, 403):
                raise
            return self.again(visit, error)
        self.frame.nudge("payments")
        return go(f"/t/{visit.context.slug}/billing/top-ups/{attempt.id}")

    def show_all(self, visit: Visit) -> Page:
        """All payments, newest first."""
        number = page_number(visit)
        with self.dashboard.read() as connection:
            found, total = payment_attempts.of_team(connection, visit.context.team_id, page=number, limit=PAGE_ROWS)
            return self.dashboard.show(
                visit, connection, "top_ups.html", payments=payments(found), total=total, page=number, limit=PAGE_ROWS
            )

    def show(self, visit: Visit) -> Page:
        """One payment, kept up to date."""
        with self.dashboard.read() as connection:
            attempt = self.find(connection, visit)
            return self.dashboard.show(visit, connection, "top_up.html", payment=payment(attempt))

    def pay(self, visit: Visit) -> Page:
        """On to the processor's page."""
        with self.dashboard.read() as connection:
            attempt = self.find(connection, visit)
        if not attempt.is_open or not attempt.page_url:
            return go(f"/t/{visit.context.slug}/billing/top-ups/{attempt.id}")
        return Page(status=303, location=attempt.page_url)

    def find(self, connection: Connection, visit: Visit) -> Attempt:
        """The payment of the address. Raises NotFound."""
        top_up_id = visit.parameters["top_up_id"]
        attempt = payment_attempts.find(connection, top_up_id) if is_id(top_up_id) else None
        if attempt is None or attempt.team_id != visit.context.team_id:
            raise NotFound("Payment")
        return attempt


def amount_of(text: str, field: str = "amount") -> int:
    """What somebody wrote, in micro-dollars: 50, $50, 1,250.50. Raises AmountNotPossible."""
    try:
        return from_dollars(text.strip().removeprefix("$").replace(",", "").strip() or "x")
    except ValueError:
        reason = "dollars, in whole cents: 50 or 49.90"
        raise AmountNotPossible("This is not an amount of dollars.", details={field: reason}) from None


def page_number(visit: Visit) -> int:
    """Which page of a list is asked for."""
    text = visit.query.get("page", "1")
    return min(max(int(text), 1), 1_000_000) if text.isascii() and text.isdigit() and len(text) < 8 else 1
