"""Offers: what can be launched, at which price, and whether there is room for it now.

Offers of one pool share its processors, memory, disk and GPUs. Room is what the pool has less what deployments hold
that the provider has not confirmed to be gone; a launch checks it again with the pool locked (`lock`), so an offer that
was accepted has its capacity.
"""

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import restrictions
from forebay.errors import OutOfStock
from forebay.storage.database import lock_rows
from forebay.storage.prepared import Prepared, PreparedValues
from forebay.storage.tables import deployments, offers, pools

SPOT = "SPOT"
"""Machines of this type may be taken back, with notice."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Capacity that offers share: virtual CPUs, GB of memory, GB of disk, GPUs."""

    id: str
    vcpus: int
    memory_gb: int
    storage_gb: int
    gpus: int


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as it is kept; rates in micro-dollars an hour for the whole instance."""

    id: str
    provider: str
    pool_id: str
    name: str
    description: str
    region: str
    instance_type: str
    vcpus: int
    memory_gb: int
    storage_gb: int
    gpu_type: str
    gpu_model: str
    gpu_count: int
    gpu_memory_gb: int
    os_options: list[str]
    rate_micros: int
    spot_rate_micros: int | None = None
    """Launched as SPOT it costs this; None: it can't be, or it is SPOT anyway."""
    storage_rate_micros: int
    minimum_runtime_minutes: int
    interconnect_type: str
    interconnect_description: str
    supports_cloud_init: bool
    supports_ports: bool = False
    supports_live_keys: bool = False
    """The keys of its machines can be changed while they are there, and read back."""
    supports_session_ends: bool = False
    """Connections of a key that is taken off can be ended."""
    supports_pause: bool
    is_simulated: bool
    is_maintenance: bool

    def is_offered_as(self, instance_type: str) -> bool:
        """Whether a launch may ask for this type."""
        return instance_type == self.instance_type or (instance_type == SPOT and self.spot_rate_micros is not None)


