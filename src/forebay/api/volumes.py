"""`/api/volumes`: what a team stores beyond the life of its machines."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import Needs, route
from forebay.domain.machines import volume_regions, volumes, volumes_seen
from forebay.domain.machines.volume_regions import Region, rate_micros
from forebay.domain.machines.volumes_seen import SeenVolume
from forebay.domain.money.amounts import to_dollars
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import NotFound

NANOS_PER_DOLLAR = 1_000_000_000
Size = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Word = Annotated[str, msgspec.Meta(max_length=120)]
Status = Literal["creating", "available", "attached", "deleting", "deleted", "failed"]


class NewVolume(Input):
    """A volume. Its name is its folder on machines: `/mnt/<name>`."""

    name: Annotated[str, msgspec.Meta(max_length=240)]
    size_in_gb: Size
    provider: Word
    region: Word | None = None
    """Without it the provider's first one; see `GET /api/volumes/regions`."""
    cloud_id: Word | None = None
    """Means nothing here: regions are the provider's own."""
    deployment_id: str | None = None
    """A machine to attach it to at once."""
    team_id: str | None = None


class ChangedVolume(Input):
    """What can be changed of a volume. It grows and never shrinks."""

    name: Annotated[str, msgspec.Meta(max_length=240)] | None = None
    size_in_gb: Size | None = None


class VolumeList(Input):
    """Filters of the list, and which page."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    status: Status | None = None
    """Without it, all but the deleted ones."""
    team_id: str | None = None


class WhichMachine(Input):
    """A machine of the same team and region."""

    deployment_id: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class WhichRegion(Input):
    """Where volumes are kept."""

    provider: Word | None = None
    region: Word | None = None
    cloud_id: Word | None = None
    """Means nothing here."""


class WhichProvider(Input):
    """Whose regions; without it those of all."""

    provider: Word | None = None


class VolumeOnMachine(Wire):
    """A machine that the volume is attached to, is about to be, or is just being detached from."""

    deployment_id: str
    path: str
    status: Literal["attaching", "attached", "detaching"]


class Volume(Wire):
    """A volume. `attachedToDeploymentIds` is what was asked for; `status` is `attached` once a machine has it."""

    id: str
    volume_id: str
    """The same."""
    name: str
    provider_id: str
    region: str
    size_in_gb: int
    used_capacity_bytes: int
    """What is stored on it, seen a few seconds ago."""
    status: Status
    hourly_rate: float
    attached_to_deployment_ids: list[str]
    team_id: str
    created_at: str
    created_by: str
    attachments: list[VolumeOnMachine]
    error: str | None
    """Why it failed, or why what was asked for last could not be done."""


class VolumePage(Wire):
    """A page of volumes, newest first."""

    volumes: list[Volume]
    total: int
    page: int
    limit: int
    total_pages: int


class VolumePrice(Wire):
    """Dollars an hour for each GB."""

    provider: str
    hourly_rate_per_gb: float


class PlaceForVolumes(Wire):
    """A region that volumes can be kept in; `hasGpuOffers`: there are machines with GPUs to attach them to."""

    id: str
    name: str
    has_gpu_offers: bool
    min_size_gb: int
    max_size_gb: int
    hourly_rate_per_gb: float
    provider: str
    can_grow: bool
    can_share: bool
    """Whether a volume can be on several machines at once."""


class PlacesForVolumes(Wire):
    """Where volumes can be kept, and whether there is anything to launch there."""

    has_any_offers: bool
    regions: list[PlaceForVolumes]


class VolumeDeleted(Wire):
    """It was done."""

    success: bool


def to_wire(seen: SeenVolume) -> Volume:
    """A volume as clients see it."""
    volume = seen.volume
    return Volume(
        id=volume.id,
        volume_id=volume.id,
        name=volume.name,
        provider_id=volume.provider,
        region=volume.region,
        size_in_gb=volume.size_gb,
        used_capacity_bytes=volume.used_bytes,
        status=seen.status,
        hourly_rate=to_dollars(rate_micros(volume.nanos_per_gb, volume.size_gb)),
        attached_to_deployment_ids=[each.deployment_id for each in seen.attachments if each.state != "detaching"],
        team_id=volume.team_id,
        created_at=iso(int(volume.created_at.timestamp())) or "",
        created_by=volume.created_by,
        attachments=[
            VolumeOnMachine(deployment_id=each.deployment_id, path=f"/mnt/{each.name}", status=each.state)
            for each in seen.attachments
        ],
        error=volume.error,
    )


def shown(call: Call, volume_id: str) -> Volume:
    """One volume as it is now."""
    return to_wire(volumes_seen.one(call.connection, volume_id, call.team.team_id))


@route(
    "GET",
    "/api/volumes/pricing",
    needs=Needs.account,
    query=WhichRegion,
    answers=VolumePrice,
    raises=(404,),
)
def pricing(call: Call, query: WhichRegion) -> VolumePrice:
    """What a GB costs an hour, in dollars; of several regions the first."""
    found = volume_regions.listed(call.connection, query.provider, query.region)
    if not found:
        raise NotFound("Region for volumes")
    return VolumePrice(provider=found[0].provider, hourly_rate_per_gb=found[0].nanos_per_gb / NANOS_PER_DOLLAR)


@route("GET", "/api/volumes/regions", needs=Needs.account, query=WhichProvider, answers=PlacesForVolumes)
def regions(call: Call, query: WhichProvider) -> PlacesForVolumes:
    """Where volumes can be kept, at what price, and how large they may be."""
    has_gpus = volume_regions.with_machines(call.connection, query.provider)
    found = volume_regions.listed(call.connection, query.provider)
    return PlacesForVolumes(
        has_any_offers=bool(has_gpus),
        regions=[to_place(each, has_gpus=has_gpus.get((each.provider, each.region), False)) for each in found],
    )


def to_place(region: Region, *, has_gpus: bool) -> PlaceForVolumes:
    """A region as clients see it."""
    return PlaceForVolumes(
        id=region.region,
        name=region.name,
        has_gpu_offers=has_gpus,
        min_size_gb=region.min_size_gb,
        max_size_gb=region.max_size_gb,
        hourly_rate_per_gb=region.nanos_per_gb / NANOS_PER_DOLLAR,
        provider=region.provider,
        can_grow=region.can_grow,
        can_share=region.can_share,
    )


@route(
    "GET",
    "/api/volumes",
    needs=Permission.see,
    target=Target.current,
    target_from="query:teamId",
    query=VolumeList,
    answers=VolumePage,
)
def list_all(call: Call, query: VolumeList) -> VolumePage:
    """The team's volumes, newest first."""
    found, total = volumes_seen.of_team(
        call.connection, call.team.team_id, status=query.status, page=query.page, limit=query.limit
    )
    return page_of(found, total, query)


