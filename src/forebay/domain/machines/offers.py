"""Offers: what can be launched, at which price, and whether there is room for it now.

Offers of one pool share its processors, memory, disk and GPUs. Room is what the pool has less what deployments hold
that the provider has not confirmed to be gone; a launch checks it again with the pool locked (`lock`), so an offer that
was accepted has its capacity.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.errors import OutOfStock
from forebay.storage.database import lock_rows, upsert_insert
from forebay.storage.tables import deployments, offers, pools


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
    storage_rate_micros: int
    minimum_runtime_minutes: int
    interconnect_type: str
    interconnect_description: str
    supports_cloud_init: bool
    supports_ports: bool
    supports_live_keys: bool
    """The keys of its machines can be changed while they are there, and read back."""
    supports_session_ends: bool
    """Connections of a key that is taken off can be ended."""
    supports_pause: bool
    is_simulated: bool
    is_maintenance: bool


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


def sync(
    connection: Connection, provider: str, found_pools: Sequence[Pool], found: Sequence[Offer], *, now: datetime
) -> None:
    """Make the catalogue of a provider what it says now; what it offers no longer is unlisted, never deleted."""
    for pool in found_pools:
        values = msgspec.structs.asdict(pool) | {"seen_at": now}
        insert = upsert_insert(connection, pools).values(**values)
        connection.execute(insert.on_conflict_do_update(index_elements=[pools.c.id], set_=values))
    for offer in found:
        values = msgspec.structs.asdict(offer) | {"is_listed": True}
        insert = upsert_insert(connection, offers).values(**values)
        connection.execute(insert.on_conflict_do_update(index_elements=[offers.c.id], set_=values))
    connection.execute(
        sa.update(offers)
        .where(offers.c.provider == provider, offers.c.id.not_in([offer.id for offer in found]))
        .values(is_listed=False)
    )


def listed(connection: Connection) -> Sequence[Offer]:
    """All offers that are on the list now."""
    rows = connection.execute(sa.select(*COLUMNS).where(offers.c.is_listed).order_by(offers.c.rate_micros, offers.c.id))
    return [Offer(**row._mapping) for row in rows]


def find(connection: Connection, offer_id: str) -> Offer | None:
    """The offer, if it is on the list now."""
    row = connection.execute(sa.select(*COLUMNS).where(offers.c.id == offer_id, offers.c.is_listed)).first()
    return None if row is None else Offer(**row._mapping)


def rooms(connection: Connection, pool_id: str | None = None) -> Mapping[str, Room]:
    """What is free in each pool, or in one."""
    all_pools, taken = sa.select(pools), TAKEN
    if pool_id is not None:
        all_pools, taken = all_pools.where(pools.c.id == pool_id), taken.where(deployments.c.pool_id == pool_id)
    used: dict[str, tuple[int, int, int, int]] = {
        row.pool_id: (int(row.vcpus), int(row.memory_gb), int(row.storage_gb), int(row.gpus))
        for row in connection.execute(taken)
    }
    free = {}
    for pool in connection.execute(all_pools):
        vcpus, memory_gb, storage_gb, gpus = used.get(pool.id, (0, 0, 0, 0))
        free[str(pool.id)] = Room(
            pool.vcpus - vcpus, pool.memory_gb - memory_gb, pool.storage_gb - storage_gb, pool.gpus - gpus
        )
    return free


def lock(connection: Connection, offer: Offer) -> None:
    """Let nobody else take room in the offer's pool until the transaction ends."""
    lock_rows(connection, pools, [offer.pool_id])


def in_stock(connection: Connection, offer: Offer) -> int:
    """How many instances of the offer fit now."""
    room = rooms(connection, offer.pool_id).get(offer.pool_id)
    return 0 if room is None else room.count(offer)


def refuse_full(connection: Connection, offer: Offer) -> None:
    """Raise OutOfStock unless one more instance fits. Who reserves it has the pool locked."""
    if in_stock(connection, offer) < 1:
        raise OutOfStock(offer.id)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Offers of one type of GPU, with how many instances of each fit now."""

    gpu_type: str
    gpu_model: str
    offers: list[tuple[Offer, int]]
    popularity: int

    @property
    def rates(self) -> list[int]:
        """Micro-dollars an hour of its offers."""
        return [offer.rate_micros for offer, _ in self.offers]

    @property
    def average_micros(self) -> int:
        """The mean rate, rounded to a micro-dollar."""
        return sum(self.rates) // len(self.rates)

    @property
    def total_available(self) -> int:
        """Instances that can be launched now, if nothing else is."""
        return sum(free for _, free in self.offers)


ORDERS = ("popularity", "lowestPrice", "highestPrice", "averagePrice")


def catalogue(
    connection: Connection,
    *,
    search: str = "",
    instance_type: str | None = None,
    sort_by: str = "popularity",
    descending: bool = False,
) -> Sequence[Group]:
    """The groups that have an offer matching the filters, and of each only those offers.

    `popularity` is a rank: 1 for the type that was launched most in its time, so ascending order starts with it.
    """
    free = rooms(connection)
    by_type: dict[str, list[tuple[Offer, int]]] = defaultdict(list)
    needle = search.casefold()
    for offer in listed(connection):
        text = f"{offer.gpu_type} {offer.gpu_model} {offer.name} {offer.provider} {offer.region}".casefold()
        if (instance_type is None or offer.instance_type == instance_type) and needle in text:
            room = free.get(offer.pool_id)
            by_type[offer.gpu_type].append((offer, room.count(offer) if room else 0))
    counts = connection.execute(
        sa.select(deployments.c.gpu_type, sa.func.count()).group_by(deployments.c.gpu_type)
    ).all()
    launched = {str(gpu_type): int(count) for gpu_type, count in counts}
    ranked = sorted(by_type, key=lambda gpu_type: (-launched.get(gpu_type, 0), gpu_type))
    groups = [
        Group(gpu_type=gpu_type, gpu_model=by_type[gpu_type][0][0].gpu_model, offers=by_type[gpu_type], popularity=rank)
        for rank, gpu_type in enumerate(ranked, start=1)
    ]
    keys = {
        "popularity": lambda group: group.popularity,
        "lowestPrice": lambda group: min(group.rates),
        "highestPrice": lambda group: max(group.rates),
        "averagePrice": lambda group: group.average_micros,
    }
    return sorted(groups, key=keys[sort_by], reverse=descending)


def page_count(total: int, limit: int) -> int:
    """How many pages of `limit` there are."""
    return math.ceil(total / limit)
