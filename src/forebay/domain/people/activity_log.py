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

from forebay import ids
from forebay.storage.rows import values_of
from forebay.storage.tables import (
    activity,
    api_keys,
    cards,
    deployments,
    invitations,
    memberships,
    offers,
    passkeys,
    ssh_keys,
    teams,
    users,
    volumes,
    webhooks,
)

MOST_CALLED = 500
"""People or teams that a search finds; whoever wants fewer says more."""
AN_OPERATOR = "an operator of the platform"
NAMED: dict[str, tuple[sa.Table, str]] = {
    "account": (users, "name"),
    "api-key": (api_keys, "name"),
    "card": (cards, "last_four"),
    "deployment": (deployments, "name"),
    "invitation": (invitations, "email"),
    "offer": (offers, "name"),
    "passkey": (passkeys, "name"),
    "ssh-key": (ssh_keys, "name"),
    "team": (teams, "name"),
    "volume": (volumes, "name"),
    "webhook": (webhooks, "name"),
}
"""Where the names of objects are, by their kind."""


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
    object_name: str | None = None
    """What the object is called now; None where it has no name, or whoever reads must not know it."""
    team_name: str | None = None


def of_team(
    connection: Connection, team_id: str, which: Filter, *, page: int, limit: int, most: int | None = None
) -> tuple[Sequence[Row], int]:
    """A page of a team's activity, and how many rows there are in all: beyond `most` they are not counted."""
    rows, total = select(connection, [activity.c.team_id == team_id], which, page=page, limit=limit, most=most)
    return as_team_sees(connection, team_id, rows), total


def last_of_team(connection: Connection, team_id: str, *, limit: int) -> Sequence[Row]:
    """The end of a team's activity, which nobody has to count for."""
    return as_team_sees(connection, team_id, rows_of(connection, [activity.c.team_id == team_id], limit=limit))


def as_team_sees(connection: Connection, team_id: str, rows: Sequence[Row]) -> Sequence[Row]:
    """Rows of a team's activity as its people may see them."""
    theirs = people_of(connection, team_id, {row.user_id for row in rows if row.user_id})
    others = {row.user_id for row in rows if row.user_id} - theirs
    operators = operators_among(connection, others) if others else set()
    return [seen_by_team(row, theirs, operators) for row in named(connection, rows)]


def of_person(
    connection: Connection, user_id: str, which: Filter, *, page: int, limit: int
) -> tuple[Sequence[Row], int]:
    """A page of what a person did, in any team and in none.

    Without what things are called: they may be those of a team where they knocked in vain.
    """
    return select(connection, [activity.c.user_id == user_id], which, page=page, limit=limit)


def of_everybody(
    connection: Connection,
    which: Filter,
    *,
    team_id: str | None,
    who: str | None = None,
    team: str | None = None,
    page: int,
    limit: int,
    most: int | None = None,
) -> tuple[Sequence[Row], int]:
    """A page of everything, or of one team: for operators.

    `who` and `team` are searched for by name: see `people_called` and `teams_called`. Beyond `most` rows are
    not counted.
    """
    mine: list[sa.ColumnElement[bool]] = [] if team_id is None else [activity.c.team_id == team_id]
    if who is not None:
        mine.append(activity.c.user_id.in_(people_called(connection, who)))
    if team is not None:
        mine.append(activity.c.team_id.in_(teams_called(connection, team)))
    rows, total = select(connection, mine, which, page=page, limit=limit, most=most)
    return named(connection, rows), total


def of_platform(connection: Connection, which: Filter, *, limit: int) -> Sequence[Row]:
    """The newest of what was done in no team."""
    return rows_of(connection, [activity.c.team_id.is_(None), *conditions(which)], limit=limit)


def people_called(connection: Connection, text: str) -> Sequence[str]:
    """The ids of the accounts with this address or id; where there is none, of those with it in address or name."""
    folded = text.strip().casefold()
    exactly = sa.or_(users.c.email_key == folded, users.c.id == folded)
    partly = sa.or_(
        users.c.email_key.contains(folded, autoescape=True),
        sa.func.lower(users.c.name).contains(folded, autoescape=True),
    )
    return ids_of(connection, users, exactly) or ids_of(connection, users, partly)


