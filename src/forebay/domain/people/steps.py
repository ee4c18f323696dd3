"""Steps of a sign-in that has more than one: what must be remembered between them, for a few minutes and for one use.

A step is known by a token that only the person's program or browser has; the database keeps its hash. The CLI's step
also has a short code for a person to compare.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import credentials
from forebay.errors import BadRequest
from forebay.storage.tables import sign_in_steps

PREFIX = "fby_sp_"


class Purpose(StrEnum):
    """What the step is part of."""

    second_factor = "second-factor"
    passkey = "passkey"
    new_passkey = "new-passkey"
    oidc = "oidc"
    cli = "cli"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step that can still be taken."""

    id: str
    user_id: str | None
    document: dict[str, Any]
    expires_at: datetime


def begin(
    connection: Connection,
    purpose: Purpose,
    document: Mapping[str, Any],
    secret_key: bytes,
    *,
    now: datetime,
    seconds: int,
    user_id: str | None = None,
    code: str | None = None,
) -> str:
    """Remember a step for so many seconds; its token."""
    token = credentials.new_token(PREFIX)
    connection.execute(
        sa.insert(sign_in_steps).values(
            id=ids.new_id(now),
            purpose=purpose.value,
            token_hash=credentials.hash_token(token, secret_key),
            code_hash=None if code is None else credentials.hash_token(code, secret_key),
            user_id=user_id,
            document=dict(document),
            created_at=now,
            expires_at=now + timedelta(seconds=seconds),
        )
    )
    return token


def peek(connection: Connection, purpose: Purpose, token: str, secret_key: bytes, *, now: datetime) -> Step | None:
    """The step of a token, if it can still be taken."""
    return found(connection, matching(purpose, now, token_hash=credentials.hash_token(token, secret_key)))


def by_code(connection: Connection, purpose: Purpose, code: str, secret_key: bytes, *, now: datetime) -> Step | None:
    """The step of a code that a person typed, if it can still be taken."""
    return found(connection, matching(purpose, now, code_hash=credentials.hash_token(code, secret_key)))


def take(connection: Connection, purpose: Purpose, token: str, secret_key: bytes, *, now: datetime) -> Step:
    """The step of a token, used up by this: of two who come at once one gets it. Raises BadRequest."""
    row = connection.execute(
        sa.update(sign_in_steps)
        .where(matching(purpose, now, token_hash=credentials.hash_token(token, secret_key)))
        .values(used_at=now)
        .returning(*COLUMNS)
    ).first()
    if row is None:
        raise BadRequest("This took too long, or was done already. Begin again.", code="STEP_EXPIRED")
    return Step(**row._mapping)


def change(connection: Connection, step: Step, document: Mapping[str, Any], *, user_id: str | None = None) -> None:
    """Remember something else for a step that goes on, and whose it is."""
    values: dict[str, Any] = {"document": dict(document)}
    if user_id is not None:
        values["user_id"] = user_id
    connection.execute(sa.update(sign_in_steps).where(sign_in_steps.c.id == step.id).values(**values))


def forget_old(connection: Connection, *, now: datetime) -> int:
    """Drop steps that are over since a day; how many."""
    old = now - timedelta(days=1)
    return int(connection.execute(sa.delete(sign_in_steps).where(sign_in_steps.c.expires_at <= old)).rowcount)


COLUMNS = [sign_in_steps.c[name] for name in Step.__struct_fields__]


def matching(purpose: Purpose, now: datetime, **hashes: str) -> sa.ColumnElement[bool]:
    """Rows that can still be taken."""
    columns = sign_in_steps.c
    return sa.and_(
        columns.purpose == purpose.value,
        columns.used_at.is_(None),
        columns.expires_at > now,
        *(columns[name] == value for name, value in hashes.items()),
    )


def found(connection: Connection, where: sa.ColumnElement[bool]) -> Step | None:
    """The one row, as a value. Held until the transaction ends, so that nobody decides by what another changes now."""
    row = connection.execute(sa.select(*COLUMNS).where(where).with_for_update()).first()
    return None if row is None else Step(**row._mapping)
