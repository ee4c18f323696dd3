"""A team's webhooks, and what came of their deliveries."""

from collections.abc import Sequence

from forebay.client.request import Answer, Page, Request, given
from forebay.client.teams import Deleted


class Webhook(Answer):
    """An address of a team that is told what happens."""

    id: str
    team_id: str
    name: str
    url: str
    kinds: list[str] | None
    """None: all."""
    is_enabled: bool
    failing_since: str | None
    disabled_at: str | None
    disabled_reason: str | None
    former_secret_until: str | None
    created_at: str
    created_by: str


class CreatedWebhook(Webhook):
    """With its secret, which is shown this once."""

    secret: str


class Webhooks(Answer):
    """All of a team, oldest first."""

    webhooks: list[Webhook]


class Attempt(Answer):
    """One attempt to deliver."""

    number: int
    at: str
    status_code: int | None
    reason: str | None
    """None: under way, or cut off before it was known."""
    milliseconds: int | None


class Delivery(Answer):
    """One event on its way to one webhook."""

    id: str
    event_id: str
    kind: str
    state: str
    created_at: str
    next_attempt_at: str | None
    ended_at: str | None
    attempts: list[Attempt]


class Deliveries(Page):
    """A page of them, newest first."""

    deliveries: list[Delivery]


def listed(team_id: str) -> Request[Webhooks]:
    """The team's webhooks."""
    return Request(method="GET", path="/api/teams/{team_id}/webhooks", at={"team_id": team_id}, answers=Webhooks)


def create(
    team_id: str, url: str, *, name: str | None = None, kinds: Sequence[str] | None = None
) -> Request[CreatedWebhook]:
    """Add one, for some kinds of events or, without `kinds`, all. The secret is in this answer alone."""
    return Request(
        method="POST",
        path="/api/teams/{team_id}/webhooks",
        at={"team_id": team_id},
        body=given(url=url, name=name, kinds=None if kinds is None else list(kinds)),
        answers=CreatedWebhook,
    )


def change(
    team_id: str,
    webhook_id: str,
    *,
    url: str | None = None,
    name: str | None = None,
    kinds: Sequence[str] | None = None,
    all_kinds: bool = False,
    is_enabled: bool | None = None,
) -> Request[Webhook]:
    """Change what is given; `all_kinds` sends all kinds of events there, also those to come."""
    body = given(url=url, name=name, kinds=None if kinds is None else list(kinds), isEnabled=is_enabled)
    return Request(
        method="PATCH",
        path="/api/teams/{team_id}/webhooks/{webhook_id}",
        at={"team_id": team_id, "webhook_id": webhook_id},
        body=body | ({"kinds": None} if all_kinds else {}),
        answers=Webhook,
    )


def delete(team_id: str, webhook_id: str) -> Request[Deleted]:
    """Delete it, with the record of what was sent."""
    return Request(
        method="DELETE",
        path="/api/teams/{team_id}/webhooks/{webhook_id}",
        at={"team_id": team_id, "webhook_id": webhook_id},
        answers=Deleted,
    )


def test(team_id: str, webhook_id: str) -> Request[Delivery]:
    """Send a message that tells nothing."""
    return Request(
        method="POST",
        path="/api/teams/{team_id}/webhooks/{webhook_id}/test",
        at={"team_id": team_id, "webhook_id": webhook_id},
        answers=Delivery,
    )


def rotate(team_id: str, webhook_id: str, *, keep_hours: int = 24) -> Request[CreatedWebhook]:
    """A new secret, shown once; the present one signs beside it for so many hours."""
    return Request(
        method="POST",
        path="/api/teams/{team_id}/webhooks/{webhook_id}/rotate",
        at={"team_id": team_id, "webhook_id": webhook_id},
        body={"keepHours": keep_hours},
        answers=CreatedWebhook,
    )


def deliveries(
    team_id: str, webhook_id: str, *, page: int | None = None, limit: int | None = None
) -> Request[Deliveries]:
    """What was sent there in the last 30 days, and what waits."""
    return Request(
        method="GET",
        path="/api/teams/{team_id}/webhooks/{webhook_id}/deliveries",
        at={"team_id": team_id, "webhook_id": webhook_id},
        query=given(page=page, limit=limit),
        answers=Deliveries,
    )
