"""Budgets of a team: what it, its members, API keys and labels are to spend in a calendar month at most, in dollars."""

from collections.abc import Sequence
from typing import Literal

from forebay.client.request import Answer, Page, Request, given
from forebay.client.teams import Deleted

Scope = Literal["team", "member", "apiKey", "label"]
AtLimit = Literal["notify", "block", "stop"]


class Budget(Answer):
    """A budget and how it stands."""

    id: str
    team_id: str
    scope: str
    key: str | None
    """The member's id, the API key's, or the label as `key=value`; None for the team."""
    name: str
    amount: float
    alerts: list[int]
    at_limit: str
    month: str
    resets_at: str
    spent: float
    held: float
    remaining: float
    share: float
    burn_per_hour: float
    forecast: float
    state: str
    says: str
    told_share: int
    stops_at: str | None
    can_change: bool
    created_at: str
    created_by: str
    changed_at: str


class Budgets(Page):
    """A page of them: the team's own first, then members', API keys' and labels'."""

    budgets: list[Budget]


def listed(team_id: str, *, page: int | None = None, limit: int | None = None) -> Request[Budgets]:
    """The team's budgets, each with what is spent of it."""
    return Request(
        method="GET",
        path="/api/teams/{team_id}/budgets",
        at={"team_id": team_id},
        query=given(page=page, limit=limit),
        answers=Budgets,
    )


def put(
    team_id: str,
    scope: Scope,
    amount: float,
    *,
    key: str | None = None,
    alerts: Sequence[int] | None = None,
    at_limit: AtLimit | None = None,
) -> Request[Budget]:
    """Set the budget of a scope, in the place of the one there is."""
    body = given(scope=scope, amount=amount, key=key, alerts=None if alerts is None else list(alerts), atLimit=at_limit)
    return Request(
        method="PUT", path="/api/teams/{team_id}/budgets", at={"team_id": team_id}, body=body, answers=Budget
    )


def delete(team_id: str, budget_id: str) -> Request[Deleted]:
    """Delete a budget."""
    return Request(
        method="DELETE",
        path="/api/teams/{team_id}/budgets/{budget_id}",
        at={"team_id": team_id, "budget_id": budget_id},
        answers=Deleted,
    )
