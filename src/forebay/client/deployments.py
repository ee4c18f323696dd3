"""Deployments: machines, from launch to termination. Money in dollars."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from forebay.client.request import Answer, Page, Request, given


class PortForward(Answer):
    """A port of the machine, and where it is reached."""

    external: int
    internal: int


class HostKey(Answer):
    """A public key that the machine proves itself with; `fingerprint` is what `ssh` shows when it asks."""

    type: str
    fingerprint: str
    public_key: str
    """`type base64`, as it stands in a known_hosts file."""


class Deployment(Answer):
    """A machine. `ip_address`, `user`, `ssh_port` and `ssh_command` are set together, when SSH answers."""

    id: str
    name: str
    provider_id: str
    gpu_model_id: str
    gpu_type: str
    offer_id: str
    gpu_count: int
    region: str
    operating_system: str
    instance_type: str
    ssh_key_id: str | None
    temp_ssh_key_id: str | None
    ssh_key_name: str
    ssh_key_fingerprint: str
    ip_address: str | None
    user: str | None
    status: str
    """`deploying`, `running`, `stopped`, `failed`, `terminated` or `terminated-provider`."""
    started_at: str | None
    stopped_at: str | None
    last_credit_deduction: str | None
    total_cost: float
    hourly_rate: float
    original_hourly_rate: float
    discount_percentage: float
    has_discount: bool
    vcpus: int
    memory: int
    storage: int
    ssh_command: str | None
    ssh_port: int | None
    ports: list[int]
    """What was asked to be reached from outside beside SSH's."""
    port_forwards: list[PortForward]
    host_keys: list[HostKey]
    """Empty until SSH has first answered."""
    volume_ids: list[str]
    kubernetes_addon: None
    created_at: str
    team_id: str
    created_by: str
    error: str | None
    labels: dict[str, str]
    terminate_at: str | None
    max_cost: float | None
    auto_stop_minutes: int | None
    auto_stop_action: str | None
    """`stop` or `terminate`; null without minutes."""
    accrued_cost: float


class Ended(Answer):
    """A deployment that is ending, at `terminate_at` if not now."""

    id: str
    status: str
    stopped_at: str | None
    terminate_at: str | None = None


class Destruction(Answer):
    """It is being terminated."""

    message: str
    deployment: Ended


class CanTerminate(Answer):
    """Whether it can be terminated now; minutes."""

    can_terminate: bool
    runtime: int
    time_remaining: int
    minimum_runtime: int
    reason: str | None = None


class Event(Answer):
    """Something that happened to a deployment."""

    id: str
    at: str
    kind: str
    message: str


class Events(Page):
    """A page of its timeline, newest first."""

    events: list[Event]


def listed(
    *, team_id: str | None = None, status: str | None = None, user_id: str | None = None
) -> Request[list[Deployment]]:
    """The team's machines, newest first; `status` may also be `active` or `inactive`."""
    query = given(teamId=team_id, status=status, userId=user_id)
    return Request(method="GET", path="/api/deployments", query=query, answers=list[Deployment])


def launch(
    *,
    team_id: str,
    provider: str,
    offer_id: str,
    gpu_type: str,
    gpu_count: int,
    region: str,
    operating_system: str,
    instance_type: str,
    ssh_key_id: str | None = None,
    ssh_public_key: str | None = None,
    name: str | None = None,
    cloud_init: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    volume_ids: Sequence[str] | None = None,
    ports: Sequence[int] | None = None,
    terminate_at: str | None = None,
    max_cost: float | None = None,
    auto_stop_minutes: int | None = None,
    auto_stop_action: str | None = None,
    template_id: str | None = None,
    retry_key: str | None = None,
) -> Request[Deployment]:
    """Launch a machine: all from one offer, and exactly one of the two keys. `cloud_init` as on the wire.

    `template_id` is remembered as that template's last use, and fills in nothing.

    It is terminated at a time or before it costs more, and ended when it was idle, as `change` says. With the same
    `retry_key` it is the same machine, however often it is asked for.
    """
    body = given(
        teamId=team_id,
        provider=provider,
        offerId=offer_id,
        gpuType=gpu_type,
        gpuCount=gpu_count,
        region=region,
        operatingSystem=operating_system,
        instanceType=instance_type,
        sshKeyId=ssh_key_id,
        ssh_public_key=ssh_public_key,
        name=name,
        cloudInit=cloud_init,
        labels=labels,
        volumeIds=volume_ids,
        ports=ports,
        terminateAt=terminate_at,
        maxCost=max_cost,
        autoStopMinutes=auto_stop_minutes,
        autoStopAction=auto_stop_action,
        templateId=template_id,
    )
    return Request(method="POST", path="/api/deployments", body=body, answers=Deployment, retry_key=retry_key)


def show(deployment_id: str) -> Request[Deployment]:
    """One machine, as it is now."""
    return Request(
        method="GET", path="/api/deployments/{deployment_id}", at={"deployment_id": deployment_id}, answers=Deployment
    )


def change(
    deployment_id: str,
    *,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    terminate_at: str | UnsetType | None = UNSET,
    max_cost: float | UnsetType | None = UNSET,
    auto_stop_minutes: int | UnsetType | None = UNSET,
    auto_stop_action: str | UnsetType | None = UNSET,
) -> Request[Deployment]:
    """Rename or relabel a machine, or say when it ends; None takes an end off again.

    It is terminated at `terminate_at`, or before it costs more than `max_cost`; after `auto_stop_minutes` in which
    nobody used it, it is stopped, or terminated where `auto_stop_action` says so.
    """
    ends = {
        "terminateAt": terminate_at,
        "maxCost": max_cost,
        "autoStopMinutes": auto_stop_minutes,
        "autoStopAction": auto_stop_action,
    }
    return Request(
        method="PATCH",
        path="/api/deployments/{deployment_id}",
        at={"deployment_id": deployment_id},
        body=given(name=name, labels=labels) | {key: value for key, value in ends.items() if value is not UNSET},
        answers=Deployment,
    )


def terminate(deployment_id: str, *, when: str | None = None) -> Request[Destruction]:
    """Terminate a machine: it is charged to this second and not beyond.

    `when="allowed"` plans that for the end of the minimum runtime, where it would be refused before.
    """
    return Request(
        method="DELETE",
        path="/api/deployments/{deployment_id}",
        at={"deployment_id": deployment_id},
        query=given(when=when),
        answers=Destruction,
    )


def can_terminate(deployment_id: str) -> Request[CanTerminate]:
    """Whether a machine can be terminated now, and if not, when."""
    return Request(
        method="GET",
        path="/api/deployments/{deployment_id}/can-terminate",
        at={"deployment_id": deployment_id},
        answers=CanTerminate,
    )


def stop(deployment_id: str) -> Request[Deployment]:
    """Stop a machine; its disk stays, and costs a little."""
    return Request(
        method="POST",
        path="/api/deployments/{deployment_id}/stop",
        at={"deployment_id": deployment_id},
        answers=Deployment,
    )


def start(deployment_id: str) -> Request[Deployment]:
    """Start a stopped machine with the disk it had."""
    return Request(
        method="POST",
        path="/api/deployments/{deployment_id}/start",
        at={"deployment_id": deployment_id},
        answers=Deployment,
    )


def events(deployment_id: str, *, page: int | None = None, limit: int | None = None) -> Request[Events]:
    """What happened to a machine."""
    return Request(
        method="GET",
        path="/api/deployments/{deployment_id}/events",
        at={"deployment_id": deployment_id},
        query=given(page=page, limit=limit),
        answers=Events,
    )
