"""Volumes as people use them: make, grow, rename, attach, detach, delete.

A volume is its team's, outlives every machine, and is paid for from the second the provider has made it to the second
its deletion is accepted. Each verb checks and writes what is desired, in the caller's one transaction; the reconciler
brings it about (`volume_work.py` is its side). A volume that is growing is charged for what it is, until it is larger.

Locks: memberships, then the machine, then the volume, then the account, then the region.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines import budgets, volume_attachments, volume_regions
from forebay.domain.machines import deployments as machines
from forebay.domain.machines.volume_regions import rate_micros
from forebay.domain.money import holds, metering
from forebay.domain.money.amounts import charge_micros
from forebay.domain.people import activity, teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.database import upsert_insert
from forebay.storage.tables import segments, volumes

NAME = re.compile(r"[a-z0-9_-]{1,60}")
PAID_AHEAD_SECONDS = 7 * 86400
"""Credits for so long must be available to make a volume or let it grow; they aren't set aside."""
MOST_VOLUMES = 1000
"""That one team has."""


State = Literal["creating", "available", "deleting", "deleted", "failed"]


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume's own columns."""

    id: str
    team_id: str
    created_by: str
    name: str
    provider: str
    region: str
    region_id: str
    size_gb: int
    """As it is wanted."""
    made_gb: int
    """As the provider has it, and as it is charged; 0: not yet."""
    nanos_per_gb: int
    used_bytes: int
    state: State
    error: str | None
    created_at: datetime
    ended_at: datetime | None
    gone_at: datetime | None
    attempts: int

    @property
    def rate_micros(self) -> int:
        """Micro-dollars an hour, of the size that is wanted."""
        return rate_micros(self.nanos_per_gb, self.size_gb)


COLUMNS = [volumes.c[name] for name in Volume.__struct_fields__]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that a person asks for; on a machine of the team at once, if one is named."""

    name: str
    size_gb: int
    provider: str
    region: str | None = None
    deployment_id: str | None = None


def to_volume(row: sa.Row[*tuple[Any, ...]]) -> Volume:
    """A row as a value."""
    found = row._mapping
    return Volume(**{name: found[name] for name in Volume.__struct_fields__})


def lock(connection: Connection, volume_id: str, team_id: str | None = None) -> Volume:
    """The volume, locked until the transaction ends. Raises NotFound, also if it is another team's than `team_id`."""
    statement = sa.select(*COLUMNS).where(volumes.c.id == volume_id).with_for_update()
    if team_id is not None:
        statement = statement.where(volumes.c.team_id == team_id)
    row = connection.execute(statement).first()
    if row is None:
        raise NotFound("Volume")
    return to_volume(row)


def find(connection: Connection, volume_id: str, team_id: str) -> Volume:
    """The volume of the team, as it is now. Raises NotFound."""
    statement = sa.select(*COLUMNS).where(volumes.c.id == volume_id, volumes.c.team_id == team_id)
    row = connection.execute(statement).first()
    if row is None:
        raise NotFound("Volume")
    return to_volume(row)


def change(connection: Connection, volume_id: str, **values: Any) -> None:
    """Write columns of one volume."""
    connection.execute(sa.update(volumes).where(volumes.c.id == volume_id).values(**values))


def check_name(name: str) -> str:
    """The name. Raises BadRequest for one that can't be used: it is a folder on machines."""
    if not NAME.fullmatch(name):
        reason = "1 to 60 lowercase letters, digits, hyphens and underscores"
        raise BadRequest("The name is not usable.", details={"name": reason})
    return name


def name_taken(name: str) -> Conflict:
    """A 409."""
    return Conflict(f"The team has a volume called {name} already.", code="VOLUME_NAME_TAKEN", details={"name": name})


def ahead_micros(rate: int) -> int:
    """What must be available for a volume of this rate."""
    return charge_micros(rate, PAID_AHEAD_SECONDS)


def record(
    connection: Connection, context: TeamContext, verb: str, volume_id: str, *, now: datetime, details: Any = None
) -> None:
    """A row in the team's activity."""
    activity.record(
        connection,
        context.caller,
        f"volume.{verb}",
        now=now,
        team_id=context.team_id,
        object_type="volume",
        object_id=volume_id,
        details=details,
    )


