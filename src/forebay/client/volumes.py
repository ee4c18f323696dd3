"""Volumes: what a team stores beyond the life of its machines. Without `team_id` the current team is meant."""

from forebay.client.request import Answer, Page, Request, given


class VolumeOnMachine(Answer):
    """A machine that has the volume at `path`, is about to, or is just losing it."""

    deployment_id: str
    path: str
    status: str


class Volume(Answer):
    """A volume; `status` is `creating`, `available`, `attached`, `deleting`, `deleted` or `failed`."""

    id: str
    volume_id: str
    name: str
    provider_id: str
    region: str
    size_in_gb: int
    used_capacity_bytes: int
    status: str
    hourly_rate: float
    attached_to_deployment_ids: list[str]
    team_id: str
    created_at: str
    created_by: str
    attachments: list[VolumeOnMachine]
    error: str | None


class Volumes(Page):
    """A page of volumes, newest first."""

    volumes: list[Volume]


class Price(Answer):
    """Dollars an hour for each GB."""

    provider: str
    hourly_rate_per_gb: float


class Place(Answer):
    """A region that volumes can be kept in."""

    id: str
    name: str
    has_gpu_offers: bool
    min_size_gb: int
    max_size_gb: int
    hourly_rate_per_gb: float
    provider: str
    can_grow: bool
    can_share: bool


class Places(Answer):
    """Where volumes can be kept."""

    has_any_offers: bool
    regions: list[Place]


class Deleted(Answer):
    """It was done."""

    success: bool


def listed(
    *, team_id: str | None = None, status: str | None = None, page: int | None = None, limit: int | None = None
) -> Request[Volumes]:
    """The team's volumes, newest first; without a status all but the deleted ones."""
    query = given(teamId=team_id, status=status, page=page, limit=limit)
    return Request(method="GET", path="/api/volumes", query=query, answers=Volumes)


def create(
    name: str,
    size_in_gb: int,
    *,
    provider: str,
    region: str | None = None,
    deployment_id: str | None = None,
    team_id: str | None = None,
) -> Request[Volume]:
    """Make a volume; with a machine it is attached as soon as it is there."""
    body = given(
        name=name,
        sizeInGb=size_in_gb,
        provider=provider,
        region=region,
        deploymentId=deployment_id,
        teamId=team_id,
    )
    return Request(method="POST", path="/api/volumes", body=body, answers=Volume)


def show(volume_id: str) -> Request[Volume]:
    """One volume, as it is now."""
    return Request(method="GET", path="/api/volumes/{volume_id}", at={"volume_id": volume_id}, answers=Volume)


def change(volume_id: str, *, name: str | None = None, size_in_gb: int | None = None) -> Request[Volume]:
    """Rename a volume, or let it grow."""
    return Request(
        method="PATCH",
        path="/api/volumes/{volume_id}",
        at={"volume_id": volume_id},
        body=given(name=name, sizeInGb=size_in_gb),
        answers=Volume,
    )


def delete(volume_id: str) -> Request[Deleted]:
    """Delete a volume with all that is on it; it must be detached."""
    return Request(method="DELETE", path="/api/volumes/{volume_id}", at={"volume_id": volume_id}, answers=Deleted)


def attach(volume_id: str, deployment_id: str) -> Request[Volume]:
    """Have it on a machine; it is there a moment later."""
    return Request(
        method="POST",
        path="/api/volumes/{volume_id}/attach",
        at={"volume_id": volume_id},
        body={"deploymentId": deployment_id},
        answers=Volume,
    )


def detach(volume_id: str, deployment_id: str) -> Request[Volume]:
    """Take it off a machine; it is off a moment later, or says in `error` why it isn't."""
    return Request(
        method="POST",
        path="/api/volumes/{volume_id}/detach",
        at={"volume_id": volume_id},
        body={"deploymentId": deployment_id},
        answers=Volume,
    )


def pricing(*, provider: str | None = None, region: str | None = None) -> Request[Price]:
    """What a GB costs an hour."""
    query = given(provider=provider, region=region)
    return Request(method="GET", path="/api/volumes/pricing", query=query, answers=Price)


def regions(*, provider: str | None = None) -> Request[Places]:
    """Where volumes can be kept, at what price, and how large they may be."""
    return Request(method="GET", path="/api/volumes/regions", query=given(provider=provider), answers=Places)
