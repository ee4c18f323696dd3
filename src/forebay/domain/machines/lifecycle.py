"""Deployments as the reconciler sees them: what is due, under a lease, and what the provider reported of it.

Every outcome is applied only while the lease still holds and what is desired has not changed in the meantime;
otherwise the reconciler looks again. Money follows what the provider reports: a machine is paid for from the second
it runs to the second it stopped, or was last seen.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import announcements, authorized_keys, planned_ends, volume_attachments
from forebay.domain.machines import deployments as people_side
from forebay.domain.machines.deployments import COLUMNS, Deployment, Desired, Limits, Status, change, to_deployment
from forebay.domain.machines.events import note, note_once
from forebay.domain.machines.host_keys import HostKey
from forebay.domain.money import metering
from forebay.errors import InsufficientBalance
from forebay.storage.tables import deployments, teams


class Lost(Exception):
    """The lease has gone to someone else: what was found out must not be applied."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How people get into a machine: set all together, when SSH has answered."""

    ip_address: str
    ssh_user: str
    ssh_port: int
    port_forwards: list[dict[str, int]]
    host_keys: Sequence[HostKey]


def claim(connection: Connection, token: str, *, now: datetime, seconds: int, limit: int) -> Sequence[Deployment]:
    """Take the lease on up to `limit` deployments that are due and nobody else has."""
    free = sa.or_(deployments.c.lease_until.is_(None), deployments.c.lease_until <= now)
    due = (
        sa.select(deployments.c.id)
        .where(deployments.c.due_at <= now, free)
        .order_by(deployments.c.due_at, deployments.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = [row.id for row in connection.execute(due)]
    if not ids:
        return []
    connection.execute(
        sa.update(deployments)
        .where(deployments.c.id.in_(ids))
        .values(lease_token=token, lease_until=now + timedelta(seconds=seconds))
    )
    taken = connection.execute(sa.select(*COLUMNS).where(deployments.c.id.in_(ids)))
    return sorted((to_deployment(row) for row in taken), key=lambda deployment: deployment.id)


def release_all(connection: Connection) -> None:
    """Drop every lease: for the only process of a cloud, which knows at its start that nobody holds one."""
    connection.execute(
        sa.update(deployments).where(deployments.c.lease_token.is_not(None)).values(lease_token=None, lease_until=None)
    )


def prolong(connection: Connection, deployment_id: str, token: str, *, now: datetime, seconds: int) -> bool:
    """Keep the lease for longer; False if it was lost."""
    kept = connection.execute(
        sa.update(deployments)
        .where(deployments.c.id == deployment_id, deployments.c.lease_token == token)
        .values(lease_until=now + timedelta(seconds=seconds))
    )
    return kept.rowcount == 1


def release(connection: Connection, seen: Deployment, token: str, *, next_due: datetime | None, now: datetime) -> None:
    """Give the lease back, to look again at `next_due`; None: all is as it should be.

    If someone wants something else by now, it is due at once.
    """
    same = sa.and_(deployments.c.desired == seen.desired, deployments.c.status == seen.status)
    at = None if next_due is None else int(next_due.timestamp())
    connection.execute(
        sa.update(deployments)
        .where(deployments.c.id == seen.id, deployments.c.lease_token == token)
        .values(
            lease_token=None,
            lease_until=None,
            attempts=deployments.c.attempts + 1 if next_due is not None else 0,
            due_at=sa.case((same, sa.cast(at, sa.BigInteger)), else_=sa.cast(int(now.timestamp()), sa.BigInteger)),
        )
    )


def held(connection: Connection, seen: Deployment, token: str) -> Deployment:
    """The deployment, locked, if the lease still holds and nobody changed what is desired. Raises Lost."""
    row = connection.execute(
        sa.select(*COLUMNS, deployments.c.lease_token).where(deployments.c.id == seen.id).with_for_update()
    ).first()
    if row is None or row.lease_token != token:
        raise Lost
    found = to_deployment(row)
    if (found.desired, found.status) != (seen.desired, seen.status):
        raise Lost
    return found


def is_still_wanted(connection: Connection, seen: Deployment, token: str) -> bool:
    """Whether the lease still holds and nobody changed what is desired, without locking anything."""
    row = connection.execute(
        sa.select(deployments.c.lease_token, deployments.c.desired, deployments.c.status).where(
            deployments.c.id == seen.id
        )
    ).one()
    return bool(row.lease_token == token and row.desired == seen.desired and row.status == seen.status)


class LaunchFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch needs beside the deployment's own columns."""

    team_number: int
    keys: tuple[str, ...]
    """The public keys that are to open it; none if all have been deleted since."""
    keys_version: int
    ports: tuple[int, ...]


def launch_facts(connection: Connection, deployment: Deployment) -> LaunchFacts:
    """What is so now: whoever launches by it says so afterwards (`authorized_keys.recheck`)."""
    row = connection.execute(
        sa.select(teams.c.number, deployments.c.keys_version, deployments.c.ports)
        .select_from(deployments)
        .join(teams, teams.c.id == deployments.c.team_id)
        .where(deployments.c.id == deployment.id)
    ).one()
    wanted, _ = authorized_keys.keys_of(connection, [deployment.id])[deployment.id]
    return LaunchFacts(
        team_number=int(row.number),
        keys=authorized_keys.lines(wanted),
        keys_version=int(row.keys_version),
        ports=tuple(row.ports),
    )


def note_placed(connection: Connection, deployment: Deployment, *, now: datetime) -> None:
    """The provider has made the machine, or started it again: SSH will answer soon."""
    is_new = deployment.started_at is None
    kind, message = ("placed", "The machine is made, and starts.") if is_new else ("started", "The machine starts.")
    note_once(connection, deployment.id, kind, message, since=deployment.deploying_since, now=now)


def note_halted(connection: Connection, deployment: Deployment, *, now: datetime) -> None:
    """The provider has stopped the machine."""
    message = "The machine has come to a stop; its disk is kept."
    note_once(connection, deployment.id, "halted", message, since=deployment.stopped_at, now=now)


def note_trouble(connection: Connection, deployment: Deployment, reason: str, *, now: datetime) -> None:
    """The provider can't be reached, and what is wanted has to wait."""
    message = f"{reason.rstrip('.')}. It is tried again."
    note_once(connection, deployment.id, "provider-trouble", message, since=deployment.deploying_since, now=now)


def mark_running(connection: Connection, seen: Deployment, token: str, reach: Reach, *, now: datetime) -> None:
    """SSH has answered: from this second the machine is paid for. Raises Lost."""
    deployment = held(connection, seen, token)
    metering.start(
        connection,
        team_id=deployment.team_id,
        resource_type="compute",
        resource_id=deployment.id,
        rate_micros=deployment.rate_micros,
        at=now,
    )
    change(
        connection,
        deployment.id,
        status=Status.running,
        started_at=now,
        error=None,
        deploying_since=None,
        attempts=0,
        **msgspec.structs.asdict(reach),
    )
    if deployment.has_planned_end:
        planned_ends.reckon(connection, deployment.id)
    if deployment.started_at is None:
        authorized_keys.recheck_first_start(connection, deployment.id, now=now)
    note(connection, deployment.id, "running", f"SSH answers at {reach.ip_address} port {reach.ssh_port}.", now=now)
    ports = [forward for forward in reach.port_forwards if forward["external"] != reach.ssh_port]
    if ports:
        where = (f"port {forward['internal']} at {reach.ip_address}:{forward['external']}" for forward in ports)
        note(connection, deployment.id, "ports", f"From outside is reached: {', '.join(where)}.", now=now)
    announcements.running(connection, deployment, reach, now=now)


def mark_failed(connection: Connection, seen: Deployment, token: str, reason: str, *, now: datetime) -> None:
    """A launch that came to nothing costs nothing; a start that did leaves the machine stopped. Raises Lost."""
    deployment = held(connection, seen, token)
    if deployment.started_at is not None:
        people_side.halt(connection, deployment, f"Could not be started: {reason}", now=now, error=reason[:500])
        announcements.failed(connection, deployment, reason, is_stopped=True, now=now)
        return
    people_side.finish(connection, deployment, Status.failed, f"Failed: {reason}", now=now, error=reason[:500])


def mark_stopped_by_itself(
    connection: Connection,
    seen: Deployment,
    token: str,
    reason: str,
    limits: Limits,
    *,
    at: datetime | None,
    now: datetime,
) -> None:
    """A machine that should run has stopped, at `at` by the provider's clock; None: the provider can't say when.

    It was paid for until then, or to its last sighting, and is started again. A time before that sighting can't be: the
    provider's clock is wrong. Without credits for a start it stays stopped. Raises Lost.
    """
    deployment = held(connection, seen, token)
    last = people_side.last_sighting(connection, deployment.id)
    at = min(now, max((moment for moment in (at, last) if moment is not None), default=now))
    at = planned_ends.ended_by(connection, deployment.id, at)
    metering.end(connection, resource_id=deployment.id, resource_type="compute", at=at, now=now)
    try:
        with connection.begin_nested():
            people_side.resume(
                connection, deployment, limits, f"The machine stopped ({reason}); it is started again.", now=now
            )
    except InsufficientBalance:
        message = f"The machine stopped ({reason}); no credits to start it again."
        people_side.halt(connection, deployment, message, now=now, is_for_credits=True)
        announcements.stopped(connection, deployment, message, cause="credits", is_terminated=False, now=now)


def mark_gone(connection: Connection, seen: Deployment, token: str, *, now: datetime) -> None:
    """The provider confirmed that nothing is left of it: its capacity is free again. Raises Lost."""
    deployment = held(connection, seen, token)
    volume_attachments.machine_gone(connection, deployment.id, now=now)
    change(connection, deployment.id, gone_at=now)
    note(connection, deployment.id, "gone", "The provider has deleted the machine.", now=now)


def mark_lost(connection: Connection, seen: Deployment, token: str, *, now: datetime) -> None:
    """The provider has no such machine any more: it was paid for to its last sighting. Raises Lost."""
    deployment = held(connection, seen, token)
    last = min(now, people_side.last_sighting(connection, deployment.id) or now)
    message = "The machine is gone at the provider."
    people_side.finish(connection, deployment, Status.terminated_provider, message, now=now, at=last, error=message)


def note_cloud_init(connection: Connection, deployment_id: str, *, succeeded: bool, log: str, now: datetime) -> None:
    """How first boot ended, kept as an event with its log; once."""
    changed = connection.execute(
        sa.update(deployments)
        .where(deployments.c.id == deployment_id, deployments.c.is_cloud_init_pending)
        .values(is_cloud_init_pending=False)
    )
    if changed.rowcount == 1:
        kind = "cloud-init-done" if succeeded else "cloud-init-failed"
        note(connection, deployment_id, kind, log or "cloud-init wrote no log.", now=now)


def pending_cloud_init(connection: Connection, provider: str, limit: int = 100) -> Sequence[str]:
    """Running machines whose first boot has not reported yet."""
    rows = connection.execute(
        sa.select(deployments.c.id)
        .where(
            deployments.c.provider == provider,
            deployments.c.gone_at.is_(None),
            deployments.c.is_cloud_init_pending,
            deployments.c.status == Status.running,
        )
        .limit(limit)
    )
    return [row.id for row in rows]


class Known(msgspec.Struct, frozen=True):
    """What the records say of a machine that should be there."""

    status: Status
    desired: Desired
    is_due: bool
    has_address: bool
    ends_at: datetime | None
    """By plan, or because it is taken back: beyond that it is not paid for."""


def known(connection: Connection, provider: str) -> dict[str, Known]:
    """All deployments of a provider that it has not confirmed to be gone."""
    rows = connection.execute(
        sa.select(
            deployments.c.id,
            deployments.c.status,
            deployments.c.desired,
            deployments.c.due_at.is_not(None).label("is_due"),
            deployments.c.ip_address.is_not(None).label("has_address"),
            deployments.c.ends_at,
            deployments.c.reclaim_at,
        ).where(deployments.c.provider == provider, deployments.c.gone_at.is_(None))
    )
    return {
        row.id: Known(
            Status(row.status),
            Desired(row.desired),
            bool(row.is_due),
            bool(row.has_address),
            min((at for at in (row.ends_at, row.reclaim_at) if at is not None), default=None),
        )
        for row in rows
    }


def wake(connection: Connection, deployment_ids: Sequence[str], *, now: datetime) -> None:
    """Make the reconciler look at these now."""
    for start in range(0, len(deployment_ids), 500):
        chunk = deployment_ids[start : start + 500]
        connection.execute(
            sa.update(deployments).where(deployments.c.id.in_(chunk), deployments.c.due_at.is_(None)).values(due_at=now)
        )


def gone_deployments(connection: Connection, deployment_ids: Sequence[str]) -> set[str]:
    """Which of these have a record that says they are gone: leftovers that must be ended again, not orphans."""
    found: set[str] = set()
    for start in range(0, len(deployment_ids), 500):
        chunk = deployment_ids[start : start + 500]
        rows: Any = connection.execute(
            sa.select(deployments.c.id).where(deployments.c.id.in_(chunk), deployments.c.gone_at.is_not(None))
        )
        found |= {row.id for row in rows}
    return found
