"""Changing one's address: it happens when both mailboxes have said yes, in either order, within a day.

The old one's yes keeps whoever borrowed a session from taking the account away; the new one's proves that it is
theirs. Whether the new address has an account already is told to its mailbox alone: everything else is the same.
"""

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from forebay import ids
from forebay.domain.people import accounts, activity, credentials, mails, notices, sent_links, slow_down
from forebay.domain.people.access import Caller
from forebay.domain.people.accounts import Account, check_email, email_key
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.passwords import LinkExpired
from forebay.domain.people.sign_in import as_caller
from forebay.errors import BadRequest, NotFound, RateLimitExceeded
from forebay.storage.tables import email_changes, mail_tokens, users

GOOD_SECONDS = 86_400
PREFIX = "fby_ca_"
MOST_A_DAY = 5
"""Changes that one account may begin in a day, and mails of this kind to one address in an hour."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change that waits for one mailbox or both."""

    id: str
    user_id: str
    old_email_key: str
    new_email: str
    new_email_key: str
    old_proved_at: datetime | None
    new_proved_at: datetime | None
    expires_at: datetime


COLUMNS = [email_changes.c[name] for name in Change.__struct_fields__]


def pending(connection: Connection, user_id: str, *, now: datetime) -> Change | None:
    """The change that a person has begun and that is still open."""
    row = connection.execute(sa.select(*COLUMNS).where(email_changes.c.user_id == user_id, is_open(now))).first()
    return None if row is None else Change(**row._mapping)


def is_open(now: datetime) -> sa.ColumnElement[bool]:
    """Changes that can still happen."""
    return sa.and_(email_changes.c.closed_at.is_(None), email_changes.c.expires_at > now)


def begin(
    connection: Connection, caller: Caller, new_email: str, *, secret_key: bytes, public_url: str, now: datetime
) -> None:
    """Send a link to each of both addresses; a change begun before is given up. Afterwards nudge `mails`.

    Raises BadRequest for what is no address or the same one, RateLimitExceeded for the sixth a day.
    """
    new_email = check_email(new_email)
    if email_key(new_email) == email_key(caller.email):
        sentence = "This is your address already."
        raise BadRequest(sentence, details={"email": sentence})
    refuse_too_many(connection, caller.user_id, now=now)
    close(connection, caller.user_id, now=now)
    old_token, new_token = credentials.new_token(PREFIX), credentials.new_token(PREFIX)
    change_id = ids.new_id(now)
    connection.execute(
        sa.insert(email_changes).values(
            id=change_id,
            user_id=caller.user_id,
            old_email_key=email_key(caller.email),
            new_email=new_email,
            new_email_key=email_key(new_email),
            old_token_hash=credentials.hash_token(old_token, secret_key),
            new_token_hash=credentials.hash_token(new_token, secret_key),
            created_at=now,
            expires_at=now + timedelta(seconds=GOOD_SECONDS),
        )
    )
    mails.send(connection, caller.email, to_old(caller.name, new_email, link(public_url, old_token)), now=now)
    if sent_links.is_within(connection, "address", new_email, limit=MOST_A_DAY, now=now):
        taken = accounts.by_email(connection, new_email)
        letter = to_new(link(public_url, new_token)) if taken is None else has_one(taken, public_url)
        mails.send(connection, new_email if taken is None else taken.email, letter, now=now)
    record(connection, caller, "account.change-address", change_id, now=now)


def refuse_too_many(connection: Connection, user_id: str, *, now: datetime) -> None:
    """Raise RateLimitExceeded where enough changes were begun in a day."""
    day_ago = now - timedelta(days=1)
    rows = connection.execute(
        sa.select(email_changes.c.created_at)
        .where(email_changes.c.user_id == user_id, email_changes.c.created_at > day_ago)
        .order_by(email_changes.c.created_at)
    ).all()
    if len(rows) >= MOST_A_DAY:
        raise RateLimitExceeded(int((rows[-MOST_A_DAY].created_at - day_ago).total_seconds()))


def close(connection: Connection, user_id: str, *, now: datetime) -> int:
    """Give up what is open; how many there were."""
    closed = connection.execute(
        sa.update(email_changes)
        .where(email_changes.c.user_id == user_id, email_changes.c.closed_at.is_(None))
        .values(closed_at=now)
    )
    return int(closed.rowcount)


def cancel(connection: Connection, caller: Caller, *, now: datetime) -> None:
    """Give the change up; its links are dead. Raises NotFound if there is none."""
    change = pending(connection, caller.user_id, now=now)
    if change is None:
        raise NotFound("Change of address")
    close(connection, caller.user_id, now=now)
    record(connection, caller, "account.cancel-address", change.id, now=now)


