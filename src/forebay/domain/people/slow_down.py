"""Guessing is slowed down, and nobody can lock anybody else out by guessing wrong.

Wrong guesses are counted three times, in the database, so that it holds over all processes:

- for the account and the network they come from: after 5 each costs a wait, 1 s at first, doubling up to 15 minutes;
- for the network alone, against trying one password on many accounts: after 100, up to a minute;
- for the account alone, against guessing from many networks: after 20, up to a minute for passwords, where whoever
  guesses knows nothing yet, and up to 15 minutes for codes, where they know the password.

The last two don't concern a network that the account has signed in from before: whoever hammers from elsewhere makes
its owner wait nowhere they are known. A network is an IPv4 /24 or an IPv6 /64. An attempt is counted before it is
looked at and given back if it was right, so that guesses made at once gain nothing; a right one forgets the account's
own count there. Accounts are counted by the address that was typed, in the same way whether there is one or not. What
is counted for passwords, for second factors and for mails is kept apart (`realm`). So are requests to other servers
that a person has us make: after 30 each costs a wait of up to a minute.
"""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import credentials
from forebay.errors import RateLimitExceeded
from forebay.storage.database import upsert_insert
from forebay.storage.tables import mail_tokens, sessions, sign_in_failures

QUIET_SECONDS = 86400
"""A count is forgotten after a day without a wrong guess."""
PAIR = (5, 900)
NETWORK = (100, 60)
ACCOUNT = {"password": (20, 60), "code": (20, 900)}
"""How many are free, and the longest wait in seconds."""
LINKS = (100, 60)
ASKING = (30, 60)
MOST_ADDRESSES = 500


class Count(msgspec.Struct, frozen=True):
    """One of the counts that an attempt adds to."""

    subject: str
    free: int
    longest_seconds: int

    def wait_seconds(self, failures: int) -> int:
        """The wait after so many wrong guesses in a row."""
        return 0 if failures < self.free else min(self.longest_seconds, 1 << min(failures - self.free, 30))


class Attempt(msgspec.Struct, frozen=True):
    """A guess that was counted and not looked at yet: the account's own count first."""

    counts: Sequence[Count]


def network_of(address: str) -> str:
    """The network that an address belongs to; what is no address stands for itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 64), strict=False))


def is_known(connection: Connection, user_id: str, address: str) -> bool:
    """Whether the person has signed in from this network before, or opened a link there that we had mailed to them."""
    signed_in = sa.select(sessions.c.address).where(sessions.c.user_id == user_id)
    opened = sa.select(mail_tokens.c.used_from).where(
        mail_tokens.c.user_id == user_id, mail_tokens.c.used_from.is_not(None)
    )
    network = network_of(address)
    rows = connection.execute(signed_in.union(opened).limit(MOST_ADDRESSES))
    return any(network_of(row[0]) == network for row in rows)


def look(
    connection: Connection,
    realm: str,
    account: str,
    *,
    user_id: str | None,
    address: str,
    secret_key: bytes,
    now: datetime,
) -> Attempt:
    """What an attempt at an account (by any name for it that is always the same) will add to.

    Reads alone, so that refusing costs little while somebody hammers. Raises RateLimitExceeded.
    """
    counts = counts_of(connection, realm, account, user_id=user_id, address=address, secret_key=secret_key)
    refuse_early(connection, counts, now=now)
    return Attempt(counts)


def count(connection: Connection, attempt: Attempt, *, now: datetime) -> int:
    """Count an attempt before it is looked at, or in the same transaction. Raises RateLimitExceeded.

    How many there were in a row by now, of this account in this network if it is wrong too.
    """
    own, *_ = [note(connection, one, now=now) for one in attempt.counts]
    return own


def of_network(realm: str, address: str, secret_key: bytes) -> Attempt:
    """An attempt that names no account, such as a link that is not good: counted for its network alone."""
    subject = credentials.hash_token("\0".join(("slow-down", realm, "network", network_of(address))), secret_key)
    return Attempt([Count(subject, *LINKS)])


def of_person(realm: str, user_id: str, secret_key: bytes) -> Attempt:
    """Something that another server is asked for a person's sake: they may, but not as fast as they can press."""
    subject = credentials.hash_token("\0".join(("slow-down", realm, "person", user_id)), secret_key)
    return Attempt([Count(subject, *ASKING)])


