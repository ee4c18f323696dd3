"""Templates: launches that a team has saved, to launch them again. Money in dollars."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from forebay.client.request import Answer, Request
from forebay.client.teams import Deleted


class TemplateProblem(Answer):
    """Something that the template names and that isn't so any more; the field as in the body of a launch."""

    field: str
    message: str


class Template(Answer):
    """A launch that a team has saved, and how it stands now."""

    id: str
    team_id: str
    name: str
    offer_id: str
    gpu_type: str
    gpu_count: int
    instance_type: str
    region: str
    operating_system: str
    ssh_key_id: str | None
    deployment_name: str | None
    labels: dict[str, str]
    volume_ids: list[str]
    ports: list[int]
    terminate_after_minutes: int | None
    max_cost: float | None
    auto_stop_minutes: int | None
    auto_stop_action: str | None
    has_cloud_init: bool
    created_by: str
    created_at: str
    changed_at: str
    last_used_at: str | None
    hourly_rate: float | None
    """None: its offer is gone."""
    in_stock: int
    problems: list[TemplateProblem]


class Templates(Answer):
    """All of a team, what was used or made last first."""

    templates: list[Template]


class TemplateLaunch(Answer):
    """What `deployments.launch` takes to launch it now."""

    team_id: str
    template_id: str
    provider: str
    """Empty where its offer is gone."""
    offer_id: str
    gpu_type: str
    gpu_count: int
    region: str
    operating_system: str
    instance_type: str
    ssh_key_id: str | None
    name: str | None
    labels: dict[str, str]
    volume_ids: list[str]
    ports: list[int]
    terminate_at: str | None
    max_cost: float | None
    auto_stop_minutes: int | None
    auto_stop_action: str | None
    cloud_init: dict[str, Any] | None
    """As on the wire."""


class WholeTemplate(Template):
    """With what it would launch; both are None for who may not launch."""

    cloud_init: dict[str, Any] | None
    launch: TemplateLaunch | None


def listed(team_id: str) -> Request[Templates]:
    """The team's templates."""
    return Request(method="GET", path="/api/teams/{team_id}/templates", at={"team_id": team_id}, answers=Templates)


def show(team_id: str, template_id: str) -> Request[WholeTemplate]:
    """One template, with the launch that it makes now: `deployments.launch(**msgspec.structs.asdict(it.launch))`."""
    return Request(
        method="GET",
        path="/api/teams/{team_id}/templates/{template_id}",
        at={"team_id": team_id, "template_id": template_id},
        answers=WholeTemplate,
    )


def save(
    team_id: str,
    name: str,
    *,
    deployment_id: str | UnsetType = UNSET,
    offer_id: str | UnsetType = UNSET,
    instance_type: str | UnsetType | None = UNSET,
    region: str | UnsetType | None = UNSET,
    operating_system: str | UnsetType | None = UNSET,
    ssh_key_id: str | UnsetType | None = UNSET,
    deployment_name: str | UnsetType | None = UNSET,
    labels: Mapping[str, str] | UnsetType | None = UNSET,
    volume_ids: Sequence[str] | UnsetType | None = UNSET,
    ports: Sequence[int] | UnsetType | None = UNSET,
    terminate_after_minutes: int | UnsetType | None = UNSET,
    max_cost: float | UnsetType | None = UNSET,
    auto_stop_minutes: int | UnsetType | None = UNSET,
    auto_stop_action: str | UnsetType | None = UNSET,
    cloud_init: Mapping[str, Any] | UnsetType | None = UNSET,
) -> Request[Template]:
    """Save a launch of an offer, or a machine as it was launched; what is given beside that counts.

    `{n}` in `deployment_name` becomes the next number, `{date}` the day. `cloud_init` as on the wire.
    """
    body = named(
        name=name,
        deploymentId=deployment_id,
        offerId=offer_id,
        instanceType=instance_type,
        region=region,
        operatingSystem=operating_system,
        sshKeyId=ssh_key_id,
        deploymentName=deployment_name,
        labels=labels,
        volumeIds=volume_ids,
        ports=ports,
        terminateAfterMinutes=terminate_after_minutes,
        maxCost=max_cost,
        autoStopMinutes=auto_stop_minutes,
        autoStopAction=auto_stop_action,
        cloudInit=cloud_init,
    )
    return Request(
        method="POST", path="/api/teams/{team_id}/templates", at={"team_id": team_id}, body=body, answers=Template
    )


def change(
    team_id: str,
    template_id: str,
    *,
    name: str | UnsetType = UNSET,
    offer_id: str | UnsetType = UNSET,
    instance_type: str | UnsetType | None = UNSET,
    region: str | UnsetType | None = UNSET,
    operating_system: str | UnsetType | None = UNSET,
    ssh_key_id: str | UnsetType | None = UNSET,
    deployment_name: str | UnsetType | None = UNSET,
    labels: Mapping[str, str] | UnsetType | None = UNSET,
    volume_ids: Sequence[str] | UnsetType | None = UNSET,
    ports: Sequence[int] | UnsetType | None = UNSET,
    terminate_after_minutes: int | UnsetType | None = UNSET,
    max_cost: float | UnsetType | None = UNSET,
    auto_stop_minutes: int | UnsetType | None = UNSET,
    auto_stop_action: str | UnsetType | None = UNSET,
    cloud_init: Mapping[str, Any] | UnsetType | None = UNSET,
) -> Request[Template]:
    """Rename it, or change what it launches; None takes off what there was. What is left out stays."""
    body = named(
        name=name,
        offerId=offer_id,
        instanceType=instance_type,
        region=region,
        operatingSystem=operating_system,
        sshKeyId=ssh_key_id,
        deploymentName=deployment_name,
        labels=labels,
        volumeIds=volume_ids,
        ports=ports,
        terminateAfterMinutes=terminate_after_minutes,
        maxCost=max_cost,
        autoStopMinutes=auto_stop_minutes,
        autoStopAction=auto_stop_action,
        cloudInit=cloud_init,
    )
    return Request(
        method="PATCH",
        path="/api/teams/{team_id}/templates/{template_id}",
        at={"team_id": team_id, "template_id": template_id},
        body=body,
        answers=Template,
    )


def named(**values: Any) -> dict[str, Any]:
    """A body of what is said, None too."""
    return {name: value for name, value in values.items() if value is not UNSET}


def delete(team_id: str, template_id: str) -> Request[Deleted]:
    """Delete it; machines that were launched from it run on."""
    return Request(
        method="DELETE",
        path="/api/teams/{team_id}/templates/{template_id}",
        at={"team_id": team_id, "template_id": template_id},
        answers=Deleted,
    )
