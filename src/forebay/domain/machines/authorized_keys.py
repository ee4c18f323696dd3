"""The keys that open a machine: which ones should be on it, and whether they are.

A key that was deleted from the team, or taken off a machine, must leave it, and nothing may put it back. So every
change marks the machines that it concerns as due and counts their `keys_version` up, in its own transaction; the
reconciler reads version and keys together, writes the keys to the machine, ends the connections of those that have to
go, and says that all is right only if the version is still the one it read. Whoever wrote by an older one, however
late, makes the machine due again.

A key that was once on a machine is remembered as such: it is kept out there by whatever file it might come in again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines.events import note
from forebay.storage.rows import values_of
from forebay.storage.tables import deployment_ssh_keys, deployments, ssh_keys

MAY_EXIST = ("deploying", "running", "stopped")
"""The statuses of deployments whose machine may hold a key."""
OFF_WITHIN_SECONDS = 60
"""A deleted key is off every machine that can be reached after so long."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that a deleted key has to leave."""

    id: str
    name: str
    status: str


class MachineKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that should be on a machine, or has to leave it."""

    id: str
    name: str
    fingerprint: str
    public_key: str
    is_told: bool
    """The machine was as it should be in this respect when it was last written to."""

    @property
    def words(self) -> str:
        """What the timeline calls it."""
        return f"The SSH key {self.name} ({self.fingerprint})"


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A machine whose keys are to be written."""

    deployment_id: str
    provider: str
    status: str
    version: int
    """Which state of its keys this is."""
    wanted: Sequence[MachineKey]
    """Those that should be on it, and no others."""
    leaving: Sequence[MachineKey]
    """Those that were on it once and may not open it any more."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The public keys that are to be on it."""
        return lines(self.wanted)

    @property
    def removed(self) -> tuple[str, ...]:
        """The public keys that are to be kept out."""
        return lines(self.leaving)

    @property
    def fingerprints(self) -> list[str]:
        """Whose connections are to end."""
        return sorted({key.fingerprint for key in self.leaving})


def lines(keys: Iterable[MachineKey]) -> tuple[str, ...]:
    """Public keys, each once: the same one may have been added under several names."""
    return tuple({key.fingerprint: key.public_key for key in keys}.values())


def put_on(
    connection: Connection, deployment_id: str, key_ids: Iterable[str], *, added_by: str, now: datetime, at_launch: bool
) -> None:
    """These keys should be on the machine from now on. At a launch they come with it."""
    for key_id in key_ids:
        values = {"added_by": added_by, "added_at": now, "removed_at": None, "off_at": None}
        values["installed_at"] = now if at_launch else None
        mine = sa.and_(deployment_ssh_keys.c.deployment_id == deployment_id, deployment_ssh_keys.c.ssh_key_id == key_id)
        if connection.execute(sa.update(deployment_ssh_keys).where(mine).values(**values)).rowcount == 0:
            connection.execute(
                sa.insert(deployment_ssh_keys).values(deployment_id=deployment_id, ssh_key_id=key_id, **values)
            )


def take_off(connection: Connection, which: sa.ColumnElement[bool], *, now: datetime) -> None:
    """These keys have to leave these machines, where they are on them."""
    on_it = deployment_ssh_keys.c.removed_at.is_(None)
    connection.execute(sa.update(deployment_ssh_keys).where(on_it, which).values(removed_at=now, off_at=None))


def mark(connection: Connection, team_id: str, key_ids: Sequence[str], *, now: datetime) -> Sequence[Machine]:
    """These keys of the team have been deleted: every machine that may hold one is due. The machines, by id."""
    if not key_ids:
        return []
    held = sa.select(deployment_ssh_keys.c.deployment_id).where(
        deployment_ssh_keys.c.ssh_key_id.in_(key_ids), deployment_ssh_keys.c.removed_at.is_(None)
    )
    rows = connection.execute(
        sa.select(deployments.c.id, deployments.c.name, deployments.c.status)
        .where(
            deployments.c.team_id == team_id,
            deployments.c.id.in_(held),
            deployments.c.gone_at.is_(None),
            deployments.c.status.in_(MAY_EXIST),
        )
        .order_by(deployments.c.id)
        .with_for_update()
    )
    found = values_of(Machine, rows)
    take_off(connection, deployment_ssh_keys.c.ssh_key_id.in_(key_ids), now=now)
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
        sa.select(deployments.c.id, deployments.c.provider, deployments.c.status, deployments.c.keys_version)
        .where(mine, may_exist)
        .order_by(deployments.c.id)
    ).all()
    keys = keys_of(connection, [row.id for row in rows])
    return [
        Due(
            deployment_id=row.id,
            provider=row.provider,
            status=row.status,
            version=row.keys_version,
            wanted=keys[row.id][0],
            leaving=keys[row.id][1],
        )
        for row in rows
    ]


