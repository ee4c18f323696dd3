"""A team's webhooks: addresses that are told what happens in it, each with a secret of its own.

The secret is shown once and kept sealed, as is the address, which at many chats is all that one needs to write there.
A secret that was replaced signs beside the new one for as long as was asked for. A webhook that nothing got through to
for days is disabled (`webhook_deliveries.py`), until somebody enables it again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import activity, teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.notification_kinds import FOR_WEBHOOKS, Kind
from forebay.domain.people.public_addresses import Walls, place
from forebay.domain.people.roles import Permission
from forebay.domain.people.sealed import seal, unseal
from forebay.domain.people.webhook_messages import SECRET_BYTES, written_secret
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.database import lock_rows
from forebay.storage.prepared import PreparedValues
from forebay.storage.tables import webhook_attempts, webhook_deliveries, webhooks

MOST_WEBHOOKS = 10
"""Of one team."""
MOST_KEEP_HOURS = 168


class TooManyWebhooks(Conflict):
    """The team has as many as it may."""

    code = "TOO_MANY_WEBHOOKS"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook, its address opened, its secret not."""

    id: str
    team_id: str
    name: str
    url: str
    kinds: list[str] | None
    """None: all."""
    former_until: datetime | None
    created_at: datetime
    created_by: str
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None


PLAIN = [name for name in Webhook.__struct_fields__ if name != "url"]
COLUMNS = [*(webhooks.c[name] for name in PLAIN), webhooks.c.sealed_url]


ONE = PreparedValues(
    dict,
    sa.select(*COLUMNS).where(
        webhooks.c.id == sa.bindparam("webhook_id", type_=sa.String()),
        webhooks.c.team_id == sa.bindparam("team_id", type_=sa.String()),
    ),
)


def to_webhook(found: Mapping[Any, Any], secret_key: bytes) -> Webhook:
    """A row as a value."""
    return Webhook(
        url=opened(found["sealed_url"], secret_key, "webhook-url", found["id"]), **{name: found[name] for name in PLAIN}
    )


def sealed(text: str, secret_key: bytes, purpose: str, webhook_id: str) -> str:
    """As it is kept."""
    return seal(text.encode(), secret_key, purpose=purpose, owner=webhook_id)


def opened(text: str, secret_key: bytes, purpose: str, webhook_id: str) -> str:
    """As it is used."""
    return unseal(text, secret_key, purpose=purpose, owner=webhook_id).decode()


def new_secret() -> str:
    """Nobody has it."""
    return written_secret(ids.new_secret(SECRET_BYTES))


def listed(connection: Connection, team_id: str, secret_key: bytes) -> list[Webhook]:
    """The team's webhooks, oldest first."""
    rows = connection.execute(sa.select(*COLUMNS).where(webhooks.c.team_id == team_id).order_by(webhooks.c.id))
    return [to_webhook(row._mapping, secret_key) for row in rows]


def look(connection: Connection, team_id: str, webhook_id: str, secret_key: bytes) -> Webhook:
    """The team's webhook. Raises NotFound."""
    for found in ONE(connection, webhook_id=webhook_id, team_id=team_id):
        return to_webhook(found, secret_key)
    raise NotFound("Webhook")


def find(connection: Connection, team_id: str, webhook_id: str, secret_key: bytes) -> Webhook:
    """The same, locked until the transaction ends. Raises NotFound."""
    lock_rows(connection, webhooks, [webhook_id])
    return look(connection, team_id, webhook_id, secret_key)


def added_by(connection: Connection, team_id: str, user_id: str) -> list[tuple[str, str]]:
    """Id and name of the team's webhooks that a person added, oldest first."""
    rows = connection.execute(
        sa.select(webhooks.c.id, webhooks.c.name)
        .where(webhooks.c.team_id == team_id, webhooks.c.created_by == user_id)
        .order_by(webhooks.c.id)
    )
    return [(row.id, row.name) for row in rows]


def refuse_unknown(connection: Connection, team_id: str, webhook_id: str) -> None:
    """Raise NotFound unless the team has the webhook."""
    mine = sa.select(webhooks.c.id).where(webhooks.c.id == webhook_id, webhooks.c.team_id == team_id)
    if connection.execute(mine).first() is None:
        raise NotFound("Webhook")


def check(name: str | None, url: str | None, kinds: Sequence[str] | None, walls: Walls) -> None:
    """Raise BadRequest or AddressRefused for what can't be."""
    wrong = {}
    if name is not None and (not name or not name.isprintable() or len(name) > 80):
        wrong["name"] = "1 to 80 printable characters"
    if kinds is not None:
        unknown = sorted(set(kinds) - set(FOR_WEBHOOKS))
        if unknown or not kinds:
            known = ", ".join(FOR_WEBHOOKS)
            wrong["kinds"] = (
                f"some of: {known}" if not unknown else f"no such kind: {unknown[0][:40]!r}; there are: {known}"
            )
    if wrong:
        raise BadRequest("The webhook can't be like this.", details=wrong)
    if url is not None:
        place(url, walls)


