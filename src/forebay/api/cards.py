"""`/api/teams/{id}/cards`: the cards that a team has saved, and how one gets there."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import route
from forebay.domain.money import card_changes, card_set_ups, cards, declines
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


def demand_payments(call: Call) -> None:
    """Raise PaymentsNotSetUp where no cards can be charged."""
    card_changes.demand_payments(takes_cards=call.settings.takes_cards)


def no_cards_because(call: Call) -> str | None:
    """Why this cloud takes no cards, and who can change that; None where it does."""
    return None if call.settings.takes_cards else card_changes.NOT_SET_UP


class Card(Wire):
    """A saved card, as much of it as may be shown."""

    id: str
    brand: str
    last_four: str
    expiry_month: int
    expiry_year: int
    is_default: bool
    """Whether it is charged unless another is named."""
    has_expired: bool
    created_at: str


class Cards(Wire):
    """All of a team's, the default first."""

    takes_cards: bool
    """Whether this cloud can charge cards at all."""
    no_cards_because: str | None
    """Why not, and who can change that."""
    cards: list[Card]


class NewCard(Input):
    """A card that is to be saved."""

    payment_method_id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_]{3,200}$")] | None = None
    """What the payment processor gave a payment page of one's own for the card. Without it, a page is made."""


class CardSetUp(Wire):
    """A card on its way. It is `claimed` until the processor has answered, then `open` while a page waits."""

    id: str
    state: Literal["claimed", "open", "saved", "refused", "expired"]
    page_url: str | None
    """Where a person enters the card, while it is open."""
    card_id: str | None
    """Of the card, once it is saved."""
    error_code: str | None
    message: str | None
    """Why no card came of it, and what to do."""
    created_at: str


class Removed(Wire):
    """It is charged no more."""

    success: bool


def to_wire(call: Call, card: cards.Card) -> Card:
    """A card as clients see it."""
    return Card(
        id=card.id,
        brand=card.brand,
        last_four=card.last_four,
        expiry_month=card.expiry_month,
        expiry_year=card.expiry_year,
        is_default=card.is_default,
        has_expired=card.expires_at <= call.now,
        created_at=iso(int(card.created_at.timestamp())) or "",
    )


def shown(set_up: card_set_ups.SetUp) -> CardSetUp:
    """A set-up as clients see it."""
    return CardSetUp(
        id=set_up.id,
        state=set_up.state,
        page_url=set_up.page_url,
        card_id=set_up.card_id,
        error_code=set_up.error_code,
        message=declines.sentence(set_up.error_code),
        created_at=iso(int(set_up.created_at.timestamp())) or "",
    )


@route(
    "GET",
    "/api/teams/{team_id}/cards",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    answers=Cards,
)
def list_all(call: Call, team_id: str) -> Cards:
    """The team's saved cards."""
    found = cards.of_team(call.connection, team_id)
    return Cards(
        takes_cards=call.settings.takes_cards,
        no_cards_because=no_cards_because(call),
        cards=[to_wire(call, card) for card in found],
    )


@route(
    "POST",
    "/api/teams/{team_id}/cards",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    body=NewCard,
    answers=CardSetUp,
    status=202,
    is_recent=True,
)
def create(call: Call, team_id: str, body: NewCard) -> CardSetUp:
    """Save a card: ask `card-set-ups/{id}` until it is saved.

    With `paymentMethodId` the card is the team's within seconds. Without it a page of the payment processor is made,
    whose address is in `pageUrl` a moment later; no card number ever comes here. 409 `PAYMENTS_NOT_SET_UP` where this
    cloud takes no cards.
    """
    demand_payments(call)
    set_up = card_changes.begin(call.connection, call.team, payment_method_id=body.payment_method_id, now=call.now)
    call.nudge("cards")
    return shown(set_up)


@route(
    "GET",
    "/api/teams/{team_id}/card-set-ups/{set_up_id}",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    answers=CardSetUp,
)
def show_set_up(call: Call, team_id: str, set_up_id: str) -> CardSetUp:
    """How far a card on its way has got."""
    return shown(card_set_ups.get(call.connection, team_id, set_up_id))


@route(
    "PUT",
    "/api/teams/{team_id}/cards/{card_id}/default",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    answers=Card,
    is_recent=True,
)
def make_default(call: Call, team_id: str, card_id: str) -> Card:
    """Charge this card from now on, unless another is named."""
    card = card_changes.make_default(call.connection, call.team, card_id, now=call.now)
    call.nudge("auto-top-ups")
    return to_wire(call, card)


@route(
    "DELETE",
    "/api/teams/{team_id}/cards/{card_id}",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    answers=Removed,
    raises=(409,),
    is_recent=True,
)
def delete(call: Call, team_id: str, card_id: str) -> Removed:
    """Delete a card: it is charged no more from this moment on. No other becomes the default by itself.

    409 `CARD_IN_USE` while a payment by it is under way.
    """
    card_changes.delete(call.connection, call.team, card_id, now=call.now)
    call.nudge("cards")
    return Removed(success=True)
