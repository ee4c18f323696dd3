"""Saved cards: adding one on the processor's page, making one the default, deleting one."""

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.money import card_changes, card_set_ups, cards, declines
from forebay.domain.money.card_set_ups import SetUp
from forebay.domain.money.cards import Card
from forebay.domain.people.roles import Permission
from forebay.errors import Conflict, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.top_ups import Again
from forebay.web.visits import Visit

WORDS = {
    "claimed": ("on its way", "calm"),
    "open": ("waits for you", "warn"),
    "saved": ("saved", "good"),
    "refused": ("refused", "bad"),
    "expired": ("expired", "idle"),
}


class CardPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard, again: Again) -> None:
        self.dashboard, self.frame, self.again = dashboard, dashboard.frame, again

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them, for those who may manage billing."""
        page, needs = self.dashboard.page, Permission.manage_billing
        return [
            page("POST", "/billing/cards", self.add, needs=needs),
            page("GET", "/billing/card-set-ups/{set_up_id}", self.show_set_up, needs=needs),
            page("GET", "/billing/card-set-ups/{set_up_id}/page", self.open_page, needs=needs),
            page("POST", "/billing/cards/{card_id}/default", self.make_default, needs=needs),
            page("GET", "/billing/cards/{card_id}/delete", self.ask_to_delete, needs=needs),
            page("POST", "/billing/cards/{card_id}/delete", self.delete, needs=needs),
        ]

    def add(self, visit: Visit) -> Page:
        """Have the processor make a page for a card; no number ever comes here."""
        self.frame.demand_recent(visit)
        try:
            card_changes.demand_payments(takes_cards=self.frame.settings.takes_cards)
            with self.dashboard.begin(visit) as connection:
                visit.context.demand(Permission.manage_billing)
                set_up = card_changes.begin(connection, visit.context, payment_method_id=None, now=visit.now)
        except Conflict as error:
            return self.again(visit, error)
        self.frame.nudge("cards")
        return go(f"/t/{visit.context.slug}/billing/card-set-ups/{set_up.id}")

    def show_set_up(self, visit: Visit) -> Page:
        """How far a card on its way has got, kept up to date."""
        with self.dashboard.read() as connection:
            set_up = self.set_up(connection, visit)
            word, tone = WORDS[set_up.state]
            message = declines.sentence(set_up.error_code) or ""
            return self.dashboard.show(
                visit, connection, "card_set_up.html", set_up=set_up, word=word, tone=tone, message=message
            )

    def open_page(self, visit: Visit) -> Page:
        """On to the processor's page."""
        with self.dashboard.read() as connection:
            set_up = self.set_up(connection, visit)
        if set_up.state != "open" or not set_up.page_url:
            return go(f"/t/{visit.context.slug}/billing/card-set-ups/{set_up.id}")
        return Page(status=303, location=set_up.page_url)

    def make_default(self, visit: Visit) -> Page:
        """Charge this one from now on."""
        self.frame.demand_recent(visit)
        with self.dashboard.begin(visit) as connection:
            visit.context.demand(Permission.manage_billing)
            card = card_changes.make_default(connection, visit.context, self.id_of(visit), now=visit.now)
        self.frame.nudge("auto-top-ups")
        return self.back(visit, f"{card.words.capitalize()} is charged from now on.")

    def ask_to_delete(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What deleting it means."""
        with self.dashboard.read() as connection:
            card = self.card(connection, visit)
            return self.dashboard.show(visit, connection, "card_delete.html", error=error, saved=card)

    def delete(self, visit: Visit) -> Page:
        """Charge it no more."""
        self.frame.demand_recent(visit)
        try:
            with self.dashboard.begin(visit) as connection:
                visit.context.demand(Permission.manage_billing)
                card = card_changes.delete(connection, visit.context, self.id_of(visit), now=visit.now)
        except Conflict as error:
            return self.ask_to_delete(visit, error)
        self.frame.nudge("cards")
        return self.back(visit, f"{card.words.capitalize()} is deleted.")

    def back(self, visit: Visit, said: str) -> Page:
        """To the billing page, which says what was done."""
        self.frame.say(visit, said)
        return go(f"/t/{visit.context.slug}/billing")

    def card(self, connection: Connection, visit: Visit) -> Card:
        """The card of the address. Raises NotFound."""
        return cards.get(connection, visit.context.team_id, self.id_of(visit))

    def set_up(self, connection: Connection, visit: Visit) -> SetUp:
        """The set-up of the address. Raises NotFound."""
        set_up_id = visit.parameters["set_up_id"]
        if not is_id(set_up_id):
            raise NotFound("Card set-up")
        return card_set_ups.get(connection, visit.context.team_id, set_up_id)

    def id_of(self, visit: Visit) -> str:
        """Raises NotFound for what is no id."""
        card_id = visit.parameters["card_id"]
        if not is_id(card_id):
            raise NotFound("Card")
        return card_id
