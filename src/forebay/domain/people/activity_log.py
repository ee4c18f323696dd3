"""The activity as people read it: newest first, with names, by person, action, object, outcome and time.

The rows say what was so then; names are those of now. Who reads a team's activity sees addresses of people of the team
alone: of those who belong to it, or did something in it while they did. A stranger who knocked in vain is shown by
name, and an operator of the platform as that.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.storage.tables import activity, api_keys, memberships, users

AN_OPERATOR = "an operator of the platform"


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows. What is None does not matter."""

    user_id: str | None = None
    action: str | None = None
    """In full, or a noun with its dot for all that was done with such things: `invitation.`"""
    object_type: str | None = None
    object_id: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    before: datetime | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done, or tried in vain."""

    id: str
    at: datetime
    team_id: str | None
    action: str
    outcome: str
    user_id: str | None
    """None: Forebay itself, or whoever has a shell on its machine."""
    name: str | None
    email: str | None
    api_key_id: str | None
    api_key_name: str | None
    address: str | None
    """The network address that it came from."""
    object_type: str | None
    object_id: str | None
    details: dict[str, Any] | None


def of_team(connection: Connection, team_id: str, which: Filter, *, page: int, limit: int) -> tuple[Sequence[Row], int]:
    """A page of a team's activity, and how many rows there are in all."""
    rows, total = select(connection, [activity.c.team_id == team_id], which, page=page, limit=limit)
    return as_seen_by_team(connection, team_id, rows), total


def newest(connection: Connection, team_id: str, *, limit: int) -> Sequence[Row]:
    """The end of a team's activity: nobody has to count all of it for that."""
    return as_seen_by_team(connection, team_id, page_of(connection, [activity.c.team_id == team_id], limit=limit))


def as_seen_by_team(connection: Connection, team_id: str, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows as people of the team may see them."""
    theirs = people_of(connection, team_id, {row.user_id for row in rows if row.user_id})
    operators = operators_among(connection, {row.user_id for row in rows if row.user_id} - theirs)
    return [seen_by_team(row, theirs, operators) for row in rows]


def of_person(
    connection: Connection, user_id: str, which: Filter, *, page: int, limit: int
) -> tuple[Sequence[Row], int]:
    """A page of what a person did, in any team and in none."""
    return select(connection, [activity.c.user_id == user_id], which, page=page, limit=limit)


def of_everybody(
    connection: Connection, which: Filter, *, team_id: str | None, page: int, limit: int
) -> tuple[Sequence[Row], int]:
    """A page of everything, or of one team: for operators."""
    mine = [] if team_id is None else [activity.c.team_id == team_id]
    return select(connection, mine, which, page=page, limit=limit)


def select(
    connection: Connection, mine: Sequence[sa.ColumnElement[bool]], which: Filter, *, page: int, limit: int
) -> tuple[Sequence[Row], int]:
    """A page of rows with the names that belong to them, and how many there are in all."""
    where = [*mine, *conditions(which)]
    total = connection.execute(sa.select(sa.func.count()).select_from(activity).where(*where)).scalar_one()
    return page_of(connection, where, limit=limit, offset=(page - 1) * limit), int(total)


def page_of(
    connection: Connection, where: Sequence[sa.ColumnElement[bool]], *, limit: int, offset: int = 0
) -> Sequence[Row]:
    """Rows, newest first, with the names that belong to them."""
    wanted = sa.select(activity).where(*where).order_by(activity.c.id.desc()).limit(limit).offset(offset).subquery()
    own = [wanted.c[name] for name in Row.__struct_fields__ if name in wanted.c]
    rows = connection.execute(
        sa.select(*own, users.c.name, users.c.email, api_keys.c.name.label("api_key_name"))
        .select_from(wanted)
        .outerjoin(users, users.c.id == wanted.c.user_id)
        .outerjoin(api_keys, api_keys.c.id == wanted.c.api_key_id)
        .order_by(wanted.c.id.desc())
    )
    return [Row(**row._mapping) for row in rows]


def conditions(which: Filter) -> list[sa.ColumnElement[bool]]:
    """The filter as SQL."""
    columns = activity.c
    found = [
        columns[name] == value
        for name in ("user_id", "object_type", "object_id", "outcome")
        if (value := getattr(which, name)) is not None
    ]
    if which.action is not None:
        is_noun = which.action.endswith(".")
        found.append(
            columns.action.startswith(which.action, autoescape=True) if is_noun else columns.action == which.action
        )
    if which.since is not None:
        found.append(columns.at >= which.since)
    if which.before is not None:
        found.append(columns.at < which.before)
    return found


def people_of(connection: Connection, team_id: str, user_ids: set[str]) -> set[str]:
    """Which of these belong to the team, or did something in it that only its people can."""
    belong = sa.select(memberships.c.user_id).where(
        memberships.c.team_id == team_id, memberships.c.user_id.in_(user_ids)
    )
    did = sa.select(activity.c.user_id).where(
        activity.c.team_id == team_id,
        activity.c.user_id.in_(user_ids),
        activity.c.outcome == "done",
        activity.c.action.not_in(BY_OPERATORS),
    )
    return set(connection.execute(belong).scalars()) | set(connection.execute(did.distinct()).scalars())


BY_OPERATORS = (
    "team.freeze",
    "team.unfreeze",
    "team.delete",
    "credits.grant",
    "credits.take-back",
    "deployment.terminate-by-operator",
    "operator.look",
)
"""What operators do in a team: nobody belongs to it by that. Those of its people who delete it are known otherwise."""


def operators_among(connection: Connection, user_ids: set[str]) -> set[str]:
    """Which of these are operators of the platform."""
    return set(connection.execute(sa.select(users.c.id).where(users.c.id.in_(user_ids), users.c.is_operator)).scalars())


def seen_by_team(row: Row, theirs: set[str], operators: set[str]) -> Row:
    """The row as people of the team may see it: others' addresses and what others call their keys are none of it."""
    if row.user_id is None or row.user_id in theirs:
        return row
    if row.user_id in operators:
        return msgspec.structs.replace(row, name=AN_OPERATOR, email=None, api_key_name=None, address=None)
    return msgspec.structs.replace(row, email=None, api_key_name=None)
