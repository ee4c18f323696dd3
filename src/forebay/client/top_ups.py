"""Top-ups of a team: credits that are bought, by a saved card or on a page. Amounts in dollars."""

from forebay.client.request import Answer, Page, Request, given


class TopUp(Answer):
    """A payment, from the wish to its end."""

    id: str
    path: str
    """`manual`: by a saved card; `checkout`: on a page; `auto`: Forebay itself."""
    state: str
    """`claimed`, `created`, `unknown` and `canceling` while it is open; then `succeeded`, `declined`,
    `authentication_required` or `canceled`."""
    is_open: bool
    amount: float
    currency: str
    card_id: str | None
    page_url: str | None
    """Where a person pays, for `checkout`, while it is open; there a moment after the request."""
    error_code: str | None
    message: str | None
    """Why nothing was charged, and what to do."""
    requested_by: str | None
    created_at: str
    closed_at: str | None


class TopUps(Page):
    """What was bought, newest first, and what can be."""

    takes_cards: bool
    no_cards_because: str | None
    """Why this cloud takes no cards, and who can change that."""
    presets: list[float]
    least: float
    most: float
    top_ups: list[TopUp]


def buy(
    team_id: str, amount: float, *, client_key: str, card_id: str | None = None, checkout: bool | None = None
) -> Request[TopUp]:
    """Buy credits by the default card, another one, or on a page: then ask `show` until it is no longer open.

    `client_key` is yours, a new one for each payment: the same key again is the same payment, however often it is sent
    and by whichever process.
    """
    body = given(amount=amount, clientKey=client_key, cardId=card_id, checkout=checkout)
    return Request(
        method="POST", path="/api/teams/{team_id}/top-ups", at={"team_id": team_id}, body=body, answers=TopUp
    )


def listed(team_id: str, *, page: int | None = None, limit: int | None = None) -> Request[TopUps]:
    """The team's payments, whatever came of them."""
    return Request(
        method="GET",
        path="/api/teams/{team_id}/top-ups",
        at={"team_id": team_id},
        query=given(page=page, limit=limit),
        answers=TopUps,
    )


def show(team_id: str, top_up_id: str) -> Request[TopUp]:
    """One payment, as it is now."""
    return Request(
        method="GET",
        path="/api/teams/{team_id}/top-ups/{top_up_id}",
        at={"team_id": team_id, "top_up_id": top_up_id},
        answers=TopUp,
    )