def prove(
    connection: Connection, token: str, *, secret_key: bytes, public_url: str, now: datetime, address: str
) -> bool:
    """One of both mailboxes says yes; whether the change is carried out by that. Afterwards nudge `mails`.

    Raises LinkExpired, which is counted, for a link that is unknown, used or too old, and for a new address that got
    an account meanwhile; RateLimitExceeded.
    """
    attempt = slow_down.of_network("link", address, secret_key)
    slow_down.refuse_early(connection, attempt.counts, now=now)
    token_hash = credentials.hash_token(token, secret_key)
    asked = sa.or_(email_changes.c.old_token_hash == token_hash, email_changes.c.new_token_hash == token_hash)
    whose = connection.execute(sa.select(email_changes.c.user_id).where(asked)).scalar()
    if whose is not None:
        # It goes from changes to links, a new password from links to changes.
        accounts.lock_way_in(connection, whose)
    change = say_yes(connection, token_hash, now=now)
    account = None if change is None else accounts.by_id(connection, change.user_id)
    if change is None or account is None or email_key(account.email) != change.old_email_key:
        slow_down.count(connection, attempt, now=now)
        raise LinkExpired
    if change.old_proved_at is None or change.new_proved_at is None:
        return False
    close(connection, account.id, now=now)
    if not carry_out(connection, account, change):
        raise LinkExpired
    record(connection, as_caller(account, address), "account.address-changed", change.id, now=now)
    for recipient in (account.email, change.new_email):
        notices.send(
            connection,
            recipient,
            name=account.name,
            subject="Your address was changed",
            sentences=[f"the address of your account is {change.new_email} from now on; it was {account.email}."],
            public_url=public_url,
            now=now,
            address=address,
        )
    return True


def say_yes(connection: Connection, token_hash: str, *, now: datetime) -> Change | None:
    """Note a yes, once for each side; the change as it is then, locked. None for a link that isn't good."""
    for token, proved in (("old_token_hash", "old_proved_at"), ("new_token_hash", "new_proved_at")):
        columns = email_changes.c
        row = connection.execute(
            sa.update(email_changes)
            .where(columns[token] == token_hash, columns[proved].is_(None), is_open(now))
            .values({proved: now})
            .returning(*COLUMNS)
        ).first()
        if row is not None:
            return Change(**row._mapping)
    return None


def carry_out(connection: Connection, account: Account, change: Change) -> bool:
    """Change the address; False if somebody has an account with it by now. Links to the old one are dead."""
    unused = sa.and_(mail_tokens.c.user_id == account.id, mail_tokens.c.used_at.is_(None))
    try:
        with connection.begin_nested():
            connection.execute(sa.delete(mail_tokens).where(unused))
            connection.execute(
                sa.update(users)
                .where(users.c.id == account.id, users.c.email_key == change.old_email_key)
                .values(email=change.new_email, email_key=change.new_email_key)
            )
    except IntegrityError:
        return False
    return True


def link(public_url: str, token: str) -> str:
    """Where a mailbox says yes."""
    return f"{public_url}/change-address?token={token}"


def to_old(name: str, new_email: str, url: str) -> Letter:
    """The mail to the present address."""
    return Letter(
        subject="Change your address?",
        name=name,
        paragraphs=[f"someone who is signed in as you wants to change the address of your account to {new_email}."],
        label="Agree to the change",
        link=url,
        after=[
            "It is carried out once the new address has agreed too, within a day.",
            "If it wasn't you, don't agree, and set a new password at once: that ends all sessions.",
        ],
    )


def to_new(url: str) -> Letter:
    """The mail to the new address, which may be a stranger's: nothing in it was written by whoever asks."""
    return Letter(
        subject="Is this your new address?",
        name="",
        paragraphs=["someone, perhaps you, wants to use this address for their account."],
        label="Prove the address",
        link=url,
        after=[
            "The change is carried out once the present address has agreed too, within a day.",
            "If it wasn't you, ignore this mail.",
        ],
    )


def has_one(account: Account, public_url: str) -> Letter:
    """The mail to a new address that has an account of its own."""
    return Letter(
        subject="This address has an account",
        name=plain(account.name),
        paragraphs=[
            f"someone, perhaps you, wants to use this address for another account at {public_url}. "
            "It has one already, so that is not possible: delete the one, or choose another address."
        ],
        after=["If it wasn't you, there is nothing to do."],
    )


def record(connection: Connection, caller: Caller, action: str, change_id: str, *, now: datetime) -> None:
    """A row that says so."""
    activity.record(connection, caller, action, now=now, object_type="address-change", object_id=change_id)
