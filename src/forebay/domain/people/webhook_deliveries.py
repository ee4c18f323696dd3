"""Deliveries to webhooks: written with what they tell, sent afterwards by the worker, each attempt on record.

An attempt is written before anything is sent, and its outcome afterwards: whoever is cut off in between leaves an
attempt without one, and the delivery is due again. So each arrives at least once, with the same id and the same body.
What fails is tried again for a day, later each time, and then given up. A webhook that nothing got through to for three
days by then is disabled, and so is one that answers 410 Gone. At most one delivery of a webhook and two of a team are
under way, so that nobody who doesn't answer keeps others waiting.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import activity, webhook_messages, webhooks
from forebay.domain.people.access import Caller
from forebay.domain.people.webhook_messages import Event
from forebay.errors import Conflict, RateLimitExceeded
from forebay.storage import tables
from forebay.storage.prepared import Prepared, PreparedValues
from forebay.storage.tables import webhook_attempts
from forebay.storage.tables import webhook_deliveries as deliveries

SENDING_SECONDS = 120
"""A delivery that was taken and not reported on for so long is taken again."""
AGAIN_SECONDS = (10, 60, 300, 1800, 3600, 7200, 14400, 28800, 28800)
"""From one attempt to the next: ten attempts in a little less than a day."""
FAILING_DAYS = 3
KEPT_DAYS = 30
MOST_AT_ONCE_OF_A_TEAM = 2
TESTS_AN_HOUR = 20
GONE = 410
TEST = "webhook.test"


class WebhookDisabled(Conflict):
    """Nothing is sent there before it is enabled again."""

    code = "WEBHOOK_DISABLED"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt. `reason` is in our words alone: nothing of what the other side says."""

    status_code: int | None
    reason: str
    milliseconds: int

    @property
    def is_delivered(self) -> bool:
        """Whether the other side has taken it."""
        return self.status_code is not None and 200 <= self.status_code < 300


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as it is on record."""

    number: int
    at: datetime
    status_code: int | None
    reason: str | None
    milliseconds: int | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as a team sees it."""

    id: str
    event_id: str
    kind: str
    state: str
    created_at: datetime
    due_at: datetime | None
    ended_at: datetime | None
    attempts: list[Attempt]


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was taken to be sent now."""

    id: str
    webhook_id: str
    team_id: str
    url: str
    event_id: str
    body: bytes
    secrets: list[str]
    number: int
    """Of the attempt."""


def queue(connection: Connection, team_id: str, event: Event, *, now: datetime) -> int:
    """Write a delivery to every webhook of the team that wants the event; how many."""
    rows = connection.execute(
        sa.select(tables.webhooks.c.id, tables.webhooks.c.kinds).where(
            tables.webhooks.c.team_id == team_id, tables.webhooks.c.disabled_at.is_(None)
        )
    ).all()
    wanted = [row.id for row in rows if row.kinds is None or event.type in row.kinds]
    body = webhook_messages.body(event) if wanted else ""
    for webhook_id in wanted:
        insert(connection, webhook_id, event, body, now=now)
    return len(wanted)


def insert(connection: Connection, webhook_id: str, event: Event, body: str, *, now: datetime) -> str:
    """Write one; its id."""
    delivery_id = ids.new_id(now)
    connection.execute(
        sa.insert(deliveries).values(
            id=delivery_id,
            webhook_id=webhook_id,
            event_id=event.id,
            kind=event.type,
            body=body,
            state="pending",
            created_at=now,
            due_at=now,
            attempts=0,
        )
    )
    return delivery_id


def test_by(
    connection: Connection,
    caller: Caller,
    webhook: webhooks.Webhook,
    team: Mapping[str, str],
    url: str,
    *,
    now: datetime,
) -> str:
    """The same as `test`, on record as what the caller did. Then nudge `webhooks`."""
    delivery_id = test(connection, webhook, team, url, now=now)
    activity.record(
        connection,
        caller,
        "webhook.test",
        now=now,
        team_id=webhook.team_id,
        object_type="webhook",
        object_id=webhook.id,
        details={"name": webhook.name},
    )
    return delivery_id


def test(connection: Connection, webhook: webhooks.Webhook, team: Mapping[str, str], url: str, *, now: datetime) -> str:
    """Write a delivery that tells nothing; its id. Raises WebhookDisabled, RateLimitExceeded."""
    if webhook.disabled_at is not None:
        raise WebhookDisabled("This webhook is disabled. Enable it first.")
    recent = sa.select(sa.func.count()).where(
        deliveries.c.webhook_id == webhook.id,
        deliveries.c.kind == TEST,
        deliveries.c.created_at > now - timedelta(hours=1),
    )
    if connection.execute(recent).scalar_one() >= TESTS_AN_HOUR:
        raise RateLimitExceeded(3600)
    event = Event(
        id=ids.new_id(now),
        type=TEST,
        at=now,
        team=dict(team),
        title=f"{team['name']}: a test of the webhook {webhook.name}",
        lines=["Somebody asked Forebay to send this. Nothing has happened."],
        url=f"{url}/",
        details={},
    )
    return insert(connection, webhook.id, event, webhook_messages.body(event), now=now)


# Sending.


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether there is one to send, asked without writing."""
    return connection.execute(sa.select(deliveries.c.id).where(deliveries.c.due_at <= now).limit(1)).first() is not None


