"""Invitations: an owner asks somebody into the team by mail, with a role.

The link is good for seven days and once; only its hash is kept. Opening it changes nothing. It is accepted by the
invited address alone, after that is proved: a link may have been forwarded. Declining needs nothing but the link,
since it takes nothing from anybody, and the invited person may have no account. A new link kills the old one.

An invitation is worth what the word of its sender is: once the sender can't invite any more, it is revoked. Whoever
sends it anew vouches for it from then on.

Nothing here looks whether an address has an account: an invitation to one that has none is made, answered and written
in exactly the same way.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import activity, credentials, invitation_letters, mails, sent_links, sessions, teams
from forebay.domain.people.access import Caller, Denied, TeamContext
from forebay.domain.people.accounts import check_email, email_key
from forebay.domain.people.roles import MemberMode, Permission, Role, standing
from forebay.domain.people.sent_links import Limits
from forebay.errors import Conflict, Forbidden, NotFound
from forebay.storage.tables import invitations, memberships, users
from forebay.storage.tables import teams as team_rows

PREFIX = "fby_in_"
GOOD_DAYS = 7
PURPOSE = "invitation"


class State(StrEnum):
    """Where an invitation stands."""

    pending = "pending"
    accepted = "accepted"
    declined = "declined"
    revoked = "revoked"
    expired = "expired"


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody was asked into a team."""

    id: str
    team_id: str
    email: str
    role: Role
    state: State
    invited_by: str
    created_at: datetime
    sent_at: datetime
    """When its present link was written."""
    expires_at: datetime
    closed_at: datetime | None
    team_name: str
    member_mode: MemberMode
    inviter_name: str
    inviter_email: str


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What an invitation is sent with."""

    secret_key: bytes
    public_url: str
    limits: Limits


class InvitationClosed(Conflict):
    """It was used, declined or revoked, or is too old."""

    code = "INVITATION_CLOSED"

    def __init__(self, state: State) -> None:
        how = {State.expired: "has expired"}.get(state, f"was {state} already")
        super().__init__(f"This invitation {how}. An owner of the team can invite you again.", details={"state": state})


class InvitationNotYours(Forbidden):
    """It was sent to another address than the one this account has proved."""

    code = "INVITATION_NOT_YOURS"

    def __init__(self, denied: Denied) -> None:
        super().__init__("This invitation was sent to another address. Sign in with that one to accept it.")
        self.denied = denied


def create(
    connection: Connection, context: TeamContext, email: str, role: Role, post: Post, *, now: datetime
) -> Invitation:
    """Invite an address and write the mail.

    Raises BadRequest for what is no address, Forbidden, Conflict for a member or for whoever is invited already,
    RateLimitExceeded.
    """
    context = teams.alone(connection, context, Permission.manage_members)
    if role is Role.owner:
        sessions.demand_recent(context.caller.signed_in_at, now)
    email = check_email(email)
    refuse_member(connection, context.team_id, email)
    pending = invitations.c.team_id == context.team_id, invitations.c.email_key == email_key(email)
    before = connection.execute(sa.select(invitations).where(*pending, invitations.c.state == State.pending)).first()
    if before is not None:
        if before.expires_at > now:
            sentence = "This address is invited already. Send the invitation again, or revoke it."
            raise Conflict(sentence, code="ALREADY_INVITED", details={"invitationId": before.id})
        close(connection, before.id, State.expired, closed_by=None, now=now)
    sent_links.count(connection, PURPOSE, email, post.limits, team_id=context.team_id, now=now)
    token = credentials.new_token(PREFIX)
    invitation_id = ids.new_id(now)
    connection.execute(
        sa.insert(invitations).values(
            id=invitation_id,
            team_id=context.team_id,
            email=email,
            email_key=email_key(email),
            role=role,
            state=State.pending,
            token_hash=credentials.hash_token(token, post.secret_key),
            invited_by=context.caller.user_id,
            created_at=now,
            sent_at=now,
            expires_at=now + timedelta(days=GOOD_DAYS),
        )
    )
    found = find(connection, context.team_id, invitation_id, now=now)
    send(connection, context, found, token, post, now=now)
    record(connection, context.caller, found, "create", now=now)
    return found


def resend(
    connection: Connection, context: TeamContext, invitation_id: str, post: Post, *, now: datetime
) -> Invitation:
    """Send a new link, good for seven days again; the old one is dead. The sender vouches for the invitation now.

    Raises Forbidden, NotFound, Conflict for one that is closed or whose address belongs to a member by now,
    RateLimitExceeded.
    """
    context = teams.alone(connection, context, Permission.manage_members)
    found = find(connection, context.team_id, invitation_id, now=now)
    if found.state not in (State.pending, State.expired):
        raise InvitationClosed(found.state)
    if found.role is Role.owner:
        sessions.demand_recent(context.caller.signed_in_at, now)
    refuse_member(connection, context.team_id, found.email)
    sent_links.count(connection, PURPOSE, found.email, post.limits, team_id=context.team_id, now=now)
    token = credentials.new_token(PREFIX)
    renewed = connection.execute(
        sa.update(invitations)
        .where(invitations.c.id == found.id, invitations.c.state == State.pending)
        .values(
            token_hash=credentials.hash_token(token, post.secret_key),
            invited_by=context.caller.user_id,
            sent_at=now,
            expires_at=now + timedelta(days=GOOD_DAYS),
        )
    )
    if renewed.rowcount != 1:
        raise InvitationClosed(State.expired)
    found = find(connection, context.team_id, invitation_id, now=now)
    send(connection, context, found, token, post, now=now)
    record(connection, context.caller, found, "resend", now=now)
    return found


def revoke(connection: Connection, context: TeamContext, invitation_id: str, *, now: datetime) -> None:
    """Kill the link. Raises Forbidden, NotFound, Conflict for one that was used or closed already."""
    context = teams.alone(connection, context, Permission.manage_members)
    found = find(connection, context.team_id, invitation_id, now=now)
    if found.state not in (State.pending, State.expired):
        raise InvitationClosed(found.state)
    close(connection, found.id, State.revoked, closed_by=context.caller.user_id, now=now)
    record(connection, context.caller, found, "revoke", now=now)


def revoke_those_of(connection: Connection, context: TeamContext, user_id: str, *, now: datetime) -> None:
    """Kill the links of somebody who may not invite any more. Under the lock of all memberships."""
    for found in select(
        connection,
        invitations.c.team_id == context.team_id,
        invitations.c.invited_by == user_id,
        invitations.c.state == State.pending,
        now=now,
    ):
        close(connection, found.id, State.revoked, closed_by=context.caller.user_id, now=now)
        record(connection, context.caller, found, "revoke", now=now, reason="the sender may not invite any more")


def listed(
    connection: Connection, team_id: str, *, page: int, limit: int, now: datetime
) -> tuple[Sequence[Invitation], int]:
    """A page of the team's invitations, open and closed, newest first, and how many there are in all."""
    mine = invitations.c.team_id == team_id
    total = connection.execute(sa.select(sa.func.count()).select_from(invitations).where(mine)).scalar_one()
    return select(connection, mine, now=now, limit=limit, offset=(page - 1) * limit), int(total)