def create(connection: Connection, context: TeamContext, order: Order, *, now: datetime) -> str:
    """Accept a volume: check it, see the credits for a week, keep the room. Its id.

    Raises BadRequest, Forbidden, NotFound, Conflict, InsufficientBalance, BudgetExceeded, NoRoom.
    """
    context = teams.hold(connection, context, Permission.manage_volumes)
    machines.refuse_frozen(context)
    name = check_name(order.name)
    region = volume_regions.find(connection, order.provider, order.region)
    volume_regions.refuse_size(region, order.size_gb)
    machine = None
    if order.deployment_id is not None:
        machine = machines.lock(connection, order.deployment_id, context.team_id)
        context.demand(Permission.operate, created_by=machine.created_by)
    refuse_too_many(connection, context.team_id)
    volume_id = ids.new_id(now)
    insert = upsert_insert(connection, volumes).values(
        id=volume_id,
        team_id=context.team_id,
        created_by=context.caller.user_id,
        api_key_id=context.caller.api_key_id,
        name=name,
        provider=region.provider,
        region=region.region,
        region_id=region.id,
        size_gb=order.size_gb,
        made_gb=0,
        nanos_per_gb=region.nanos_per_gb,
        used_bytes=0,
        state="creating",
        created_at=now,
        due_at=now,
    )
    # Not asked first and inserted then: two may take the same name in the same moment.
    if connection.execute(insert.on_conflict_do_nothing().returning(volumes.c.id)).scalar() is None:
        raise name_taken(name)
    rate = rate_micros(region.nanos_per_gb, order.size_gb)
    holds.require_available(connection, team_id=context.team_id, amount_micros=ahead_micros(rate))
    ahead = budgets.until_month_end_micros(rate, PAID_AHEAD_SECONDS, now=now)
    budgets.refuse_more(connection, context.team_id, volume_id, ahead, now=now)
    # It is on record by now, and counts.
    volume_regions.reserve(connection, region, 0)
    details = {"name": name, "size_gb": order.size_gb, "region": region.id, "rate_micros": rate}
    record(connection, context, "create", volume_id, now=now, details=details)
    if machine is not None:
        volume_attachments.join(connection, lock(connection, volume_id), machine, now=now)
        record(connection, context, "attach", volume_id, now=now, details={"deployment_id": machine.id})
    return volume_id


def refuse_too_many(connection: Connection, team_id: str) -> None:
    """Raise Conflict for a team that has as many volumes as one may."""
    mine = sa.select(sa.func.count()).where(volumes.c.team_id == team_id, volumes.c.ended_at.is_(None))
    if connection.execute(mine.select_from(volumes)).scalar_one() >= MOST_VOLUMES:
        raise Conflict(f"The team has {MOST_VOLUMES} volumes already. Delete one first.", code="TOO_MANY_VOLUMES")


def refuse_ended(volume: Volume) -> None:
    """Raise Conflict for a volume that is deleted, or could not be made."""
    if volume.ended_at is not None:
        raise Conflict(f"The volume is {volume.state}: nothing can be done with it any more.", code="VOLUME_ENDED")


def update(
    connection: Connection,
    context: TeamContext,
    volume_id: str,
    *,
    name: str | None,
    size_gb: int | None,
    now: datetime,
) -> None:
    """Rename it, let it grow, or both.

    A volume that is attached keeps its place on machines until it is attached again. Raises NotFound, Forbidden,
    BadRequest, Conflict, InsufficientBalance, BudgetExceeded, NoRoom.
    """
    context = teams.hold(connection, context, Permission.manage_volumes)
    volume = lock(connection, volume_id, context.team_id)
    refuse_ended(volume)
    if name is not None and check_name(name) != volume.name:
        try:
            with connection.begin_nested():
                change(connection, volume_id, name=name)
        except sa.exc.IntegrityError:
            raise name_taken(name) from None
        record(connection, context, "rename", volume_id, now=now, details={"from": volume.name, "name": name})
    if size_gb is not None and size_gb != volume.size_gb:
        grow(connection, context, volume, size_gb, now=now)


