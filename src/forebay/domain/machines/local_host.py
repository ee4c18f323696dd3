"""The one host on which a cloud's local machines run, and its local volumes are.

A worker on another host would see none of them and take them for lost. So the first worker to bring local machines
writes its host down, and one elsewhere is refused, until no local machine or volume is left and the place may change.
"""

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.errors import Conflict
from forebay.storage.tables import cloud, deployments, volumes


def is_here(connection: Connection, host: str) -> bool:
    """Whether `host` is the place of local machines."""
    return bool(connection.execute(sa.select(cloud.c.local_host)).scalar() == host)


def claim(connection: Connection, host: str) -> None:
    """Make `host` the place of local machines. Raises Conflict while there are some on another."""
    known = connection.execute(sa.select(cloud.c.local_host).with_for_update()).scalar()
    if known == host:
        return
    some_left = sa.select(deployments.c.id).where(deployments.c.provider == "local", deployments.c.gone_at.is_(None))
    stored = sa.select(volumes.c.id).where(volumes.c.provider == "local", volumes.c.gone_at.is_(None))
    is_used = any(connection.execute(each.limit(1)).first() is not None for each in (some_left, stored))
    if known is not None and is_used:
        raise Conflict(
            f"the local machines and volumes of this cloud are on {known.partition(' ')[0]}, and this is another host: "
            "run the worker there, or set FOREBAY_PROVIDERS without local here"
        )
    connection.execute(sa.update(cloud).values(local_host=host))
