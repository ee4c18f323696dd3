"""Balances of my teams, in dollars."""

from forebay.client.request import Answer, Request


class TeamBalance(Answer):
    """A team's credits; below zero is a debt."""

    team_id: str
    team_name: str
    balance: float
    is_current_team: bool
    role: str
    held: float
    """Set aside for machines that were launched; part of the balance."""
    available: float
    burn_per_hour: float
    runway_seconds: int | None
    """How long the balance lasts at this burn; None when nothing burns."""


class Balances(Answer):
    """Of all teams that this key or session reaches."""

    teams: list[TeamBalance]
    currency: str


def show() -> Request[Balances]:
    """The credits of each team."""
    return Request(method="GET", path="/api/balance", answers=Balances)