def teams_called(connection: Connection, text: str) -> Sequence[str]:
    """The ids of the teams, deleted ones too, with this slug or id; else of those with it in slug or name."""
    folded = text.strip().casefold()
    exactly = sa.or_(teams.c.slug == folded, teams.c.id == folded)
    partly = sa.or_(
        teams.c.slug.contains(folded, autoescape=True), sa.func.lower(teams.c.name).contains(folded, autoescape=True)
    )
    return ids_of(connection, teams, exactly) or ids_of(connection, teams, partly)


def ids_of(connection: Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> Sequence[str]:
    """The newest of a table that are like that."""
    statement = sa.select(table.c.id).where(which).order_by(table.c.id.desc()).limit(MOST_CALLED)
    return connection.execute(statement).scalars().all()


def select(
    connection: Connection,
    mine: Sequence[sa.ColumnElement[bool]],
    which: Filter,
    *,
    page: int,
    limit: int,
    most: int | None = None,
) -> tuple[Sequence[Row], int]:
    """A page of rows with the names that belong to them, and how many there are; `most` + 1 stands for more."""
    where = [*mine, *conditions(which)]
    counted = sa.select(activity.c.id).where(*where)
    if most is not None:
        counted = counted.limit(most + 1)
    total = connection.execute(sa.select(sa.func.count()).select_from(counted.subquery())).scalar_one()
    first = (page - 1) * limit
    rows = rows_of(connection, where, limit=limit, offset=first) if first < total else []
    return rows, int(total)


def rows_of(
    connection: Connection, where: Sequence[sa.ColumnElement[bool]], *, limit: int, offset: int = 0
) -> list[Row]:
    """Rows with the names that belong to them, newest first."""
    page_of = (sa.select(activity).where(*where).order_by(activity.c.id.desc()).limit(limit).offset(offset)).subquery()
    own = [page_of.c[name] for name in Row.__struct_fields__ if name in page_of.c]
    rows = connection.execute(
        sa.select(
            *own,
            users.c.name,
            users.c.email,
            api_keys.c.name.label("api_key_name"),
        )
        .select_from(page_of)
        .outerjoin(users, users.c.id == page_of.c.user_id)
        .outerjoin(api_keys, api_keys.c.id == page_of.c.api_key_id)
        .order_by(page_of.c.id.desc())
    )
    return values_of(Row, rows)


def named(connection: Connection, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows with what their objects and teams are called: one query, however many kinds there are."""
    wanted: dict[str, set[str]] = {}
    for row in rows:
        if row.object_id is not None and row.object_type in NAMED:
            wanted.setdefault(row.object_type, set()).add(row.object_id)
        if row.team_id is not None:
            wanted.setdefault("team", set()).add(row.team_id)
    if not wanted:
        return rows
    parts = [
        sa.select(sa.literal(kind).label("kind"), table.c.id, table.c[name].label("name")).where(table.c.id.in_(ids))
        for kind, ids in wanted.items()
        for table, name in [NAMED[kind]]
    ]
    names = {(row.kind, row.id): row.name for row in connection.execute(sa.union_all(*parts))}
    return [
        msgspec.structs.replace(
            row,
            object_name=names.get((row.object_type or "", row.object_id or "")),
            team_name=names.get(("team", row.team_id or "")),
        )
        for row in rows
    ]


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
    # The id of a row begins with the second that it tells of, and is what the indexes know of time.
    if which.since is not None:
        found += [columns.at >= which.since, columns.id >= ids.first_of(which.since)]
    if which.before is not None:
        found += [columns.at < which.before, columns.id < ids.first_of(which.before)]
    return found


def people_of(connection: Connection, team_id: str, user_ids: set[str]) -> set[str]:
    """Which of these belong to the team, or did something in it that only its people can."""
    belong = sa.select(memberships.c.user_id).where(
        memberships.c.team_id == team_id, memberships.c.user_id.in_(user_ids)
    )
    found = set(connection.execute(belong).scalars())
    if found == user_ids:
        return found
    # For each of them by itself, up to the first row: some did very much.
    did = sa.exists().where(
        activity.c.team_id == team_id,
        activity.c.user_id == users.c.id,
        activity.c.outcome == "done",
        activity.c.action.not_in(BY_OPERATORS),
    )
    return found | set(connection.execute(sa.select(users.c.id).where(users.c.id.in_(user_ids - found), did)).scalars())


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