def take_due(
    connection: Connection, *, now: datetime, secret_key: bytes, limit: int, under_way: Mapping[str, str]
) -> list[Sending]:
    """Take what is to be sent now, its attempts on record: of each webhook the oldest, of each team two at most.

    `under_way` are the webhooks that something is being sent to, and their teams.
    """
    busy = Counter(under_way.values())
    found: list[Sending] = []
    hooks = tables.webhooks
    waiting = connection.execute(
        sa.select(*(hooks.c[name] for name in WANTED))
        .join(deliveries, deliveries.c.webhook_id == hooks.c.id)
        .where(deliveries.c.due_at <= now, hooks.c.disabled_at.is_(None))
        .group_by(*(hooks.c[name] for name in WANTED))
        .order_by(sa.func.min(deliveries.c.due_at), hooks.c.id)
    ).all()
    for hook in waiting:
        if len(found) == limit:
            break
        if hook.id in under_way or busy[hook.team_id] >= MOST_AT_ONCE_OF_A_TEAM:
            continue
        row = connection.execute(
            sa.select(deliveries.c.id, deliveries.c.event_id, deliveries.c.body, deliveries.c.attempts)
            .where(deliveries.c.webhook_id == hook.id, deliveries.c.due_at <= now)
            .order_by(deliveries.c.due_at, deliveries.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).first()
        if row is not None:
            found.append(begin(connection, hook, row, secret_key, now=now))
            busy[hook.team_id] += 1
    return found


def release_all(connection: Connection, *, now: datetime) -> None:
    """Whatever was being sent is due now: for the only process of a cloud, at its start."""
    is_open = sa.exists().where(
        webhook_attempts.c.delivery_id == deliveries.c.id,
        webhook_attempts.c.number == deliveries.c.attempts,
        webhook_attempts.c.reason.is_(None),
    )
    connection.execute(sa.update(deliveries).where(deliveries.c.due_at > now, is_open).values(due_at=now))


WANTED = ("id", "team_id", "sealed_url", "sealed_secret", "former_secret", "former_until")


def begin(connection: Connection, hook: Any, row: Any, secret_key: bytes, *, now: datetime) -> Sending:
    """Write the attempt; what is to be sent."""
    number = row.attempts + 1
    connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == row.id)
        .values(attempts=number, due_at=now + timedelta(seconds=SENDING_SECONDS))
    )
    connection.execute(sa.insert(webhook_attempts).values(delivery_id=row.id, number=number, at=now))
    sealed = [hook.sealed_secret]
    if hook.former_secret is not None and hook.former_until > now:
        sealed.append(hook.former_secret)
    return Sending(
        id=row.id,
        webhook_id=hook.id,
        team_id=hook.team_id,
        url=webhooks.opened(hook.sealed_url, secret_key, "webhook-url", hook.id),
        event_id=row.event_id,
        body=row.body.encode(),
        secrets=[webhooks.opened(secret, secret_key, "webhook-secret", hook.id) for secret in sealed],
        number=number,
    )


def note_outcome(connection: Connection, sent: Sending, outcome: Outcome, *, now: datetime) -> str | None:
    """Write what came of an attempt; why its webhook is to be disabled, if it is.

    That it got through counts whoever says so; that it didn't only for the newest attempt.
    """
    connection.execute(
        sa.update(webhook_attempts)
        .where(webhook_attempts.c.delivery_id == sent.id, webhook_attempts.c.number == sent.number)
        .values(status_code=outcome.status_code, reason=outcome.reason[:200], milliseconds=outcome.milliseconds)
    )
    mine = sa.and_(deliveries.c.id == sent.id, deliveries.c.state == "pending")
    hook = tables.webhooks.c.id == sent.webhook_id
    if outcome.is_delivered:
        ended = {"state": "delivered", "due_at": None, "ended_at": now}
        connection.execute(sa.update(deliveries).where(mine).values(**ended))
        connection.execute(sa.update(tables.webhooks).where(hook).values(failing_since=None))
        return None
    is_last = sent.number > len(AGAIN_SECONDS)
    again = {"due_at": None if is_last else now + timedelta(seconds=AGAIN_SECONDS[sent.number - 1])}
    changed = connection.execute(
        sa.update(deliveries)
        .where(mine, deliveries.c.attempts == sent.number)
        .values(**again | ({"state": "failed", "ended_at": now} if is_last else {}))
    )
    if changed.rowcount == 0:
        return None
    failing = tables.webhooks.c.failing_since
    connection.execute(sa.update(tables.webhooks).where(hook, failing.is_(None)).values(failing_since=now))
    since = connection.execute(sa.select(failing).where(hook)).scalar_one()
    if outcome.status_code == GONE:
        return "it answered 410 Gone"
    if is_last and since <= now - timedelta(days=FAILING_DAYS):
        return f"nothing has got through since {since:%-d %B %Y}; the last attempt: {outcome.reason}"
    return None


