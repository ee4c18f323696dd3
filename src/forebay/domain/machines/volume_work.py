"""Volumes as the reconciler sees them: what is due, under a lease, and what the provider made of it.

Every outcome is applied only while the lease still holds. Money follows what the provider has done: a volume is paid
for from the second it is made, at its new price from the second it has grown, and never beyond its last sighting.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import volume_attachments
from forebay.domain.machines.events import note
from forebay.domain.machines.lifecycle import Lost
from forebay.domain.machines.volume_attachments import IS_OPEN, Attachment
from forebay.domain.machines.volume_regions import rate_micros
from forebay.domain.machines.volumes import COLUMNS, Volume, change, to_volume
from forebay.domain.money import metering
from forebay.storage.tables import deployments, teams, volumes
from forebay.storage.tables import volume_attachments as attachments

BUSY_SECONDS = 5
"""So long a detachment is tried while something uses the volume; then it stays attached, and says why."""


def claim(connection: Connection, token: str, *, now: datetime, seconds: int, limit: int) -> Sequence[Volume]:
    """Take the lease on up to `limit` volumes that are due and nobody else has."""
    free = sa.or_(volumes.c.lease_until.is_(None), volumes.c.lease_until <= now)
    due = (
        sa.select(volumes.c.id)
        .where(volumes.c.due_at <= now, free)
        .order_by(volumes.c.due_at, volumes.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [row.id for row in connection.execute(due)]
    if not found:
        return []
    # A wish that comes from now on makes it due again.
    connection.execute(
        sa.update(volumes)
        .where(volumes.c.id.in_(found))
        .values(
            lease_token=token, lease_until=now + timedelta(seconds=seconds), due_at=now + timedelta(seconds=seconds)
        )
    )
    rows = connection.execute(sa.select(*COLUMNS).where(volumes.c.id.in_(found)).order_by(volumes.c.id))
    return [to_volume(row) for row in rows]


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether a volume is to be looked at."""
    return connection.execute(sa.select(volumes.c.id).where(volumes.c.due_at <= now).limit(1)).first() is not None


def release_all(connection: Connection, *, now: datetime) -> None:
    """Drop every lease: for the only process of a cloud, which knows at its start that nobody holds one."""
    connection.execute(
        sa.update(volumes)
        .where(volumes.c.lease_token.is_not(None))
        .values(lease_token=None, lease_until=None, due_at=now)
    )


def held(connection: Connection, volume_id: str, token: str) -> Volume:
    """The volume as it is now, locked, if the lease still holds. Raises Lost."""
    row = connection.execute(
        sa.select(*COLUMNS, volumes.c.lease_token).where(volumes.c.id == volume_id).with_for_update()
    ).first()
    if row is None or row.lease_token != token:
        raise Lost
    return to_volume(row)


def release(
    connection: Connection, seen: Volume, token: str, *, due_before: datetime, next_due: datetime | None, now: datetime
) -> None:
    """Give the lease back, to look again at `next_due`; None: all is as it should be.

    `due_before` is what the claim made of `due_at`: if that was changed meanwhile, someone wants something else by now,
    and it stays due.
    """
    unchanged = volumes.c.due_at == due_before
    at = None if next_due is None else int(next_due.timestamp())
    connection.execute(
        sa.update(volumes)
        .where(volumes.c.id == seen.id, volumes.c.lease_token == token)
        .values(
            lease_token=None,
            lease_until=None,
            attempts=volumes.c.attempts + 1 if next_due is not None else 0,
            due_at=sa.case((unchanged, sa.cast(at, sa.BigInteger)), else_=sa.cast(int(now.timestamp()), sa.BigInteger)),
        )
    )


def team_number(connection: Connection, volume: Volume) -> int:
    """What providers know the team by."""
    return int(connection.execute(sa.select(teams.c.number).where(teams.c.id == volume.team_id)).scalar_one())


def mark_made(connection: Connection, volume_id: str, token: str, size_gb: int, *, now: datetime) -> Volume:
    """It is there, with so many GB, and paid for from now on. Raises Lost."""
    volume = held(connection, volume_id, token)
    if volume.state == "creating":
        change(connection, volume_id, state="available", made_gb=size_gb, error=None, attempts=0)
        begin_to_charge(connection, volume, size_gb, now=now)
    return held(connection, volume_id, token)


def begin_to_charge(connection: Connection, volume: Volume, size_gb: int, *, now: datetime) -> None:
    """A segment of this size."""
    metering.start(
        connection,
        team_id=volume.team_id,
        resource_type="storage",
        resource_id=volume.id,
        rate_micros=rate_micros(volume.nanos_per_gb, size_gb),
        at=now,
    )


def mark_grown(connection: Connection, volume_id: str, token: str, size_gb: int, *, now: datetime) -> Volume:
    """It has so many GB now: the old price ends, the new one begins. Raises Lost."""
    volume = held(connection, volume_id, token)
    if volume.state == "available" and volume.made_gb < size_gb:
        metering.end(connection, resource_id=volume_id, resource_type="storage", at=now, now=now)
        begin_to_charge(connection, volume, size_gb, now=now)
        change(connection, volume_id, made_gb=size_gb, error=None, attempts=0)
    return held(connection, volume_id, token)


def mark_not_grown(connection: Connection, volume_id: str, token: str, reason: str) -> None:
    """It can't grow, and stays as it is; whoever looks at it is told. Raises Lost."""
    volume = held(connection, volume_id, token)
    change(connection, volume_id, size_gb=volume.made_gb, error=f"It could not grow: {reason}"[:500], attempts=0)


