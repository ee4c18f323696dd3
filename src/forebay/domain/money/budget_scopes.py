"""Whose spending a budget is of: the team's, a member's, an API key's, a label's; what that is called, who may set it.

A key that was rotated is the one that has come in its place: what it spends goes on counting.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission, who_has
from forebay.errors import Forbidden
from forebay.storage.tables import api_keys, memberships, users


class Scope(StrEnum):
    """Whose spending is meant; the words of the wire."""

    team = "team"
    member = "member"
    """What a person launched or made, however."""
    api_key = "apiKey"
    """What was launched or made through a key, or one that it was rotated from."""
    label = "label"
    """Machines that carry a label with a value, as they are labelled now."""


def latest_keys(connection: Connection, key_ids: Collection[str]) -> dict[str, str]:
    """For each key the one that has come in its place by rotation, or itself."""
    following: dict[str, str] = {}
    fresh = set(key_ids)
    while fresh:
        rows = connection.execute(
            sa.select(api_keys.c.id, api_keys.c.replaced_by).where(
                api_keys.c.id.in_(sorted(fresh)), api_keys.c.replaced_by.is_not(None)
            )
        )
        found = {row.id: row.replaced_by for row in rows}
        following |= found
        fresh = set(found.values()) - set(following)

    def last(key_id: str) -> str:
        while key_id in following:
            key_id = following[key_id]
        return key_id

    return {key_id: last(key_id) for key_id in key_ids}


class Scoped(Protocol):
    """A budget, as far as it matters here."""

    @property
    def id(self) -> str: ...

    @property
    def scope(self) -> Scope: ...

    @property
    def subject(self) -> str: ...


class Subject(msgspec.Struct, frozen=True):
    """Whose spending it is."""

    name: str
    """`Ada`, the key's name, `project=x`; `the whole team`."""
    person: str | None
    """The member, or whoever has the key; None: nobody in particular."""


def subjects(connection: Connection, found: Collection[Scoped]) -> dict[str, Subject]:
    """Whose each budget is, by its id."""

    def those(scope: Scope) -> list[str]:
        return sorted({budget.subject for budget in found if budget.scope is scope})

    known: dict[str, Subject] = {}
    if people := those(Scope.member):
        rows = connection.execute(sa.select(users.c.id, users.c.name).where(users.c.id.in_(people)))
        known |= {row.id: Subject(row.name, row.id) for row in rows}
    if keys := those(Scope.api_key):
        columns = (api_keys.c.id, api_keys.c.name, api_keys.c.user_id)
        rows = connection.execute(sa.select(*columns).where(api_keys.c.id.in_(keys)))
        known |= {row.id: Subject(row.name, row.user_id) for row in rows}
    team = Subject("the whole team", None)
    return {
        budget.id: team if budget.scope is Scope.team else known.get(budget.subject, Subject(budget.subject, None))
        for budget in found
    }


def person_of(connection: Connection, scope: Scope, subject: str) -> str | None:
    """The member, or whoever has the key; None: nobody in particular."""
    if scope is Scope.member:
        return subject
    if scope is Scope.api_key:
        return connection.execute(sa.select(api_keys.c.user_id).where(api_keys.c.id == subject)).scalar()
    return None


def may_set(context: TeamContext, scope: Scope, person: str | None) -> bool:
    """Whether the caller may set and delete a budget of that kind, which is `person`'s if it is anybody's.

    Whoever may set the team's may set their own as well; nobody else may.
    """
    is_own = scope is Scope.team or person == context.caller.user_id
    return context.reach(Permission.set_team_budget if is_own else Permission.set_budgets) is not None


def demand(connection: Connection, context: TeamContext, scope: Scope, subject: str) -> None:
    """Raise Forbidden for whoever may not set this budget: an admin neither the team's nor their own."""
    context.demand(Permission.set_team_budget if scope is Scope.team else Permission.set_budgets)
    if not may_set(context, scope, person_of(connection, scope, subject)):
        holders = who_has(Permission.set_team_budget)
        raise Forbidden(
            f"This budget is your own: of those who may set budgets only {', '.join(holders)} sets their own. Ask one, "
            "or another admin.",
            code="OWN_BUDGET",
            details={"permission": str(Permission.set_team_budget), "whoHasIt": holders, "role": str(context.role)},
        )


def is_label(text: str) -> bool:
    """Whether it is a label and its value, as machines carry them."""
    key, sign, value = text.partition("=")
    return bool(key and sign) and len(key) <= 63 and len(value) <= 255 and text.isprintable()


def reaches(connection: Connection, team_id: str, key_id: str) -> bool:
    """Whether it is a key of a member that is not narrowed away from the team."""
    return key_id in {row.id for row in keys_of(connection, team_id, api_keys.c.id == key_id)}


def keys_of(connection: Connection, team_id: str, *which: sa.ColumnElement[bool]) -> list[Any]:
    """Id, name, owner and owner's name of the keys that work in the team, by both names."""
    rows = connection.execute(
        sa.select(api_keys.c.id, api_keys.c.name, api_keys.c.user_id, api_keys.c.team_ids, users.c.name.label("person"))
        .join(memberships, memberships.c.user_id == api_keys.c.user_id)
        .join(users, users.c.id == api_keys.c.user_id)
        .where(
            memberships.c.team_id == team_id,
            api_keys.c.revoked_at.is_(None),
            api_keys.c.replaced_by.is_(None),
            *which,
        )
        .order_by(users.c.name, api_keys.c.name, api_keys.c.id)
    )
    return [row for row in rows if row.team_ids is None or team_id in row.team_ids]
