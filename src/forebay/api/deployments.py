"""`/api/deployments`: launch, look, rename, stop, start, terminate."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from forebay.api.door import Call, TooManyRows
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import route
from forebay.domain.machines import deployments, events, overview
from forebay.domain.machines.deployments import Limits, Order
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, NotFound

Encoding = Literal["", "b64", "gzip", "gz+b64"]
FileMode = Annotated[str, msgspec.Meta(pattern=r"^(0?[0-7]{3,4})?$")]
Text = Annotated[str, msgspec.Meta(max_length=65536)]


class WriteFile(Input):
    """A file that cloud-init writes."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern="^/")]
    content: Annotated[str, msgspec.Meta(max_length=524288)] = ""
    owner: Annotated[str, msgspec.Meta(max_length=100)] = ""
    permissions: FileMode = ""
    encoding: Encoding = ""


class CloudInit(Input):
    """First boot, in cloud-init's own order: writeFiles, packages, runcmd."""

    packages: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=200)]], msgspec.Meta(max_length=200)
    ] = []
    runcmd: Annotated[list[Text], msgspec.Meta(max_length=200)] = []
    write_files: Annotated[list[WriteFile], msgspec.Meta(max_length=100)] = []


class NewDeployment(Input):
    """All fields must come from one offer; exactly one of `sshKeyId` and `ssh_public_key`."""

    provider: str
    offer_id: str
    gpu_type: str
    gpu_count: Annotated[int, msgspec.Meta(ge=0, le=1024)]
    region: str
    operating_system: str
    instance_type: str
    team_id: str | None = None
    """Required: the team that pays."""
    ssh_key_id: str | None = None
    ssh_public_key: str | None = msgspec.field(default=None, name="ssh_public_key")
    """Makes a temporary key."""
    name: str | None = None
    cloud_init: CloudInit | None = None
    labels: dict[str, str] | None = None
    volume_ids: list[str] | None = None
    kubernetes_addon: Any = None
    ports: list[int] | None = None
    terminate_at: str | None = None
    max_cost: float | None = None
    auto_stop_minutes: int | None = None


LATER = {
    "volume_ids": "volumes can't be attached yet",
    "kubernetes_addon": "no provider here has the Kubernetes add-on",
    "ports": "ports can't be exposed yet",
    "terminate_at": "a termination can't be scheduled yet",
    "max_cost": "a greatest cost can't be set yet",
    "auto_stop_minutes": "idle machines can't be stopped automatically yet",
}
"""Fields that are known and not yet carried out: asking for one is refused, never dropped."""


class ChangedDeployment(Input):
    """What can be changed of a deployment."""

    name: str | None = None
    labels: dict[str, str] | None = None
    ports: list[int] | None = None
    terminate_at: str | None = None
    max_cost: float | None = None
    auto_stop_minutes: int | None = None


class PortForward(Wire):
    """A port of the machine and where it is reached."""

    external: int
    internal: int


class Deployment(Wire):
    """A machine. `ipAddress`, `user`, `sshPort` and `sshCommand` are set together, when SSH answers."""

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
    status: Literal["deploying", "running", "stopped", "failed", "terminated", "terminated-provider"]
    started_at: str | None
    stopped_at: str | None
    last_credit_deduction: str | None
    total_cost: float
    """What has been charged, in dollars."""
    hourly_rate: float
    original_hourly_rate: float
    discount_percentage: float
    has_discount: bool
    vcpus: int
    memory: int
    storage: int
    ssh_command: str | None
    ssh_port: int | None
    port_forwards: list[PortForward]
    volume_ids: list[str]
    kubernetes_addon: None
    created_at: str
    team_id: str
    created_by: str
    error: str | None
    labels: dict[str, str]
    accrued_cost: float
    """What it has cost to this second, in dollars."""
    terminate_at: str | None
    max_cost: float | None
    auto_stop_minutes: int | None


class DeploymentList(Input):
    """Filters of the list."""

    status: (
        Literal["active", "inactive", "deploying", "running", "stopped", "failed", "terminated", "terminated-provider"]
        | None
    ) = None
    team_id: str | None = None
    user_id: str | None = None


class Termination(Input):
    """How to terminate."""

    when: Literal["now", "allowed"] | None = None


class Ended(Wire):
    """A deployment that is ending."""

    id: str
    status: str
    stopped_at: str | None


class Destruction(Wire):
    """The answer to a termination."""

    message: str
    deployment: Ended


class CanTerminate(Wire, omit_defaults=True):
    """Whether it can be terminated now; minutes."""

    can_terminate: bool
    runtime: int
    time_remaining: int
    minimum_runtime: int
    reason: str | None = None


class Event(Wire):
    """Something that happened to a deployment."""

    id: str
    at: str
    kind: str
    message: str


