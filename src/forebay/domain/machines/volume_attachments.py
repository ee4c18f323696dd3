"""Which volumes are on which machines, and who may have it otherwise.

An attachment is wanted (`attaching`), there (`attached`), unwanted (`detaching`) or over (`detached`). What a person
asks for counts at once; that it is so is said when the provider has done it. A machine that ends takes its attachments
with it, never a volume.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines import volume_regions
from forebay.errors import Conflict
from forebay.storage.tables import deployments, volumes
from forebay.storage.tables import volume_attachments as attachments

if TYPE_CHECKING:
    from forebay.domain.machines.deployments import Deployment
    from forebay.domain.machines.volumes import Volume

MOST_ON_A_MACHINE = 32
CAN_HAVE = ("deploying", "running", "stopped")
"""The statuses of machines that volumes can be attached to."""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A volume on a machine."""

    volume_id: str
    deployment_id: str
    name: str
    """Its place below /mnt."""
    state: Literal["attaching", "attached", "detaching"]
    is_first_launch: bool
    """The machine has not run yet: the launch brings the volume along."""
    is_ending: bool
    """The machine is being ended: the volume is free once that is confirmed."""
    changed_at: datetime


IS_OPEN = attachments.c.state != "detached"
COLUMNS = (
    attachments.c.volume_id,
    attachments.c.deployment_id,
    attachments.c.name,
    attachments.c.state,
    sa.and_(deployments.c.status == "deploying", deployments.c.started_at.is_(None)).label("is_first_launch"),
    (deployments.c.desired == "terminated").label("is_ending"),
    attachments.c.changed_at,
)
SOURCE = attachments.join(deployments, deployments.c.id == attachments.c.deployment_id)

OF_VOLUMES = (
    sa.select(*COLUMNS)
    .select_from(SOURCE)
    .where(attachments.c.volume_id.in_(sa.bindparam("volume_ids", expanding=True)), IS_OPEN)
    .order_by(attachments.c.id)
)


def listed(connection: Connection, volume_ids: Sequence[str]) -> dict[str, list[Attachment]]:
    """The open attachments of these volumes, in the order in which they were asked for."""
    found: dict[str, list[Attachment]] = {volume_id: [] for volume_id in volume_ids}
    rows = connection.execute(OF_VOLUMES, {"volume_ids": volume_ids})
    names = tuple(rows.keys())
    for row in rows.all():
        values = dict(zip(names, row, strict=True))
        values |= {name: bool(values[name]) for name in ("is_first_launch", "is_ending")}
        found[row.volume_id].append(Attachment(**values))
    return found


def of_volume(connection: Connection, volume_id: str) -> list[Attachment]:
    """The open attachments of one volume."""
    return listed(connection, [volume_id])[volume_id]


def of_machine(connection: Connection, deployment_id: str) -> list[Attachment]:
    """The open attachments of one machine, in the order in which they were asked for."""
    mine = sa.select(attachments.c.volume_id).where(attachments.c.deployment_id == deployment_id, IS_OPEN)
    ids = list(dict.fromkeys(connection.execute(mine.order_by(attachments.c.id)).scalars()))
    found = listed(connection, ids)
    return [each for volume_id in ids for each in found[volume_id] if each.deployment_id == deployment_id]


def wake(connection: Connection, volume_id: str, *, now: datetime) -> None:
    """Make the reconciler look at the volume now."""
    connection.execute(sa.update(volumes).where(volumes.c.id == volume_id).values(due_at=now, attempts=0))


def join(connection: Connection, volume: "Volume", machine: "Deployment", *, now: datetime) -> bool:
    """Want a volume on a machine, both locked; False if it is there already. Raises Conflict."""
    refuse_unfit(connection, volume, machine.provider, machine.region)
    if machine.status not in CAN_HAVE:
        raise Conflict(f"The machine is {machine.status}: nothing can be attached to it.", code="MACHINE_ENDED")
    for each in of_volume(connection, volume.id):
        if each.deployment_id == machine.id:
            if each.state == "detaching":
                raise Conflict("The volume is just being detached from this machine.", code="VOLUME_DETACHING")
            return False
    refuse_taken(connection, volume)
    refuse_crowded(connection, volume.name, machine.id)
    add(connection, volume, machine.id, now=now)
    wake(connection, volume.id, now=now)
    return True


def refuse_unfit(connection: Connection, volume: "Volume", provider: str, region: str) -> None:
    """Raise Conflict for a volume that can't be attached to a machine of that place now."""
    if volume.ended_at is not None:
        raise Conflict(f"The volume {volume.name} is {volume.state}.", code="VOLUME_ENDED")
    if (volume.provider, volume.region) != (provider, region):
        raise Conflict(
            f"The volume {volume.name} is in {volume.region} of {volume.provider}, "
            f"and the machine in {region} of {provider}.",
            code="VOLUME_ELSEWHERE",
        )


def refuse_taken(connection: Connection, volume: "Volume") -> None:
    """Raise Conflict for a volume that another machine has, where it can be on one alone."""
    others = of_volume(connection, volume.id)
    if others and not volume_regions.of_id(connection, volume.region_id).can_share:
        raise Conflict(
            f"The volume {volume.name} is attached to a machine, and can be on one alone here.",
            code="VOLUME_ATTACHED",
            details={"deploymentIds": [each.deployment_id for each in others]},
        )


