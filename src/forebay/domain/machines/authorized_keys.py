"""The keys that open a machine: which ones should be on it, and whether they are.

A deleted key must leave every machine of its team, and nothing may put it back. So a deletion marks the machines that
may hold the key as due and counts their `keys_version` up, in its own transaction; the reconciler reads version and
keys together, writes the keys to the machine, and says that they are right only if the version is still the one it
read. Whoever wrote by an older one, however late, makes the machine due again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines.events import note
from forebay.storage.tables import deployments, ssh_keys

MAY_EXIST = ("deploying", "running", "stopped")
"""The statuses of deployments whose machine may hold a key."""
OFF_WITHIN_SECONDS = 60
"""A deleted key is off every machine that can be reached after so long."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that a deleted key has to leave."""

    id: str
    name: str
    status: str


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A machine whose keys are to be written."""

    deployment_id: str
    provider: str
    status: str
    version: int
    """Which state of its keys this is."""
    keys: tuple[str, ...]
    """The public keys that should be on it, and no others."""
    key_name: str
    fingerprint: str


def mark(connection: Connection, team_id: str, key_ids: Sequence[str], *, now: datetime) -> Sequence[Machine]:
    """These keys of the team have been deleted: every machine that may hold one is due. The machines, by id."""
    if not key_ids:
        return []
    rows = connection.execute(
        sa.select(deployments.c.id, deployments.c.name, deployments.c.status)
        .where(
            deployments.c.team_id == team_id,
            deployments.c.ssh_key_id.in_(key_ids),
            deployments.c.gone_at.is_(None),
            deployments.c.status.in_(MAY_EXIST),
        )
        .order_by(deployments.c.id)
        .with_for_update()
    )
    found = [Machine(**row._mapping) for row in rows]
    make_due(connection, deployments.c.id.in_([machine.id for machine in found]), now=now)
    return found


def make_due(connection: Connection, which: sa.ColumnElement[bool], *, now: datetime) -> None:
    """The keys of these machines have changed."""
    connection.execute(
        sa.update(deployments).where(which).values(keys_due_at=now, keys_version=deployments.c.keys_version + 1)
    )


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether a machine waits for its keys."""
    statement = sa.select(deployments.c.id).where(deployments.c.keys_due_at <= now).limit(1)
    return connection.execute(statement).first() is not None


def claim(connection: Connection, *, now: datetime, seconds: int, limit: int) -> Sequence[Due]:
    """Machines to write now; each is due again after `seconds` unless its outcome is noted before."""
    due = (
        sa.select(deployments.c.id)
        .where(deployments.c.keys_due_at <= now)
        .order_by(deployments.c.keys_due_at, deployments.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    mine = deployments.c.id.in_([row.id for row in connection.execute(due)])
    may_exist = sa.and_(deployments.c.gone_at.is_(None), deployments.c.status.in_(MAY_EXIST))
    # What has ended holds no keys.
    connection.execute(sa.update(deployments).where(mine, sa.not_(may_exist)).values(keys_due_at=None))
    connection.execute(
        sa.update(deployments).where(mine, may_exist).values(keys_due_at=now + timedelta(seconds=seconds))
    )
    rows = connection.execute(
        sa.select(
            deployments.c.id,
            deployments.c.provider,
            deployments.c.status,
            deployments.c.keys_version,
            deployments.c.ssh_key_name,
            deployments.c.ssh_key_fingerprint,
            ssh_keys.c.public_key,
            ssh_keys.c.deleted_at,
        )
        .join(ssh_keys, ssh_keys.c.id == deployments.c.ssh_key_id)
        .where(mine, may_exist)
        .order_by(deployments.c.id)
    )
    return [to_due(row) for row in rows]


def to_due(row: sa.Row[*tuple[Any, ...]]) -> Due:
    """A machine beside its key as a value."""
    return Due(
        deployment_id=row.id,
        provider=row.provider,
        status=row.status,
        version=row.keys_version,
        keys=() if row.deleted_at is not None else (row.public_key,),
        key_name=row.ssh_key_name,
        fingerprint=row.ssh_key_fingerprint,
    )


def note_written(connection: Connection, due: Due, *, now: datetime) -> None:
    """The keys are on the machine. If others should be by now, it is due at once."""
    if settle(connection, due) and not due.keys:
        message = f"The SSH key {due.key_name} ({due.fingerprint}) is off the machine."
        note(connection, due.deployment_id, "ssh-key-removed", message, now=now)
    recheck(connection, due.deployment_id, due.version, now=now)


def note_impossible(connection: Connection, due: Due, *, now: datetime) -> None:
    """The provider can't change the keys of a machine that is there: whoever looks at the machine is told."""
    if settle(connection, due) and not due.keys:
        message = (
            f"The SSH key {due.key_name} ({due.fingerprint}) was deleted, but {due.provider} can't take keys off a "
            "machine: it can still be used to log in until the machine is terminated."
        )
        note(connection, due.deployment_id, "ssh-key-stays", message, now=now)


def settle(connection: Connection, due: Due) -> bool:
    """The machine waits no more, if its keys are still those that were read; whether this was so."""
    settled = connection.execute(sa.update(deployments).where(as_read(due)).values(keys_due_at=None))
    return settled.rowcount == 1


def put_off(connection: Connection, due: Due, *, now: datetime, seconds: int) -> None:
    """It could not be done: try again in so many seconds, or sooner if the keys have changed since."""
    connection.execute(sa.update(deployments).where(as_read(due)).values(keys_due_at=now + timedelta(seconds=seconds)))


def as_read(due: Due) -> sa.ColumnElement[bool]:
    """The row of the machine, while it waits for the keys that were read."""
    columns = deployments.c
    return sa.and_(
        columns.id == due.deployment_id, columns.keys_version == due.version, columns.keys_due_at.is_not(None)
    )


def recheck(connection: Connection, deployment_id: str, version: int, *, now: datetime) -> None:
    """Keys of this version were put on a machine just now: if others should be by now, it is due at once."""
    connection.execute(
        sa.update(deployments)
        .where(deployments.c.id == deployment_id, deployments.c.keys_version != version)
        .values(keys_due_at=now)
    )


def recheck_first_start(connection: Connection, deployment_id: str, *, now: datetime) -> None:
    """The machine runs for the first time, with the keys of its launch.

    A launch that was cut off may have read them before one was deleted, so that one is taken off once more.
    """
    deleted = sa.select(ssh_keys.c.id).where(
        ssh_keys.c.id == deployments.c.ssh_key_id, ssh_keys.c.deleted_at.is_not(None)
    )
    make_due(connection, sa.and_(deployments.c.id == deployment_id, deleted.exists()), now=now)
