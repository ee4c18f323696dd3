"""The end of an account: its owner is gone from every team, can never sign in again, and leaves no name behind.

Books and activity are kept as they are; they name the person by an id that nobody can look up any more. The address is
free: whoever has it may make a new account, which has nothing to do with the old one.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import off_boarding
from forebay.domain.machines import teams as machine_teams
from forebay.domain.people import accounts, activity, mails, sessions
from forebay.domain.people import teams as people_teams
from forebay.domain.people.access import Caller, TeamContext
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.roles import Role
from forebay.domain.people.teams import Team
from forebay.errors import BadRequest, Conflict, Unauthenticated
from forebay.storage import tables
from forebay.storage.tables import memberships, users

NAME = "Deleted account"


class SoleOwner(Conflict):
    """Others belong to teams that nobody else owns."""

    code = "LAST_OWNER"

    def __init__(self, found: Sequence[Team]) -> None:
        names = ", ".join(team.name for team in found)
        super().__init__(
            f"You are the only owner of {names}, and others belong to it. Transfer the ownership, or delete the team, "
            "first.",
            details={"teams": [{"id": team.id, "name": team.name} for team in found]},
        )


class Belongings(msgspec.Struct, frozen=True):
    """The teams of a person, by what becomes of them."""

    lone: Sequence[Team]
    """Nobody else belongs to them: they are deleted with the account."""
    others: Sequence[Team]
    """They go on without the person."""


def delete(connection: Connection, caller: Caller, *, confirm: str, give_up: str | None, now: datetime) -> None:
    """Delete the account of whoever asks. `confirm` is its address, `give_up` the credits of all lone teams together.

    Raises BadRequest, SoleOwner, and what deleting a team raises (`domain/machines/teams.py`); nothing is done then.
    """
    account = accounts.by_id(connection, caller.user_id)
    if account is None or accounts.email_key(confirm) != accounts.email_key(account.email):
        raise BadRequest("Confirm with the address of this account.", details={"confirm": "must be your own address"})
    found = belongings(connection, caller.user_id)
    refuse_deleted(connection, caller.user_id)
    # First those that only lose a member: machines are locked before accounts of the ledger, here as everywhere.
    for team in found.others:
        off_boarding.leave(connection, context_in(caller, team), now=now)
    for team in found.lone:
        machine_teams.refuse_frozen_team(connection, team.id)
    remains = [machine_teams.remains(connection, team.id) for team in found.lone]
    machine_teams.check(remains, give_up)
    for each in remains:
        machine_teams.end(connection, caller, each, now=now)
    activity.record(connection, caller, "account.delete", now=now, object_type="account", object_id=caller.user_id)
    letter = Letter(
        subject="Your account was deleted",
        name=plain(account.name),
        paragraphs=[
            "Your account was deleted, as you asked. Nobody can sign in to it any more, and nothing brings it back."
        ],
    )
    mails.send(connection, account.email, letter, now=now)
    forget(connection, caller.user_id, account.email, now=now)


def refuse_deleted(connection: Connection, user_id: str) -> None:
    """Lock the account to the transaction's end; raise Unauthenticated if it was deleted in this very moment.

    After the memberships, as launches lock them.
    """
    mine = sa.select(users.c.id).where(users.c.id == user_id, users.c.deleted_at.is_(None))
    if connection.execute(mine.with_for_update()).first() is None:
        raise Unauthenticated


def belongings(connection: Connection, user_id: str) -> Belongings:
    """The person's teams, with all memberships locked. Raises SoleOwner."""
    mine = people_teams.of_user(connection, user_id)
    for team in mine:
        people_teams.lock(connection, team.id)
    lone, others, stuck = [], [], []
    for team in people_teams.of_user(connection, user_id):
        rows = connection.execute(
            sa.select(memberships.c.role).where(memberships.c.team_id == team.id, memberships.c.user_id != user_id)
        )
        roles = [row.role for row in rows]
        if not roles:
            lone.append(team)
        elif team.role is Role.owner and Role.owner not in roles:
            stuck.append(team)
        else:
            others.append(team)
    if stuck:
        raise SoleOwner(stuck)
    return Belongings(lone, others)


def context_in(caller: Caller, team: Team) -> TeamContext:
    """The person in one of their teams; what isn't known here is read anew under its lock."""
    return TeamContext(
        caller=caller,
        team_id=team.id,
        team_name=team.name,
        slug=team.slug,
        number=0,
        role=team.role,
        member_mode=team.member_mode,
        is_frozen=False,
    )


def forget(connection: Connection, user_id: str, email: str, *, now: datetime) -> None:
    """Everything that lets the person in ends; their name and their address are overwritten wherever they stand."""
    nobody = f"deleted-{user_id}"
    key = accounts.email_key(email)
    connection.execute(
        sa.update(users)
        .where(users.c.id == user_id)
        .values(
            name=NAME,
            email=nobody,
            email_key=nobody,
            password_hash=None,
            verified_at=None,
            is_operator=False,
            current_team_id=None,
            api_access="none",
            api_access_reason=None,
            totp_secret=None,
            totp_confirmed_at=None,
            totp_last_step=None,
            deleted_at=now,
        )
    )
    sessions.end_all(connection, user_id, now=now)
    connection.execute(
        sa.update(tables.sessions).where(tables.sessions.c.user_id == user_id).values(address="", user_agent="")
    )
    connection.execute(
        sa.update(tables.api_keys)
        .where(tables.api_keys.c.user_id == user_id, tables.api_keys.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    connection.execute(
        sa.update(tables.api_keys).where(tables.api_keys.c.user_id == user_id).values(last_used_from=None)
    )
    for table in (
        tables.passkeys,
        tables.identities,
        tables.recovery_codes,
        tables.mail_tokens,
        tables.email_changes,
        tables.sign_in_steps,
        tables.notification_choices,
        tables.stock_watches,
        tables.idempotency_keys,
    ):
        connection.execute(sa.delete(table).where(table.c.user_id == user_id))
    for table in (tables.sent_links, tables.sign_up_invitations):
        connection.execute(sa.delete(table).where(table.c.email_key == key))
    to_them = tables.invitations.c.email_key == key
    connection.execute(
        sa.update(tables.invitations)
        .where(to_them, tables.invitations.c.state == "pending")
        .values(state="declined", closed_at=now, closed_by=user_id)
    )
    connection.execute(sa.update(tables.invitations).where(to_them).values(email=nobody, email_key=nobody))
    connection.execute(
        sa.update(tables.mails)
        .where(tables.mails.c.recipient == email, tables.mails.c.sent_at.is_not(None))
        .values(recipient=nobody)
    )