def refuse_crowded(connection: Connection, name: str, deployment_id: str) -> None:
    """Raise Conflict where the machine has as many volumes as one may, or another one at that place."""
    names = connection.execute(
        sa.select(attachments.c.name).where(attachments.c.deployment_id == deployment_id, IS_OPEN)
    ).scalars()
    taken = list(names)
    if name in taken:
        raise Conflict(f"Another volume is at /mnt/{name} of this machine.", code="VOLUME_PLACE_TAKEN")
    if len(taken) >= MOST_ON_A_MACHINE:
        raise Conflict(f"A machine has {MOST_ON_A_MACHINE} volumes at most.", code="TOO_MANY_VOLUMES")


def add(connection: Connection, volume: "Volume", deployment_id: str, *, now: datetime) -> None:
    """The attachment itself."""
    connection.execute(
        sa.insert(attachments).values(
            id=ids.new_id(now),
            volume_id=volume.id,
            deployment_id=deployment_id,
            name=volume.name,
            state="attaching",
            created_at=now,
            changed_at=now,
        )
    )


def part(connection: Connection, volume: "Volume", machine: "Deployment", *, now: datetime) -> bool:
    """Want a volume off a machine, both locked; False if that is under way. Raises Conflict if it isn't on it."""
    found = next((each for each in of_volume(connection, volume.id) if each.deployment_id == machine.id), None)
    if found is None:
        raise Conflict("The volume is not attached to this machine.", code="VOLUME_NOT_ATTACHED")
    if found.state == "detaching":
        return False
    turn(connection, volume.id, machine.id, "detaching", now=now)
    connection.execute(sa.update(volumes).where(volumes.c.id == volume.id).values(error=None))
    wake(connection, volume.id, now=now)
    return True


def turn(
    connection: Connection, volume_id: str, deployment_id: str, state: str, *, now: datetime, was: str | None = None
) -> bool:
    """Give the open attachment of a volume to a machine another state, if it is `was`; whether it was."""
    which = sa.and_(attachments.c.volume_id == volume_id, attachments.c.deployment_id == deployment_id, IS_OPEN)
    if was is not None:
        which = sa.and_(which, attachments.c.state == was)
    return connection.execute(sa.update(attachments).where(which).values(state=state, changed_at=now)).rowcount == 1


def refuse_attached(connection: Connection, volume: "Volume") -> None:
    """Raise Conflict for a volume that can't be deleted; a machine that is just ending keeps nothing from it."""
    found = [each for each in of_volume(connection, volume.id) if not (each.state == "detaching" and each.is_ending)]
    if found:
        is_leaving = all(each.state == "detaching" for each in found)
        what = "is just being detached" if is_leaving else "is attached: detach it first"
        raise Conflict(
            f"The volume {volume.name} {what}.",
            code="VOLUME_ATTACHED",
            details={"deploymentIds": [each.deployment_id for each in found]},
        )


# The machine's side.


def end_machine(connection: Connection, deployment_id: str, *, now: datetime) -> None:
    """The machine is being ended: none of its volumes is wanted on it any more."""
    connection.execute(
        sa.update(attachments)
        .where(attachments.c.deployment_id == deployment_id, IS_OPEN)
        .values(state="detaching", changed_at=now)
    )


def machine_gone(connection: Connection, deployment_id: str, *, now: datetime) -> None:
    """Nothing is left of the machine: its volumes are free."""
    mine = sa.and_(attachments.c.deployment_id == deployment_id, IS_OPEN)
    freed = sorted(connection.execute(sa.select(attachments.c.volume_id).where(mine)).scalars())
    if freed:
        # Volumes are locked before what hangs on them, here as everywhere.
        for volume_id in freed:
            wake(connection, volume_id, now=now)
        connection.execute(sa.update(attachments).where(mine).values(state="detached", changed_at=now))


def machine_launched(connection: Connection, deployment_id: str, volume_ids: Sequence[str], *, now: datetime) -> None:
    """The launch, or a start, has brought these along; what is unwanted by now is looked at again."""
    if volume_ids:
        for volume_id in sorted(volume_ids):
            wake(connection, volume_id, now=now)
        which = sa.and_(attachments.c.deployment_id == deployment_id, attachments.c.volume_id.in_(volume_ids))
        connection.execute(
            sa.update(attachments)
            .where(which, attachments.c.state == "attaching")
            .values(state="attached", changed_at=now)
        )


class Wanted(msgspec.Struct, frozen=True):
    """A volume that a machine is to come up with."""

    volume_id: str
    name: str
    state: str
    """Of the volume."""
    error: str | None


def wanted(connection: Connection, deployment_id: str) -> Sequence[Wanted]:
    """What a machine is to have when it comes up."""
    rows = connection.execute(
        sa.select(attachments.c.volume_id, attachments.c.name, volumes.c.state, volumes.c.error)
        .join(volumes, volumes.c.id == attachments.c.volume_id)
        .where(attachments.c.deployment_id == deployment_id, attachments.c.state.in_(("attaching", "attached")))
        .order_by(attachments.c.id)
    )
    return [Wanted(*row) for row in rows]


def lock_for_launch(connection: Connection, team_id: str, volume_ids: Sequence[str]) -> None:
    """Keep these volumes of the team as they are until the transaction ends."""
    if volume_ids:
        mine = sa.select(volumes.c.id).where(volumes.c.team_id == team_id, volumes.c.id.in_(volume_ids))
        connection.execute(mine.order_by(volumes.c.id).with_for_update()).all()
