"""Members: who belongs to a team, as what, since when; and how that ends.

A team always has an owner: the last one can't leave, be removed or get another role. Two who try at once come one
after the other (`teams.alone`), so that one of them is the last. Who is owner changes only under a recent sign-in.
Whoever may not invite any more takes their open invitations with them.

What a person leaves behind on the team's machines is cleared away one wing higher (`domain/machines/off_boarding.py`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import activity, invitations, mails, sessions, teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.roles import Permission, Role
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.tables import memberships, stock_watches, users


class LastOwner(Conflict):
    """Without this person nobody would own the team."""

    code = "LAST_OWNER"

    def __init__(self, team_name: str) -> None:
        super().__init__(f"{team_name} has no other owner. Transfer the ownership to another member first.")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person in a team."""

    user_id: str
    name: str
    email: str
    role: Role
    joined_at: datetime


COLUMNS = sa.select(
    memberships.c.user_id, users.c.name, users.c.email, memberships.c.role, memberships.c.joined_at
).join(users, users.c.id == memberships.c.user_id)
"""What a Member is made of."""
MINE = memberships.c.team_id == sa.bindparam("team_id")
COUNT = sa.select(sa.func.count()).select_from(memberships).where(MINE)
LISTED = (
    COLUMNS.where(MINE)
    .order_by(memberships.c.joined_at, memberships.c.user_id)
    .limit(sa.bindparam("limit", type_=sa.Integer()))
    .offset(sa.bindparam("offset", type_=sa.Integer()))
)


def listed(connection: Connection, team_id: str, *, page: int, limit: int) -> tuple[Sequence[Member], int]:
    """A page of the team's members, those who are there longest first, and how many there are in all."""
    total = connection.execute(COUNT, {"team_id": team_id}).scalar_one()
    rows = connection.execute(LISTED, {"team_id": team_id, "limit": limit, "offset": (page - 1) * limit})
    return [to_member(row) for row in rows.all()], int(total)


def find(connection: Connection, team_id: str, user_id: str) -> Member:
    """One member. Raises NotFound."""
    row = connection.execute(COLUMNS.where(memberships.c.team_id == team_id, memberships.c.user_id == user_id)).first()
    if row is None:
        raise NotFound("Member")
    return to_member(row)


def change_role(connection: Connection, context: TeamContext, user_id: str, role: Role, *, now: datetime) -> None:
    """Give a member another role, from this moment on.

    Raises Forbidden, NotFound, LastOwner.
    """
    context = teams.alone(connection, context, Permission.manage_members)
    member = find(connection, context.team_id, user_id)
    if member.role is role:
        return
    if Role.owner in (role, member.role):
        sessions.demand_recent(context.caller.signed_in_at, now)
    if member.role is Role.owner:
        refuse_last_owner(connection, context)
    set_role(connection, context, member, role, now=now)
    record(connection, context, "member.change-role", user_id, now=now, role=str(role), before=str(member.role))
    sentence = f"{plain(context.caller.name)} has changed your role in {plain(context.team_name)}"
    tell(connection, context, member, f"{sentence} from {member.role} to {role}.", now=now)
    if Role.owner in (role, member.role):
        verb = "is an owner" if role is Role.owner else "is no owner any more"
        tell_owners(connection, context, f"{plain(member.name)} {verb} of {plain(context.team_name)}", member, now=now)


def transfer(
    connection: Connection, context: TeamContext, user_id: str, *, keeps_ownership: bool, now: datetime
) -> None:
    """Make a member an owner. Who gives becomes an admin, or stays an owner beside them.

    Raises Forbidden, NotFound for who is no member, BadRequest for oneself.
    """
    context = teams.alone(connection, context, Permission.manage_team)
    sessions.demand_recent(context.caller.signed_in_at, now)
    if user_id == context.caller.user_id:
        raise BadRequest("You own the team already.", details={"userId": "must be another member"})
    member = find(connection, context.team_id, user_id)
    giver = find(connection, context.team_id, context.caller.user_id)
    if member.role is not Role.owner:
        set_role(connection, context, member, Role.owner, now=now)
    if not keeps_ownership:
        set_role(connection, context, giver, Role.admin, now=now)
    kept = "owner" if keeps_ownership else "admin"
    record(connection, context, "team.transfer-ownership", user_id, now=now, before=str(member.role), giver=kept)
    team, name = plain(context.team_name), plain(context.caller.name)
    tell(
        connection, context, member, f"{name} has transferred the ownership of {team} to you: you own it now.", now=now
    )
    what = f"{name} has transferred the ownership of {team} to {plain(member.name)}"
    tell_owners(connection, context, what, member, now=now)


