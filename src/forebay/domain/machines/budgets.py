"""How budgets stand, and what they refuse.

A launch, a start, and a volume that is made or grows is refused where it would lead a budget that blocks beyond its
amount: what was charged, what is held, and what this needs. Asked under the lock of the team's account, so that of two
at once the second sees the first one's hold. What runs may go beyond it, by whatever it costs until it is stopped.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import Connection

from forebay.domain.machines.budget_figures import Figures, Origin, figures_of, origins, total
from forebay.domain.money import budget_scopes, budgets, ledger
from forebay.domain.money.amounts import SECONDS_PER_HOUR, charge_micros, to_dollars, to_the_cent
from forebay.domain.money.budget_scopes import Scope
from forebay.domain.money.budgets import WHOLE, AtLimit, Budget, Month, Terms, month_of
from forebay.domain.money.outlook import lasting
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission, who_has
from forebay.errors import ForebayError

State = Literal["ok", "alerted", "used up", "blocked", "stopping", "stopped"]
"""A share is reached that is told of; nothing is left, and nothing happens; nothing more can be launched; machines are
about to be stopped; they are."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A budget and how it stands."""

    budget: Budget
    """As it counts in this month."""
    name: str
    person: str | None
    """Whose spending it is, if it is anybody's."""
    month: Month
    figures: Figures

    @property
    def spent_micros(self) -> int:
        """What its scope was charged in this month."""
        return self.figures.spent_micros

    @property
    def remaining_micros(self) -> int:
        """What is left of it; 0 where nothing is."""
        return max(0, self.budget.amount_micros - self.spent_micros)

    @property
    def forecast_micros(self) -> int:
        """What its scope will have been charged when the month is over, if nothing changes but what is planned."""
        return self.spent_micros + self.figures.coming_micros

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left."""
        return self.spent_micros >= self.budget.amount_micros

    @property
    def share(self) -> float:
        """Percent that is spent, rounded down to a hundredth."""
        return self.spent_micros * WHOLE * 100 // self.budget.amount_micros / 100

    def state(self, now: datetime) -> State:
        """What it comes to at this moment."""
        budget = self.budget
        if not self.is_used_up:
            return "alerted" if budget.reached(self.spent_micros) else "ok"
        if budget.at_limit is AtLimit.stop and budget.stops_at is not None:
            return "stopping" if budget.stops_at > now else "stopped"
        return "used up" if budget.at_limit is AtLimit.notify else "blocked"

    def says(self, now: datetime) -> str:
        """The same in a sentence."""
        anew = f"It begins anew on {self.month.end_at:%-d %B}."
        amount, burn = to_the_cent(self.budget.amount_micros), self.figures.burn_micros_per_hour
        if self.is_used_up:
            over = f"{to_the_cent(self.spent_micros)} of {amount} is spent."
            follows = {
                "used up": "It only tells: nothing is refused.",
                "blocked": "Nothing more of it can be launched, started or grown; what runs, runs on.",
                "stopping": f"Its machines are stopped at {self.budget.stops_at or now:%H:%M} UTC.",
                "stopped": "Nothing more of it can be launched, started or grown, and its machines were stopped.",
            }
            return f"{over} {follows[self.state(now)]} {anew}"
        left = f"{to_the_cent(self.remaining_micros)} of {amount} is left"
        if burn == 0 or self.forecast_micros <= self.budget.amount_micros:
            return f"{left}. {anew}"
        stretch = lasting(self.remaining_micros * SECONDS_PER_HOUR // burn)
        return f"{left}: at {to_the_cent(burn)} an hour that lasts {stretch}. {anew}"

    @property
    def called(self) -> str:
        """Which budget it is, within a sentence."""
        return {
            Scope.team: "the team's budget",
            Scope.member: f"the budget of {self.name}",
            Scope.api_key: f"the budget of the API key {self.name}",
            Scope.label: f"the budget of the label {self.name}",
        }[self.budget.scope]


class BudgetExceeded(ForebayError):
    """It would cost more than a budget leaves. Details: which, what is spent, held, needed, and who can change it."""

    status = 402
    code = "BUDGET_EXCEEDED"

    def __init__(self, standing: Standing, needed_micros: int) -> None:
        budget, figures = standing.budget, standing.figures
        is_team = budget.scope is Scope.team
        self.who_can = who_has(Permission.set_team_budget if is_team else Permission.set_budgets)
        held = f", {to_the_cent(figures.held_micros)} is held for launches" if figures.held_micros else ""
        super().__init__(
            f"{standing.called[0].upper()}{standing.called[1:]} doesn't allow this: of "
            f"{to_the_cent(budget.amount_micros)} for this month {to_the_cent(standing.spent_micros)} is spent{held}, "
            f"and this needs {to_the_cent(needed_micros)}. It begins anew on {standing.month.end_at:%-d %B}. "
            f"Who can change it: {', '.join(self.who_can)}.",
            details={
                "budget": {"id": budget.id, "scope": str(budget.scope), "key": budget.subject, "name": standing.name},
                "amount": to_dollars(budget.amount_micros),
                "spent": to_dollars(standing.spent_micros),
                "held": to_dollars(figures.held_micros),
                "required": to_dollars(needed_micros),
                "resetsAt": f"{standing.month.end_at:%Y-%m-%dT%H:%M:%SZ}",
                "whoCanChange": self.who_can,
            },
        )


def standings(connection: Connection, team_id: str, *, now: datetime) -> list[Standing]:
    """How every budget of the team stands."""
    return stand(connection, team_id, budgets.of_team(connection, team_id), now=now)


def stand(
    connection: Connection, team_id: str, wanted: Sequence[Budget], *, now: datetime, month: Month | None = None
) -> list[Standing]:
    """How these budgets of the team stand, in the present month or another."""
    if not wanted:
        return []
    month = month or month_of(now)
    parts = figures_of(connection, team_id, month, {budget.scope for budget in wanted})
    subjects = budget_scopes.subjects(connection, wanted)
    latest = latest_subjects(connection, wanted)
    return [
        Standing(
            budget=budget.in_month(month),
            name=subjects[budget.id].name,
            person=subjects[budget.id].person,
            month=month,
            figures=total(figures for origin, figures in parts if origin.is_of(budget.scope, latest[budget.id])),
        )
        for budget in wanted
    ]


def latest_subjects(connection: Connection, wanted: Sequence[Budget]) -> dict[str, str]:
    """What each budget is of, by its id: of a key that was rotated the latest."""
    keys = {budget.subject for budget in wanted if budget.scope is Scope.api_key}
    latest = budget_scopes.latest_keys(connection, keys) if keys else {}
    return {budget.id: latest[budget.subject] if budget.scope is Scope.api_key else budget.subject for budget in wanted}


# What is refused.


def holding(
    connection: Connection, context: TeamContext, labels: Mapping[str, str] | None = None, *, now: datetime
) -> list[Standing]:
    """How the budgets stand that are about what the caller launches with these labels, whatever they do at their
    limit."""
    origin = origin_of(connection, context, labels)
    wanted = concerned(connection, budgets.of_team(connection, context.team_id), origin)
    return stand(connection, context.team_id, wanted, now=now)


def concerned(connection: Connection, there: Sequence[Budget], origin: Origin) -> list[Budget]:
    """Those of the budgets that are about what comes from there."""
    subjects = latest_subjects(connection, there)
    return [budget for budget in there if origin.is_of(budget.scope, subjects[budget.id])]


def refuse(connection: Connection, team_id: str, origin: Origin, needed_micros: int, *, now: datetime) -> None:
    """Raise BudgetExceeded where so much more would lead a budget that blocks beyond its amount: the team's first.

    The caller has the lock of the team's account, where it matters.
    """
    there = [budget for budget in budgets.of_team(connection, team_id) if budget.at_limit is not AtLimit.notify]
    for standing in stand(connection, team_id, concerned(connection, there, origin), now=now):
        reached = standing.spent_micros + standing.figures.held_micros + needed_micros
        if standing.is_used_up or reached > standing.budget.amount_micros:
            raise BudgetExceeded(standing, needed_micros)


def refuse_more(connection: Connection, team_id: str, resource_id: str, needed_micros: int, *, now: datetime) -> None:
    """The same for a machine or a volume that there is. Takes the lock of the team's account."""
    ledger.lock(connection, team_id)
    refuse(connection, team_id, origins(connection, [resource_id])[resource_id], needed_micros, now=now)