def disable(connection: Connection, webhook_id: str, reason: str, *, now: datetime) -> Any:
    """Send nothing there any more, and drop what waits; the webhook's `team_id` and `name`, or None if it was so."""
    mine = sa.and_(tables.webhooks.c.id == webhook_id, tables.webhooks.c.disabled_at.is_(None))
    changed = connection.execute(
        sa.update(tables.webhooks).where(mine).values(disabled_at=now, disabled_reason=reason[:200])
    )
    if changed.rowcount == 0:
        return None
    webhooks.cancel(connection, webhook_id, now=now)
    row = connection.execute(
        sa.select(tables.webhooks.c.team_id, tables.webhooks.c.name).where(tables.webhooks.c.id == webhook_id)
    ).one()
    activity.record(
        connection,
        None,
        "webhook.disable",
        now=now,
        team_id=row.team_id,
        object_type="webhook",
        object_id=webhook_id,
        details={"name": row.name, "reason": reason[:200]},
    )
    return row


# What is on record.

COLUMNS = [deliveries.c[name] for name in Delivery.__struct_fields__ if name != "attempts"]
OF_WEBHOOK = deliveries.c.webhook_id == sa.bindparam("webhook_id", type_=sa.String())
COUNT = Prepared(sa.select(sa.func.count()).select_from(deliveries).where(OF_WEBHOOK))
LISTED = PreparedValues(
    dict,
    sa.select(*COLUMNS)
    .where(OF_WEBHOOK)
    .order_by(deliveries.c.id.desc())
    .limit(sa.bindparam("limit", type_=sa.Integer()))
    .offset(sa.bindparam("offset", type_=sa.Integer())),
)
"""A page of what was sent to a webhook."""


def find(connection: Connection, delivery_id: str) -> Delivery:
    """One that there is."""
    row = connection.execute(sa.select(*COLUMNS).where(deliveries.c.id == delivery_id)).one()
    return Delivery(**row._mapping, attempts=attempts_of(connection, [delivery_id]).get(delivery_id, []))


def listed(connection: Connection, webhook_id: str, *, page: int, limit: int) -> tuple[Sequence[Delivery], int]:
    """A page of a webhook's deliveries, newest first, and how many there are."""
    [(total,)] = COUNT(connection, webhook_id=webhook_id)
    rows = LISTED(connection, webhook_id=webhook_id, limit=limit, offset=(page - 1) * limit)
    tried = attempts_of(connection, [row["id"] for row in rows])
    return [Delivery(**row, attempts=tried.get(row["id"], [])) for row in rows], int(total)


def attempts_of(connection: Connection, delivery_ids: Sequence[str]) -> dict[str, list[Attempt]]:
    """By delivery, oldest first."""
    found: dict[str, list[Attempt]] = {}
    rows = connection.execute(TRIED.where(webhook_attempts.c.delivery_id.in_(delivery_ids)))
    for delivery_id, *values in rows.all():
        attempt = Attempt(**dict(zip(Attempt.__struct_fields__, values, strict=True)))
        found.setdefault(delivery_id, []).append(attempt)
    return found


TRIED = sa.select(
    webhook_attempts.c.delivery_id, *(webhook_attempts.c[name] for name in Attempt.__struct_fields__)
).order_by(webhook_attempts.c.delivery_id, webhook_attempts.c.number)


def forget_old(connection: Connection, *, now: datetime) -> int:
    """Drop what ended long ago; how many."""
    old = deliveries.c.ended_at < now - timedelta(days=KEPT_DAYS)
    ended = sa.select(deliveries.c.id).where(old).scalar_subquery()
    connection.execute(sa.delete(webhook_attempts).where(webhook_attempts.c.delivery_id.in_(ended)))
    return connection.execute(sa.delete(deliveries).where(old)).rowcount
