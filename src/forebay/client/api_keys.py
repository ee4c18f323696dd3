"""API keys, and the whitelist of who may have them. All but looking at the whitelist needs a session, not a key."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from forebay.client.request import Answer, Page, Request, given


class ApiKey(Answer):
    """A key as its owner sees it."""

    id: str
    name: str
    status: str
    """`active`, `expiring`, `expired`, `revoked` or `suspended`."""
    first_characters: str
    last_characters: str
    created_at: str
    expires_at: str | None
    days_left: int | None
    revoked_at: str | None
    last_used_at: str | None
    last_used_from: str | None
    replaced_by: str | None
    current_team_id: str
    may_touch_money: bool
    team_ids: list[str] | None
    permissions: list[str] | None


class NewKey(ApiKey):
    """A key that was just made; its secret is never shown again."""

    secret: str


class RotatedKey(NewKey):
    """A key that was just made, in the place of another."""

    old_key: ApiKey


class ApiKeys(Page):
    """A page of mine, newest first."""

    api_keys: list[ApiKey]


class Revoked(Answer):
    """It is good for nothing any more."""

    success: bool


class ApiAccess(Answer):
    """Where the account stands: `none`, `requested`, `approved` or `refused`."""

    status: str
    message: str
    reason: str | None
    requested_at: str | None
    decided_at: str | None
    may_ask_from: str | None


def listed(
    *, include_revoked: bool | None = None, page: int | None = None, limit: int | None = None
) -> Request[ApiKeys]:
    """My API keys, without their secrets."""
    query = given(includeRevoked=include_revoked, page=page, limit=limit)
    return Request(method="GET", path="/api/api-keys", query=query, answers=ApiKeys)


def create(
    name: str,
    *,
    team_id: str | None = None,
    expires_in_days: int | None = None,
    may_touch_money: bool | None = None,
    team_ids: Sequence[str] | None = None,
    permissions: Sequence[str] | None = None,
) -> Request[NewKey]:
    """Make a key. Needs a recent sign-in; a repeated request never shows the secret again."""
    body = given(
        name=name,
        teamId=team_id,
        expiresInDays=expires_in_days,
        mayTouchMoney=may_touch_money,
        teamIds=team_ids,
        permissions=permissions,
    )
    return Request(method="POST", path="/api/api-keys", body=body, answers=NewKey)


def change(
    key_id: str,
    *,
    name: str | UnsetType = UNSET,
    team_id: str | UnsetType = UNSET,
    expires_in_days: int | UnsetType | None = UNSET,
    may_touch_money: bool | UnsetType = UNSET,
    team_ids: Sequence[str] | UnsetType | None = UNSET,
    permissions: Sequence[str] | UnsetType | None = UNSET,
) -> Request[ApiKey]:
    """Change what is given. None lifts a narrowing, or the end. Needs a recent sign-in."""
    wishes: dict[str, Any] = {
        "name": name,
        "teamId": team_id,
        "expiresInDays": expires_in_days,
        "mayTouchMoney": may_touch_money,
        "teamIds": team_ids,
        "permissions": permissions,
    }
    body = {wish: value for wish, value in wishes.items() if value is not UNSET}
    return Request(method="PATCH", path="/api/api-keys/{key_id}", at={"key_id": key_id}, body=body, answers=ApiKey)


def rotate(key_id: str, *, keep_hours: int = 0) -> Request[RotatedKey]:
    """A new key in the place of this one, which stays good for `keep_hours` more. Needs a recent sign-in."""
    return Request(
        method="POST",
        path="/api/api-keys/{key_id}/rotate",
        at={"key_id": key_id},
        body={"keepHours": keep_hours},
        answers=RotatedKey,
    )


def revoke(key_id: str) -> Request[Revoked]:
    """End a key at once."""
    return Request(method="DELETE", path="/api/api-keys/{key_id}", at={"key_id": key_id}, answers=Revoked)


def access() -> Request[ApiAccess]:
    """Whether I may have API keys, and if not, why."""
    return Request(method="GET", path="/api/api-access", answers=ApiAccess)


def request_access() -> Request[ApiAccess]:
    """Ask for API access."""
    return Request(method="POST", path="/api/api-access", answers=ApiAccess)
