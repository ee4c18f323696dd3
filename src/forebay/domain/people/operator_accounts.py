"""What operators do for an account whose owner has lost the second factor, or whose sessions must end.

They can't come in by it: no password, link or code is shown to them, and the owner is told by mail what was done.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import accounts, mails, operators, second_factors, sessions
from forebay.domain.people.access import Caller
from forebay.domain.people.accounts import Account
from forebay.domain.people.letters import Letter, plain
from forebay.errors import Conflict, NotFound
from forebay.storage.tables import users


def end_sessions(connection: Connection, caller: Caller | None, user_id: str, reason: str, *, now: datetime) -> int:
    """End all sessions of an account at once, also the command line's; how many. Raises NotFound."""
    account = find(connection, user_id)
    ended = sessions.end_all(connection, user_id, now=now)
    operators.record(
        connection,
        caller,
        "account.end-sessions",
        "account",
        user_id,
        now=now,
        details={"reason": reason, "sessions": ended},
    )
    tell(connection, account, "You were signed out everywhere", "an operator has ended all your sessions.", reason, now)
    return ended


def remove_second_factor(
    connection: Connection, caller: Caller | None, user_id: str, reason: str, *, now: datetime
) -> None:
    """Take a lost authenticator app off, with its recovery codes; who it belongs to is to be known for certain first.

    All sessions end with it. Raises NotFound, Conflict where none is in use.
    """
    account = find(connection, user_id)
    if not second_factors.has_totp(connection, user_id):
        raise Conflict("There is no authenticator app in use.", code="NO_TOTP")
    second_factors.remove_totp(connection, user_id)
    sessions.end_all(connection, user_id, now=now)
    operators.record(
        connection, caller, "account.remove-second-factor", "account", user_id, now=now, details={"reason": reason}
    )
    sentence = "an operator has taken your authenticator app and its recovery codes off your account."
    tell(connection, account, "Your second factor was taken off", sentence, reason, now)


def find(connection: Connection, user_id: str) -> Account:
    """The account, which nothing else changes meanwhile. Raises NotFound."""
    there = sa.select(users.c.id).where(users.c.id == user_id, users.c.deleted_at.is_(None))
    if connection.execute(there.with_for_update(key_share=True)).first() is None:
        raise NotFound("Account")
    account = accounts.by_id(connection, user_id)
    assert account is not None
    return account


def tell(connection: Connection, account: Account, subject: str, sentence: str, reason: str, now: datetime) -> None:
    """A mail to the owner that says what was done and why."""
    letter = Letter(
        subject=subject,
        name=plain(account.name),
        paragraphs=[sentence[0].upper() + sentence[1:], f"The reason: {plain(reason)}"],
        after=["If you don't know why, write to the people who run this cloud."],
    )
    mails.send(connection, account.email, letter, now=now)
