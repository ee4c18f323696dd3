"""The one host on which a cloud's local machines run.

A worker on another host would see none of them and take them for lost. So the first worker to bring local machines
writes its host down, and one elsewhere is refused, until no local machine is left and the place may change.
"""

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.errors import Conflict
from forebay.storage.tables import cloud, deployments


def is_here(connection: Connection, host: str) -> bool:
    """Whether `host` is the place of local machines."""
    return bool(connection.execute(sa.select(cloud.c.local_host)).scalar() == host)


def claim(connection: Connection, host: str) -> None:
    """Make `host` the place of local machines. Raises Conflict while there are some on another."""
    known = connection.execute(sa.select(cloud.c.local_host).with_for_update()).scalar()
    if known == host:
        return
    some_left = sa.select(deployments.c.id).where(deployments.c.provider == "local", deployments.c.gone_at.is_(None))
    if known is not None and connection.execute(some_left.limit(1)).first() is not None:
        raise Conflict(
            f"the local machines of this cloud run on {known.partition(' ')[0]}, and this is another host: run the "
            "worker there, or set FOREBAY_PROVIDERS without local here"
        )
    connection.execute(sa.update(cloud).values(local_host=host))
