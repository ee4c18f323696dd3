"""Teams: who owns the pool of credits, and everything that is bought with it.

Whoever changes who belongs to a team, as what, or what members may do does it `alone`: nobody else changes that
meanwhile, and nobody acts in the team on what is about to change. Whoever does something that must not happen any more
once their role is taken away `hold`s it: either theirs comes first, and is recorded, or it is refused.

Both lock rows of memberships, the first thing they do: machines, accounts and the team's own row come after them.
Of the team's row nothing is locked, because charging and stopping machines end with it.
"""

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import activity
from forebay.domain.people.access import Denied, Stranger, TeamContext
from forebay.domain.people.roles import MemberMode, Permission, Role
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.prepared import Prepared
from forebay.storage.tables import counters, memberships, teams, users

MOST_TEAMS = 100
"""That one person owns."""
MOST_CHARACTERS = 80
UNPRINTED = ("Cc", "Cs", "Cf", "Zl", "Zp")


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


def check_name(name: str) -> str:
    """A team's name, trimmed. Raises BadRequest for one that can't be used.

    It stands in mails to people who don't know the team yet: nothing in it may turn the text around or be a link.
    """
    name = unicodedata.normalize("NFC", name).strip()
    is_text = name and not any(unicodedata.category(letter) in UNPRINTED for letter in name)
    if not is_text or len(name) > MOST_CHARACTERS or "://" in name or "www." in name.lower():
        reason = f"1 to {MOST_CHARACTERS} characters, no control characters, no links"
        raise BadRequest("The name is not usable.", details={"name": reason})
    return name


def refuse_too_many(connection: Connection, user_id: str) -> None:
    """Raise Conflict for whoever owns as many teams as one may."""
    owned = sa.select(sa.func.count()).select_from(memberships.join(teams, teams.c.id == memberships.c.team_id))
    owned = owned.where(
        memberships.c.user_id == user_id, memberships.c.role == Role.owner, teams.c.deleted_at.is_(None)
    )
    if connection.execute(owned).scalar_one() >= MOST_TEAMS:
        raise Conflict(f"You own {MOST_TEAMS} teams already. Delete or transfer one first.", code="TOO_MANY_TEAMS")


def alone(connection: Connection, context: TeamContext, permission: Permission) -> TeamContext:
    """Be the only one who changes who belongs to this team, or what they may do, until the transaction ends.

    The answer is the caller's standing as it is now: it may have changed since the request was let in. Raises
    NotFound, Forbidden.
    """
    lock(connection, context.team_id)
    return standing(connection, context, permission)


def lock(connection: Connection, team_id: str) -> None:
    """Lock all memberships of the team to the transaction's end. A team always has some: it never is without owner."""
    mine = sa.select(memberships.c.user_id).where(memberships.c.team_id == team_id)
    connection.execute(mine.order_by(memberships.c.user_id).with_for_update(key_share=True)).all()


def hold(connection: Connection, context: TeamContext, permission: Permission) -> TeamContext:
    """The caller's standing as it is now, kept so until the transaction ends. Others may hold theirs meanwhile.

    Raises NotFound, Forbidden.
    """
    mine = sa.select(memberships.c.role).where(
        memberships.c.team_id == context.team_id, memberships.c.user_id == context.caller.user_id
    )
    connection.execute(mine.with_for_update(read=True)).all()
    return standing(connection, context, permission)


def standing(connection: Connection, context: TeamContext, permission: Permission) -> TeamContext:
    """The caller's role and the team's mode as they are now. Raises NotFound, Forbidden."""
    row = connection.execute(
        sa.select(teams.c.name, teams.c.member_mode, teams.c.frozen_at, memberships.c.role)
        .join(memberships, memberships.c.team_id == teams.c.id)
        .where(
            teams.c.id == context.team_id,
            teams.c.deleted_at.is_(None),
            memberships.c.user_id == context.caller.user_id,
        )
    ).first()
    if row is None:
        raise Stranger("Team", Denied(context.caller, context.team_id))
    now = msgspec.structs.replace(
        context,
        team_name=row.name,
        role=Role(row.role),
        member_mode=MemberMode(row.member_mode),
        is_frozen=row.frozen_at is not None,
    )
    now.demand(permission)
    return now


