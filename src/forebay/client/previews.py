"""Previews: what a launch would come to, and all that would refuse it. Money in dollars; a month has 730 hours."""

from typing import Any

from forebay.client.deployments import Deployment
from forebay.client.request import Answer, Request


class Price(Answer):
    """What something costs."""

    per_hour: float
    per_day: float
    per_month: float


class LaunchWarning(Answer):
    """What one may want to know before launching."""

    code: str
    message: str


class LaunchRefusal(Answer):
    """Why the launch would be refused now; `who_can` do something about it, nobody where only time can."""

    code: str
    error: str
    details: dict[str, Any]
    who_can: list[str]


class LaunchPreview(Answer):
    """What a launch would come to at this moment."""

    can_launch: bool
    refusals: list[LaunchRefusal]
    warnings: list[LaunchWarning]
    provider: str | None
    offer_id: str | None
    in_stock: int
    cost: Price
    original_cost: Price
    has_discount: bool
    discount_percentage: float
    storage_cost: Price
    volumes_cost: Price
    hold: float
    balance: float
    available: float
    available_after: float
    burn_per_hour: float
    burn_per_hour_after: float
    runway_seconds: int | None
    runway: str
    minimum_runtime_minutes: int
    minimum_cost: float
    first_terminable_at: str | None
    ends_at: str | None


def preview(launch: Request[Deployment]) -> Request[LaunchPreview]:
    """What this launch, as `deployments.launch` makes it, would come to, without launching."""
    return Request(
        method="POST", path="/api/deployments/preview", body=launch.body, answers=LaunchPreview, is_harmless=True
    )
