"""Reclaims: a spot machine is taken back, by an operator or by its provider, with notice.

The notice is on record first: an event, a row in the activity, a notification, and the second at which it ends. The
worker tells the machine itself, and at that second ends it: `terminated-provider`, charged to it and no further. A
machine that doesn't run gets no notice, because there is nothing in it to be finished.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import announcements
from forebay.domain.machines import deployments as machines
from forebay.domain.machines.deployments import ACTIVE, Deployment, Status
from forebay.domain.machines.events import note
from forebay.domain.machines.offers import SPOT
from forebay.domain.people import activity, operators
from forebay.domain.people.access import Caller
from forebay.domain.people.letters import plain
from forebay.domain.people.notification_kinds import Kind
from forebay.errors import BadRequest, CannotTerminate, Conflict
from forebay.storage.rows import values_of
from forebay.storage.tables import deployments

MOST_NOTICE_SECONDS = 86400


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that is to be told."""

    id: str
    provider: str
    reclaim_at: datetime
    reclaim_reason: str


def by_operator(
    connection: Connection,
    caller: Caller | None,
    deployment_id: str,
    *,
    reason: str,
    seconds: int,
    now: datetime,
    by: str | None = None,
) -> datetime:
    """Take a spot machine back after so many seconds of notice; when it ends.

    Raises NotFound, CannotTerminate, BadRequest, Conflict where it is no spot machine or is being taken back already.
    """
    if not 0 <= seconds <= MOST_NOTICE_SECONDS:
        raise BadRequest("This is no notice.", details={"noticeSeconds": f"0 to {MOST_NOTICE_SECONDS}"})
    machine = machines.lock(connection, deployment_id)
    if machine.status not in ACTIVE:
        raise CannotTerminate(machine.status)
    if machine.instance_type != SPOT:
        raise Conflict("Only a machine that was launched as SPOT can be taken back: terminate it.", code="NOT_SPOT")
    if reclaim_at(connection, deployment_id) is not None:
        raise Conflict("It is being taken back already.", code="RECLAIMING")
    at = now + timedelta(seconds=seconds) if machine.status is Status.running else now
    announce(connection, machine, at, reason, now=now)
    operators.record(
        connection,
        caller,
        "deployment.reclaim-by-operator",
        "deployment",
        deployment_id,
        now=now,
        team_id=machine.team_id,
        by=by,
        details={"reason": reason, "at": at.isoformat()},
    )
    return at


def by_provider(connection: Connection, deployment_id: str, at: datetime, *, now: datetime) -> bool:
    """The provider says that it takes a machine back at `at`; whether that is news."""
    machine = machines.lock(connection, deployment_id)
    if machine.status not in ACTIVE or reclaim_at(connection, deployment_id) is not None:
        return False
    reason = "The provider takes it back."
    announce(connection, machine, max(at, now), reason, now=now)
    record(connection, machine, "reclaim-by-provider", {"reason": reason, "at": at.isoformat()}, now=now)
    return True


def reclaim_at(connection: Connection, deployment_id: str) -> datetime | None:
    """When a machine is taken back, if it is."""
    found: datetime | None = connection.execute(
        sa.select(deployments.c.reclaim_at).where(deployments.c.id == deployment_id)
    ).scalar()
    return found


def announce(connection: Connection, machine: Deployment, at: datetime, reason: str, *, now: datetime) -> None:
    """The notice: on record, in the machine's timeline, and by mail."""
    machines.change(connection, machine.id, reclaim_at=at, reclaim_reason=reason[:500], warned_at=None)
    sentence = f"It is taken back at {at:%-d %B %Y %H:%M:%S} UTC: {reason}"
    note(connection, machine.id, "reclaim-announced", sentence, now=now)
    announcements.tell(
        connection,
        Kind.deployment_reclaimed,
        machine,
        f"is taken back at {at:%H:%M:%S} UTC",
        [
            f"The spot machine {plain(machine.name)} is taken back at {at:%-d %B %Y %H:%M:%S} UTC, with its disk. Save "
            "what you need before; volumes stay.",
            f"The reason: {reason}",
        ],
        status=str(machine.status),
        reason=reason[:500],
        reclaimAt=f"{at:%Y-%m-%dT%H:%M:%SZ}",
        now=now,
    )


def to_warn(connection: Connection, *, now: datetime, limit: int = 100) -> Sequence[Warned]:
    """Running machines that are taken back and haven't been told."""
    columns = [deployments.c[name] for name in Warned.__struct_fields__]
    rows = connection.execute(
        sa.select(*columns)
        .where(
            deployments.c.reclaim_at > now,
            deployments.c.gone_at.is_(None),
            deployments.c.warned_at.is_(None),
            deployments.c.status == Status.running,
        )
        .order_by(deployments.c.reclaim_at, deployments.c.id)
        .limit(limit)
    )
    return values_of(Warned, rows)


def note_warned(connection: Connection, deployment_id: str, *, now: datetime) -> None:
    """The machine was told."""
    changed = connection.execute(
        sa.update(deployments)
        .where(deployments.c.id == deployment_id, deployments.c.warned_at.is_(None))
        .values(warned_at=now)
    )
    if changed.rowcount:
        note(connection, deployment_id, "reclaim-warned", "The machine itself was told, and its programs too.", now=now)


def due(connection: Connection, *, now: datetime, limit: int = 100) -> Sequence[str]:
    """Ids of machines whose notice is over."""
    rows = connection.execute(
        sa.select(deployments.c.id)
        .where(deployments.c.reclaim_at <= now, deployments.c.gone_at.is_(None), deployments.c.status.in_(ACTIVE))
        .order_by(deployments.c.reclaim_at, deployments.c.id)
        .limit(limit)
    )
    return [str(row.id) for row in rows]


def take_back(connection: Connection, deployment_id: str, *, now: datetime) -> bool:
    """End a machine whose notice is over, charged to that second and no further; whether that was to be done."""
    machine = machines.lock(connection, deployment_id)
    at = reclaim_at(connection, deployment_id)
    if machine.status not in ACTIVE or at is None or at > now:
        return False
    reason = connection.execute(
        sa.select(deployments.c.reclaim_reason).where(deployments.c.id == deployment_id)
    ).scalar_one()
    message = f"Taken back: {reason}"
    machines.finish(connection, machine, Status.terminated_provider, message, now=now, at=at, error=message[:500])
    record(connection, machine, "reclaim", {"reason": reason, "at": at.isoformat()}, now=now)
    return True


def record(connection: Connection, machine: Deployment, verb: str, details: dict[str, str], *, now: datetime) -> None:
    """A row in the team's activity, by nobody but Forebay."""
    activity.record(
        connection,
        None,
        f"deployment.{verb}",
        now=now,
        team_id=machine.team_id,
        object_type="deployment",
        object_id=machine.id,
        details=details,
    )
