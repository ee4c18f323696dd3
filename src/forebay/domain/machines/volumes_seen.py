"""Volumes as people see them: with the machines they are on, and the one word that says how they are."""

from collections.abc import Sequence
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import volume_attachments
from forebay.domain.machines.volume_attachments import Attachment
from forebay.domain.machines.volumes import COLUMNS, Volume, find
from forebay.storage.rows import values_of
from forebay.storage.tables import volume_attachments as attachments
from forebay.storage.tables import volumes

Status = Literal["creating", "available", "attached", "deleting", "deleted", "failed"]

IS_ON_A_MACHINE = sa.exists().where(
    attachments.c.volume_id == volumes.c.id, attachments.c.state.in_(("attached", "detaching"))
)


class SeenVolume(msgspec.Struct, frozen=True):
    """A volume and its open attachments."""

    volume: Volume
    attachments: Sequence[Attachment]

    @property
    def status(self) -> Status:
        """`attached` while it is on a machine."""
        if self.volume.state == "available" and any(each.state != "attaching" for each in self.attachments):
            return "attached"
        return self.volume.state


def one(connection: Connection, volume_id: str, team_id: str) -> SeenVolume:
    """A volume of the team. Raises NotFound."""
    return SeenVolume(find(connection, volume_id, team_id), volume_attachments.of_volume(connection, volume_id))


def of_team(
    connection: Connection, team_id: str, *, status: Status | None = None, page: int, limit: int
) -> tuple[Sequence[SeenVolume], int]:
    """A page of the team's volumes, newest first, and how many there are in all; without a status all but deleted."""
    which = sa.and_(volumes.c.team_id == team_id, has_status(status))
    total = connection.execute(sa.select(sa.func.count()).select_from(volumes).where(which)).scalar_one()
    rows = connection.execute(
        sa.select(*COLUMNS).where(which).order_by(volumes.c.id.desc()).limit(limit).offset((page - 1) * limit)
    )
    found = values_of(Volume, rows)
    on = volume_attachments.listed(connection, [volume.id for volume in found])
    return [SeenVolume(volume, on[volume.id]) for volume in found], int(total)


def has_status(status: Status | None) -> sa.ColumnElement[bool]:
    """SQL: volumes that are so now."""
    if status is None:
        return volumes.c.state != "deleted"
    if status == "attached":
        return sa.and_(volumes.c.state == "available", IS_ON_A_MACHINE)
    if status == "available":
        return sa.and_(volumes.c.state == "available", ~IS_ON_A_MACHINE)
    return volumes.c.state == status
