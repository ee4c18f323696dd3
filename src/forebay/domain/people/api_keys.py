"""API keys: one key reaches every team of its owner, with the role held there at that moment.

A key is shown once. It has a current team of its own, so that switching teams elsewhere never moves a script to
another bill. Making, changing and rotating keys needs a recent sign-in, and is never done with a key: what a key may
do is widened by its owner alone. Keys work while the account is on the API whitelist. What has ended (revoked, expired,
replaced by rotation and past its time) never works again, whatever is changed afterwards.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import credentials
from forebay.errors import Conflict, NotFound
from forebay.storage.rows import values_of
from forebay.storage.tables import api_keys, users

MOST_KEYS = 50
"""Of one account that can be used at once."""
EXPIRING_DAYS = 14
"""From so many days before its end on a key counts as expiring."""
MOST_KEEP_HOURS = 24
"""How long a rotated key may stay good beside the one that replaces it."""


class KeyStatus(StrEnum):
    """What becomes of a request with the key."""

    active = "active"
    expiring = "expiring"
    """It works, and ends within two weeks."""
    expired = "expired"
    revoked = "revoked"
    suspended = "suspended"
    """It would work, but the account isn't approved for API access at present."""


class KeyEnded(Conflict):
    """The key is revoked, expired or replaced: nothing brings it back."""

    def __init__(self, state: str) -> None:
        super().__init__(f"This key is {state}. Make a new one.", code=f"KEY_{state.upper()}")


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
    last_used_from: str | None = None
    current_team_id: str
    may_touch_money: bool
    team_ids: list[str] | None
    permissions: list[str] | None
    replaced_by: str | None = None

    def status(self, now: datetime, *, is_suspended: bool = False) -> KeyStatus:
        """What becomes of a request with it now; `is_suspended` if the account has no API access."""
        if self.revoked_at is not None:
            return KeyStatus.revoked
        if self.expires_at is not None and self.expires_at <= now:
            return KeyStatus.expired
        if is_suspended:
            return KeyStatus.suspended
        if self.expires_at is not None and self.expires_at - now <= timedelta(days=EXPIRING_DAYS):
            return KeyStatus.expiring
        return KeyStatus.active

    def demand_usable(self, now: datetime) -> None:
        """Raise KeyEnded for a key that has ended, or is about to because another has come in its place."""
        if self.revoked_at is not None and self.replaced_by is None:
            raise KeyEnded("revoked")
        if self.replaced_by is not None:
            raise KeyEnded("replaced")
        if self.expires_at is not None and self.expires_at <= now:
            raise KeyEnded("expired")


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


def refuse_too_many(connection: Connection, user_id: str, *, now: datetime) -> None:
    """Make room for one more, one request of the account after another. Raises Conflict if there is none."""
    connection.execute(sa.select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))
    usable = sa.select(sa.func.count()).where(
        api_keys.c.user_id == user_id,
        api_keys.c.revoked_at.is_(None),
        sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now),
    )
    if connection.execute(usable).scalar_one() >= MOST_KEYS:
        raise Conflict(f"You have {MOST_KEYS} keys already. Revoke one first.", code="TOO_MANY_KEYS")


def of_user(connection: Connection, user_id: str) -> Sequence[ApiKey]:
    """The person's keys that aren't revoked, newest first."""
    return select(connection, api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))


def listed(
    connection: Connection, user_id: str, *, with_revoked: bool, page: int, limit: int
) -> tuple[Sequence[ApiKey], int]:
    """A page of the person's keys, newest first, and how many there are in all."""
    mine = [api_keys.c.user_id == user_id]
    if not with_revoked:
        mine.append(api_keys.c.revoked_at.is_(None))
    total = connection.execute(sa.select(sa.func.count()).select_from(api_keys).where(*mine)).scalar_one()
    return select(connection, *mine, limit=limit, offset=(page - 1) * limit), int(total)


def find(connection: Connection, user_id: str, key_id: str) -> ApiKey:
    """One of the person's keys, revoked or not; nobody else changes it in this transaction. Raises NotFound."""
    mine = api_keys.c.user_id == user_id, api_keys.c.id == key_id
    connection.execute(sa.select(api_keys.c.id).where(*mine).with_for_update())
    for key in select(connection, *mine):
        return key
    raise NotFound("API key")


def change(connection: Connection, user_id: str, key: ApiKey, changes: Mapping[str, Any], *, now: datetime) -> ApiKey:
    """Give a key that has not ended other settings, by their field names. Raises KeyEnded."""
    key.demand_usable(now)
    if changes:
        changed = connection.execute(
            sa.update(api_keys)
            .where(
                api_keys.c.id == key.id,
                api_keys.c.user_id == user_id,
                api_keys.c.revoked_at.is_(None),
                api_keys.c.replaced_by.is_(None),
            )
            .values(**changes)
        )
        if changed.rowcount != 1:
            raise KeyEnded("revoked")
    return find(connection, user_id, key.id)


def rotate(
    connection: Connection,
    user_id: str,
    old: ApiKey,
    *,
    prefix: str,
    secret_key: bytes,
    keep_hours: int,
    expires_at: datetime | None,
    now: datetime,
) -> tuple[str, ApiKey]:
    """A new key in the place of one that has not ended, and as narrow: its secret, and what is known of it.

    The old one stays good for `keep_hours` more, at most a day, never longer than it would have been; with 0 it ends
    at once. Raises KeyEnded, Conflict.
    """
    if not 0 <= keep_hours <= MOST_KEEP_HOURS:
        raise ValueError("a rotated key is kept for a day at most")
    old.demand_usable(now)
    if keep_hours:
        refuse_too_many(connection, user_id, now=now)
    secret, new = create(
        connection,
        user_id=user_id,
        name=old.name,
        prefix=prefix,
        secret_key=secret_key,
        current_team_id=old.current_team_id,
        now=now,
        expires_at=expires_at,
        may_touch_money=old.may_touch_money,
        team_ids=old.team_ids,
        permissions=old.permissions,
    )
    until = now + timedelta(hours=keep_hours)
    if old.expires_at is not None:
        until = min(until, old.expires_at)
    # Of two who rotate it at once, one finds it replaced.
    replaced = connection.execute(
        sa.update(api_keys)
        .where(
            api_keys.c.id == old.id,
            api_keys.c.user_id == user_id,
            api_keys.c.revoked_at.is_(None),
            api_keys.c.replaced_by.is_(None),
        )
        .values(replaced_by=new.id, expires_at=until, revoked_at=None if keep_hours else now)
    )
    if replaced.rowcount != 1:
        raise KeyEnded("replaced")
    return secret, new


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


NEWEST_FIRST = sa.select(*(api_keys.c[name] for name in ApiKey.__struct_fields__)).order_by(api_keys.c.id.desc())


def select(
    connection: Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None, offset: int | None = None
) -> Sequence[ApiKey]:
    """Keys, newest first."""
    rows = connection.execute(NEWEST_FIRST.where(*conditions).limit(limit).offset(offset))
    return values_of(ApiKey, rows)
