"""How a team stands, in dollars: what there is, what it burns, how long that lasts, and what refills it."""

from forebay.client.auto_top_ups import AutoTopUp
from forebay.client.cards import Card
from forebay.client.request import Answer, Request


class Billing(Answer):
    """A balance below zero is a debt."""

    team_id: str
    currency: str
    balance: float
    held: float
    available: float
    burn_per_hour: float
    runway_seconds: int | None
    runway: str
    is_frozen: bool
    step: str
    what_next: str
    debt: float
    waiting_until: str | None
    stopped_at: str | None
    disks_deleted_at: str | None
    takes_cards: bool
    no_cards_because: str | None
    """Why this cloud takes no cards, and who can change that."""
    auto_top_up: AutoTopUp | None
    """None for those who may not manage billing, as are the cards."""
    cards: list[Card] | None


def show(team_id: str) -> Request[Billing]:
    """How the team stands, and its auto top-up."""
    return Request(method="GET", path="/api/teams/{team_id}/billing", at={"team_id": team_id}, answers=Billing)
