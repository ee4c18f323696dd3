"""Idempotency keys: a retried POST gets the answer of the first, which is stored in the transaction of its effect.

A key belongs to an account, a method and a path, for 24 hours. While the first request still runs the others are told
so; if it was cut off, its claim ends by itself and the next one runs, because an effect without its stored answer was
never committed.
"""

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.errors import Conflict
from forebay.storage.database import upsert_insert
from forebay.storage.tables import idempotency_keys

KEPT_HOURS = 24
CLAIM_SECONDS = 120


class RetryKey(msgspec.Struct, frozen=True):
    """What the client sent in `Idempotency-Key`, and whose and where it is."""

    user_id: str
    method: str
    path: str
    key: str
    request_hash: str

    def where(self) -> sa.ColumnElement[bool]:
        """The row of this key."""
        columns = idempotency_keys.c
        return sa.and_(
            columns.user_id == self.user_id,
            columns.method == self.method,
            columns.path == self.path,
            columns.key == self.key,
        )


class Answer(msgspec.Struct, frozen=True):
    """What was answered the first time."""

    status: int
    body: bytes


def begin(connection: Connection, retry: RetryKey, *, now: datetime) -> str | Answer:
    """A claim to carry the request out, or the answer of the first.

    Raises Conflict if that one still runs or had another body.
    """
    row = connection.execute(sa.select(idempotency_keys).where(retry.where()).with_for_update()).first()
    claim = ids.new_secret(16).hex()
    values = {
        "request_hash": retry.request_hash,
        "claim": claim,
        "claimed_until": now + timedelta(seconds=CLAIM_SECONDS),
        "status": None,
        "body": None,
        "created_at": now,
    }
    if row is None:
        own = {"user_id": retry.user_id, "method": retry.method, "path": retry.path, "key": retry.key}
        insert = upsert_insert(connection, idempotency_keys).values(**own, **values).on_conflict_do_nothing()
        # Asked for in words: how many rows an insert made is not known from every driver.
        if connection.execute(insert.returning(idempotency_keys.c.claim)).scalar() == claim:
            return claim
        raise in_progress()
    if row.created_at <= now - timedelta(hours=KEPT_HOURS):
        connection.execute(sa.update(idempotency_keys).where(retry.where()).values(**values))
        return claim
    if row.request_hash != retry.request_hash:
        raise Conflict(
            "This Idempotency-Key was used with another body before. Use a new key for a new request.",
            code="IDEMPOTENCY_KEY_REUSED",
        )
    if row.status is not None:
        return Answer(row.status, row.body)
    if row.claimed_until > now:
        raise in_progress()
    connection.execute(sa.update(idempotency_keys).where(retry.where()).values(**values))
    return claim


def in_progress() -> Conflict:
    """The first request with this key has not ended."""
    return Conflict("The first request with this Idempotency-Key is still running.", code="IN_PROGRESS")


def keep(connection: Connection, retry: RetryKey, claim: str, answer: Answer) -> None:
    """Store the answer, in the transaction of the effect. Raises Conflict if the claim has gone to another request."""
    kept = connection.execute(
        sa.update(idempotency_keys)
        .where(retry.where(), idempotency_keys.c.claim == claim)
        .values(status=answer.status, body=answer.body, claim=None, claimed_until=None)
    )
    if kept.rowcount != 1:
        raise in_progress()


def forget(connection: Connection, retry: RetryKey, claim: str) -> None:
    """The request came to nothing that should be remembered: the key is free again."""
    connection.execute(sa.delete(idempotency_keys).where(retry.where(), idempotency_keys.c.claim == claim))


def forget_old(connection: Connection, *, now: datetime, limit: int = 1000) -> int:
    """Drop keys that are too old to be honoured; how many."""
    old = (
        sa.select(
            idempotency_keys.c.user_id, idempotency_keys.c.method, idempotency_keys.c.path, idempotency_keys.c.key
        )
        .where(idempotency_keys.c.created_at <= now - timedelta(hours=KEPT_HOURS))
        .limit(limit)
    )
    rows = connection.execute(old).all()
    for user_id, method, path, key in rows:
        connection.execute(sa.delete(idempotency_keys).where(RetryKey(user_id, method, path, key, "").where()))
    return len(rows)


def are_any_old(connection: Connection, *, now: datetime) -> bool:
    """Whether there is a key to drop, asked without writing."""
    old = idempotency_keys.c.created_at <= now - timedelta(hours=KEPT_HOURS)
    return connection.execute(sa.select(idempotency_keys.c.key).where(old).limit(1)).first() is not None