def keys_of(
    connection: Connection, deployment_ids: Sequence[str]
) -> dict[str, tuple[list[MachineKey], list[MachineKey]]]:
    """By machine: the keys that should be on it, and those that have to leave or have left it, each in order."""
    columns = deployment_ssh_keys.c
    rows = connection.execute(
        sa.select(
            columns.deployment_id,
            ssh_keys.c.id,
            ssh_keys.c.name,
            ssh_keys.c.fingerprint,
            ssh_keys.c.public_key,
            columns.installed_at,
            columns.removed_at,
            columns.off_at,
        )
        .join(ssh_keys, ssh_keys.c.id == columns.ssh_key_id)
        .where(columns.deployment_id.in_(deployment_ids))
        .order_by(columns.added_at, columns.ssh_key_id)
    ).all()
    found: dict[str, tuple[list[MachineKey], list[MachineKey]]] = {key: ([], []) for key in deployment_ids}
    for row in rows:
        is_leaving = row.removed_at is not None
        key = MachineKey(
            id=row.id,
            name=row.name,
            fingerprint=row.fingerprint,
            public_key=row.public_key,
            is_told=(row.off_at if is_leaving else row.installed_at) is not None,
        )
        found[row.deployment_id][is_leaving].append(key)
    for wanted, leaving in found.values():
        # The same key may be on it by another name.
        kept = {key.fingerprint for key in wanted}
        leaving[:] = [key for key in leaving if key.fingerprint not in kept]
    return found


def note_written(connection: Connection, due: Due, ended: int | None, *, now: datetime) -> None:
    """The keys are on the machine, and so many connections of removed ones were ended; None: the provider can't.

    If others should be by now, it is due at once.
    """
    if settle(connection, due):
        for key in due.wanted:
            if not key.is_told:
                note(connection, due.deployment_id, "ssh-key-added", f"{key.words} is on the machine.", now=now)
        stays = f" Connections that were opened with it go on: {due.provider} can't end them." if ended is None else ""
        for key in due.leaving:
            if not key.is_told:
                message = f"{key.words} is off the machine.{stays}"
                note(connection, due.deployment_id, "ssh-key-removed", message, now=now)
        if ended:
            count = "An SSH connection" if ended == 1 else f"{ended} SSH connections"
            message = f"{count} opened with a key that was taken off ended with it."
            note(connection, due.deployment_id, "ssh-sessions-ended", message, now=now)
        note_told(connection, due, now=now)
    recheck(connection, due.deployment_id, due.version, now=now)


def note_told(connection: Connection, due: Due, *, now: datetime) -> None:
    """From now on the machine is as it should be with each of its keys."""
    columns = deployment_ssh_keys.c
    mine = columns.deployment_id == due.deployment_id
    on_it = sa.and_(mine, columns.removed_at.is_(None), columns.installed_at.is_(None))
    connection.execute(sa.update(deployment_ssh_keys).where(on_it).values(installed_at=now))
    off_it = sa.and_(mine, columns.removed_at.is_not(None), columns.off_at.is_(None))
    connection.execute(sa.update(deployment_ssh_keys).where(off_it).values(off_at=now))


def note_impossible(connection: Connection, due: Due, *, now: datetime) -> None:
    """The provider can't change the keys of a machine that is there: whoever looks at the machine is told."""
    if not settle(connection, due):
        return
    for key in due.leaving:
        if not key.is_told:
            message = (
                f"{key.words} was deleted, but {due.provider} can't take keys off a machine: it can still be used to "
                "log in until the machine is terminated."
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

    A launch that was cut off may have read them before they were changed, so that they are written once more.
    """
    columns = deployment_ssh_keys.c
    changed = sa.select(columns.ssh_key_id).where(
        columns.deployment_id == deployments.c.id,
        sa.or_(columns.removed_at.is_not(None), columns.installed_at.is_(None)),
    )
    make_due(connection, sa.and_(deployments.c.id == deployment_id, changed.exists()), now=now)
