"""`/api/api-keys`: keys for programs. They are made, changed and ended by people who are signed in, never by keys."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso_at
from forebay.api.route import Needs, route
from forebay.domain.people import api_keys, credentials, key_changes
from forebay.domain.people.api_keys import ApiKey
from forebay.domain.people.key_changes import Wish

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Days = Annotated[int, msgspec.Meta(ge=1, le=key_changes.MOST_DAYS)]
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


def to_wire(call: Call, key: ApiKey, kind: type[Key] = Key, **more: Any) -> Key:
    """A key as its owner sees it."""
    return kind(
        id=key.id,
        name=key.name,
        status=key.status(call.now, is_suspended=key_changes.is_suspended(call.caller, call.settings.api_access)).value,
        first_characters=key.first_characters,
        last_characters=key.last_characters,
        created_at=iso_at(key.created_at) or "",
        expires_at=iso_at(key.expires_at),
        days_left=credentials.days_left(key.expires_at, call.now),
        revoked_at=iso_at(key.revoked_at),
        last_used_at=iso_at(key.last_used_at),
        last_used_from=key.last_used_from,
        replaced_by=key.replaced_by,
        current_team_id=key.current_team_id,
        may_touch_money=key.may_touch_money,
        team_ids=key.team_ids,
        permissions=key.permissions,
        **more,
    )


def made_with(call: Call) -> dict[str, Any]:
    """What this cloud makes keys with."""
    settings = call.settings
    return {
        "given_to": settings.api_access,
        "prefix": settings.api_key_prefix,
        "secret_key": call.services.secret_key,
    }


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
    wish = Wish(
        name=body.name,
        current_team_id=body.team_id or call.caller.current_team_id or "",
        expires_in_days=body.expires_in_days,
        may_touch_money=body.may_touch_money,
        team_ids=body.team_ids,
        permissions=body.permissions,
    )
    secret, key = key_changes.make(call.connection, call.caller, wish, **made_with(call), now=call.now)
    call.nudge("mails")
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
    given = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}
    changes: dict[str, Any] = {}
    if "name" in given:
        changes["name"] = given["name"].strip()
    if "team_id" in given:
        changes["current_team_id"] = given["team_id"]
    if "expires_in_days" in given:
        changes["expires_at"] = key_changes.in_days(given["expires_in_days"], call.now)
    changes |= {name: given[name] for name in ("may_touch_money", "team_ids", "permissions") if name in given}
    changed = key_changes.change(call.connection, call.caller, key_id, changes, now=call.now)
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
    secret, new = key_changes.rotate(
        call.connection, call.caller, key_id, keep_hours=body.keep_hours, **made_with(call), now=call.now
    )
    call.nudge("mails")
    replaced = api_keys.find(call.connection, call.caller.user_id, key_id)
    return to_wire(call, new, RotatedKey, secret=secret, old_key=to_wire(call, replaced))


@route("DELETE", "/api/api-keys/{key_id}", needs=Needs.session, answers=Revoked)
def revoke(call: Call, key_id: str) -> Revoked:
    """Revoke a key: no request that starts after this answer succeeds with it."""
    key_changes.revoke(call.connection, call.caller, key_id, now=call.now)
    return Revoked(success=True)