def find(connection: Connection, team_id: str, invitation_id: str, *, now: datetime) -> Invitation:
    """One invitation of the team. Raises NotFound."""
    wanted = invitations.c.id == invitation_id, invitations.c.team_id == team_id
    for found in select(connection, *wanted, now=now):
        return found
    raise NotFound("Invitation")


def by_token(connection: Connection, token: str, secret_key: bytes, *, now: datetime) -> Invitation:
    """The invitation of a link, whatever became of it. Raises NotFound, also if the team is no more."""
    if credentials.is_well_formed(token, PREFIX):
        token_hash = credentials.hash_token(token, secret_key)
        for found in select(connection, invitations.c.token_hash == token_hash, now=now):
            return found
    raise NotFound("Invitation")


def accept(connection: Connection, caller: Caller, token: str, secret_key: bytes, *, now: datetime) -> Invitation:
    """Make the caller a member with the role that was offered; the team is the one they look at now.

    Raises NotFound, InvitationNotYours, InvitationClosed, Conflict for who is a member already.
    """
    found = by_token(connection, token, secret_key, now=now)
    teams.lock(connection, found.team_id)
    # What was read before the lock may have been changed by whoever had it.
    found = by_token(connection, token, secret_key, now=now)
    proved = connection.execute(
        sa.select(users.c.email_key).where(users.c.id == caller.user_id, users.c.verified_at.is_not(None))
    ).scalar()
    if proved is None or proved != email_key(found.email):
        raise InvitationNotYours(Denied(caller, found.team_id))
    if found.state is not State.pending:
        raise InvitationClosed(found.state)
    if not may_invite(connection, found):
        raise InvitationClosed(State.revoked)
    if teams.is_member(connection, found.team_id, caller.user_id):
        raise Conflict(f"You belong to {found.team_name} already.", code="ALREADY_MEMBER")
    close(connection, found.id, State.accepted, closed_by=caller.user_id, now=now)
    teams.add_member(connection, found.team_id, caller.user_id, found.role, now=now)
    connection.execute(sa.update(users).where(users.c.id == caller.user_id).values(current_team_id=found.team_id))
    record(connection, caller, found, "accept", now=now)
    activity.record(
        connection,
        caller,
        "account.join-team",
        now=now,
        object_type="team",
        object_id=found.team_id,
        details={"role": str(found.role)},
    )
    mails.send(
        connection,
        found.inviter_email,
        invitation_letters.accepted(found.team_name, found.inviter_name, caller.name, found.email, found.role),
        now=now,
    )
    return find(connection, found.team_id, found.id, now=now)


