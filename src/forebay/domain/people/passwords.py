"""Passwords: what a new one must be like, how a forgotten one is replaced, how one is changed.

Asking for a link tells nobody whether the address has an account. A link is good for an hour and once; using it ends
all sessions and everything that was begun, and leaves second factors as they are: a mailbox alone opens nothing that
had two locks. There are no rules of composition and no expiry (NIST SP 800-63B): length, and no password that was
stolen before or that is made of the account's own words.
"""

import re
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import (
    accounts,
    activity,
    breached,
    credentials,
    mails,
    notices,
    sent_links,
    sessions,
    slow_down,
)
from forebay.domain.people.access import Caller
from forebay.domain.people.accounts import Account, email_key
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.sign_in import as_caller
from forebay.errors import BadRequest
from forebay.storage.tables import email_changes, mail_tokens, sign_in_steps, users

LINK_SECONDS = 3600
LINKS_AN_HOUR = 5
PREFIX = "fby_rs_"
FEWEST_OWN = 6
"""Characters of a password that must not come from the person's name, address or this service's name."""
FEWEST_OF_A_WORD = 4


class LinkExpired(BadRequest):
    """A link that is unknown, used or too old; it was counted."""

    is_kept = True
    code = "LINK_EXPIRED"

    def __init__(self) -> None:
        super().__init__("This link is not good any more. Ask for a new one.")


def refuse_weak(password: str, *, email: str = "", name: str = "") -> None:
    """Raise BadRequest for a password of the wrong length, a stolen one, or one made of the person's own words."""
    sentence = ""
    if not credentials.MIN_PASSWORD <= len(password) <= credentials.MAX_PASSWORD:
        sentence = f"The password must have {credentials.MIN_PASSWORD} to {credentials.MAX_PASSWORD} characters."
    elif breached.is_breached(password):
        sentence = "This password is in lists of stolen passwords, or is one of them with little added. Take another."
    elif is_made_of(password, ["forebay", email, *email.split("@"), *re.split(r"[@. ]", f"{email} {name}")]):
        sentence = "This password is made of your name, your address or the name of this service. Take another."
    if sentence:
        raise BadRequest(sentence, details={"password": sentence})


def is_made_of(password: str, words: list[str]) -> bool:
    """Whether little is left of the password without these words."""
    rest = breached.fold(password)
    found = False
    for word in sorted((breached.fold(word) for word in words), key=len, reverse=True):
        if len(word) >= FEWEST_OF_A_WORD and word in rest:
            rest, found = rest.replace(word, ""), True
    return found and len(rest) < FEWEST_OWN


def hash_new(password: str, *, email: str = "", name: str = "") -> str:
    """The hash of a new password. Slow: call it outside any transaction. Raises BadRequest, Unavailable."""
    refuse_weak(password, email=email, name=name)
    return credentials.hash_password(password)


def forgot(
    connection: Connection, email: str, *, public_url: str, secret_key: bytes, now: datetime, address: str
) -> None:
    """Mail a link if the address has an account. Afterwards nudge `mails`.

    All is prepared either way, in a transaction of its own that writes: what differs is two rows of it.

    Over 5 an hour to one address nothing is sent, and nobody is told: the link of less than an hour ago is good.
    """
    account = accounts.by_email(connection, email)
    is_within = sent_links.is_within(connection, "reset", email[:320], limit=LINKS_AN_HOUR, now=now)
    token = credentials.new_token(PREFIX)
    token_hash = credentials.hash_token(token, secret_key)
    letter = link_letter(account.name if account else "", f"{public_url}/reset?token={token}")
    activity.record(
        connection,
        None,
        "account.forgot-password",
        now=now,
        object_type="account",
        object_id=account.id if account else None,
        details={"address": address},
    )
    if account is None or not is_within:
        return
    connection.execute(
        sa.insert(mail_tokens).values(
            id=ids.new_id(now),
            user_id=account.id,
            purpose="reset",
            token_hash=token_hash,
            email_key=email_key(account.email),
            created_at=now,
            expires_at=now + timedelta(seconds=LINK_SECONDS),
        )
    )
    mails.send(connection, account.email, letter, now=now)


def link_letter(name: str, link: str) -> Letter:
    """The mail with the link."""
    return Letter(
        subject="A new password",
        name=plain(name),
        paragraphs=["someone, perhaps you, has asked for a new password for your account."],
        label="Set a new password",
        link=link,
        after=[
            "The link is good for an hour, and once. A second factor stays as it is.",
            "If it wasn't you, there is nothing to do: your password is unchanged.",
        ],
    )


