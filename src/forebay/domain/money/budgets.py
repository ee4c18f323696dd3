"""Budgets: what a team, a member, an API key or a label is to spend in a calendar month at most, and what happens then.

One for each of them. At its limit a budget only tells of it, refuses what would cost more, or stops machines as well.
What has been spent is reckoned by the machines' side (`domain/machines/budgets.py`), from the segments, as usage is;
here is who may set budgets, and how far telling of them has got. Whoever changes one has the lock of the team's
account, which a launch holds too.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.money import ledger
from forebay.domain.money.amounts import MICROS_PER_CENT, MICROS_PER_DOLLAR, to_dollars
from forebay.domain.money.budget_scopes import Scope, demand, is_label, latest_keys, reaches, subjects
from forebay.domain.people import activity, teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.tables import budgets

MOST_BUDGETS = 1000
"""Of one team."""
MOST_SHARES = 10
MOST_SHARE = 1000
USUAL_SHARES = (50, 80, 100)
MOST_MICROS = 1_000_000 * MICROS_PER_DOLLAR
WHOLE = 100
"""Percent."""


class AtLimit(StrEnum):
    """What happens when it is used up."""

    notify = "notify"
    """It is told, and nothing else happens."""
    block = "block"
    """Nothing more is launched, started, made or grown; what runs, runs on."""
    stop = "stop"
    """The same, and after a notice machines are stopped that can be without losing their disk."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    scope: Scope
    subject: str
    """A person's id, a key's id, `key=value`; empty for the team."""
    amount_micros: int
    shares: tuple[int, ...] = USUAL_SHARES
    at_limit: AtLimit = AtLimit.notify


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget's own columns."""

    id: str
    team_id: str
    scope: Scope
    subject: str
    amount_micros: int
    shares: tuple[int, ...]
    """Percents that are told of, rising."""
    at_limit: AtLimit
    created_by: str
    created_at: datetime
    changed_at: datetime
    month: str
    """The month that `told_share` and `stops_at` are of."""
    told_share: int
    stops_at: datetime | None

    @property
    def told_of(self) -> tuple[int, ...]:
        """The shares that are told of: where something is refused at the limit, that in any case."""
        if self.at_limit is AtLimit.notify:
            return self.shares
        return tuple(sorted({*self.shares, WHOLE}))

    def reached(self, spent_micros: int) -> int:
        """The highest of them that so much has reached; 0: none."""
        return max((share for share in self.told_of if spent_micros * WHOLE >= self.amount_micros * share), default=0)

    def in_month(self, month: "Month") -> "Budget":
        """As it counts in this month: what was told in another is forgotten."""
        if self.month == month.key:
            return self
        return msgspec.structs.replace(self, month=month.key, told_share=0, stops_at=None)


COLUMNS = [budgets.c[name] for name in Budget.__struct_fields__]


class Month(msgspec.Struct, frozen=True):
    """A calendar month, in UTC."""

    start_at: datetime
    end_at: datetime
    """The beginning of the next one."""

    @property
    def key(self) -> str:
        """2026-03."""
        return f"{self.start_at:%Y-%m}"


def month_of(now: datetime) -> Month:
    """The month of a moment."""
    start_at = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Month(start_at, (start_at + timedelta(days=32)).replace(day=1))


def to_budget(row: sa.Row[*tuple[Any, ...]]) -> Budget:
    """A row as a value."""
    found = dict(row._mapping)
    found |= {"scope": Scope(found["scope"]), "at_limit": AtLimit(found["at_limit"]), "shares": tuple(found["shares"])}
    return Budget(**found)


def of_team(connection: Connection, team_id: str) -> list[Budget]:
    """The team's budgets: its own first, then members', keys', labels', each in the order in which they were made."""
    rows = connection.execute(sa.select(*COLUMNS).where(budgets.c.team_id == team_id).order_by(budgets.c.id))
    order = list(Scope)
    return sorted((to_budget(row) for row in rows), key=lambda budget: (order.index(budget.scope), budget.id))


def find(connection: Connection, team_id: str, budget_id: str) -> Budget:
    """The team's budget. Raises NotFound."""
    row = connection.execute(sa.select(*COLUMNS).where(budgets.c.id == budget_id, budgets.c.team_id == team_id)).first()
    if row is None:
        raise NotFound("Budget")
    return to_budget(row)


def teams_with_any(connection: Connection, *, after: str = "", limit: int = 100) -> Sequence[str]:
    """The ids, in order, of teams beyond `after` that have a budget."""
    found = sa.select(budgets.c.team_id).distinct().where(budgets.c.team_id > after)
    return connection.execute(found.order_by(budgets.c.team_id).limit(limit)).scalars().all()


# Setting them.


