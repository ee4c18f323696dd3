"""The end of every sign-in, by password, passkey or provider: a session, or first a second factor.

This is the one place that refuses accounts that are not proved or are gone, asks for the second factor, and records
who came in and how. A passkey that was unlocked by its owner is two factors in one; all else asks for the code of the
authenticator app where one is set up.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import activity, credentials, mails, second_factors, sessions, slow_down, steps
from forebay.domain.people.access import Caller
from forebay.domain.people.accounts import MOST_CHARACTERS, Account, by_email, by_id, email_key
from forebay.domain.people.letters import Letter
from forebay.domain.people.sessions import Session
from forebay.domain.people.slow_down import Attempt
from forebay.domain.people.steps import Purpose
from forebay.errors import BadRequest, Forbidden, Unauthenticated
from forebay.storage.tables import users

STEP_SECONDS = 300
CODES = ("totp", "recovery-code")
TOLD_AFTER = 5
"""Wrong codes in a row from one network, until the person is told."""


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A session has begun."""

    token: str
    """Shown once."""
    session: Session
    account: Account


class SecondFactorNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """The first factor was right; the second is asked for now."""

    token: str
    """Names this sign-in, for `complete`."""
    methods: Sequence[str]
    """What may be given."""
    expires_at: datetime
    account: Account


class WrongCredentials(Unauthenticated):
    """The first factor is wrong, or there is no such account: the answer never says which. It was counted."""

    is_kept = True
    code = "WRONG_CREDENTIALS"

    def __init__(self, sentence: str = "The address or the password is wrong.") -> None:
        super().__init__(sentence)


class WrongCode(Unauthenticated):
    """The second factor is wrong, or was used before. It was counted."""

    is_kept = True
    code = "WRONG_CODE"

    def __init__(self) -> None:
        super().__init__("This code is wrong, or was used already.")


def is_multi_factor(methods: str) -> bool:
    """Whether what the person gave is two factors: `password+totp`, or a passkey that its owner unlocked."""
    return "+" in methods or methods == "passkey"


class Guess(msgspec.Struct, frozen=True, kw_only=True):
    """A password that was given for an address, counted and not looked at yet."""

    account: Account | None
    attempt: Attempt

    def is_right(self, password: str) -> bool:
        """Whether it is the password. Slow, and equally slow without an account: call it outside any transaction."""
        return credentials.is_right_password(self.account.password_hash if self.account else None, password)


def guess(connection: Connection, email: str, *, secret_key: bytes, now: datetime, address: str) -> Guess:
    """Begin to check a password; reads alone. Raises RateLimitExceeded after too many wrong ones.

    The order is: `guess`, then `slow_down.count` in a transaction of its own, then `is_right` outside of any, then
    `finish_guess` in the transaction of what it is for.
    """
    account = by_email(connection, email)
    attempt = slow_down.look(
        connection,
        "password",
        email_key(email)[:MOST_CHARACTERS],
        user_id=account.id if account else None,
        address=address,
        secret_key=secret_key,
        now=now,
    )
    return Guess(account=account, attempt=attempt)


def finish_guess(connection: Connection, made: Guess, is_right: bool, *, now: datetime, address: str) -> Account:
    """The account whose password it was. Raises WrongCredentials, which is kept."""
    if made.account is None or not is_right:
        refused(connection, made.account, "password", address=address, now=now)
        raise WrongCredentials
    slow_down.forgive(connection, made.attempt, now=now)
    return made.account


def finish(
    connection: Connection,
    account: Account,
    *,
    secret_key: bytes,
    now: datetime,
    days: int,
    address: str,
    user_agent: str,
    kind: str = "program",
    methods: str,
) -> SignedIn | SecondFactorNeeded:
    """The first factor was right: begin a session, or ask for the second factor.

    `days` is how long an unused session lasts; `kind` is what will hold its token (`program`, `browser`, `cli`);
    `methods` is what was given (`password`, `passkey`, `oidc:<provider>`). Raises WrongCredentials for an account that
    is gone or has another password by now, Forbidden for an address that isn't proved.
    """
    account = admitted(connection, account, methods=methods, address=address, now=now)
    if is_multi_factor(methods) or not second_factors.has_totp(connection, account.id):
        return begin_session(
            connection,
            account,
            secret_key=secret_key,
            now=now,
            days=days,
            address=address,
            user_agent=user_agent,
            kind=kind,
            methods=methods,
        )
    token = steps.begin(
        connection,
        Purpose.second_factor,
        {"methods": methods, "kind": kind},
        secret_key,
        now=now,
        seconds=STEP_SECONDS,
        user_id=account.id,
    )
    return SecondFactorNeeded(
        token=token, methods=CODES, expires_at=now + timedelta(seconds=STEP_SECONDS), account=account
    )


