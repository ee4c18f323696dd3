"""Idleness: since when a running machine was not seen in use, and ending it where people want that.

Who looks (`worker/idleness.py`) says which machines have begun to be idle, and which are in use again; it begins anew
whenever it didn't look itself, so nothing that went unseen ever counts as idle. A machine with `autoStopMinutes` is
warned first, in its timeline and in the machine itself, and is then stopped, or terminated if somebody has said so. The
minimum runtime is waited for.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import announcements, planned_ends
from forebay.domain.machines.deployments import Deployment, Status, change, finish, halt, lock
from forebay.domain.machines.events import note
from forebay.domain.machines.schedules import moment, record_own
from forebay.domain.money.outlook import counted
from forebay.storage.tables import deployments
from forebay.storage.types import Timestamp

MOST_NOTICE = timedelta(minutes=5)
"""How long before its end a machine is warned; one that may be idle for less than twice as long, half that time."""
CHUNK = 500


class Running(msgspec.Struct, frozen=True):
    """A machine that may be idle."""

    id: str
    idle_since: datetime | None
    auto_stop_minutes: int | None

    def is_to_be_told(self, since: datetime, now: datetime) -> bool:
        """Whether, idle since then, it has come to its warning: before that nothing is to be done about it."""
        minutes = self.auto_stop_minutes
        return minutes is not None and now >= since + timedelta(minutes=minutes) - lead(minutes)


def running(connection: Connection, provider: str) -> Sequence[Running]:
    """All machines of a provider that run."""
    columns = (deployments.c.id, deployments.c.idle_since, deployments.c.auto_stop_minutes)
    rows = connection.execute(
        sa.select(*columns).where(
            deployments.c.provider == provider,
            deployments.c.gone_at.is_(None),
            deployments.c.status == Status.running,
        )
    )
    return [Running(row.id, row.idle_since, row.auto_stop_minutes) for row in rows]


def begin(connection: Connection, deployment_ids: Sequence[str], *, since: datetime) -> None:
    """These were not in use from `since` on, as far as they run and are not known to be idle already."""
    for first in range(0, len(deployment_ids), CHUNK):
        connection.execute(
            sa.update(deployments)
            .where(
                deployments.c.id.in_(deployment_ids[first : first + CHUNK]),
                deployments.c.status == Status.running,
                deployments.c.idle_since.is_(None),
            )
            .values(
                idle_since=sa.case(
                    (deployments.c.started_at > since, deployments.c.started_at), else_=sa.literal(since, Timestamp())
                )
            )
        )


def end(connection: Connection, deployment_ids: Collection[str], *, now: datetime) -> None:
    """These are in use again, or nobody looked; those that were warned are told so."""
    ids = sorted(deployment_ids)
    for first in range(0, len(ids), CHUNK):
        these = deployments.c.id.in_(ids[first : first + CHUNK])
        told = connection.execute(sa.select(deployments.c.id).where(these, deployments.c.idle_told_at.is_not(None)))
        for deployment_id in told.scalars().all():
            note(connection, deployment_id, "idle-over", "In use again: auto-stop begins anew.", now=now)
        connection.execute(
            sa.update(deployments)
            .where(these, deployments.c.idle_since.is_not(None))
            .values(idle_since=None, idle_told_at=None)
        )


class Notice(msgspec.Struct, frozen=True):
    """What an idle machine is told: a sentence, and when it is ended."""

    deployment_id: str
    sentence: str
    at: datetime


def lead(minutes: int) -> timedelta:
    """How long before the end the warning comes."""
    return min(MOST_NOTICE, timedelta(minutes=minutes) / 2)


def ends_at(deployment: Deployment) -> datetime | None:
    """When an idle machine is ended: after its minutes, its minimum runtime, and the time that a warning gives it."""
    minutes, since = deployment.auto_stop_minutes, deployment.idle_since
    if minutes is None or since is None or deployment.status is not Status.running:
        return None
    least = planned_ends.earliest_end(deployment.status, deployment.started_at, deployment.minimum_runtime_minutes)
    at = max(since + timedelta(minutes=minutes), least or since)
    return at if deployment.idle_told_at is None else max(at, deployment.idle_told_at + lead(minutes))


def act(connection: Connection, deployment_id: str, *, now: datetime) -> Notice | bool:
    """Warn an idle machine or end it, as far as it has come to that.

    The notice that the machine is to be given, or whether it was ended.
    """
    deployment = lock(connection, deployment_id)
    at, minutes = ends_at(deployment), deployment.auto_stop_minutes
    if at is None or minutes is None or deployment.idle_since is None:
        return False
    verb = "terminated" if deployment.auto_stop_action == "terminate" else "stopped"
    idle = f"idle since {moment(deployment.idle_since)}"
    if deployment.idle_told_at is None:
        if now < at - lead(minutes):
            return False
        at = max(at, now + lead(minutes))
        sentence = f"This machine is {idle}. It is {verb} at {moment(at)}, unless it is used before."
        change(connection, deployment_id, idle_told_at=now)
        note(connection, deployment_id, "idle-warning", sentence, now=now)
        since = moment(deployment.idle_since)
        announcements.idle(connection, deployment, sentence, idleSince=since, endsAt=moment(at), now=now)
        return Notice(deployment_id, sentence, at)
    if now < at:
        return False
    message = f"{verb.capitalize()} by Forebay: {idle}, and it may be for {counted(minutes, 'minute')}."
    if verb == "terminated":
        finish(connection, deployment, Status.terminated, message, now=now)
    else:
        halt(connection, deployment, message, now=now)
    details = {"reason": "autoStopMinutes", "idleSince": moment(deployment.idle_since)}
    record_own(connection, deployment, "terminate" if verb == "terminated" else "stop", details, now=now)
    is_terminated = verb == "terminated"
    announcements.stopped(connection, deployment, message, cause="idle", is_terminated=is_terminated, now=now)
    return True
