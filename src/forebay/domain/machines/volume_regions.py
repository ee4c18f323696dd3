"""Where volumes can be kept: prices, bounds and room, as the providers say.

The price of a GB is in nano-dollars an hour, and rounded once, to the rate of the whole volume. Room is what the region
has in all, less what volumes hold that the provider has not confirmed to be gone.
"""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.errors import BadRequest
from forebay.storage.database import upsert_insert
from forebay.storage.tables import offers, volume_regions, volumes


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """A region as it is kept. Sizes in GB."""

    id: str
    provider: str
    region: str
    name: str
    nanos_per_gb: int
    min_size_gb: int
    max_size_gb: int
    total_gb: int
    can_grow: bool
    can_share: bool


class NoRoom(BadRequest):
    """The region is full. Clients look for the words "Not Enough Stock"."""

    code = "NOT_ENOUGH_STOCK"

    def __init__(self, region: Region, wanted_gb: int) -> None:
        super().__init__(
            f"Not Enough Stock: {region.name} has no room for {wanted_gb} GB more of volumes at the moment.",
            details={"sizeInGb": "more than there is room for", "region": region.region},
        )


COLUMNS = [volume_regions.c[name] for name in Region.__struct_fields__]


def rate_micros(nanos_per_gb: int, size_gb: int) -> int:
    """Micro-dollars an hour of a volume: rounded once, half up."""
    return (nanos_per_gb * size_gb + 500) // 1000


def sync(connection: Connection, provider: str, found: Sequence[Region]) -> None:
    """Make the regions of a provider what it says now; what it has no longer is unlisted, never deleted."""
    for region in found:
        values = msgspec.structs.asdict(region) | {"is_listed": True}
        insert = upsert_insert(connection, volume_regions).values(**values)
        connection.execute(insert.on_conflict_do_update(index_elements=[volume_regions.c.id], set_=values))
    connection.execute(
        sa.update(volume_regions)
        .where(volume_regions.c.provider == provider, volume_regions.c.id.not_in([region.id for region in found]))
        .values(is_listed=False)
    )


def listed(connection: Connection, provider: str | None = None, region: str | None = None) -> Sequence[Region]:
    """The regions that are listed now, or those of a provider, or of a name."""
    statement = sa.select(*COLUMNS).where(volume_regions.c.is_listed)
    if provider is not None:
        statement = statement.where(volume_regions.c.provider == provider)
    if region is not None:
        statement = statement.where(volume_regions.c.region == region)
    return [Region(**row._mapping) for row in connection.execute(statement.order_by(volume_regions.c.id))]


def find(connection: Connection, provider: str, region: str | None) -> Region:
    """Where a volume is to be kept; without a region the provider's first. Raises BadRequest."""
    of_provider = listed(connection, provider)
    if not of_provider:
        raise BadRequest(
            f"The provider {provider!r} keeps no volumes here.",
            code="NO_VOLUMES",
            details={"provider": "no provider of volumes"},
        )
    found = [each for each in of_provider if region in (None, each.region)]
    if not found:
        names = ", ".join(each.region for each in of_provider)
        raise BadRequest("There is no such region for volumes.", details={"region": f"must be one of {names}"})
    return found[0]


def of_id(connection: Connection, region_id: str) -> Region:
    """The region of a volume that there is, listed or not."""
    return Region(**connection.execute(sa.select(*COLUMNS).where(volume_regions.c.id == region_id)).one()._mapping)


def refuse_size(region: Region, size_gb: int) -> None:
    """Raise BadRequest for a size that is out of the region's bounds."""
    if not region.min_size_gb <= size_gb <= region.max_size_gb:
        reason = f"{region.min_size_gb} to {region.max_size_gb} GB in {region.name}"
        raise BadRequest("A volume can't have this size.", details={"sizeInGb": reason})


def reserve(connection: Connection, region: Region, more_gb: int) -> None:
    """Make sure that so much more fits; the region stays locked until the transaction ends. Raises NoRoom.

    As strongly as volumes' references to it allow: two may be put on record side by side before they come here.
    """
    mine = sa.select(volume_regions.c.id).where(volume_regions.c.id == region.id)
    connection.execute(mine.with_for_update(key_share=True)).all()
    taken = sa.select(sa.func.coalesce(sa.func.sum(volumes.c.size_gb), 0)).where(
        volumes.c.region_id == region.id, volumes.c.gone_at.is_(None)
    )
    if int(connection.execute(taken).scalar_one()) + more_gb > region.total_gb:
        raise NoRoom(region, more_gb)


def with_machines(connection: Connection, provider: str | None = None) -> dict[tuple[str, str], bool]:
    """Provider and region of whatever can be launched now, and whether there are GPUs among it."""
    statement = sa.select(offers.c.provider, offers.c.region, sa.func.max(offers.c.gpu_count)).where(offers.c.is_listed)
    if provider is not None:
        statement = statement.where(offers.c.provider == provider)
    rows = connection.execute(statement.group_by(offers.c.provider, offers.c.region))
    return {(str(row[0]), str(row[1])): row[2] > 0 for row in rows}
