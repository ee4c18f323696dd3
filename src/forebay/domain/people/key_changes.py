"""What people do with their API keys: make, change, rotate and revoke them, each on record and told by mail.

Never done with a key, and, but for revoking, under a recent sign-in: whoever calls has seen to that.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from forebay.domain.people import activity, api_keys, mails, teams
from forebay.domain.people.access import Caller
from forebay.domain.people.api_keys import ApiKey
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Forbidden

MOST_DAYS = 3650


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The key that is asked for."""

    name: str
    current_team_id: str
    expires_in_days: int | None
    """None: never."""
    may_touch_money: bool = False
    team_ids: Sequence[str] | None = None
    permissions: Sequence[str] | None = None


def is_suspended(caller: Caller, given_to: str) -> bool:
    """Whether the person's keys don't work, because API access is given to the `approved` alone."""
    return given_to == "approved" and caller.api_access != "approved"


def demand_access(caller: Caller, given_to: str) -> None:
    """Raise Forbidden unless the account is approved for API access, where it has to be."""
    if is_suspended(caller, given_to):
        raise Forbidden(
            "API access has not been approved for this account. Ask for it first.",
            code="API_ACCESS_NEEDED",
            details={"status": caller.api_access},
        )


def check(
    connection: Connection,
    caller: Caller,
    name: str,
    current: str | None,
    team_ids: Sequence[str] | None,
    permissions: Sequence[str] | None,
) -> None:
    """Raise BadRequest unless all that a key names exists and is the person's, its current team among them."""
    mine = {team.id for team in teams.of_user(connection, caller.user_id)}
    wrong = {}
    if current not in mine:
        wrong["teamId"] = "not one of your teams"
    if team_ids is not None:
        if not set(team_ids) <= mine:
            wrong["teamIds"] = "not all of these are your teams"
        elif current not in team_ids:
            wrong["teamId"] = "must be one of teamIds"
    unknown = sorted(set(permissions or []) - {permission.value for permission in Permission})
    if unknown:
        wrong["permissions"] = f"no such permission: {', '.join(unknown)[:200]}"
    if not name or not name.isprintable():
        wrong["name"] = "1 to 80 printable characters"
    if wrong:
        raise BadRequest("The key can't be made like this.", details=wrong)


def in_days(days: int | None, now: datetime) -> datetime | None:
    """So many days from now; None: never."""
    return None if days is None else now + timedelta(days=days)


def make(
    connection: Connection, caller: Caller, wish: Wish, *, given_to: str, prefix: str, secret_key: bytes, now: datetime
) -> tuple[str, ApiKey]:
    """A new key: its secret, which nobody sees again, and what is known of it.

    `given_to` is whom the cloud gives API access to. Raises Forbidden, BadRequest, Conflict for one too many.
    """
    demand_access(caller, given_to)
    name = wish.name.strip()
    check(connection, caller, name, wish.current_team_id, wish.team_ids, wish.permissions)
    api_keys.refuse_too_many(connection, caller.user_id, now=now)
    secret, key = api_keys.create(
        connection,
        user_id=caller.user_id,
        name=name,
        prefix=prefix,
        secret_key=secret_key,
        current_team_id=wish.current_team_id,
        now=now,
        expires_at=in_days(wish.expires_in_days, now),
        may_touch_money=wish.may_touch_money,
        team_ids=wish.team_ids,
        permissions=wish.permissions,
    )
    note(connection, caller, "create", key, now=now)
    tell(connection, caller, f"A new API key was made: {plain(key.name)}", key, now=now)
    return secret, key


def change(connection: Connection, caller: Caller, key_id: str, changes: Mapping[str, Any], *, now: datetime) -> ApiKey:
    """Give a key other settings, by their field names. Raises NotFound, BadRequest, KeyEnded."""
    key = api_keys.find(connection, caller.user_id, key_id)
    if set(changes) - {"expires_at", "may_touch_money"}:
        wanted = msgspec.structs.replace(key, **changes)
        check(connection, caller, wanted.name, wanted.current_team_id, wanted.team_ids, wanted.permissions)
    changed = api_keys.change(connection, caller.user_id, key, changes, now=now)
    note(connection, caller, "change", changed, now=now, changed=sorted(changes))
    return changed


def rotate(
    connection: Connection,
    caller: Caller,
    key_id: str,
    *,
    keep_hours: int,
    given_to: str,
    prefix: str,
    secret_key: bytes,
    now: datetime,
) -> tuple[str, ApiKey]:
    """A key in the place of another, as narrow and for as long. Raises Forbidden, NotFound, KeyEnded."""
    demand_access(caller, given_to)
    old = api_keys.find(connection, caller.user_id, key_id)
    lifetime = None if old.expires_at is None else min(old.expires_at - old.created_at, timedelta(days=MOST_DAYS))
    secret, new = api_keys.rotate(
        connection,
        caller.user_id,
        old,
        prefix=prefix,
        secret_key=secret_key,
        keep_hours=keep_hours,
        expires_at=None if lifetime is None else now + lifetime,
        now=now,
    )
    note(connection, caller, "rotate", old, now=now, replaced_by=new.id, keep_hours=keep_hours)
    tell(connection, caller, f"An API key was rotated: {plain(new.name)}", new, now=now)
    return secret, new


def revoke(connection: Connection, caller: Caller, key_id: str, *, now: datetime) -> ApiKey:
    """No request that starts after this is committed succeeds with the key. Raises NotFound."""
    key = api_keys.find(connection, caller.user_id, key_id)
    api_keys.revoke(connection, caller.user_id, key_id, now=now)
    note(connection, caller, "revoke", key, now=now)
    return key


def note(connection: Connection, caller: Caller, verb: str, key: ApiKey, *, now: datetime, **details: Any) -> None:
    """A row in the activity of the account."""
    activity.record(
        connection,
        caller,
        f"api-key.{verb}",
        now=now,
        object_type="api-key",
        object_id=key.id,
        details={"name": key.name, **details},
    )


def tell(connection: Connection, caller: Caller, subject: str, key: ApiKey, *, now: datetime) -> None:
    """A mail to the key's owner: whoever has their session must not make one behind their back."""
    money = " It may touch money." if key.may_touch_money else ""
    end = "It does not expire." if key.expires_at is None else f"It expires on {key.expires_at:%Y-%m-%d}."
    letter = Letter(
        subject=subject,
        name=plain(caller.name),
        paragraphs=[
            f"{subject} ({key.first_characters}…{key.last_characters}), from the address {caller.address}.",
            f"{end}{money}",
        ],
        after=["If it wasn't you, revoke the key, end your sessions and change your password."],
    )
    mails.send(connection, caller.email, letter, now=now)