def whose_link(connection: Connection, token: str, *, secret_key: bytes, now: datetime, address: str) -> Account:
    """The account that a link is for; it stays good. Raises LinkExpired, which is counted; RateLimitExceeded."""
    attempt = slow_down.of_network("link", address, secret_key)
    slow_down.refuse_early(connection, attempt.counts, now=now)
    user_id = connection.execute(
        sa.select(mail_tokens.c.user_id)
        .join(users, sa.and_(users.c.id == mail_tokens.c.user_id, users.c.email_key == mail_tokens.c.email_key))
        .where(is_good(token, secret_key, now))
    ).scalar()
    account = None if user_id is None else accounts.by_id(connection, user_id)
    if account is None:
        slow_down.count(connection, attempt, now=now)
        raise LinkExpired
    return account


def reset(
    connection: Connection,
    token: str,
    password_hash: str,
    *,
    secret_key: bytes,
    public_url: str,
    now: datetime,
    address: str,
) -> Account:
    """Use a link up: set the password, end all sessions and all that was begun. Afterwards nudge `mails`.

    Of two who come at once with one link one gets it. The address is proved by this as well. API keys stay, and the
    mail says so. Raises LinkExpired.
    """
    account = whose_link(connection, token, secret_key=secret_key, now=now, address=address)
    # Two with two links would each hold their own and want the other's.
    accounts.lock_way_in(connection, account.id)
    used = connection.execute(
        sa.update(mail_tokens).where(is_good(token, secret_key, now)).values(used_at=now, used_from=address[:64])
    )
    if used.rowcount != 1:
        raise LinkExpired
    # Links, counts, changes, the account, its sessions: everywhere in this order, so that no two wait for each other.
    slow_down.forget(connection, "password", email_key(account.email), address=address, secret_key=secret_key)
    mine = email_changes.c.user_id == account.id
    connection.execute(sa.update(email_changes).where(mine, email_changes.c.closed_at.is_(None)).values(closed_at=now))
    set_password(connection, account.id, password_hash)
    connection.execute(
        sa.update(users).where(users.c.id == account.id, users.c.verified_at.is_(None)).values(verified_at=now)
    )
    ended = sessions.end_all(connection, account.id, now=now)
    record(connection, as_caller(account, address), "account.reset-password", ended, now=now)
    notices.send(
        connection,
        account.email,
        name=account.name,
        subject="Your password was replaced",
        sentences=[
            "your password was replaced by means of a link that we had sent to this address. All sessions have ended.",
            "API keys go on working: revoke those that you don't trust any more.",
        ],
        public_url=public_url,
        now=now,
        address=address,
    )
    return account


def change(
    connection: Connection,
    caller: Caller,
    password_hash: str,
    *,
    ends_others: bool,
    public_url: str,
    now: datetime,
) -> int:
    """Set a new password for whoever asks, who has just proved who they are; how many other sessions ended."""
    accounts.lock_way_in(connection, caller.user_id)
    set_password(connection, caller.user_id, password_hash)
    ended = sessions.end_all(connection, caller.user_id, now=now, but=caller.session_id) if ends_others else 0
    record(connection, caller, "account.change-password", ended, now=now)
    notices.send(
        connection,
        caller.email,
        name=caller.name,
        subject="Your password was changed",
        sentences=["your password was changed.", "API keys go on working: revoke those that you don't trust any more."],
        public_url=public_url,
        now=now,
        address=caller.address,
    )
    return ended


def set_password(connection: Connection, user_id: str, password_hash: str) -> None:
    """The hash counts from now on; links and sign-ins that were begun under the old one are over."""
    connection.execute(
        sa.delete(mail_tokens).where(
            mail_tokens.c.user_id == user_id, mail_tokens.c.purpose == "reset", mail_tokens.c.used_at.is_(None)
        )
    )
    connection.execute(sa.update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    connection.execute(sa.delete(sign_in_steps).where(sign_in_steps.c.user_id == user_id))


def is_good(token: str, secret_key: bytes, now: datetime) -> sa.ColumnElement[bool]:
    """The link's row, while it can be used."""
    return sa.and_(
        mail_tokens.c.token_hash == credentials.hash_token(token, secret_key),
        mail_tokens.c.purpose == "reset",
        mail_tokens.c.used_at.is_(None),
        mail_tokens.c.expires_at > now,
    )


def record(connection: Connection, caller: Caller, action: str, ended: int, *, now: datetime) -> None:
    """A row that says so."""
    activity.record(
        connection,
        caller,
        action,
        now=now,
        object_type="account",
        object_id=caller.user_id,
        details={"sessionsEnded": ended},
    )
