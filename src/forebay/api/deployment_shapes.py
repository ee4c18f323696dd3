"""What deployments look like on the wire: what is taken, what is answered, and a row of the database written as one."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from forebay.api.envelope import Input, Wire, encoder, iso
from forebay.domain.machines import overview
from forebay.domain.machines.shell_words import ssh_command

Encoding = Literal["", "b64", "gzip", "gz+b64"]
FileMode = Annotated[str, msgspec.Meta(pattern=r"^(0?[0-7]{3,4})?$")]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Dollars = Annotated[float, msgspec.Meta(gt=0, le=1_000_000_000)]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=43_200)]
Text = Annotated[str, msgspec.Meta(max_length=65536)]


class WriteFile(Input, forbid_unknown_fields=True):
    """A file that cloud-init writes."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern="^/")]
    content: Annotated[str, msgspec.Meta(max_length=524288)] = ""
    owner: Annotated[str, msgspec.Meta(max_length=100)] = ""
    permissions: FileMode = ""
    encoding: Encoding = ""


class CloudInit(Input, forbid_unknown_fields=True):
    """First boot, in cloud-init's own order: writeFiles, packages, runcmd. What else cloud-init knows is refused."""

    packages: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=200)]], msgspec.Meta(max_length=200)
    ] = msgspec.field(default_factory=list)
    runcmd: Annotated[list[Text], msgspec.Meta(max_length=200)] = msgspec.field(default_factory=list)
    write_files: Annotated[list[WriteFile], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=list)


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
    volume_ids: Annotated[list[Annotated[str, msgspec.Meta(max_length=120)]], msgspec.Meta(max_length=100)] | None = (
        None
    )
    """Volumes of the team, to be there before anything runs: each at `/mnt/<its name>`."""
    kubernetes_addon: Any = None
    ports: Annotated[list[int], msgspec.Meta(max_length=1000)] | None = None
    """TCP ports of the machine to be reached from outside beside SSH's: see `portForwards` once it runs."""
    terminate_at: Moment | None = None
    """Terminate it then, or when its minimum runtime is over."""
    max_cost: Dollars | None = None
    """Terminate it before it costs more than that."""
    auto_stop_minutes: Minutes | None = None
    """Stop it when it was idle for so long."""
    auto_stop_action: Literal["stop", "terminate"] | None = None
    """What is done then; without it, stop. An offer that can't be stopped needs `terminate` here."""
    template_id: str | None = None
    """The template of the team that this launch was made from: remembered as its last use. Nothing of it is filled in,
    as `launch` of `GET /api/teams/{teamId}/templates/{templateId}` has all of it."""


LATER = {
    "kubernetes_addon": "no provider here has the Kubernetes add-on",
}
"""Fields that are known and not yet carried out: asking for one is refused, never dropped."""


AT_LAUNCH = {"ports": "they are chosen at the launch of a machine, for as long as it is there"}
"""What can't be changed of a machine that is there."""


class ChangedDeployment(Input):
    """What can be changed of a deployment. Null takes an end that was planned off again."""

    name: str | None = None
    labels: dict[str, str] | None = None
    ports: list[int] | None = None
    terminate_at: Moment | UnsetType | None = UNSET
    max_cost: Dollars | UnsetType | None = UNSET
    auto_stop_minutes: Minutes | UnsetType | None = UNSET
    auto_stop_action: Literal["stop", "terminate"] | UnsetType | None = UNSET


class PortForward(Wire):
    """A port of the machine and where it is reached."""

    external: int
    internal: int


class HostKey(Wire):
    """A public key that the machine proves itself with; `fingerprint` is what `ssh` shows when it asks."""

    type: str
    fingerprint: str
    public_key: str
    """`type base64`, as it stands in a known_hosts file."""


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
    ports: list[int]
    """What was asked to be reached from outside beside SSH's."""
    port_forwards: list[PortForward]
    host_keys: list[HostKey]
    """As the machine reported them when SSH first answered: to be told from any other machine by."""
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
    auto_stop_action: Literal["stop", "terminate"] | None
    accrued_cost: float
    """What it has cost to this second, in dollars. The last field: `encode_list` depends on it."""


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
    terminate_at: str | UnsetType = UNSET
    """For one that ends later."""


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
        (gpu_type, gpu_model, gpu_count, vcpus, memory, storage, rate, list_rate, basis_points),
        (key_id, is_temporary, key_name, fingerprint),
        (labels, address, user, port, forwards, error, created_at, started_at, stopped_at, host_keys, ports),
        (terminate_at, max_cost, idle_minutes, idle_action, volumes),
        (charged, charged_through, open_rate, open_started, open_charged),
    ) = row[:10], row[10:19], row[19:23], row[23:-10], row[-10:-5], row[-5:]
    charged = int(charged or 0)
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
        hourly_rate=rate / 1_000_000,
        original_hourly_rate=list_rate / 1_000_000,
        discount_percentage=basis_points / 100,
        has_discount=basis_points > 0,
        vcpus=vcpus,
        memory=memory,
        storage=storage,
        ssh_command=None if address is None else ssh_command(user, address, port),
        ssh_port=port,
        ports=[] if ports == "[]" else msgspec.json.decode(ports),
        port_forwards=[] if forwards == "[]" else msgspec.json.decode(forwards, type=list[PortForward]),
        host_keys=[] if host_keys == "[]" else [HostKey(**key) for key in msgspec.json.decode(host_keys)],
        volume_ids=sorted(volumes.split()) if volumes else [],
        kubernetes_addon=None,
        created_at=iso(created_at) or "",
        team_id=team_id,
        created_by=created_by,
        error=error,
        labels={} if labels == "{}" else msgspec.json.decode(labels),
        terminate_at=iso(terminate_at),
        max_cost=None if max_cost is None else max_cost / 1_000_000,
        auto_stop_minutes=idle_minutes,
        auto_stop_action=idle_action,
        accrued_cost=overview.accrued_micros(charged, open_rate, open_started, open_charged, now) / 1_000_000,
    )


@lru_cache(8192)
def encode_start(row: tuple[Any, ...]) -> bytes:
    """A row as JSON up to the number of its last field, which alone changes from second to second."""
    written = encoder.encode(to_wire(row, 0))
    return written[: written.rindex(b":") + 1]


def encode_list(rows: Sequence[tuple[Any, ...]], now: int) -> bytes:
    """The JSON of a list. People poll: most rows are what they were a second ago, and are not written anew."""
    parts = []
    for row in rows:
        accrued = overview.accrued_micros(int(row[-5] or 0), row[-3], row[-2], row[-1], now) / 1_000_000
        parts.append(b"%b%b}" % (encode_start(row), encoder.encode(accrued)))
    return b"[%b]" % b",".join(parts)
