"""What happens to a team's machines when its credits have run out: stopped where they can pause, else terminated.

Disks of stopped machines are kept for a while, go on costing, and are deleted then.

Each step reads the balance again in its own transaction and does nothing if it is above zero by then. Each is
recorded and mailed.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import deployments
from forebay.domain.machines.deployments import Deployment, Status
from forebay.domain.money import credit_control
from forebay.domain.people import activity, mails
from forebay.domain.people.roles import Role
from forebay.storage.tables import teams

NO_CREDITS = "The team's credits have run out."


def stop_machines(connection: Connection, team_id: str, *, now: datetime) -> int:
    """Stop or terminate all that costs by the hour; how many. An end that Forebay forces is charged to its second."""
    machines = deployments.dry_machines(connection, team_id)
    if not machines or not credit_control.is_dry(connection, team_id):
        return 0
    for machine in machines:
        # A machine that is being started again has a disk worth keeping; one that is being launched has none yet.
        if machine.supports_pause and machine.started_at is not None:
            deployments.halt(connection, machine, f"Stopped: {NO_CREDITS}", now=now, error=NO_CREDITS)
        else:
            message = f"Terminated: {NO_CREDITS}"
            deployments.finish(connection, machine, Status.terminated, message, now=now, error=NO_CREDITS)
        note(connection, machine, "stop-for-credits", now=now)
    credit_control.mark_dry(connection, team_id, now)
    tell(connection, team_id, machines, "machines were stopped because the credits ran out", now=now)
    return len(machines)


def note_dry(connection: Connection, team_id: str, *, days: int, now: datetime) -> int:
    """Note since when a team that has nothing but disks left to pay for is without credits; 1 if that is news."""
    if not credit_control.mark_dry(connection, team_id, now):
        return 0
    machines = deployments.stopped_machines(connection, team_id)
    tell(connection, team_id, machines, f"the credits ran out; disks are kept for {days} days", now=now)
    return 1


def delete_disks(connection: Connection, team_id: str, *, days: int, now: datetime) -> int:
    """Terminate stopped machines of a team that has had no credits for `days`; how many."""
    machines = deployments.stopped_machines(connection, team_id)
    if not machines or not credit_control.is_dry(connection, team_id):
        return 0
    for machine in machines:
        message = f"Terminated with its disk: no credits for {days} days."
        deployments.finish(connection, machine, Status.terminated, message, now=now, error=NO_CREDITS)
        note(connection, machine, "delete-for-credits", now=now)
    tell(connection, team_id, machines, f"stopped machines were deleted after {days} days without credits", now=now)
    return len(machines)


def note(connection: Connection, machine: Deployment, verb: str, *, now: datetime) -> None:
    """A row in the team's activity, by nobody but Forebay."""
    activity.record(
        connection,
        None,
        f"deployment.{verb}",
        now=now,
        team_id=machine.team_id,
        object_type="deployment",
        object_id=machine.id,
    )


def tell(connection: Connection, team_id: str, machines: Sequence[Deployment], what: str, *, now: datetime) -> None:
    """A mail to the owners and admins."""
    name = connection.execute(sa.select(teams.c.name).where(teams.c.id == team_id)).scalar_one()
    lines = [f"  {machine.name} ({machine.id})" for machine in machines]
    text = "\n".join(
        [
            f"In {name}, {what}:",
            "",
            *lines,
            "",
            "Stopped machines keep their disks for a while, and the disks go on costing.",
            "Add credits, then start them again.",
            "",
        ]
    )
    mails.queue_to_team(
        connection, team_id, roles=(Role.owner, Role.admin), subject=f"{name}: {what}", text=text, now=now
    )