def mark_failed(connection: Connection, volume_id: str, token: str, reason: str, *, now: datetime) -> None:
    """It can't be made: that costs nothing. A launch that waits for it sees that and fails; others are told.

    Raises Lost.
    """
    waiting = volume_attachments.of_volume(connection, volume_id)
    for each in waiting:
        keep(connection, each.deployment_id)
    volume = held(connection, volume_id, token)
    if volume.state == "creating":
        change(connection, volume_id, state="failed", ended_at=now, error=reason[:500], attempts=0)
        for each in (each for each in waiting if not each.is_first_launch):
            volume_attachments.turn(connection, volume_id, each.deployment_id, "detached", now=now)
            message = f"{volume.name} could not be made: {reason}"
            note(connection, each.deployment_id, "volume-refused", message, now=now)


def mark_gone(connection: Connection, volume_id: str, token: str, *, now: datetime) -> None:
    """The provider confirmed that nothing is left of it: its room is free again. Raises Lost."""
    volume = held(connection, volume_id, token)
    if volume.state == "deleting":
        connection.execute(
            sa.update(attachments)
            .where(attachments.c.volume_id == volume_id, IS_OPEN)
            .values(state="detached", changed_at=now)
        )
    state = "deleted" if volume.state == "deleting" else volume.state
    change(connection, volume_id, state=state, gone_at=now, used_bytes=0)


def keep(connection: Connection, deployment_id: str) -> None:
    """Let a machine's row be referred to: machines are locked before volumes, here as everywhere."""
    mine = sa.select(deployments.c.id).where(deployments.c.id == deployment_id)
    connection.execute(mine.with_for_update(read=True, key_share=True)).all()


def mark_attached(connection: Connection, volume: Volume, token: str, found: Attachment, *, now: datetime) -> None:
    """It is on the machine. Raises Lost."""
    keep(connection, found.deployment_id)
    held(connection, volume.id, token)
    if volume_attachments.turn(connection, volume.id, found.deployment_id, "attached", now=now, was="attaching"):
        change(connection, volume.id, error=None)
        note(connection, found.deployment_id, "volume-attached", f"{volume.name} is at /mnt/{found.name}.", now=now)


def mark_not_attached(
    connection: Connection, volume: Volume, token: str, found: Attachment, reason: str, *, now: datetime
) -> None:
    """The provider will never attach it to this machine. Raises Lost."""
    keep(connection, found.deployment_id)
    held(connection, volume.id, token)
    if volume_attachments.turn(connection, volume.id, found.deployment_id, "detached", now=now):
        message = f"{volume.name} could not be attached: {reason}"
        change(connection, volume.id, error=message[:500])
        note(connection, found.deployment_id, "volume-refused", message, now=now)


def mark_detached(
    connection: Connection, volume: Volume, token: str, found: Attachment, used_bytes: int | None, *, now: datetime
) -> None:
    """It is off the machine, and so much is stored on it, if that can be said. Raises Lost."""
    keep(connection, found.deployment_id)
    mark_used(connection, volume.id, token, used_bytes)
    if volume_attachments.turn(connection, volume.id, found.deployment_id, "detached", now=now, was="detaching"):
        note(connection, found.deployment_id, "volume-detached", f"{volume.name} is off the machine.", now=now)


def mark_used(connection: Connection, volume_id: str, token: str, used_bytes: int | None) -> None:
    """So much is stored on it; nothing changes where that can't be said. Raises Lost."""
    volume = held(connection, volume_id, token)
    if used_bytes is not None and used_bytes != volume.used_bytes:
        change(connection, volume_id, used_bytes=used_bytes)


def mark_busy(connection: Connection, volume: Volume, token: str, found: Attachment, *, now: datetime) -> bool:
    """Something on the machine uses it. After a while it stays attached, and says so; whether it does now."""
    keep(connection, found.deployment_id)
    held(connection, volume.id, token)
    if now - found.changed_at < timedelta(seconds=BUSY_SECONDS):
        return False
    if volume_attachments.turn(connection, volume.id, found.deployment_id, "attached", now=now, was="detaching"):
        message = (
            f"{volume.name} is still attached: something on the machine uses /mnt/{found.name}. "
            "Close it, then detach the volume again."
        )
        change(connection, volume.id, error=message[:500])
        note(connection, found.deployment_id, "volume-busy", message, now=now)
    return True


class Known(msgspec.Struct, frozen=True):
    """What the records say of a volume that should be there."""

    state: str
    is_due: bool
    used_bytes: int
    attached: frozenset[str]
    """The machines that should have it by now."""


def known(connection: Connection, provider: str) -> dict[str, Known]:
    """All volumes of a provider that it has not confirmed to be gone."""
    on: dict[str, set[str]] = {}
    places = sa.select(attachments.c.volume_id, attachments.c.deployment_id).join(
        volumes, volumes.c.id == attachments.c.volume_id
    )
    for row in connection.execute(places.where(volumes.c.provider == provider, attachments.c.state == "attached")):
        on.setdefault(row.volume_id, set()).add(row.deployment_id)
    rows = connection.execute(
        sa.select(volumes.c.id, volumes.c.state, volumes.c.due_at, volumes.c.used_bytes).where(
            volumes.c.provider == provider, volumes.c.gone_at.is_(None)
        )
    )
    return {
        row.id: Known(row.state, row.due_at is not None, int(row.used_bytes), frozenset(on.get(row.id, ())))
        for row in rows
    }


def ended(connection: Connection, volume_ids: Sequence[str]) -> set[str]:
    """Which of these have a record that says they are gone: leftovers that must be deleted again, not orphans."""
    rows = connection.execute(
        sa.select(volumes.c.id).where(volumes.c.id.in_(volume_ids), volumes.c.gone_at.is_not(None))
    )
    return {row.id for row in rows}