def origin_of(connection: Connection, context: TeamContext, labels: Mapping[str, str] | None = None) -> Origin:
    """Where comes from what the caller is about to make. No key that lets anybody in was rotated to its end, but one
    that is kept for a while may be replaced already."""
    key_id = context.caller.api_key_id
    latest = None if key_id is None else budget_scopes.latest_keys(connection, [key_id])[key_id]
    return Origin(context.caller.user_id, latest, labels or {})


def until_month_end_micros(rate_micros: int, at_most_seconds: int, *, now: datetime) -> int:
    """What a rate comes to in so many seconds, or until the month is over where that comes first."""
    left = int((month_of(now).end_at - now).total_seconds())
    return charge_micros(rate_micros, min(at_most_seconds, left))


# Setting them.


def put(connection: Connection, context: TeamContext, terms: Terms, *, now: datetime) -> Standing:
    """Set the budget of a scope and say how it stands. Afterwards the caller wakes `budgets`.

    Raises BadRequest, Forbidden, NotFound, Conflict for one too many.
    """
    budget = budgets.put(connection, context, terms, now=now)
    [standing] = stand(connection, context.team_id, [budget], now=now)
    settled = budgets.settle(connection, budget, standing.spent_micros, now=now)
    return msgspec.structs.replace(standing, budget=settled)