def check(connection: Connection, team_id: str, terms: Terms) -> Terms:
    """The terms, put in order; a key that was rotated is the one that has come in its place. Raises BadRequest."""
    wrong: dict[str, str] = {}
    amount = terms.amount_micros
    if not 0 < amount <= MOST_MICROS or amount % MICROS_PER_CENT:
        wrong["amount"] = f"0.01 to {MOST_MICROS // MICROS_PER_DOLLAR:,} dollars, in whole cents"
    shares = tuple(sorted(set(terms.shares)))
    if len(shares) > MOST_SHARES or not all(0 < share <= MOST_SHARE for share in shares):
        wrong["alerts"] = f"at most {MOST_SHARES} whole percents of 1 to {MOST_SHARE}"
    elif not shares and terms.at_limit is AtLimit.notify:
        wrong["alerts"] = "at least one: else nothing would ever be told"
    subject = terms.subject
    if terms.scope is Scope.team and subject:
        wrong["key"] = "none: it is of all of the team"
    elif terms.scope is Scope.member and not teams.is_member(connection, team_id, subject):
        wrong["key"] = "the id of a member of the team"
    elif terms.scope is Scope.api_key:
        subject = latest_keys(connection, [subject])[subject]
        if not reaches(connection, team_id, subject):
            wrong["key"] = "the id of an API key of a member that works in this team"
    elif terms.scope is Scope.label and not is_label(subject):
        wrong["key"] = "a label and its value: key=value"
    if wrong:
        raise BadRequest("The budget can't be like this.", details=wrong)
    return msgspec.structs.replace(terms, subject=subject, shares=shares)


def put(connection: Connection, context: TeamContext, terms: Terms, *, now: datetime) -> Budget:
    """Set the budget of a scope, new or in the place of the one there is. Nothing happens if it is just so already.

    Which shares were told of stays known where the new amount has reached them too: the caller has `settle` see to
    that. Raises BadRequest, Forbidden, NotFound, Conflict for one too many.
    """
    context = teams.hold(connection, context, Permission.set_budgets)
    demand(connection, context, terms.scope, terms.subject)
    terms = check(connection, context.team_id, terms)
    ledger.lock(connection, context.team_id)
    there = of_team(connection, context.team_id)
    before = same_scope(connection, there, terms)
    values: dict[str, Any] = {
        "amount_micros": terms.amount_micros,
        "shares": list(terms.shares),
        "at_limit": terms.at_limit.value,
    }
    if before is None:
        if len(there) >= MOST_BUDGETS:
            raise Conflict(f"A team has {MOST_BUDGETS} budgets at most. Delete one first.", code="TOO_MANY_BUDGETS")
        budget_id = ids.new_id(now)
        connection.execute(
            sa.insert(budgets).values(
                id=budget_id,
                team_id=context.team_id,
                scope=terms.scope.value,
                subject=terms.subject,
                created_by=context.caller.user_id,
                created_at=now,
                changed_at=now,
                month=month_of(now).key,
                told_share=0,
                **values,
            )
        )
    else:
        budget_id = before.id
        is_same = (before.amount_micros, before.shares, before.at_limit, before.subject) == (
            terms.amount_micros,
            terms.shares,
            terms.at_limit,
            terms.subject,
        )
        if is_same:
            return before
        values |= {"subject": terms.subject, "changed_at": now}
        connection.execute(sa.update(budgets).where(budgets.c.id == budget_id).values(**values))
    found = find(connection, context.team_id, budget_id)
    was = {} if before is None else {"before": in_record(before)}
    record(connection, context, "set", found, now=now, **was)
    return found


def same_scope(connection: Connection, there: Sequence[Budget], terms: Terms) -> Budget | None:
    """The budget that the terms replace."""
    of_kind = [budget for budget in there if budget.scope is terms.scope]
    keys = {budget.subject for budget in of_kind} if terms.scope is Scope.api_key else set()
    latest = latest_keys(connection, keys)
    return next((each for each in of_kind if latest.get(each.subject, each.subject) == terms.subject), None)


def delete(connection: Connection, context: TeamContext, budget_id: str, *, now: datetime) -> None:
    """Delete a budget: from now on it neither tells nor refuses anything. Raises NotFound, Forbidden."""
    context = teams.hold(connection, context, Permission.set_budgets)
    ledger.lock(connection, context.team_id)
    found = find(connection, context.team_id, budget_id)
    demand(connection, context, found.scope, found.subject)
    connection.execute(sa.delete(budgets).where(budgets.c.id == budget_id))
    record(connection, context, "delete", found, now=now)


def in_record(budget: Budget) -> dict[str, Any]:
    """What the activity keeps of it."""
    return {
        "amount": to_dollars(budget.amount_micros),
        "alerts": list(budget.shares),
        "atLimit": str(budget.at_limit),
    }


def record(
    connection: Connection, context: TeamContext | None, verb: str, budget: Budget, *, now: datetime, **more: Any
) -> None:
    """A row in the team's activity, by the caller or Forebay itself."""
    name = subjects(connection, [budget])[budget.id].name
    activity.record(
        connection,
        None if context is None else context.caller,
        f"budget.{verb}",
        now=now,
        team_id=budget.team_id,
        object_type="budget",
        object_id=budget.id,
        details={"scope": str(budget.scope), "key": budget.subject, "name": name, **in_record(budget), **more},
    )


# How far telling has got.


def note(connection: Connection, budget: Budget) -> None:
    """Write what was told and announced of it, and of which month that is."""
    connection.execute(
        sa.update(budgets)
        .where(budgets.c.id == budget.id)
        .values(month=budget.month, told_share=budget.told_share, stops_at=budget.stops_at)
    )


def settle(connection: Connection, budget: Budget, spent_micros: int, *, now: datetime) -> Budget:
    """After a change: what isn't reached any more is told when it is reached again, and nothing that isn't due is
    announced. What is reached and was told stays told."""
    counts = budget.in_month(month_of(now))
    is_due = budget.at_limit is AtLimit.stop and spent_micros >= budget.amount_micros
    settled = msgspec.structs.replace(
        counts,
        told_share=min(counts.told_share, counts.reached(spent_micros)),
        stops_at=counts.stops_at if is_due else None,
    )
    if settled != budget:
        note(connection, settled)
    return settled