def grow(connection: Connection, context: TeamContext, volume: Volume, size_gb: int, *, now: datetime) -> None:
    """Accept that it grows: the room is kept from now on, and the price changes when it has grown."""
    machines.refuse_frozen(context)
    region = volume_regions.of_id(connection, volume.region_id)
    if size_gb < volume.size_gb:
        reason = f"it has {volume.size_gb} GB; volumes only grow"
        raise BadRequest("A volume can't shrink.", code="VOLUME_SHRINKS", details={"sizeInGb": reason})
    if not region.can_grow:
        raise BadRequest(f"Volumes of {region.provider} can't grow.", code="NOT_SUPPORTED")
    volume_regions.refuse_size(region, size_gb)
    rate = rate_micros(volume.nanos_per_gb, size_gb)
    holds.require_available(connection, team_id=volume.team_id, amount_micros=ahead_micros(rate))
    # What it costs as it is now would be spent anyway.
    ahead = budgets.until_month_end_micros(rate - volume.rate_micros, PAID_AHEAD_SECONDS, now=now)
    budgets.refuse_more(connection, volume.team_id, volume.id, ahead, now=now)
    volume_regions.reserve(connection, region, size_gb - volume.size_gb)
    change(connection, volume.id, size_gb=size_gb, error=None, due_at=now, attempts=0)
    details = {"from_gb": volume.size_gb, "size_gb": size_gb, "rate_micros": rate}
    record(connection, context, "grow", volume.id, now=now, details=details)


def attach(connection: Connection, context: TeamContext, volume_id: str, deployment_id: str, *, now: datetime) -> None:
    """Have it on a machine of the team. Nothing happens if it is there. Raises NotFound, Forbidden, Conflict."""
    context = teams.hold(connection, context, Permission.see)
    machine = machines.lock(connection, deployment_id, context.team_id)
    context.demand(Permission.operate, created_by=machine.created_by)
    volume = lock(connection, volume_id, context.team_id)
    if volume_attachments.join(connection, volume, machine, now=now):
        record(connection, context, "attach", volume_id, now=now, details={"deployment_id": deployment_id})


def detach(connection: Connection, context: TeamContext, volume_id: str, deployment_id: str, *, now: datetime) -> None:
    """Take it off a machine. Nothing happens if that is under way. Raises NotFound, Forbidden, Conflict."""
    context = teams.hold(connection, context, Permission.see)
    machine = machines.lock(connection, deployment_id, context.team_id)
    context.demand(Permission.operate, created_by=machine.created_by)
    volume = lock(connection, volume_id, context.team_id)
    if volume_attachments.part(connection, volume, machine, now=now):
        record(connection, context, "detach", volume_id, now=now, details={"deployment_id": deployment_id})


def delete(connection: Connection, context: TeamContext, volume_id: str, *, now: datetime) -> None:
    """Delete it with all that is on it; it costs nothing from this second on.

    Raises NotFound, Forbidden, Conflict while a machine has it, or is about to.
    """
    context = teams.hold(connection, context, Permission.manage_volumes)
    volume = lock(connection, volume_id, context.team_id)
    refuse_ended(volume)
    volume_attachments.refuse_attached(connection, volume)
    end(connection, volume, now=now)
    record(connection, context, "delete", volume_id, now=now, details={"name": volume.name, "size_gb": volume.size_gb})


def end(connection: Connection, volume: Volume, *, now: datetime, error: str | None = None) -> None:
    """The end of a volume, whoever brings it about: the last charge, the name free, the provider told.

    One that has not been seen for a while is charged to its last sighting alone.
    """
    sighted_at = connection.execute(
        sa.select(segments.c.sighted_at).where(segments.c.resource_id == volume.id, segments.c.ended_at.is_(None))
    ).scalar()
    at = now
    if sighted_at is not None and now - sighted_at > timedelta(seconds=machines.UNSEEN_SECONDS):
        at = sighted_at
    metering.end(connection, resource_id=volume.id, resource_type="storage", at=at, now=now)
    change(connection, volume.id, state="deleting", ended_at=now, error=error, due_at=now, attempts=0)


def of_dry_team(connection: Connection, team_id: str) -> Sequence[Volume]:
    """Volumes of a team that go on costing, locked."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(volumes.c.team_id == team_id, volumes.c.ended_at.is_(None))
        .order_by(volumes.c.id)
        .with_for_update()
    )
    return [to_volume(row) for row in rows]


def burn_micros(connection: Connection, team_id: str, volume_ids: Sequence[str]) -> int:
    """What these volumes of the team cost an hour; others count for nothing."""
    rows = connection.execute(
        sa.select(*COLUMNS).where(
            volumes.c.team_id == team_id, volumes.c.id.in_(volume_ids), volumes.c.ended_at.is_(None)
        )
    )
    return sum(to_volume(row).rate_micros for row in rows)
