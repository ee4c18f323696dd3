"""Setting up, taking away and renewing second factors: recorded, and told to the person by mail.

Whoever calls has made sure that the person proved within the last 15 minutes who they are.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import accounts, activity, notices, second_factors, sign_in
from forebay.domain.people.access import Caller
from forebay.domain.people.second_factors import Enrolment
from forebay.errors import Conflict, Unauthenticated
from forebay.storage.tables import sessions

ISSUER = "Forebay"
"""What the authenticator app calls the account's home."""


def begin_totp(connection: Connection, caller: Caller, *, secret_key: bytes, now: datetime) -> Enrolment:
    """A secret for an authenticator app; sign-in asks for nothing of it before `confirm_totp`. Raises Conflict."""
    found = second_factors.begin_totp(connection, caller.user_id, caller.email, ISSUER, secret_key)
    record(connection, caller, "second-factor.begin", now=now)
    return found


def confirm_totp(
    connection: Connection, caller: Caller, code: str, *, secret_key: bytes, public_url: str, now: datetime
) -> list[str]:
    """Put the app into use; ten recovery codes, shown once. This session counts as one of two factors from now on.

    Raises Conflict without a new secret, BadRequest for a wrong code. Afterwards nudge `mails`.
    """
    codes = second_factors.confirm_totp(connection, caller.user_id, code, secret_key, now=now)
    mine = sa.and_(sessions.c.id == caller.session_id, sessions.c.methods.not_like("%+%"))
    connection.execute(
        sa.update(sessions).where(mine, sessions.c.methods != "passkey").values(methods=sessions.c.methods + "+totp")
    )
    record(connection, caller, "second-factor.set-up", now=now)
    tell(
        connection,
        caller,
        "An authenticator app was set up",
        "an authenticator app was set up for your account: sign-in asks for its codes from now on.",
        public_url=public_url,
        now=now,
    )
    return codes


def remove_totp(
    connection: Connection, caller: Caller, code: str, *, secret_key: bytes, public_url: str, now: datetime
) -> None:
    """Take the app and the recovery codes away, with a last code of either. Afterwards nudge `mails`.

    Raises Conflict if none is in use; WrongCode, which is kept; RateLimitExceeded.
    """
    refuse_without(connection, caller.user_id)
    account = accounts.by_id(connection, caller.user_id)
    if account is None:
        raise Unauthenticated
    sign_in.give_code(
        connection, account, code, first="session", secret_key=secret_key, now=now, address=caller.address
    )
    second_factors.remove_totp(connection, caller.user_id)
    record(connection, caller, "second-factor.remove", now=now)
    tell(
        connection,
        caller,
        "The authenticator app was taken away",
        "the authenticator app and the recovery codes of your account were taken away: sign-in asks for no code.",
        public_url=public_url,
        now=now,
    )


def renew_codes(
    connection: Connection, caller: Caller, *, secret_key: bytes, public_url: str, now: datetime
) -> list[str]:
    """Ten new recovery codes, shown once; the old ones are worth nothing. Raises Conflict without an app in use."""
    refuse_without(connection, caller.user_id)
    codes = second_factors.new_recovery_codes(connection, caller.user_id, secret_key, now=now)
    record(connection, caller, "recovery-codes.renew", now=now)
    tell(
        connection,
        caller,
        "New recovery codes",
        "new recovery codes were made for your account; the ones before are worth nothing any more.",
        public_url=public_url,
        now=now,
    )
    return codes


def refuse_without(connection: Connection, user_id: str) -> None:
    """Raise Conflict unless an authenticator app is in use."""
    if not second_factors.has_totp(connection, user_id):
        raise Conflict("There is no authenticator app in use.", code="NO_TOTP")


def record(connection: Connection, caller: Caller, action: str, *, now: datetime) -> None:
    """A row that says so."""
    activity.record(connection, caller, action, now=now, object_type="account", object_id=caller.user_id)


def tell(
    connection: Connection, caller: Caller, subject: str, sentence: str, *, public_url: str, now: datetime
) -> None:
    """A mail that says so."""
    notices.send(
        connection,
        caller.email,
        name=caller.name,
        subject=subject,
        sentences=[sentence],
        public_url=public_url,
        now=now,
        address=caller.address,
    )
