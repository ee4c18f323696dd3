"""`/api/teams/{id}/webhooks/{webhookId}/deliveries`: what was sent to a webhook, and what came of it."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, moment
from forebay.api.route import route
from forebay.domain.people import webhook_deliveries, webhooks
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class DeliveryAttempt(Wire):
    """One attempt to deliver."""

    number: int
    at: str
    status_code: int | None
    """What was answered; null: nothing."""
    reason: str | None
    """What came of it, in our words; null: under way, or cut off before it was known."""
    milliseconds: int | None


class WebhookDelivery(Wire):
    """One event on its way to one webhook."""

    id: str
    event_id: str
    """The same in every attempt and at every webhook: the message's `webhook-id`."""
    kind: str
    state: Literal["pending", "delivered", "failed", "canceled"]
    created_at: str
    next_attempt_at: str | None
    ended_at: str | None
    attempts: list[DeliveryAttempt]


class WebhookDeliveries(Wire):
    """A page of them, newest first."""

    deliveries: list[WebhookDelivery]
    total: int
    page: int
    limit: int
    total_pages: int


class DeliveryList(Input):
    """Which page."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


def to_wire(found: webhook_deliveries.Delivery) -> WebhookDelivery:
    """A delivery as clients see it."""
    return WebhookDelivery(
        id=found.id,
        event_id=found.event_id,
        kind=found.kind,
        state=found.state,  # type: ignore[arg-type]
        created_at=moment(int(found.created_at.timestamp())),
        next_attempt_at=None if found.due_at is None else moment(int(found.due_at.timestamp())),
        ended_at=None if found.ended_at is None else moment(int(found.ended_at.timestamp())),
        attempts=[
            DeliveryAttempt(
                number=attempt.number,
                at=moment(int(attempt.at.timestamp())),
                status_code=attempt.status_code,
                reason=attempt.reason,
                milliseconds=attempt.milliseconds,
            )
            for attempt in found.attempts
        ],
    )


@route(
    "POST",
    "/api/teams/{team_id}/webhooks/{webhook_id}/test",
    needs=Permission.manage_webhooks,
    target=Target.team,
    target_from="path:team_id",
    answers=WebhookDelivery,
    status=201,
)
def test(call: Call, team_id: str, webhook_id: str) -> WebhookDelivery:
    """Send a message of the kind `webhook.test`, and see in `deliveries` what comes of it.

    409 `WEBHOOK_DISABLED`; 429 after 20 in an hour.
    """
    found = webhooks.find(call.connection, call.team.team_id, webhook_id, call.services.secret_key)
    team = {"id": call.team.team_id, "name": call.team.team_name, "slug": call.team.slug}
    url = call.services.public_url()
    delivery_id = webhook_deliveries.test_by(call.connection, call.caller, found, team, url, now=call.now)
    call.nudge("webhooks")
    return to_wire(webhook_deliveries.find(call.connection, delivery_id))


@route(
    "GET",
    "/api/teams/{team_id}/webhooks/{webhook_id}/deliveries",
    needs=Permission.manage_webhooks,
    target=Target.team,
    target_from="path:team_id",
    query=DeliveryList,
    answers=WebhookDeliveries,
)
def deliveries(call: Call, team_id: str, webhook_id: str, query: DeliveryList) -> WebhookDeliveries:
    """What was sent to a webhook in the last 30 days, attempt by attempt, and what waits."""
    webhooks.refuse_unknown(call.connection, call.team.team_id, webhook_id)
    found, total = webhook_deliveries.listed(call.connection, webhook_id, page=query.page, limit=query.limit)
    return WebhookDeliveries(
        deliveries=[to_wire(delivery) for delivery in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )
