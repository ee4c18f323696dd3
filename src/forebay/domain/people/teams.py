"""Teams: who owns the pool of credits, and everything that is bought with it."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people.roles import MemberMode, Role
from forebay.errors import NotFound
from forebay.storage.tables import counters, memberships, teams


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """A team as one of its members sees it."""

    id: str
    slug: str
    name: str
    member_mode: MemberMode
    role: Role
    created_at: datetime


def create(
    connection: Connection,
    *,
    name: str,
    owner_id: str,
    now: datetime,
    member_mode: MemberMode = MemberMode.deploy_only,
    slug: str | None = None,
) -> str:
    """Make a team that `owner_id` owns; its id.

    Whoever calls opens its account in the ledger (`domain/money/ledger.py`).
    """
    team_id = ids.new_id(now)
    connection.execute(
        sa.insert(teams).values(
            id=team_id,
            number=next_number(connection),
            slug=free_slug(connection, slug or name, team_id),
            name=name,
            member_mode=member_mode,
            created_at=now,
            created_by=owner_id,
        )
    )
    add_member(connection, team_id, owner_id, Role.owner, now=now)
    return team_id


def next_number(connection: Connection) -> int:
    """The next small number for a team; none is given twice, because providers derive uid ranges from it."""
    statement = (
        sa.update(counters)
        .where(counters.c.name == "team")
        .values(value=counters.c.value + 1)
        .returning(counters.c.value)
    )
    found = connection.execute(statement).scalar()
    if found is None:
        connection.execute(sa.insert(counters).values(name="team", value=1))
        return 1
    return int(found)


def free_slug(connection: Connection, wish: str, team_id: str) -> str:
    """The name in [a-z0-9-], with the end of the id where another team has it already."""
    folded = unicodedata.normalize("NFKD", wish).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", folded).strip("-")[:40] or "team"
    taken = connection.execute(sa.select(teams.c.id).where(teams.c.slug == slug)).first()
    return f"{slug}-{team_id[-8:]}" if taken else slug


def add_member(connection: Connection, team_id: str, user_id: str, role: Role, *, now: datetime) -> None:
    """A membership."""
    connection.execute(sa.insert(memberships).values(team_id=team_id, user_id=user_id, role=role, joined_at=now))


def of_user(connection: Connection, user_id: str) -> Sequence[Team]:
    """All teams a person belongs to, oldest first."""
    rows = connection.execute(
        sa.select(teams, memberships.c.role)
        .join(memberships, memberships.c.team_id == teams.c.id)
        .where(memberships.c.user_id == user_id, teams.c.deleted_at.is_(None))
        .order_by(teams.c.id)
    )
    return [to_team(row) for row in rows]


def to_team(row: sa.Row[tuple[object, ...]]) -> Team:
    """A row of teams and the role as a value."""
    found = row._mapping
    return Team(
        id=found["id"],
        slug=found["slug"],
        name=found["name"],
        member_mode=MemberMode(found["member_mode"]),
        role=Role(found["role"]),
        created_at=found["created_at"],
    )


def id_of_slug_or_id(connection: Connection, text: str) -> str:
    """The id of a team that an operator names by slug or id. Raises NotFound."""
    found = connection.execute(
        sa.select(teams.c.id).where(sa.or_(teams.c.id == text, teams.c.slug == text), teams.c.deleted_at.is_(None))
    ).scalar()
    if found is None:
        raise NotFound("Team")
    return str(found)