def decline(
    connection: Connection, token: str, secret_key: bytes, *, now: datetime, caller: Caller | None = None
) -> Invitation:
    """Say no, with the link alone. Raises NotFound, InvitationClosed."""
    found = by_token(connection, token, secret_key, now=now)
    teams.lock(connection, found.team_id)
    found = by_token(connection, token, secret_key, now=now)
    if found.state is not State.pending:
        raise InvitationClosed(found.state)
    closed_by = None if caller is None else caller.user_id
    close(connection, found.id, State.declined, closed_by=closed_by, now=now)
    record(connection, caller, found, "decline", now=now)
    if may_invite(connection, found):
        mails.send(
            connection,
            found.inviter_email,
            invitation_letters.declined(found.team_name, found.inviter_name, found.email),
            now=now,
        )
    return find(connection, found.team_id, found.id, now=now)


def may_invite(connection: Connection, invitation: Invitation) -> bool:
    """Whether its sender still owns the team: nobody else may invite."""
    role = sa.select(memberships.c.role).where(
        memberships.c.team_id == invitation.team_id, memberships.c.user_id == invitation.invited_by
    )
    return connection.execute(role).scalar() == Role.owner


def refuse_member(connection: Connection, team_id: str, email: str) -> None:
    """Raise Conflict if the address is that of a member; whoever may invite sees the members anyway."""
    mine = sa.select(users.c.id).join(memberships, memberships.c.user_id == users.c.id)
    mine = mine.where(memberships.c.team_id == team_id, users.c.email_key == email_key(email))
    if connection.execute(mine).first() is not None:
        raise Conflict("This address belongs to a member of the team.", code="ALREADY_MEMBER")


def close(connection: Connection, invitation_id: str, state: State, *, closed_by: str | None, now: datetime) -> None:
    """Close a pending invitation, under the lock of all memberships. Raises InvitationClosed if somebody else did."""
    closed = connection.execute(
        sa.update(invitations)
        .where(invitations.c.id == invitation_id, invitations.c.state == State.pending)
        .values(state=state, closed_at=now, closed_by=closed_by)
    )
    if closed.rowcount != 1:
        raise InvitationClosed(state)


def send(
    connection: Connection, context: TeamContext, found: Invitation, token: str, post: Post, *, now: datetime
) -> None:
    """Write the mail with the link."""
    letter = invitation_letters.invitation(
        team=context.team_name,
        inviter=context.caller.name,
        inviter_email=context.caller.email,
        standing=standing(found.role, context.member_mode),
        link=f"{post.public_url}/invitations?token={token}",
        days=GOOD_DAYS,
    )
    mails.send(connection, found.email, letter, now=now)


def record(
    connection: Connection, caller: Caller | None, found: Invitation, verb: str, *, now: datetime, **details: str
) -> None:
    """A row in the team's activity."""
    activity.record(
        connection,
        caller,
        f"invitation.{verb}",
        now=now,
        team_id=found.team_id,
        object_type="invitation",
        object_id=found.id,
        details={"email": found.email, "role": str(found.role), **details},
    )


def select(
    connection: Connection,
    *conditions: sa.ColumnElement[bool],
    now: datetime,
    limit: int | None = None,
    offset: int | None = None,
) -> list[Invitation]:
    """Invitations of teams that there still are, newest first; one that is too old counts as expired."""
    rows = connection.execute(NEWEST_FIRST.where(*conditions).limit(limit).offset(offset))
    names = tuple(rows.keys())
    return [to_invitation(dict(zip(names, row, strict=True)), now) for row in rows.all()]


COLUMNS = ("id", "team_id", "email", "role", "state", "invited_by", "created_at", "sent_at", "expires_at", "closed_at")
NEWEST_FIRST = (
    sa.select(
        *(invitations.c[name] for name in COLUMNS),
        team_rows.c.name.label("team_name"),
        team_rows.c.member_mode,
        users.c.name.label("inviter_name"),
        users.c.email.label("inviter_email"),
    )
    .join(team_rows, team_rows.c.id == invitations.c.team_id)
    .join(users, users.c.id == invitations.c.invited_by)
    .where(team_rows.c.deleted_at.is_(None))
    .order_by(invitations.c.id.desc())
)


def to_invitation(found: dict[str, Any], now: datetime) -> Invitation:
    """A row as a value."""
    state = State(found["state"])
    if state is State.pending and found["expires_at"] <= now:
        state = State.expired
    kinds = {"role": Role(found["role"]), "state": state, "member_mode": MemberMode(found["member_mode"])}
    return Invitation(**(found | kinds))