def add(
    connection: Connection,
    context: TeamContext,
    *,
    name: str,
    url: str,
    kinds: Sequence[Kind] | None,
    walls: Walls,
    secret_key: bytes,
    now: datetime,
) -> tuple[Webhook, str]:
    """A new webhook and its secret. Raises BadRequest, AddressRefused, TooManyWebhooks."""
    check(name, url, kinds, walls)
    teams.hold(connection, context, Permission.manage_webhooks)
    mine = sa.select(sa.func.count()).select_from(webhooks).where(webhooks.c.team_id == context.team_id)
    if connection.execute(mine).scalar_one() >= MOST_WEBHOOKS:
        raise TooManyWebhooks(f"A team has {MOST_WEBHOOKS} webhooks at most. Delete one that isn't needed.")
    webhook_id, secret = ids.new_id(now), new_secret()
    connection.execute(
        sa.insert(webhooks).values(
            id=webhook_id,
            team_id=context.team_id,
            name=name,
            sealed_url=sealed(url, secret_key, "webhook-url", webhook_id),
            kinds=None if kinds is None else sorted(set(kinds)),
            sealed_secret=sealed(secret, secret_key, "webhook-secret", webhook_id),
            created_at=now,
            created_by=context.caller.user_id,
        )
    )
    made = find(connection, context.team_id, webhook_id, secret_key)
    record(connection, context, "create", made, walls, now=now)
    return made, secret


def change(
    connection: Connection,
    context: TeamContext,
    webhook_id: str,
    changes: dict[str, Any],
    *,
    walls: Walls,
    secret_key: bytes,
    now: datetime,
) -> Webhook:
    """Change `name`, `url`, `kinds`, `is_enabled`, those that are given. Raises NotFound, BadRequest, AddressRefused.

    What was waiting is dropped when a webhook is disabled, and goes to the new address when that is changed.
    """
    found = find(connection, context.team_id, webhook_id, secret_key)
    check(changes.get("name"), changes.get("url"), changes.get("kinds"), walls)
    values: dict[str, Any] = {}
    if "name" in changes:
        values["name"] = changes["name"]
    if "url" in changes:
        values["sealed_url"] = sealed(changes["url"], secret_key, "webhook-url", webhook_id)
    if "kinds" in changes:
        values["kinds"] = None if changes["kinds"] is None else sorted(set(changes["kinds"]))
    if changes.get("is_enabled") is True and found.disabled_at is not None:
        values |= {"disabled_at": None, "disabled_reason": None, "failing_since": None}
    if changes.get("is_enabled") is False and found.disabled_at is None:
        values |= {"disabled_at": now, "disabled_reason": "disabled by hand"}
        cancel(connection, webhook_id, now=now)
    if not values:
        return found
    connection.execute(sa.update(webhooks).where(webhooks.c.id == webhook_id).values(**values))
    changed = find(connection, context.team_id, webhook_id, secret_key)
    record(connection, context, "change", changed, walls, now=now, changed=sorted(changes))
    return changed


def rotate(
    connection: Connection,
    context: TeamContext,
    webhook_id: str,
    *,
    keep_hours: int,
    walls: Walls,
    secret_key: bytes,
    now: datetime,
) -> tuple[Webhook, str]:
    """A new secret; the present one signs beside it for so many hours. Raises NotFound."""
    found = find(connection, context.team_id, webhook_id, secret_key)
    secret = new_secret()
    former = webhooks.c.sealed_secret if keep_hours else None
    connection.execute(
        sa.update(webhooks)
        .where(webhooks.c.id == webhook_id)
        .values(
            sealed_secret=sealed(secret, secret_key, "webhook-secret", webhook_id),
            former_secret=former,
            former_until=now + timedelta(hours=keep_hours) if keep_hours else None,
        )
    )
    record(connection, context, "rotate", found, walls, now=now, keep_hours=keep_hours)
    return find(connection, context.team_id, webhook_id, secret_key), secret


def delete(
    connection: Connection, context: TeamContext, webhook_id: str, *, walls: Walls, secret_key: bytes, now: datetime
) -> None:
    """Delete a webhook with all that is known of its deliveries. Raises NotFound."""
    found = find(connection, context.team_id, webhook_id, secret_key)
    remove(connection, webhooks.c.id == webhook_id)
    record(connection, context, "delete", found, walls, now=now)


def remove(connection: Connection, which: sa.ColumnElement[bool]) -> None:
    """Delete these webhooks."""
    mine = sa.select(webhooks.c.id).where(which).scalar_subquery()
    theirs = webhook_deliveries.c.webhook_id.in_(mine)
    deliveries = sa.select(webhook_deliveries.c.id).where(theirs).scalar_subquery()
    connection.execute(sa.delete(webhook_attempts).where(webhook_attempts.c.delivery_id.in_(deliveries)))
    connection.execute(sa.delete(webhook_deliveries).where(theirs))
    connection.execute(sa.delete(webhooks).where(which))


def cancel(connection: Connection, webhook_id: str, *, now: datetime) -> None:
    """What waits for the webhook isn't sent any more."""
    connection.execute(
        sa.update(webhook_deliveries)
        .where(webhook_deliveries.c.webhook_id == webhook_id, webhook_deliveries.c.state == "pending")
        .values(state="canceled", due_at=None, ended_at=now)
    )


def record(
    connection: Connection,
    context: TeamContext,
    verb: str,
    webhook: Webhook,
    walls: Walls,
    *,
    now: datetime,
    **more: Any,
) -> None:
    """A row in the team's activity: of the address only the host, as the rest may be a secret."""
    try:
        host = place(webhook.url, walls).host
    except BadRequest:
        host = ""  # of a time when this cloud allowed more
    activity.record(
        connection,
        context.caller,
        f"webhook.{verb}",
        now=now,
        team_id=context.team_id,
        object_type="webhook",
        object_id=webhook.id,
        details={"name": webhook.name, "host": host, "kinds": webhook.kinds, **more},
    )
