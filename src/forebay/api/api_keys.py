"""`/api/api-keys`: keys for programs. They are made, changed and ended by people who are signed in, never by keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import Needs, route
from forebay.domain.people import activity, api_keys, credentials, mails, teams
from forebay.domain.people.api_keys import ApiKey
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Forbidden

MOST_DAYS = 3650

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Days = Annotated[int, msgspec.Meta(ge=1, le=MOST_DAYS)]
SomeTeams = Annotated[list[str], msgspec.Meta(min_length=1, max_length=200)]
SomePermissions = Annotated[list[str], msgspec.Meta(min_length=1, max_length=50)]


class NewApiKey(Input):
    """A new key. Without `teamId` its current team is the one I look at now."""

    name: Name
    team_id: str | None = None
    expires_in_days: Days | None = None
    may_touch_money: bool = False
    team_ids: SomeTeams | None = None
    """Narrow the key to these teams."""
    permissions: SomePermissions | None = None
    """Narrow the key to these permissions."""


class ChangedApiKey(Input):
    """What to change of a key; what is left out stays as it is."""

    name: Name | UnsetType = UNSET
    team_id: str | UnsetType = UNSET
    """Its current team."""
    expires_in_days: Days | UnsetType | None = UNSET
    """From now; null: never."""
    may_touch_money: bool | UnsetType = UNSET
    team_ids: SomeTeams | UnsetType | None = UNSET
    """Null: all of my teams."""
    permissions: SomePermissions | UnsetType | None = UNSET
    """Null: whatever my role allows."""


class Rotation(Input):
    """How to replace a key."""

    keep_hours: Annotated[int, msgspec.Meta(ge=0, le=api_keys.MOST_KEEP_HOURS)] = 0
    """The old key stays good for so long; 0: it ends at once."""


class KeyList(Input):
    """Which keys."""

    include_revoked: bool = False
    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100


class Key(Wire):
    """A key as its owner sees it."""

    id: str
    name: str
    status: Literal["active", "expiring", "expired", "revoked", "suspended"]
    """`expiring`: within two weeks. `suspended`: the account isn't approved for API access at present."""
    first_characters: str
    last_characters: str
    created_at: str
    expires_at: str | None
    days_left: int | None
    revoked_at: str | None
    last_used_at: str | None
    last_used_from: str | None
    """An address."""
    replaced_by: str | None
    """The id of the key that came in its place."""
    current_team_id: str
    may_touch_money: bool
    team_ids: list[str] | None
    permissions: list[str] | None


class NewKey(Key):
    """A key that was just made."""

    secret: str
    """The key itself: shown now and never again."""


class RotatedKey(NewKey):
    """A key that was just made, in the place of another."""

    old_key: Key


class Keys(Wire):
    """A page of mine, newest first."""

    api_keys: list[Key]
    total: int
    page: int
    limit: int
    total_pages: int


class Revoked(Wire):
    """It is good for nothing any more."""

    success: bool


def when(moment: datetime | None) -> str | None:
    """A moment as clients see it."""
    return None if moment is None else iso(int(moment.timestamp()))


def is_suspended(call: Call) -> bool:
    """Whether the caller's keys don't work because API access isn't approved."""
    return call.settings.api_access == "approved" and call.caller.api_access != "approved"


def to_wire(call: Call, key: ApiKey, kind: type[Key] = Key, **more: Any) -> Key:
    """A key as its owner sees it."""
    return kind(
        id=key.id,
        name=key.name,
        status=key.status(call.now, is_suspended=is_suspended(call)).value,
        first_characters=key.first_characters,
        last_characters=key.last_characters,
        created_at=when(key.created_at) or "",
        expires_at=when(key.expires_at),
        days_left=credentials.days_left(key.expires_at, call.now),
        revoked_at=when(key.revoked_at),
        last_used_at=when(key.last_used_at),
        last_used_from=key.last_used_from,
        replaced_by=key.replaced_by,
        current_team_id=key.current_team_id,
        may_touch_money=key.may_touch_money,
        team_ids=key.team_ids,
        permissions=key.permissions,
        **more,
    )


def check(
    call: Call, name: str, current: str | None, team_ids: Sequence[str] | None, permissions: Sequence[str] | None
) -> None:
    """Raise BadRequest unless all that a key names exists and is the caller's, and its current team is among them."""
    mine = {team.id for team in teams.of_user(call.connection, call.caller.user_id)}
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


def demand_access(call: Call) -> None:
    """Raise Forbidden unless the account is approved for API access."""
    if is_suspended(call):
        raise Forbidden(
            "API access has not been approved for this account. Ask for it first.",
            code="API_ACCESS_NEEDED",
            details={"status": call.caller.api_access},
        )


def in_days(call: Call, days: int | None) -> datetime | None:
    """So many days from now; None: never."""
    return None if days is None else call.now + timedelta(days=days)


