"""What is told of machines to whoever started them, and to the team's webhooks.

What people do themselves is no news to them: told is what Forebay or a provider did. Afterwards nudge `notifications`.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money.amounts import as_dollars, to_dollars
from forebay.domain.people import notifications
from forebay.domain.people.letters import plain
from forebay.domain.people.notification_kinds import Kind
from forebay.storage.tables import memberships, teams

if TYPE_CHECKING:
    from forebay.domain.machines.deployments import Deployment
    from forebay.domain.machines.lifecycle import Reach


def tell(
    connection: Connection,
    kind: Kind,
    deployment: "Deployment",
    happened: str,
    lines: list[str],
    *,
    status: str,
    now: datetime,
    is_mailed: bool = False,
    **details: Any,
) -> None:
    """Tell what happened to a machine: `happened` goes after its name."""
    team = connection.execute(sa.select(teams.c.name, teams.c.slug).where(teams.c.id == deployment.team_id)).one()
    machine = {
        "id": deployment.id,
        "name": deployment.name,
        "status": status,
        "offerId": deployment.offer_id,
        "gpuType": deployment.gpu_type,
        "gpuCount": deployment.gpu_count,
        "region": deployment.region,
        "hourlyRate": to_dollars(deployment.rate_micros),
        "createdBy": deployment.created_by,
    }
    notifications.tell(
        connection,
        kind,
        f"{plain(team.name)}: {plain(deployment.name)} {happened}",
        lines,
        team_id=deployment.team_id,
        user_id=deployment.created_by,
        details={"deployment": machine, **details},
        page=f"/t/{team.slug}/deployments/{deployment.id}",
        is_mailed=is_mailed,
        now=now,
    )


def running(connection: Connection, deployment: "Deployment", reach: "Reach", *, now: datetime) -> None:
    """SSH answers."""
    command = f"ssh -p {reach.ssh_port} {reach.ssh_user}@{reach.ip_address}"
    tell(
        connection,
        Kind.deployment_running,
        deployment,
        "is running",
        [
            f"{plain(deployment.name)} is running, and costs {as_dollars(deployment.rate_micros)} an hour from now on.",
            command,
        ],
        status="running",
        sshCommand=command,
        ipAddress=reach.ip_address,
        sshPort=reach.ssh_port,
        user=reach.ssh_user,
        now=now,
    )


def failed(connection: Connection, deployment: "Deployment", reason: str, *, now: datetime, is_stopped: bool) -> None:
    """A launch that came to nothing, or a start, after which the machine is stopped as before."""
    verb = "started" if is_stopped else "launched"
    cost = "Its disk is kept, and costs what it did." if is_stopped else "It cost nothing."
    tell(
        connection,
        Kind.deployment_failed,
        deployment,
        f"could not be {verb}",
        [f"{plain(deployment.name)} could not be {verb}: {reason}", cost],
        status="stopped" if is_stopped else "failed",
        reason=reason[:500],
        now=now,
    )


def reclaimed(connection: Connection, deployment: "Deployment", message: str, *, now: datetime) -> None:
    """The provider has it no more."""
    tell(
        connection,
        Kind.deployment_reclaimed,
        deployment,
        "was reclaimed",
        [f"{message} {plain(deployment.name)} was charged to the last moment that it was seen, and no further."],
        status="terminated-provider",
        reason=message[:500],
        now=now,
    )


def stopped(
    connection: Connection,
    deployment: "Deployment",
    message: str,
    *,
    cause: str,
    now: datetime,
    is_terminated: bool,
    is_mailed: bool = False,
) -> None:
    """Forebay stopped or terminated it; `cause` in a word: credits, budget, idle, time."""
    verb = "terminated" if is_terminated else "stopped"
    kept = "Nothing of it is left." if is_terminated else "Its disk is kept, and costs a little."
    tell(
        connection,
        Kind.deployment_stopped,
        deployment,
        f"was {verb}",
        [f"{plain(deployment.name)} was {verb}. {message}", kept],
        status=verb,
        cause=cause,
        reason=message[:500],
        is_mailed=is_mailed,
        now=now,
    )


def stopped_for_credits(
    connection: Connection, deployment: "Deployment", message: str, *, now: datetime, is_terminated: bool
) -> None:
    """The same for lack of credits. Who looks after the team has a letter about all of its machines."""
    role = connection.execute(
        sa.select(memberships.c.role).where(
            memberships.c.team_id == deployment.team_id, memberships.c.user_id == deployment.created_by
        )
    ).scalar()
    is_mailed = role in notifications.KEEPERS
    stopped(connection, deployment, message, cause="credits", is_terminated=is_terminated, is_mailed=is_mailed, now=now)


def idle(connection: Connection, deployment: "Deployment", message: str, *, now: datetime, **details: Any) -> None:
    """Nobody uses it, and it is about to be stopped for that."""
    line = f"{plain(deployment.name)} is idle. {message}"
    tell(connection, Kind.deployment_idle, deployment, "is idle", [line], status="running", now=now, **details)


def limit_met(
    connection: Connection, deployment: "Deployment", message: str, *, status: str, now: datetime, **details: Any
) -> None:
    """It has cost as much as it may, or run as long."""
    lines = [f"{plain(deployment.name)} has met its limit. {message}"]
    tell(connection, Kind.limit_met, deployment, "has met its limit", lines, status=status, now=now, **details)
