"""`/api/teams/{id}/webhooks`: addresses that are told what happens in a team."""

from typing import Annotated, Any

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso_at
from forebay.api.route import route
from forebay.api.teams import Deleted
from forebay.domain.people import webhooks
from forebay.domain.people.access import Target
from forebay.domain.people.notification_kinds import Kind
from forebay.domain.people.public_addresses import Walls, place, walls_of
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest

UNSET = msgspec.UNSET
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Name = Annotated[str, msgspec.Meta(max_length=200)]
Kinds = Annotated[list[str], msgspec.Meta(max_length=50)]


class NewWebhook(Input):
    """Where to, and what of."""

    url: Url
    """`https://…`, on the public network."""
    name: Name = ""
    """What it is called; without one the host of its address."""
    kinds: Kinds | None = None
    """Which kinds of events; null: all, also those to come."""


class ChangedWebhook(Input):
    """What is to be different."""

    url: Url | msgspec.UnsetType = UNSET
    name: Name | msgspec.UnsetType = UNSET
    kinds: Kinds | msgspec.UnsetType | None = UNSET
    is_enabled: bool | msgspec.UnsetType = UNSET


class SecretRotation(Input):
    """How long the present secret signs beside the new one."""

    keep_hours: Annotated[int, msgspec.Meta(ge=0, le=webhooks.MOST_KEEP_HOURS)] = 24


class Webhook(Wire):
    """An address of a team."""

    id: str
    team_id: str
    name: str
    url: str
    kinds: list[str] | None
    """Null: all."""
    is_enabled: bool
    failing_since: str | None
    """The first failure since something got through."""
    disabled_at: str | None
    disabled_reason: str | None
    former_secret_until: str | None
    """The secret before this one signs too until then."""
    created_at: str
    created_by: str


class CreatedWebhook(Webhook):
    """With its secret, which is shown this once."""

    secret: str
    """`whsec_…`: what its messages are signed with."""


class Webhooks(Wire):
    """All of a team, oldest first."""

    webhooks: list[Webhook]


def to_wire(found: webhooks.Webhook, kind: type[Webhook] = Webhook, **more: Any) -> Any:
    """A webhook as clients see it."""

    def at(name: str) -> str | None:
        return iso_at(getattr(found, name))

    return kind(
        id=found.id,
        team_id=found.team_id,
        name=found.name,
        url=found.url,
        kinds=found.kinds,
        is_enabled=found.disabled_at is None,
        failing_since=at("failing_since"),
        disabled_at=at("disabled_at"),
        disabled_reason=found.disabled_reason,
        former_secret_until=at("former_until"),
        created_at=at("created_at") or "",
        created_by=found.created_by,
        **more,
    )


def to_kinds(names: list[str] | None) -> list[Kind] | None:
    """The kinds of these names. Raises BadRequest."""
    if names is None:
        return None
    webhooks.check(None, None, names, Walls())
    return [Kind(name) for name in names]


@route(
    "GET",
    "/api/teams/{team_id}/webhooks",
    needs=Permission.manage_webhooks,
    target=Target.team,
    target_from="path:team_id",
    answers=Webhooks,
)
def list_all(call: Call, team_id: str) -> Webhooks:
    """The team's webhooks, without their secrets."""
    found = webhooks.listed(call.connection, call.team.team_id, call.services.secret_key)
    return Webhooks(webhooks=[to_wire(webhook) for webhook in found])


@route(
    "POST",
    "/api/teams/{team_id}/webhooks",
    needs=Permission.manage_webhooks,
    target=Target.team,
    target_from="path:team_id",
    body=NewWebhook,
    answers=CreatedWebhook,
    status=201,
    is_replayable=False,
)
def create(call: Call, team_id: str, body: NewWebhook) -> CreatedWebhook:
    """Add a webhook. Its secret is in this answer and nowhere else.

    The address must be `https://` and on the public network: 400 `ADDRESS_REFUSED`; what its name leads to is looked at
    again with every message. Ten for a team at most: 409 `TOO_MANY_WEBHOOKS`.
    """
    allowed = walls_of(call.settings)
    name = body.name.strip() or host_of(body.url, allowed)
    made, secret = webhooks.add(
        call.connection,
        call.team,
        name=name,
        url=body.url,
        kinds=to_kinds(body.kinds),
        walls=allowed,
        secret_key=call.services.secret_key,
        now=call.now,
    )
    created: CreatedWebhook = to_wire(made, CreatedWebhook, secret=secret)
    return created


def host_of(url: str, allowed: Walls) -> str:
    """Where it leads, as a name. Raises AddressRefused."""
    return place(url, allowed).host[:80]


@route(
    "PATCH",
    "/api/teams/{team_id}/webhooks/{webhook_id}",
    needs=Permission.manage_webhooks,
    target=Target.team,
    target_from="path:team_id",
    body=ChangedWebhook,
    answers=Webhook,
)
def change(call: Call, team_id: str, webhook_id: str, body: ChangedWebhook) -> Webhook:
    """Change a webhook's address, name or kinds, disable or enable it.

    Disabled, nothing is sent there, and what waited is dropped; what happens meanwhile isn't sent later.
    """
    changes = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}
    if not changes:
        raise BadRequest("Say what is to be different.", details={"body": "url, name, kinds or isEnabled"})
    if "name" in changes:
        changes["name"] = changes["name"].strip()
    if changes.get("kinds") is not None:
        changes["kinds"] = to_kinds(changes["kinds"])
    found = webhooks.change(
        call.connection,
        call.team,
        webhook_id,
        changes,
        walls=walls_of(call.settings),
        secret_key=call.services.secret_key,
        now=call.now,
    )
    changed: Webhook = to_wire(found)
    return changed


@route(
    "DELETE",
    "/api/teams/{team_id}/webhooks/{webhook_id}",
    needs=Permission.manage_webhooks,
    target=Target.team,
    target_from="path:team_id",
    answers=Deleted,
)
def delete(call: Call, team_id: str, webhook_id: str) -> Deleted:
    """Delete a webhook, with what waits for it and the record of what was sent."""
    webhooks.delete(
        call.connection,
        call.team,
        webhook_id,
        walls=walls_of(call.settings),
        secret_key=call.services.secret_key,
        now=call.now,
    )
    return Deleted(success=True)


@route(
    "POST",
    "/api/teams/{team_id}/webhooks/{webhook_id}/rotate",
    needs=Permission.manage_webhooks,
    target=Target.team,
    target_from="path:team_id",
    body=SecretRotation,
    answers=CreatedWebhook,
    status=201,
    is_replayable=False,
)
def rotate(call: Call, team_id: str, webhook_id: str, body: SecretRotation) -> CreatedWebhook:
    """Give a webhook a new secret, which is in this answer alone.

    For `keepHours` (24 unless said otherwise, 168 at most) messages carry a signature of each, so that none is refused
    while the new one is put in place; with 0 the old one ends at once.
    """
    found, secret = webhooks.rotate(
        call.connection,
        call.team,
        webhook_id,
        keep_hours=body.keep_hours,
        walls=walls_of(call.settings),
        secret_key=call.services.secret_key,
        now=call.now,
    )
    rotated: CreatedWebhook = to_wire(found, CreatedWebhook, secret=secret)
    return rotated