class EventPage(Wire):
    """A page of the timeline, newest first."""

    events: list[Event]
    total: int
    page: int
    limit: int
    total_pages: int


class Page(Input):
    """Which page."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


def to_wire(row: Sequence[Any], now: int) -> Deployment:
    """A row of `overview` as clients see it."""
    (
        (id_, team_id, created_by, name, status, provider, offer_id, instance_type, region, operating_system),
        (gpu_type, gpu_model, gpu_count, vcpus, memory, storage, rate, key_id, is_temporary, key_name, fingerprint),
        (labels, address, user, port, forwards, error, created_at, started_at, stopped_at),
        (charged, charged_through, open_rate, open_started, open_charged),
    ) = row[:10], row[10:21], row[21:30], row[30:]
    charged = int(charged or 0)
    hourly = rate / 1_000_000
    return Deployment(
        id=id_,
        name=name,
        provider_id=provider,
        gpu_model_id=gpu_model,
        gpu_type=gpu_type,
        offer_id=offer_id,
        gpu_count=gpu_count,
        region=region,
        operating_system=operating_system,
        instance_type=instance_type,
        ssh_key_id=None if is_temporary else key_id,
        temp_ssh_key_id=key_id if is_temporary else None,
        ssh_key_name=key_name,
        ssh_key_fingerprint=fingerprint,
        ip_address=address,
        user=user,
        status=status,
        started_at=iso(started_at),
        stopped_at=iso(stopped_at),
        last_credit_deduction=iso(charged_through),
        total_cost=charged / 1_000_000,
        hourly_rate=hourly,
        original_hourly_rate=hourly,
        discount_percentage=0.0,
        has_discount=False,
        vcpus=vcpus,
        memory=memory,
        storage=storage,
        ssh_command=None if address is None else f"ssh -p {port} {user}@{address}",
        ssh_port=port,
        port_forwards=[] if forwards == "[]" else msgspec.json.decode(forwards, type=list[PortForward]),
        volume_ids=[],
        kubernetes_addon=None,
        created_at=iso(created_at) or "",
        team_id=team_id,
        created_by=created_by,
        error=error,
        labels={} if labels == "{}" else msgspec.json.decode(labels),
        accrued_cost=overview.accrued_micros(charged, open_rate, open_started, open_charged, now) / 1_000_000,
        terminate_at=None,
        max_cost=None,
        auto_stop_minutes=None,
    )


def shown(call: Call, deployment_id: str) -> Deployment:
    """One deployment as it is now."""
    row = overview.one(call.connection, deployment_id)
    if row is None:
        raise NotFound("Deployment")
    return to_wire(row, int(call.now.timestamp()))


def limits(call: Call) -> Limits:
    """What a launch or start depends on."""
    settings = call.settings
    return Limits(minimum_micros=settings.minimum_launch_micros, creations=settings.rate_limit_creations)


def refuse_later(body: msgspec.Struct) -> None:
    """Raise BadRequest for a field whose function does not exist yet, unless it asks for nothing."""
    asked = {name: why for name, why in LATER.items() if getattr(body, name, None) not in (None, [], False)}
    if asked:
        details = {
            msgspec.structs.fields(body)[body.__struct_fields__.index(name)].encode_name: why
            for name, why in asked.items()
        }
        text = "; ".join(f"{name}: {why}" for name, why in details.items())
        raise BadRequest(f"Not possible here. {text}", code="NOT_SUPPORTED", details=details)


@route(
    "POST",
    "/api/deployments",
    needs=Permission.launch,
    target=Target.team,
    target_from="body:teamId",
    body=NewDeployment,
    answers=Deployment,
    status=201,
    raises=(402,),
)
def create(call: Call, body: NewDeployment) -> Deployment:
    """Launch a machine.

    Credits for the minimum runtime, but at least for a little while, are held; capacity is reserved. Poll until `status` is
    `running`: then SSH answers. Send an `Idempotency-Key` to be able to repeat the request safely.
    """
    refuse_later(body)
    cloud_init = None if body.cloud_init is None else cloud_init_facts(body.cloud_init)
    order = Order(
        offer_id=body.offer_id,
        provider=body.provider,
        gpu_type=body.gpu_type,
        gpu_count=body.gpu_count,
        region=body.region,
        operating_system=body.operating_system,
        instance_type=body.instance_type,
        ssh_key_id=body.ssh_key_id,
        ssh_public_key=body.ssh_public_key,
        name=body.name,
        cloud_init=cloud_init,
        labels=body.labels or {},
    )
    deployment_id = deployments.launch(call.connection, call.team, order, limits(call), now=call.now)
    call.nudge("deployments")
    return shown(call, deployment_id)


def cloud_init_facts(wish: CloudInit) -> dict[str, Any] | None:
    """What is kept of it, in the provider protocol's own field names; None if it asks for nothing."""
    if not (wish.packages or wish.runcmd or wish.write_files):
        return None
    return {
        "packages": wish.packages,
        "runcmd": wish.runcmd,
        "write_files": [msgspec.structs.asdict(file) for file in wish.write_files],
    }