def leave(connection: Connection, context: TeamContext, *, now: datetime) -> None:
    """Leave the team. Raises Forbidden, LastOwner."""
    context = teams.alone(connection, context, Permission.leave)
    member = find(connection, context.team_id, context.caller.user_id)
    end(connection, context, member, now=now)
    record(connection, context, "member.leave", member.user_id, now=now, role=str(member.role))
    tell_owners(connection, context, f"{plain(member.name)} has left {plain(context.team_name)}", member, now=now)


def remove(connection: Connection, context: TeamContext, user_id: str, *, now: datetime) -> Member:
    """Take a member out of the team: no request of theirs that starts after this is committed gets in.

    Who they were. Raises Forbidden, NotFound, LastOwner.
    """
    context = teams.alone(connection, context, Permission.manage_members)
    member = find(connection, context.team_id, user_id)
    end(connection, context, member, now=now)
    record(connection, context, "member.remove", user_id, now=now, role=str(member.role))
    name, team = plain(context.caller.name), plain(context.team_name)
    if user_id != context.caller.user_id:
        tell(connection, context, member, f"{name} has removed you from {team}.", now=now)
    if member.role is Role.owner:
        what = f"{name} has removed {plain(member.name)}, who was an owner, from {team}"
        tell_owners(connection, context, what, member, now=now)
    return member


def end(connection: Connection, context: TeamContext, member: Member, *, now: datetime) -> None:
    """End a membership, under the lock of all. Raises LastOwner; Forbidden for an owner's without a recent sign-in."""
    if member.role is Role.owner:
        sessions.demand_recent(context.caller.signed_in_at, now)
        refuse_last_owner(connection, context)
    connection.execute(
        sa.delete(memberships).where(memberships.c.team_id == context.team_id, memberships.c.user_id == member.user_id)
    )
    connection.execute(
        sa.delete(stock_watches).where(
            stock_watches.c.for_team == context.team_id, stock_watches.c.user_id == member.user_id
        )
    )
    teams.move_on(connection, context.team_id, member.user_id)
    invitations.revoke_those_of(connection, context, member.user_id, now=now)


def set_role(connection: Connection, context: TeamContext, member: Member, role: Role, *, now: datetime) -> None:
    """Write a role, under the lock of all."""
    connection.execute(
        sa.update(memberships)
        .where(memberships.c.team_id == context.team_id, memberships.c.user_id == member.user_id)
        .values(role=role)
    )
    if member.role is Role.owner and role is not Role.owner:
        invitations.revoke_those_of(connection, context, member.user_id, now=now)


def refuse_last_owner(connection: Connection, context: TeamContext) -> None:
    """Raise LastOwner if the team has one owner only. To be asked under the lock of all."""
    owners = sa.select(sa.func.count()).select_from(memberships)
    owners = owners.where(memberships.c.team_id == context.team_id, memberships.c.role == Role.owner)
    if connection.execute(owners).scalar_one() < 2:
        raise LastOwner(context.team_name)


def tell(connection: Connection, context: TeamContext, member: Member, sentence: str, *, now: datetime) -> None:
    """A mail to the person it happened to, unless they did it themselves."""
    if member.user_id == context.caller.user_id:
        return
    letter = Letter(subject=sentence.rstrip("."), name=plain(member.name), paragraphs=[sentence])
    mails.send(connection, member.email, letter, now=now)


def tell_owners(connection: Connection, context: TeamContext, what: str, about: Member, *, now: datetime) -> None:
    """A mail to all who own the team now, but for the person who did it and the one it is about."""
    rows = connection.execute(
        COLUMNS.where(
            memberships.c.team_id == context.team_id,
            memberships.c.role == Role.owner,
            memberships.c.user_id.not_in([context.caller.user_id, about.user_id]),
        )
    )
    for owner in [to_member(row) for row in rows]:
        letter = Letter(
            subject=what,
            name=plain(owner.name),
            paragraphs=[f"{what}."],
            after=["You get this mail because you own the team."],
        )
        mails.send(connection, owner.email, letter, now=now)


def record(
    connection: Connection, context: TeamContext, action: str, user_id: str, *, now: datetime, **details: str
) -> None:
    """A row in the team's activity."""
    activity.record(
        connection,
        context.caller,
        action,
        now=now,
        team_id=context.team_id,
        object_type="account",
        object_id=user_id,
        details=details,
    )


def to_member(row: sa.Row[*tuple[Any, ...]]) -> Member:
    """A row as a value."""
    user_id, name, email, role, joined_at = row
    return Member(user_id=user_id, name=name, email=email, role=Role(role), joined_at=joined_at)
