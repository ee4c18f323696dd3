"""API keys: one key reaches every team of its owner, with the role held there at that moment.

A key is shown once. It has a current team of its own, so that switching teams elsewhere never moves a script to
another bill. Making one needs the account to be on the API whitelist; one that may touch money needs a recent sign-in
too.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import credentials
from forebay.errors import NotFound
from forebay.storage.tables import api_keys

MOST_KEYS = 50


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as its owner sees it: never the secret."""

    id: str
    name: str
    first_characters: str
    last_characters: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    current_team_id: str
    may_touch_money: bool
    team_ids: list[str] | None
    permissions: list[str] | None


def create(
    connection: Connection,
    *,
    user_id: str,
    name: str,
    prefix: str,
    secret_key: bytes,
    current_team_id: str,
    now: datetime,
    expires_at: datetime | None = None,
    may_touch_money: bool = False,
    team_ids: Sequence[str] | None = None,
    permissions: Sequence[str] | None = None,
) -> tuple[str, ApiKey]:
    """A new key: the secret, which is kept nowhere, and what is known of it."""
    secret = credentials.new_token(prefix)
    key = ApiKey(
        id=ids.new_id(now),
        name=name,
        first_characters=secret[: len(prefix) + 4],
        last_characters=secret[-4:],
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
        current_team_id=current_team_id,
        may_touch_money=may_touch_money,
        team_ids=None if team_ids is None else list(team_ids),
        permissions=None if permissions is None else [str(permission) for permission in permissions],
    )
    connection.execute(
        sa.insert(api_keys).values(
            user_id=user_id, secret_hash=credentials.hash_token(secret, secret_key), **msgspec.structs.asdict(key)
        )
    )
    return secret, key


def of_user(connection: Connection, user_id: str) -> Sequence[ApiKey]:
    """The person's keys that aren't revoked, newest first."""
    columns = [api_keys.c[name] for name in ApiKey.__struct_fields__]
    rows = connection.execute(
        sa.select(*columns)
        .where(api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
        .order_by(api_keys.c.id.desc())
    )
    return [ApiKey(**row._mapping) for row in rows]


def revoke(connection: Connection, user_id: str, key_id: str, *, now: datetime) -> None:
    """No request that starts after this is committed succeeds with the key. Raises NotFound."""
    revoked = connection.execute(
        sa.update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    if revoked.rowcount != 1:
        raise NotFound("API key")


def note_use(connection: Connection, uses: Sequence[tuple[str, datetime, str]]) -> None:
    """Record the last use of keys: (key id, when, from which address)."""
    for key_id, at, address in uses:
        connection.execute(
            sa.update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=at, last_used_from=address[:64])
        )