@route("GET", "/api/api-keys", needs=Needs.session, query=KeyList, answers=Keys)
def list_all(call: Call, query: KeyList) -> Keys:
    """My API keys, without their secrets."""
    found, total = api_keys.listed(
        call.connection,
        call.caller.user_id,
        with_revoked=query.include_revoked,
        page=query.page,
        limit=query.limit,
    )
    return Keys(
        api_keys=[to_wire(call, key) for key in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


@route(
    "POST",
    "/api/api-keys",
    needs=Needs.session,
    is_recent=True,
    body=NewApiKey,
    answers=NewKey,
    status=201,
    is_replayable=False,
)
def create(call: Call, body: NewApiKey) -> Key:
    """Make an API key. The secret is in this answer and nowhere else.

    Needs a sign-in of the last 15 minutes. The account's owner is told by mail.
    """
    caller = call.caller
    demand_access(call)
    current = body.team_id or caller.current_team_id or ""
    name = body.name.strip()
    check(call, name, current, body.team_ids, body.permissions)
    api_keys.refuse_too_many(call.connection, caller.user_id, now=call.now)
    secret, key = api_keys.create(
        call.connection,
        user_id=caller.user_id,
        name=name,
        prefix=call.settings.api_key_prefix,
        secret_key=call.services.secret_key,
        current_team_id=current,
        now=call.now,
        expires_at=in_days(call, body.expires_in_days),
        may_touch_money=body.may_touch_money,
        team_ids=body.team_ids,
        permissions=body.permissions,
    )
    note(call, "create", key)
    tell(call, f"A new API key was made: {plain(key.name)}", key)
    return to_wire(call, key, NewKey, secret=secret)


@route(
    "PATCH",
    "/api/api-keys/{key_id}",
    needs=Needs.session,
    is_recent=True,
    body=ChangedApiKey,
    answers=Key,
    raises=(409,),
)
def change(call: Call, key_id: str, body: ChangedApiKey) -> Key:
    """Change a key: its name, current team, end, and what it is narrowed to.

    Needs a sign-in of the last 15 minutes. It counts from the next request on. A key that has ended or was replaced
    stays as it is (409).
    """
    key = api_keys.find(call.connection, call.caller.user_id, key_id)
    given = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}
    changes: dict[str, Any] = {}
    if "name" in given:
        changes["name"] = given["name"].strip()
    if "team_id" in given:
        changes["current_team_id"] = given["team_id"]
    if "expires_in_days" in given:
        changes["expires_at"] = in_days(call, given["expires_in_days"])
    changes |= {name: given[name] for name in ("may_touch_money", "team_ids", "permissions") if name in given}
    if set(changes) - {"expires_at", "may_touch_money"}:
        wanted = msgspec.structs.replace(key, **changes)
        check(call, wanted.name, wanted.current_team_id, wanted.team_ids, wanted.permissions)
    changed = api_keys.change(call.connection, call.caller.user_id, key, changes, now=call.now)
    note(call, "change", changed, changed=sorted(changes))
    return to_wire(call, changed)


@route(
    "POST",
    "/api/api-keys/{key_id}/rotate",
    needs=Needs.session,
    is_recent=True,
    body=Rotation,
    answers=RotatedKey,
    status=201,
    is_replayable=False,
)
def rotate(call: Call, key_id: str, body: Rotation) -> Key:
    """Replace a key by a new one with the same name, narrowing and lifetime.

    The secret is in this answer alone. Needs a sign-in of the last 15 minutes.

    The old key ends at once, or after `keepHours`; it is never good for
    longer than before. A key that has ended or was replaced already can't be rotated (409).
    """
    demand_access(call)
    caller = call.caller
    old = api_keys.find(call.connection, caller.user_id, key_id)
    lifetime = None if old.expires_at is None else min(old.expires_at - old.created_at, timedelta(days=MOST_DAYS))
    secret, new = api_keys.rotate(
        call.connection,
        caller.user_id,
        old,
        prefix=call.settings.api_key_prefix,
        secret_key=call.services.secret_key,
        keep_hours=body.keep_hours,
        expires_at=None if lifetime is None else call.now + lifetime,
        now=call.now,
    )
    note(call, "rotate", old, replaced_by=new.id, keep_hours=body.keep_hours)
    tell(call, f"An API key was rotated: {plain(new.name)}", new)
    replaced = api_keys.find(call.connection, caller.user_id, key_id)
    return to_wire(call, new, RotatedKey, secret=secret, old_key=to_wire(call, replaced))


@route("DELETE", "/api/api-keys/{key_id}", needs=Needs.session, answers=Revoked)
def revoke(call: Call, key_id: str) -> Revoked:
    """Revoke a key: no request that starts after this answer succeeds with it."""
    key = api_keys.find(call.connection, call.caller.user_id, key_id)
    api_keys.revoke(call.connection, call.caller.user_id, key_id, now=call.now)
    note(call, "revoke", key)
    return Revoked(success=True)


def note(call: Call, verb: str, key: ApiKey, **details: Any) -> None:
    """A row in the activity of the account."""
    activity.record(
        call.connection,
        call.caller,
        f"api-key.{verb}",
        now=call.now,
        object_type="api-key",
        object_id=key.id,
        details={"name": key.name, **details},
    )


def tell(call: Call, subject: str, key: ApiKey) -> None:
    """A mail to the key's owner: whoever has their session must not make one behind their back."""
    money = " It may touch money." if key.may_touch_money else ""
    end = "It does not expire." if key.expires_at is None else f"It expires on {key.expires_at:%Y-%m-%d}."
    letter = Letter(
        subject=subject,
        name=plain(call.caller.name),
        paragraphs=[
            f"{subject} ({key.first_characters}…{key.last_characters}), from the address {call.caller.address}.",
            f"{end}{money}",
        ],
        after=["If it wasn't you, revoke the key, end your sessions and change your password."],
    )
    mails.send(call.connection, call.caller.email, letter, now=call.now)
    call.nudge("mails")