def counts_of(
    connection: Connection, realm: str, account: str, *, user_id: str | None, address: str, secret_key: bytes
) -> list[Count]:
    """What an attempt adds to, always in the same order, so that two never wait for each other."""

    def subject(*parts: str) -> str:
        return credentials.hash_token("\0".join(("slow-down", realm, *parts)), secret_key)

    network = network_of(address)
    counts = [Count(subject("pair", account, network), *PAIR)]
    # Asked for nobody too, so that both take equally long.
    if not is_known(connection, user_id or "", address):
        counts.append(Count(subject("network", network), *NETWORK))
        counts.append(Count(subject("account", account), *ACCOUNT[realm]))
    return counts


def refuse_early(connection: Connection, counts: Sequence[Count], *, now: datetime) -> None:
    """Raise RateLimitExceeded with the longest wait that is left."""
    column = sign_in_failures.c
    latest = connection.execute(
        sa.select(sa.func.max(sa.cast(column.wait_until, sa.BigInteger))).where(
            column.subject.in_([count.subject for count in counts])
        )
    ).scalar()
    left = (latest or 0) - int(now.timestamp())
    if left > 0:
        raise RateLimitExceeded(left)


def note(connection: Connection, count: Count, *, now: datetime) -> int:
    """Count one attempt as wrong; how many there were in a row.

    Raises RateLimitExceeded if another has come first in this very moment.
    """
    column = sign_in_failures.c
    quiet_since = now - timedelta(seconds=QUIET_SECONDS)
    insert = upsert_insert(connection, sign_in_failures).values(
        subject=count.subject, failures=1, last_at=now, wait_until=now
    )
    failures = sa.case((column.last_at <= quiet_since, 1), else_=column.failures + 1)
    counted = connection.execute(
        insert.on_conflict_do_update(
            index_elements=[column.subject],
            set_={"failures": failures, "last_at": now},
            where=column.wait_until <= now,
        ).returning(column.failures)
    ).scalar()
    if counted is None:
        refuse_early(connection, [count], now=now)
        raise RateLimitExceeded(1)
    wait = count.wait_seconds(int(counted))
    if wait:
        until = now + timedelta(seconds=wait)
        connection.execute(sa.update(sign_in_failures).where(column.subject == count.subject).values(wait_until=until))
    return int(counted)


def forgive(connection: Connection, attempt: Attempt, *, now: datetime) -> None:
    """The guess was right: the account's count here is forgotten, the others are as before it."""
    own, *wide = attempt.counts
    column = sign_in_failures.c
    connection.execute(sa.delete(sign_in_failures).where(column.subject == own.subject))
    for count in wide:
        connection.execute(
            sa.update(sign_in_failures)
            .where(column.subject == count.subject, column.failures > 0)
            .values(failures=column.failures - 1, wait_until=now)
        )


def forget(connection: Connection, realm: str, account: str, *, address: str, secret_key: bytes) -> None:
    """Forget the account's own count in this network: its owner has proved in another way who they are."""
    own = counts_of(connection, realm, account, user_id=None, address=address, secret_key=secret_key)[0]
    connection.execute(sa.delete(sign_in_failures).where(sign_in_failures.c.subject == own.subject))


def forget_old(connection: Connection, *, now: datetime) -> int:
    """Drop counts without a wrong guess for a day; how many."""
    old = sign_in_failures.c.last_at <= now - timedelta(seconds=QUIET_SECONDS)
    return int(connection.execute(sa.delete(sign_in_failures).where(old)).rowcount)