def complete(
    connection: Connection,
    step_token: str,
    code: str,
    *,
    secret_key: bytes,
    now: datetime,
    days: int,
    address: str,
    user_agent: str,
) -> SignedIn:
    """The second factor, a code of the app or a recovery code: begin the session that was asked for.

    Raises BadRequest (STEP_EXPIRED) for a sign-in that took over 5 minutes or is done; RateLimitExceeded after too
    many wrong codes; WrongCode, which is kept: the guess counts.
    """
    step = steps.peek(connection, Purpose.second_factor, step_token, secret_key, now=now)
    if step is None or step.user_id is None:
        raise BadRequest("This took too long, or was done already. Begin again.", code="STEP_EXPIRED")
    account = by_id(connection, step.user_id)
    if account is None:
        raise WrongCredentials
    first = str(step.document["methods"])
    method = give_code(connection, account, code, first=first, secret_key=secret_key, now=now, address=address)
    steps.take(connection, Purpose.second_factor, step_token, secret_key, now=now)
    account = admitted(connection, account, methods=first, address=address, now=now)
    return begin_session(
        connection,
        account,
        secret_key=secret_key,
        now=now,
        days=days,
        address=address,
        user_agent=user_agent,
        kind=str(step.document["kind"]),
        methods=f"{first}+{method}",
    )


def give_code(
    connection: Connection, account: Account, code: str, *, first: str, secret_key: bytes, now: datetime, address: str
) -> str:
    """Use a second factor up, counting a wrong one: `totp` or `recovery-code`. Raises WrongCode, RateLimitExceeded."""
    attempt = slow_down.look(
        connection, "code", account.id, user_id=account.id, address=address, secret_key=secret_key, now=now
    )
    guesses = slow_down.count(connection, attempt, now=now)
    method = second_factors.use_code(connection, account.id, code, secret_key, now=now)
    if method is None:
        refused(connection, account, f"{first}+code", address=address, now=now)
        if guesses == TOLD_AFTER:
            mails.send(connection, account.email, wrong_codes(account.name, address), now=now)
        raise WrongCode
    slow_down.forgive(connection, attempt, now=now)
    return method


def wrong_codes(name: str, address: str) -> Letter:
    """The mail to someone whose password is known to whoever guesses codes."""
    return Letter(
        subject="Wrong codes for your account",
        name=name,
        paragraphs=[
            f"somebody at the address {address} has given {TOLD_AFTER} wrong codes in a row for your account. "
            "They got as far as that because they know your password, or have one of your sessions."
        ],
        after=[
            "If it wasn't you, set a new password at once: ask for a link where you sign in. All sessions end then."
        ],
    )


def admitted(connection: Connection, account: Account, *, methods: str, address: str, now: datetime) -> Account:
    """The account as it is now, locked, so that nothing about it changes before the session has begun.

    Raises WrongCredentials for one that is gone, or whose password was changed since it was checked; Forbidden for
    one whose address isn't proved.
    """
    row = connection.execute(
        sa.select(users.c.deleted_at).where(users.c.id == account.id).with_for_update(key_share=True)
    ).first()
    present = by_id(connection, account.id)
    if row is None or row.deleted_at is not None or present is None:
        raise WrongCredentials
    if methods == "password" and present.password_hash != account.password_hash:
        raise WrongCredentials
    if present.verified_at is None:
        refused(connection, present, methods, address=address, now=now)
        raise Unproved
    return present


class Unproved(Forbidden):
    """The address of the account isn't proved yet. It is recorded."""

    is_kept = True
    code = "ADDRESS_NOT_VERIFIED"

    def __init__(self) -> None:
        super().__init__("Prove your address first: open the link in the mail we sent.")


def begin_session(
    connection: Connection,
    account: Account,
    *,
    secret_key: bytes,
    now: datetime,
    days: int,
    address: str,
    user_agent: str,
    kind: str,
    methods: str,
) -> SignedIn:
    """The session, and a row that says so."""
    token, session = sessions.begin(
        connection,
        account.id,
        secret_key,
        now=now,
        days=days,
        address=address,
        user_agent=user_agent,
        kind=kind,
        methods=methods,
    )
    activity.record(
        connection,
        as_caller(account, address),
        "account.sign-in",
        now=now,
        object_type="session",
        object_id=session.id,
        details={"methods": methods, "kind": kind},
    )
    return SignedIn(token=token, session=session, account=account)


def refused(connection: Connection, account: Account | None, methods: str, *, address: str, now: datetime) -> None:
    """Record a sign-in that was not let in; without an account too, so that both take equally long."""
    activity.record(
        connection,
        None if account is None else as_caller(account, address),
        "account.sign-in-refused",
        now=now,
        details={"methods": methods} if account is not None else {"methods": methods, "address": address},
        outcome="denied",
    )


def as_caller(account: Account, address: str) -> Caller:
    """The person, for the activity, before they have a session."""
    return Caller(
        user_id=account.id,
        email=account.email,
        name=account.name,
        is_operator=account.is_operator,
        api_access=account.api_access,
        current_team_id=account.current_team_id,
        address=address,
    )