def rename(connection: Connection, context: TeamContext, name: str, *, now: datetime) -> None:
    """Give the team another name. Its slug stays, since what was written down must go on working.

    Raises BadRequest, Forbidden.
    """
    context = alone(connection, context, Permission.manage_team)
    name = check_name(name)
    if name != context.team_name:
        change(connection, context, "rename", {"name": name, "before": context.team_name}, now=now, name=name)


def set_member_mode(connection: Connection, context: TeamContext, mode: MemberMode, *, now: datetime) -> None:
    """Say what the members may do, all of them, from this moment on. Raises Forbidden."""
    context = alone(connection, context, Permission.manage_team)
    if mode is not context.member_mode:
        details = {"memberMode": str(mode), "before": str(context.member_mode)}
        change(connection, context, "set-member-mode", details, now=now, member_mode=mode)


def change(
    connection: Connection, context: TeamContext, verb: str, details: dict[str, str], *, now: datetime, **values: str
) -> None:
    """Write columns of the team, and who did it."""
    connection.execute(sa.update(teams).where(teams.c.id == context.team_id).values(**values))
    activity.record(
        connection,
        context.caller,
        f"team.{verb}",
        now=now,
        team_id=context.team_id,
        object_type="team",
        object_id=context.team_id,
        details=details,
    )


def move_on(connection: Connection, team_id: str, user_id: str) -> None:
    """Let a person who does not belong to the team any more look at the oldest of their others, if there is one."""
    other = (
        sa.select(sa.func.min(teams.c.id))
        .join(memberships, memberships.c.team_id == teams.c.id)
        .where(memberships.c.user_id == user_id, teams.c.deleted_at.is_(None), teams.c.id != team_id)
        .scalar_subquery()
    )
    connection.execute(
        sa.update(users).where(users.c.id == user_id, users.c.current_team_id == team_id).values(current_team_id=other)
    )


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


def is_member(connection: Connection, team_id: str, user_id: str) -> bool:
    """Whether the person belongs to the team."""
    mine = sa.select(memberships.c.role).where(memberships.c.team_id == team_id, memberships.c.user_id == user_id)
    return connection.execute(mine).first() is not None


MINE = Prepared(
    sa.select(teams.c.id, teams.c.slug, teams.c.name, teams.c.member_mode, memberships.c.role, teams.c.created_at)
    .join(memberships, memberships.c.team_id == teams.c.id)
    .where(memberships.c.user_id == sa.bindparam("user_id", type_=sa.String()), teams.c.deleted_at.is_(None))
    .order_by(teams.c.id)
)


def slugs_of_user(connection: Connection, user_id: str) -> dict[str, str]:
    """Of all teams a person belongs to, oldest first: the slug by the id."""
    return {team_id: slug for team_id, slug, *_ in MINE(connection, user_id=user_id)}


def of_user(connection: Connection, user_id: str) -> Sequence[Team]:
    """All teams a person belongs to, oldest first."""
    return [
        Team(
            id=team_id,
            slug=slug,
            name=name,
            member_mode=MemberMode(member_mode),
            role=Role(role),
            created_at=datetime.fromtimestamp(created_at, UTC),
        )
        for team_id, slug, name, member_mode, role, created_at in MINE(connection, user_id=user_id)
    ]


def id_of_slug_or_id(connection: Connection, text: str) -> str:
    """The id of a team that an operator names by slug or id. Raises NotFound."""
    found = connection.execute(
        sa.select(teams.c.id).where(sa.or_(teams.c.id == text, teams.c.slug == text), teams.c.deleted_at.is_(None))
    ).scalar()
    if found is None:
        raise NotFound("Team")
    return str(found)
