"""`/api/api-keys` and `/api/api-access`: keys for programs, and the whitelist that one must be on to make them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import Needs, route
from forebay.domain.people import accounts, activity, api_keys, credentials, mails, sessions, teams
from forebay.domain.people.api_keys import ApiKey
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, Forbidden

MOST_DAYS = 3650


class NewApiKey(Input):
    """A new key. Without `teamId` its current team is the one I look at now."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    team_id: str | None = None
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=MOST_DAYS)] | None = None
    may_touch_money: bool = False
    team_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=200)] | None = None
    """Narrow the key to these teams."""
    permissions: Annotated[list[str], msgspec.Meta(min_length=1, max_length=50)] | None = None
    """Narrow the key to these permissions."""


class Key(Wire):
    """A key as its owner sees it."""

    id: str
    name: str
    first_characters: str
    last_characters: str
    created_at: str
    expires_at: str | None
    days_left: int | None
    last_used_at: str | None
    current_team_id: str
    may_touch_money: bool
    team_ids: list[str] | None
    permissions: list[str] | None


class NewKey(Key):
    """A key that was just made."""

    secret: str
    """The key itself: shown now and never again."""


class Keys(Wire):
    """All of mine, newest first."""

    api_keys: list[Key]


class Revoked(Wire):
    """It is good for nothing any more."""

    success: bool


class ApiAccess(Wire):
    """Where the account stands on the whitelist."""

    status: Literal["none", "requested", "approved", "refused"]
    message: str


SENTENCES = {
    "none": "Ask for API access, and an operator will look at it.",
    "requested": "You have asked for API access. An operator will look at it.",
    "approved": "You can make API keys.",
    "refused": "An operator has refused API access.",
}


def seconds(moment: datetime | None) -> int | None:
    """Seconds since 1970."""
    return None if moment is None else int(moment.timestamp())


def to_wire(key: ApiKey, now: datetime, kind: type[Key] = Key, **more: str) -> Key:
    """A key as its owner sees it."""
    return kind(
        id=key.id,
        name=key.name,
        first_characters=key.first_characters,
        last_characters=key.last_characters,
        created_at=iso(seconds(key.created_at)) or "",
        expires_at=iso(seconds(key.expires_at)),
        days_left=credentials.days_left(key.expires_at, now),
        last_used_at=iso(seconds(key.last_used_at)),
        current_team_id=key.current_team_id,
        may_touch_money=key.may_touch_money,
        team_ids=key.team_ids,
        permissions=key.permissions,
        **more,
    )


def check_narrowing(call: Call, body: NewApiKey) -> str:
    """The key's current team, if all that the key names exists and is the caller's. Raises BadRequest."""
    mine = {team.id for team in teams.of_user(call.connection, call.caller.user_id)}
    current = body.team_id or call.caller.current_team_id or ""
    wrong = {}
    if current not in mine:
        wrong["teamId"] = "not one of your teams"
    if body.team_ids is not None:
        if not set(body.team_ids) <= mine:
            wrong["teamIds"] = "not all of these are your teams"
        elif current not in body.team_ids:
            wrong["teamId"] = "must be one of teamIds"
    unknown = sorted(set(body.permissions or []) - {permission.value for permission in Permission})
    if unknown:
        wrong["permissions"] = f"no such permission: {', '.join(unknown)[:200]}"
    if not body.name.strip() or not body.name.isprintable():
        wrong["name"] = "1 to 80 printable characters"
    if wrong:
        raise BadRequest("The key can't be made like this.", details=wrong)
    return current


@route("GET", "/api/api-keys", needs=Needs.session, answers=Keys)
def list_all(call: Call) -> Keys:
    """My API keys, without their secrets."""
    return Keys(api_keys=[to_wire(key, call.now) for key in api_keys.of_user(call.connection, call.caller.user_id)])


@route("POST", "/api/api-keys", needs=Needs.session, body=NewApiKey, answers=NewKey, status=201, is_replayable=False)
def create(call: Call, body: NewApiKey) -> Key:
    """Make an API key. The secret is in this answer and nowhere else."""
    caller = call.caller
    if call.settings.api_access == "approved" and caller.api_access != "approved":
        raise Forbidden(
            "API access has not been approved for this account. Ask for it first.",
            code="API_ACCESS_NEEDED",
            details={"status": caller.api_access},
        )
    if body.may_touch_money:
        sessions.demand_recent(caller.signed_in_at, call.now)
    if len(api_keys.of_user(call.connection, caller.user_id)) >= api_keys.MOST_KEYS:
        raise Conflict(f"You have {api_keys.MOST_KEYS} keys already. Revoke one first.", code="TOO_MANY_KEYS")
    current = check_narrowing(call, body)
    expires_at = (
        None if body.expires_in_days is None else call.now.astimezone(UTC) + timedelta(days=body.expires_in_days)
    )
    secret, key = api_keys.create(
        call.connection,
        user_id=caller.user_id,
        name=body.name.strip(),
        prefix=call.settings.api_key_prefix,
        secret_key=call.services.secret_key,
        current_team_id=current,
        now=call.now,
        expires_at=expires_at,
        may_touch_money=body.may_touch_money,
        team_ids=body.team_ids,
        permissions=body.permissions,
    )
    note(call, "create", key.id)
    return to_wire(key, call.now, NewKey, secret=secret)


@route("DELETE", "/api/api-keys/{key_id}", needs=Needs.session, answers=Revoked)
def revoke(call: Call, key_id: str) -> Revoked:
    """Revoke a key: no request that starts after this answer succeeds with it."""
    api_keys.revoke(call.connection, call.caller.user_id, key_id, now=call.now)
    note(call, "revoke", key_id)
    return Revoked(success=True)


@route("GET", "/api/api-access", needs=Needs.account, answers=ApiAccess, is_inline=True)
def access(call: Call) -> ApiAccess:
    """Whether I may make API keys."""
    status = "approved" if call.settings.api_access == "everyone" else call.caller.api_access
    return ApiAccess(status=status, message=SENTENCES[status])  # type: ignore[arg-type]


@route("POST", "/api/api-access", needs=Needs.session, answers=ApiAccess)
def ask(call: Call) -> ApiAccess:
    """Ask for API access. The operators are told by mail."""
    status = call.caller.api_access
    if call.settings.api_access == "everyone" or status == "approved":
        return ApiAccess(status="approved", message=SENTENCES["approved"])
    if status != "requested":
        accounts.set_api_access(call.connection, call.caller.user_id, "requested", reason=None, now=call.now)
        for email in accounts.operators(call.connection):
            asker = call.caller.email
            text = f"{call.caller.name} <{asker}> asks for API access.\n\nforebay operator approve-api {asker}\n"
            mails.queue(call.connection, recipient=email, subject="API access asked for", text=text, now=call.now)
        call.nudge("mails")
        note(call, "request-access", call.caller.user_id)
    return ApiAccess(status="requested", message=SENTENCES["requested"])


def note(call: Call, verb: str, object_id: str) -> None:
    """A row in the activity of the account."""
    activity.record(
        call.connection, call.caller, f"api-key.{verb}", now=call.now, object_type="api-key", object_id=object_id
    )
