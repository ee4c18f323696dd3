"""Cards that a team has saved, and how one gets there. No card number is ever sent or answered."""

from forebay.client.request import Answer, Request, given


class Card(Answer):
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


class Cards(Answer):
    """All of a team's, the default first."""

    takes_cards: bool
    no_cards_because: str | None
    """Why this cloud takes no cards, and who can change that."""
    cards: list[Card]


class CardSetUp(Answer):
    """A card on its way."""

    id: str
    state: str
    """`claimed` until the processor has answered, `open` while a page waits; then `saved`, `refused` or `expired`."""
    page_url: str | None
    """Where a person enters the card, while it is open."""
    card_id: str | None
    """Of the card, once it is saved."""
    error_code: str | None
    message: str | None
    """Why no card came of it, and what to do."""
    created_at: str


class Removed(Answer):
    """It is charged no more."""

    success: bool


def listed(team_id: str) -> Request[Cards]:
    """The team's saved cards."""
    return Request(method="GET", path="/api/teams/{team_id}/cards", at={"team_id": team_id}, answers=Cards)


def add(team_id: str, *, payment_method_id: str | None = None) -> Request[CardSetUp]:
    """Save a card: one that a payment page of one's own got from the processor, or else by a page that is made.

    Then ask `set_up` until it is `saved`.
    """
    return Request(
        method="POST",
        path="/api/teams/{team_id}/cards",
        at={"team_id": team_id},
        body=given(paymentMethodId=payment_method_id),
        answers=CardSetUp,
    )


def set_up(team_id: str, set_up_id: str) -> Request[CardSetUp]:
    """How far a card on its way has got."""
    return Request(
        method="GET",
        path="/api/teams/{team_id}/card-set-ups/{set_up_id}",
        at={"team_id": team_id, "set_up_id": set_up_id},
        answers=CardSetUp,
    )


def make_default(team_id: str, card_id: str) -> Request[Card]:
    """Charge this card from now on, unless another is named."""
    return Request(
        method="PUT",
        path="/api/teams/{team_id}/cards/{card_id}/default",
        at={"team_id": team_id, "card_id": card_id},
        answers=Card,
    )


def remove(team_id: str, card_id: str) -> Request[Removed]:
    """Delete a card: it is charged no more from this moment on."""
    return Request(
        method="DELETE",
        path="/api/teams/{team_id}/cards/{card_id}",
        at={"team_id": team_id, "card_id": card_id},
        answers=Removed,
    )