def page_of(found: Sequence[SeenVolume], total: int, query: VolumeList) -> VolumePage:
    """A page as clients see it."""
    return VolumePage(
        volumes=[to_wire(each) for each in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


@route(
    "POST",
    "/api/volumes",
    needs=Permission.manage_volumes,
    target=Target.current,
    target_from="body:teamId",
    body=NewVolume,
    answers=Volume,
    status=201,
    raises=(402,),
)
def create(call: Call, body: NewVolume) -> Volume:
    """Make a volume: it is paid for by the second from when it is there until it is deleted.

    Credits for seven days of its price must be available; they are not set aside. Poll until `status` is `available`,
    or launch a machine with it at once. With `deploymentId` it is attached as soon as it is there.
    """
    order = volumes.Order(
        name=body.name,
        size_gb=body.size_in_gb,
        provider=body.provider,
        region=body.region,
        deployment_id=body.deployment_id,
    )
    volume_id = volumes.create(call.connection, call.team, order, now=call.now)
    call.nudge("volumes")
    return shown(call, volume_id)


@route(
    "GET",
    "/api/volumes/{volume_id}",
    needs=Permission.see,
    target=Target.volume,
    target_from="path:volume_id",
    answers=Volume,
)
def show(call: Call, volume_id: str) -> Volume:
    """One volume, as it is now."""
    return shown(call, volume_id)


@route(
    "PATCH",
    "/api/volumes/{volume_id}",
    needs=Permission.manage_volumes,
    target=Target.volume,
    target_from="path:volume_id",
    body=ChangedVolume,
    answers=Volume,
    raises=(402, 409),
)
def change(call: Call, volume_id: str, body: ChangedVolume) -> Volume:
    """Rename a volume, or let it grow, also while machines use it.

    Growing needs seven days of its new price available; the price changes when it has grown. A new name counts on
    machines from when it is attached again.
    """
    volumes.update(call.connection, call.team, volume_id, name=body.name, size_gb=body.size_in_gb, now=call.now)
    call.nudge("volumes")
    return shown(call, volume_id)


@route(
    "DELETE",
    "/api/volumes/{volume_id}",
    needs=Permission.manage_volumes,
    target=Target.volume,
    target_from="path:volume_id",
    answers=VolumeDeleted,
    raises=(409,),
)
def delete(call: Call, volume_id: str) -> VolumeDeleted:
    """Delete a volume with all that is on it. It must be detached; it costs nothing from this second on."""
    volumes.delete(call.connection, call.team, volume_id, now=call.now)
    call.nudge("volumes")
    return VolumeDeleted(success=True)


@route(
    "POST",
    "/api/volumes/{volume_id}/attach",
    needs=Permission.see,
    target=Target.volume,
    target_from="path:volume_id",
    body=WhichMachine,
    answers=Volume,
)
def attach(call: Call, volume_id: str, body: WhichMachine) -> Volume:
    """Have a volume on a machine, at `/mnt/<name>`, while it runs or is stopped.

    It is there a moment later: poll until its `attachments` say `attached`. Whoever may operate the machine may do it.
    """
    volumes.attach(call.connection, call.team, volume_id, body.deployment_id, now=call.now)
    call.nudge("volumes")
    return shown(call, volume_id)


@route(
    "POST",
    "/api/volumes/{volume_id}/detach",
    needs=Permission.see,
    target=Target.volume,
    target_from="path:volume_id",
    body=WhichMachine,
    answers=Volume,
)
def detach(call: Call, volume_id: str, body: WhichMachine) -> Volume:
    """Take a volume off a machine; what is stored on it stays.

    It is off a moment later: poll until it is out of `attachments`. If something on the machine still uses it after
    five seconds, it stays attached, and `error` says what to do.
    """
    volumes.detach(call.connection, call.team, volume_id, body.deployment_id, now=call.now)
    call.nudge("volumes")
    return shown(call, volume_id)