@route(
    "GET",
    "/api/deployments",
    needs=Permission.see,
    target=Target.current,
    target_from="query:teamId",
    query=DeploymentList,
    answers=list[Deployment],
    is_inline=True,
)
def list_all(call: Call, query: DeploymentList) -> list[Deployment]:
    """The team's machines, newest first."""
    rows = overview.listed(
        call.connection, call.team.team_id, status=query.status, user_id=query.user_id, most=call.most_rows + 1
    )
    if call.is_inline and len(rows) > call.most_rows:
        raise TooManyRows
    now = int(call.now.timestamp())
    return [to_wire(row, now) for row in rows]


@route(
    "GET",
    "/api/deployments/{deployment_id}",
    needs=Permission.see,
    answers=Deployment,
    is_inline=True,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def show(call: Call, deployment_id: str) -> Deployment:
    """One machine, as it is now."""
    return shown(call, deployment_id)


@route(
    "PATCH",
    "/api/deployments/{deployment_id}",
    needs=Permission.see,
    body=ChangedDeployment,
    answers=Deployment,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def change(call: Call, deployment_id: str, body: ChangedDeployment) -> Deployment:
    """Rename or relabel a machine."""
    refuse_later(body)
    deployments.update(call.connection, call.team, deployment_id, name=body.name, labels=body.labels, now=call.now)
    return shown(call, deployment_id)


@route(
    "DELETE",
    "/api/deployments/{deployment_id}",
    needs=Permission.see,
    query=Termination,
    answers=Destruction,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def terminate(call: Call, deployment_id: str, query: Termination) -> Destruction:
    """Terminate a machine: it is charged to this second and not beyond."""
    if query.when == "allowed":
        raise BadRequest("Not possible here.", code="NOT_SUPPORTED", details={"when": LATER["terminate_at"]})
    deployments.terminate(call.connection, call.team, deployment_id, now=call.now)
    call.nudge("deployments")
    ended = shown(call, deployment_id)
    return Destruction(
        message="Instance destruction initiated",
        deployment=Ended(id=ended.id, status=ended.status, stopped_at=ended.stopped_at),
    )


@route(
    "GET",
    "/api/deployments/{deployment_id}/can-terminate",
    needs=Permission.see,
    answers=CanTerminate,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def can_terminate(call: Call, deployment_id: str) -> CanTerminate:
    """Whether a machine can be terminated now, and if not, when."""
    deployment = deployments.find(call.connection, deployment_id, call.team.team_id)
    found = deployments.runtime(deployment, call.now)
    reason = None
    if deployment.status not in deployments.ACTIVE:
        reason = "Instance has already ended."
    elif found.remaining > 0:
        reason = f"Instance must run for at least {found.minimum} minutes. Time remaining: {found.remaining} minutes."
    return CanTerminate(
        can_terminate=reason is None,
        runtime=found.run,
        time_remaining=found.remaining,
        minimum_runtime=found.minimum,
        reason=reason,
    )


@route(
    "POST",
    "/api/deployments/{deployment_id}/stop",
    needs=Permission.see,
    answers=Deployment,
    target=Target.deployment,
    target_from="path:deployment_id",
    raises=(400,),
)
def stop(call: Call, deployment_id: str) -> Deployment:
    """Stop a machine: its disk stays, and costs a little."""
    deployments.stop(call.connection, call.team, deployment_id, now=call.now)
    call.nudge("deployments")
    return shown(call, deployment_id)


@route(
    "POST",
    "/api/deployments/{deployment_id}/start",
    needs=Permission.see,
    answers=Deployment,
    target=Target.deployment,
    target_from="path:deployment_id",
    raises=(402,),
)
def start(call: Call, deployment_id: str) -> Deployment:
    """Start a stopped machine with the disk it had."""
    deployments.start(call.connection, call.team, deployment_id, limits(call), now=call.now)
    call.nudge("deployments")
    return shown(call, deployment_id)


@route(
    "GET",
    "/api/deployments/{deployment_id}/events",
    needs=Permission.see,
    query=Page,
    answers=EventPage,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def timeline(call: Call, deployment_id: str, query: Page) -> EventPage:
    """What happened to a machine, newest first; how cloud-init ended, with its log, is part of it."""
    found, total = events.of_deployment(call.connection, deployment_id, page=query.page, limit=query.limit)
    return EventPage(
        events=[
            Event(id=event.id, at=iso(int(event.at.timestamp())) or "", kind=event.kind, message=event.message)
            for event in found
        ],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )
