"""Proving again, within a session, who one is: what money, owners, keys and the ways in ask for.

As strong as signing in: the password where there is one, and a code too where an authenticator app is set up. The
session gets a new token by it, so a stolen one is worth no more than before. A passkey does the same in its own way.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import accounts, activity, second_factors, sessions, sign_in
from forebay.domain.people.access import Caller
from forebay.domain.people.sign_in import Guess
from forebay.errors import BadRequest, Unauthenticated
from forebay.storage.tables import sessions as session_rows
from forebay.storage.tables import users


def refuse_incomplete(connection: Connection, user_id: str, *, has_password: bool, has_code: bool) -> None:
    """Raise BadRequest unless all is given that this account needs; `details` names what is missing."""
    row = connection.execute(
        sa.select(users.c.password_hash, users.c.totp_confirmed_at).where(users.c.id == user_id)
    ).one()
    missing: dict[str, str] = {}
    if row.password_hash is not None and not has_password:
        missing |= {"password": "required"}
    if row.totp_confirmed_at is not None and not has_code:
        missing |= {"code": "required: a code of your authenticator app, or a recovery code"}
    if missing:
        raise BadRequest("More is needed to prove that it is you.", code="PROOF_INCOMPLETE", details=missing)
    if row.password_hash is None and row.totp_confirmed_at is None:
        raise BadRequest(
            "This account has no password: use a passkey, or sign in again.",
            code="PROOF_INCOMPLETE",
            details={"passkey": "required, or a new sign-in"},
        )


def prove(
    connection: Connection,
    caller: Caller,
    *,
    guess: Guess | None,
    is_right: bool,
    code: str | None,
    secret_key: bytes,
    now: datetime,
) -> str:
    """Check what was given and renew the session; its new token, shown once.

    `guess` is a password that was counted and looked at. Raises WrongCredentials and WrongCode, which are kept,
    BadRequest, RateLimitExceeded.
    """
    refuse_incomplete(connection, caller.user_id, has_password=guess is not None, has_code=code is not None)
    account = accounts.by_id(connection, caller.user_id)
    if account is None or caller.session_id is None:
        raise Unauthenticated
    given = []
    if guess is not None:
        sign_in.finish_guess(connection, guess, is_right, now=now, address=caller.address)
        given.append("password")
    if code is not None and second_factors.has_totp(connection, account.id):
        first = "+".join(given) or "session"
        given.append(
            sign_in.give_code(
                connection, account, code, first=first, secret_key=secret_key, now=now, address=caller.address
            )
        )
    return renew(connection, caller, "+".join(given), secret_key=secret_key, now=now)


def renew(connection: Connection, caller: Caller, methods: str, *, secret_key: bytes, now: datetime) -> str:
    """The session after its person has proved again who they are, by `methods`: its new token.

    What the session began with counts on if it was two factors and this is one.
    """
    before = connection.execute(
        sa.select(session_rows.c.methods).where(session_rows.c.id == caller.session_id)
    ).scalar_one()
    kept = methods if sign_in.is_multi_factor(methods) or not sign_in.is_multi_factor(before) else before
    token = sessions.renew(connection, caller.session_id or "", secret_key, now=now, methods=kept)
    activity.record(
        connection,
        caller,
        "account.step-up",
        now=now,
        object_type="session",
        object_id=caller.session_id,
        details={"methods": methods},
    )
    return token
