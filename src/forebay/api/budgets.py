"""`/api/teams/{id}/budgets`: what the team, its members, API keys and labels are to spend in a month at most."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso, iso_at
from forebay.api.route import route
from forebay.api.teams import Deleted
from forebay.domain.machines import budgets
from forebay.domain.machines.budgets import Standing
from forebay.domain.money import budgets as kept
from forebay.domain.money.amounts import from_dollars, to_dollars
from forebay.domain.money.budget_scopes import Scope, may_set
from forebay.domain.money.budgets import AtLimit, Terms
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest

Share = Annotated[int, msgspec.Meta(ge=1, le=kept.MOST_SHARE)]


class Page(Input):
    """A page of them."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=kept.MOST_BUDGETS)] = 100


class NewBudget(Input):
    """A budget for a calendar month, in UTC."""

    scope: Literal["team", "member", "apiKey", "label"]
    amount: float
    """In dollars, whole cents: 0.01 to 1,000,000."""
    key: Annotated[str, msgspec.Meta(max_length=320)] | None = None
    """The member's `userId`, the API key's id, or the label as `key=value`; none for the team."""
    alerts: Annotated[list[Share], msgspec.Meta(max_length=kept.MOST_SHARES)] | None = None
    """The percents of it that are told of when they are reached; without it 50, 80 and 100."""
    at_limit: Literal["notify", "block", "stop"] = "notify"
    """`notify`: nothing but telling; `block`: nothing more is launched, started or grown; `stop`: that too, and after a
    notice machines are stopped that keep their disk."""


class Budget(Wire):
    """A budget and how it stands. Amounts in dollars."""

    id: str
    team_id: str
    scope: Literal["team", "member", "apiKey", "label"]
    key: str | None
    """The member's id, the API key's, or the label as `key=value`; null for the team."""
    name: str
    """What that is called."""
    amount: float
    alerts: list[int]
    at_limit: Literal["notify", "block", "stop"]
    month: str
    """The present one, in UTC: 2026-03."""
    resets_at: str
    """When the next one begins."""
    spent: float
    """What was charged for this month so far: what `GET …/usage` says of the same."""
    held: float
    """What is held for launches besides, and counts for what is refused."""
    remaining: float
    """What is left of the amount; 0 where nothing is."""
    share: float
    """How much of it is spent, in percent."""
    burn_per_hour: float
    forecast: float
    """What will have been spent when the month is over, if what runs now runs on, or to its planned end, and nothing
    else does."""
    state: Literal["ok", "alerted", "used up", "blocked", "stopping", "stopped"]
    """`alerted`: a share is reached that is told of; `used up`: nothing is left, and it only tells; `blocked`: nothing
    is left, and nothing more is launched; `stopping`: its machines are about to be stopped; `stopped`: they are."""
    says: str
    """The same in a sentence."""
    told_share: int
    """The highest share that was told of in this month; 0: none."""
    stops_at: str | None
    """When its machines are stopped, or were, where that is announced."""
    can_change: bool
    """Whether the caller may set and delete it."""
    created_at: str
    created_by: str
    changed_at: str


class Budgets(Wire):
    """A page of the team's: its own first, then members', API keys' and labels'."""

    budgets: list[Budget]
    total: int
    page: int
    limit: int
    total_pages: int


def to_wire(call: Call, standing: Standing) -> Budget:
    """A budget as clients see it."""
    budget, figures = standing.budget, standing.figures
    return Budget(
        id=budget.id,
        team_id=budget.team_id,
        scope=budget.scope.value,
        key=budget.subject or None,
        name=standing.name,
        amount=to_dollars(budget.amount_micros),
        alerts=list(budget.shares),
        at_limit=budget.at_limit.value,
        month=standing.month.key,
        resets_at=iso(int(standing.month.end_at.timestamp())) or "",
        spent=to_dollars(standing.spent_micros),
        held=to_dollars(figures.held_micros),
        remaining=to_dollars(standing.remaining_micros),
        share=standing.share,
        burn_per_hour=to_dollars(figures.burn_micros_per_hour),
        forecast=to_dollars(standing.forecast_micros),
        state=standing.state(call.now),
        says=standing.says(call.now),
        told_share=budget.told_share,
        stops_at=iso_at(budget.stops_at),
        can_change=may_set(call.team, budget.scope, standing.person),
        created_at=iso(int(budget.created_at.timestamp())) or "",
        created_by=budget.created_by,
        changed_at=iso(int(budget.changed_at.timestamp())) or "",
    )


@route(
    "GET",
    "/api/teams/{team_id}/budgets",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    query=Page,
    answers=Budgets,
)
def listed(call: Call, team_id: str, query: Page) -> Budgets:
    """List the team's budgets, each with what is spent of it.

    Everybody in the team sees them. What is spent is exact to the micro-dollar, as usage is: what runs is included up
    to its last charge, about a minute ago.
    """
    found = kept.of_team(call.connection, team_id)
    first = (query.page - 1) * query.limit
    standings = budgets.stand(call.connection, team_id, found[first : first + query.limit], now=call.now)
    return Budgets(
        budgets=[to_wire(call, standing) for standing in standings],
        total=len(found),
        page=query.page,
        limit=query.limit,
        total_pages=-(-len(found) // query.limit),
    )


@route(
    "PUT",
    "/api/teams/{team_id}/budgets",
    needs=Permission.set_budgets,
    target=Target.team,
    target_from="path:team_id",
    body=NewBudget,
    answers=Budget,
    raises=(409,),
)
def put(call: Call, team_id: str, body: NewBudget) -> Budget:
    """Set the budget of the team, a member, an API key or a label, in the place of the one there is.

    Sent again, nothing happens. The team's is set by owners alone; an admin sets none of their own: 403 `OWN_BUDGET`.
    With a higher amount, shares that are not reached any more are told of again when they are. 409 `TOO_MANY_BUDGETS`.
    """
    standing = budgets.put(call.connection, call.team, terms_of(body), now=call.now)
    call.nudge("budgets")
    return to_wire(call, standing)


def terms_of(body: NewBudget) -> Terms:
    """The wish in micro-dollars. Raises BadRequest."""
    try:
        amount_micros = from_dollars(body.amount)
    except ValueError:
        raise BadRequest("The amount must be in whole cents.", details={"amount": "whole cents"}) from None
    return Terms(
        scope=Scope(body.scope),
        subject=body.key or "",
        amount_micros=amount_micros,
        shares=kept.USUAL_SHARES if body.alerts is None else tuple(body.alerts),
        at_limit=AtLimit(body.at_limit),
    )


@route(
    "DELETE",
    "/api/teams/{team_id}/budgets/{budget_id}",
    needs=Permission.set_budgets,
    target=Target.team,
    target_from="path:team_id",
    answers=Deleted,
)
def delete(call: Call, team_id: str, budget_id: str) -> Deleted:
    """Delete a budget: it tells and refuses nothing any more. Machines that it stopped stay stopped."""
    kept.delete(call.connection, call.team, budget_id, now=call.now)
    return Deleted(success=True)