class Room(msgspec.Struct, frozen=True):
    """What is free in a pool."""

    vcpus: int
    memory_gb: int
    storage_gb: int
    gpus: int

    def count(self, offer: Offer) -> int:
        """How many instances of the offer fit, none while it is under maintenance."""
        if offer.is_maintenance:
            return 0
        needs = (
            (self.vcpus, offer.vcpus),
            (self.memory_gb, offer.memory_gb),
            (self.storage_gb, offer.storage_gb),
            (self.gpus, offer.gpu_count),
        )
        return max(0, min((free // need for free, need in needs if need), default=0))


COLUMNS = [offers.c[name] for name in Offer.__struct_fields__]
TAKEN = (
    sa.select(
        deployments.c.pool_id,
        sa.func.sum(deployments.c.vcpus).label("vcpus"),
        sa.func.sum(deployments.c.memory_gb).label("memory_gb"),
        sa.func.sum(deployments.c.storage_gb).label("storage_gb"),
        sa.func.sum(deployments.c.gpu_count).label("gpus"),
    )
    .where(deployments.c.gone_at.is_(None))
    .group_by(deployments.c.pool_id)
)


POOL = sa.bindparam("pool_id", type_=sa.String())
LISTED = PreparedValues(
    Offer, sa.select(*COLUMNS).where(offers.c.is_listed).order_by(offers.c.rate_micros, offers.c.id)
)
ROOM = [pools.c[name] for name in Pool.__struct_fields__]
POOLS, ONE_POOL = Prepared(sa.select(*ROOM)), Prepared(sa.select(*ROOM).where(pools.c.id == POOL))
TAKEN_OF_ALL, TAKEN_OF_ONE = Prepared(TAKEN), Prepared(TAKEN.where(deployments.c.pool_id == POOL))
THERE = Prepared(
    sa.select(deployments.c.offer_id, deployments.c.pool_id, sa.func.count())
    .where(deployments.c.gone_at.is_(None))
    .group_by(deployments.c.offer_id, deployments.c.pool_id)
)


def listed(connection: Connection) -> Sequence[Offer]:
    """All offers that are on the list now; under maintenance where the provider or an operator says so."""
    found = LISTED(connection)
    standing = restrictions.listed(connection)
    return [
        msgspec.structs.replace(offer, is_maintenance=True)
        if restrictions.maintenance_of(standing, concerned(offer))
        else offer
        for offer in found
    ]


ONE = PreparedValues(
    Offer, sa.select(*COLUMNS).where(offers.c.id == sa.bindparam("id", type_=sa.String()), offers.c.is_listed)
)


def find(connection: Connection, offer_id: str) -> Offer | None:
    """The offer, if it is on the list now."""
    found = ONE(connection, id=offer_id)
    return found[0] if found else None


def rooms(connection: Connection, pool_id: str | None = None) -> Mapping[str, Room]:
    """What is free in each pool, or in one."""
    if pool_id is None:
        all_pools, taken = POOLS(connection), TAKEN_OF_ALL(connection)
    else:
        all_pools, taken = ONE_POOL(connection, pool_id=pool_id), TAKEN_OF_ONE(connection, pool_id=pool_id)
    used = {each: tuple(map(int, sums)) for each, *sums in taken}
    return {
        each: Room(*(has - taken for has, taken in zip(all_of_it, used.get(each, (0, 0, 0, 0)), strict=True)))
        for each, *all_of_it in all_pools
    }


def lock(connection: Connection, offer: Offer) -> None:
    """Let nobody else take room in the offer's pool until the transaction ends."""
    lock_rows(connection, pools, [offer.pool_id])


def in_stock(connection: Connection, offer: Offer) -> int:
    """How many instances of the offer could be launched now."""
    return free(connection, [offer])[offer.id]


def free(connection: Connection, found: Sequence[Offer]) -> dict[str, int]:
    """How many instances of each of these offers could be launched now, if nothing else is.

    That is what fits into the pool and is below what operators let be there; nothing while there is maintenance.
    """
    room = rooms(connection, found[0].pool_id if len(found) == 1 else None)
    standing = restrictions.listed(connection)
    caps = {(each.scope, each.subject): each.most for each in standing if each.most is not None}
    there = taken_by(connection) if caps else {}
    counted = {}
    for offer in found:
        fits = room[offer.pool_id].count(offer) if offer.pool_id in room else 0
        for key in (("offer", offer.id), ("pool", offer.pool_id)):
            if key in caps:
                fits = min(fits, max(0, caps[key] - there.get(key, 0)))
        counted[offer.id] = 0 if restrictions.maintenance_of(standing, concerned(offer)) else fits
    return counted


def taken_by(connection: Connection) -> dict[tuple[str, str], int]:
    """How many machines there are of each offer and in each pool, those included that the provider still has to end."""
    there: dict[tuple[str, str], int] = {}
    for offer_id, pool_id, count in THERE(connection):
        for key in (("offer", str(offer_id)), ("pool", str(pool_id))):
            there[key] = there.get(key, 0) + int(count)
    return there


def concerned(offer: Offer) -> dict[str, str]:
    """What a restriction of the offer may be on, by scope."""
    return restrictions.subjects(offer.id, offer.pool_id, offer.region, offer.provider)


def refuse_full(connection: Connection, offer: Offer) -> None:
    """Raise OutOfStock unless one more instance can be launched. Who reserves it has the pool locked."""
    if in_stock(connection, offer) < 1:
        raise OutOfStock(offer.id, why_none(connection, offer))


def why_none(connection: Connection, offer: Offer) -> str:
    """Why nothing of the offer can be launched, where there is more to say than that all is taken."""
    maintenance = restrictions.maintenance_of(restrictions.listed(connection), concerned(offer))
    if maintenance is None:
        return "It is under maintenance." if offer.is_maintenance else ""
    until = "" if maintenance.until_at is None else f", expected until {maintenance.until_at:%-d %B %Y at %H:%M} UTC"
    return f"It is under maintenance{until}: {maintenance.reason}"
