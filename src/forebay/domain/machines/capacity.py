"""Capacity as operators see it: what each pool has, what is taken, and by whom since when.

Stopped machines take theirs, and so do ended ones until the provider has confirmed that nothing is left.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import offers, restrictions
from forebay.storage.rows import values_of
from forebay.storage.tables import deployments, pools, teams, users

MEASURES = ("vcpus", "memory_gb", "storage_gb", "gpus")


class PoolFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A pool: virtual CPUs, GB of memory, GB of disk and GPUs, in this order."""

    id: str
    total: tuple[int, ...]
    taken: tuple[int, ...]
    machines: int
    most: int | None
    """So many machines at most, where an operator has said so."""
    is_maintenance: bool
    seen_at: datetime
    """The provider last named it then."""


class Taker(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that takes capacity."""

    deployment_id: str
    name: str
    team_id: str
    team_name: str
    created_by: str
    created_by_name: str
    offer_id: str
    pool_id: str
    instance_type: str
    status: str
    created_at: datetime
    vcpus: int
    memory_gb: int
    storage_gb: int
    gpu_count: int


def figures(connection: Connection) -> Sequence[PoolFigures]:
    """All pools."""
    rooms = offers.rooms(connection)
    counts = connection.execute(
        sa.select(deployments.c.pool_id, sa.func.count())
        .where(deployments.c.gone_at.is_(None))
        .group_by(deployments.c.pool_id)
    )
    machines = {str(pool_id): int(count) for pool_id, count in counts}
    standing = {(each.kind, each.subject): each for each in restrictions.listed(connection) if each.scope == "pool"}
    found = []
    for row in connection.execute(sa.select(pools).order_by(pools.c.id)):
        total = tuple(int(getattr(row, name)) for name in MEASURES)
        free = tuple(getattr(rooms[row.id], name) for name in MEASURES)
        cap = standing.get(("stock", row.id))
        found.append(
            PoolFigures(
                id=row.id,
                total=total,
                taken=tuple(of - left for of, left in zip(total, free, strict=True)),
                machines=machines.get(row.id, 0),
                most=None if cap is None else cap.most,
                is_maintenance=("maintenance", row.id) in standing,
                seen_at=row.seen_at,
            )
        )
    return found


def takers(
    connection: Connection, *, pool_id: str | None, offer_id: str | None, page: int, limit: int
) -> tuple[Sequence[Taker], int]:
    """A page of the machines that take capacity, in a pool, of an offer, or all; who was there first is first."""
    where: list[sa.ColumnElement[bool]] = [deployments.c.gone_at.is_(None)]
    where += [] if pool_id is None else [deployments.c.pool_id == pool_id]
    where += [] if offer_id is None else [deployments.c.offer_id == offer_id]
    total = connection.execute(sa.select(sa.func.count()).select_from(deployments).where(*where)).scalar_one()
    others = {
        "deployment_id": deployments.c.id,
        "team_name": teams.c.name,
        "created_by_name": users.c.name,
    }
    columns = [
        (others[name] if name in others else deployments.c[name]).label(name) for name in Taker.__struct_fields__
    ]
    rows = connection.execute(
        sa.select(*columns)
        .select_from(
            deployments.join(teams, teams.c.id == deployments.c.team_id).join(
                users, users.c.id == deployments.c.created_by
            )
        )
        .where(*where)
        .order_by(deployments.c.created_at, deployments.c.id)
        .limit(limit)
        .offset((page - 1) * limit)
    )
    return values_of(Taker, rows), int(total)
