"""What happens to a team's machines when its credits have run out: one step after another, each recorded and mailed.

A top-up that is to come is waited for. Without one, or after the wait, machines are stopped where they can pause and
terminated where they can't. Disks of stopped machines and volumes are kept for some days, go on costing, and are
deleted after a day's notice.

Each step reads the balance again in its own transaction, under the lock of the account, and does nothing if it is above
zero by then. What it read is kept with the activity, so that the audit can hold it against the books.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from forebay.domain.machines import announcements, deployments, events, volumes
from forebay.domain.machines.deployments import Deployment, Status
from forebay.domain.machines.volumes import Volume
from forebay.domain.money import credit_control, low_balance, low_balance_letters
from forebay.domain.money.low_balance import Dry, Rules
from forebay.domain.money.low_balance_letters import moment
from forebay.domain.people import activity

NO_CREDITS = "The team's credits have run out."


def wait_or_stop(connection: Connection, team_id: str, rules: Rules, *, now: datetime) -> int:
    """What comes next for a team without credits whose machines run or are launched; 1 if anything was done."""
    machines = deployments.dry_machines(connection, team_id)
    dry = low_balance.dry(connection, team_id) if machines else None
    if dry is None:
        return 0
    if low_balance.waits(connection, team_id, rules, now=now):
        return begin_to_wait(connection, team_id, machines, dry, rules, now=now)
    stop(connection, team_id, machines, dry, rules, now=now)
    return 1


def begin_to_wait(
    connection: Connection, team_id: str, machines: Sequence[Deployment], dry: Dry, rules: Rules, *, now: datetime
) -> int:
    """Note and tell that a top-up is waited for, and until when; 1 if that is news."""
    if low_balance.progress(connection, team_id).waiting_since is not None:
        return 0
    until = now + timedelta(seconds=rules.wait_seconds)
    low_balance.note(connection, team_id, waiting_since=now, waiting_until=until)
    credit_control.mark_dry(connection, team_id, now)
    for machine in machines:
        message = f"{NO_CREDITS} A top-up is waited for, until {moment(until)} at most."
        events.note(connection, machine.id, "waiting-for-credits", message, now=now)
    details = dry.proof() | {"until": until.isoformat()}
    low_balance.record(connection, team_id, "wait-for-top-up", details, now=now)
    about = low_balance.about(connection, team_id, rules)
    letter = low_balance_letters.waiting(about, names(machines), dry.balance_micros, until)
    low_balance.tell(connection, team_id, "waiting", dry.balance_micros, letter, until=until, now=now)
    return 1


def stop(
    connection: Connection, team_id: str, machines: Sequence[Deployment], dry: Dry, rules: Rules, *, now: datetime
) -> None:
    """Stop or terminate all that costs by the hour. An end that Forebay forces is charged to its second."""
    kept, ended = [], []
    for machine in machines:
        # A machine that is being started again has a disk worth keeping; one that is being launched has none yet.
        if machine.supports_pause and machine.started_at is not None:
            message = f"Stopped: {NO_CREDITS}"
            deployments.halt(connection, machine, message, now=now, error=NO_CREDITS, is_for_credits=True)
            note(connection, machine, "stop-for-credits", dry.proof(), now=now)
            announcements.stopped_for_credits(connection, machine, NO_CREDITS, is_terminated=False, now=now)
            kept.append(machine)
        else:
            message = f"Terminated: {NO_CREDITS}"
            deployments.finish(connection, machine, Status.terminated, message, now=now, error=NO_CREDITS)
            note(connection, machine, "terminate-for-credits", dry.proof(), now=now)
            announcements.stopped_for_credits(connection, machine, NO_CREDITS, is_terminated=True, now=now)
            ended.append(machine)
    credit_control.mark_dry(connection, team_id, now)
    low_balance.note(connection, team_id, disks_kept_since=now, deletion_told_at=None, disks_deleted_at=None)
    debt = credit_control.balance_micros(connection, team_id)
    letter = low_balance_letters.stopped(
        low_balance.about(connection, team_id, rules),
        names(kept),
        names(ended),
        debt,
        now + timedelta(days=rules.grace_days),
    )
    low_balance.tell(connection, team_id, "stopped", debt, letter, now=now)


def note_kept(connection: Connection, team_id: str, rules: Rules, *, now: datetime) -> int:
    """Note since when a team without credits has nothing but disks left to pay for; 1 if that is news."""
    if deployments.dry_machines(connection, team_id):
        return 0
    machines = deployments.stopped_machines(connection, team_id)
    stored = volumes.of_dry_team(connection, team_id)
    dry = low_balance.dry(connection, team_id)
    if dry is None or low_balance.progress(connection, team_id).disks_kept_since is not None:
        return 0
    credit_control.mark_dry(connection, team_id, now)
    low_balance.note(connection, team_id, disks_kept_since=now)
    low_balance.record(connection, team_id, "keep-disks", dry.proof(), now=now)
    about = low_balance.about(connection, team_id, rules)
    deletion_at = now + timedelta(days=rules.grace_days)
    letter = low_balance_letters.kept(
        about, names(machines) + volume_names(stored), dry.balance_micros, deletion_at, rules.grace_days
    )
    low_balance.tell(connection, team_id, "disks kept", dry.balance_micros, letter, until=deletion_at, now=now)
    return 1


def announce_deletion(connection: Connection, team_id: str, rules: Rules, *, now: datetime) -> int:
    """Tell a team, once and a day ahead, that its disks will be deleted; 1 if it was told."""
    machines = deployments.stopped_machines(connection, team_id)
    stored = volumes.of_dry_team(connection, team_id)
    dry = low_balance.dry(connection, team_id) if machines or stored else None
    if dry is None or low_balance.progress(connection, team_id).deletion_told_at is not None:
        return 0
    low_balance.note(connection, team_id, deletion_told_at=now)
    deletion_at = low_balance.progress(connection, team_id).deletion_at(rules) or now
    for machine in machines:
        message = f"Without credits this machine is deleted with its disk on {moment(deletion_at)}."
        events.note(connection, machine.id, "deletion-announced", message, now=now)
    details = dry.proof() | {"deletion_at": deletion_at.isoformat()}
    low_balance.record(connection, team_id, "announce-deletion", details, now=now)
    about = low_balance.about(connection, team_id, rules)
    letter = low_balance_letters.disks_go(
        about, names(machines) + volume_names(stored), dry.balance_micros, deletion_at
    )
    low_balance.tell(connection, team_id, "disks go", dry.balance_micros, letter, until=deletion_at, now=now)
    return 1


def delete_disks(connection: Connection, team_id: str, rules: Rules, *, now: datetime) -> int:
    """Terminate the stopped machines of a team whose days of grace and of notice are over, and delete its volumes.

    How many of both there were.
    """
    machines = deployments.stopped_machines(connection, team_id)
    stored = volumes.of_dry_team(connection, team_id)
    dry = low_balance.dry(connection, team_id) if machines or stored else None
    if dry is None:
        return 0
    so_far = low_balance.progress(connection, team_id)
    deletion_at = so_far.deletion_at(rules)
    if so_far.deletion_told_at is None or deletion_at is None or now < deletion_at:
        return 0
    for machine in machines:
        message = f"Terminated with its disk: no credits for {rules.grace_days} days."
        deployments.finish(connection, machine, Status.terminated, message, now=now, error=NO_CREDITS)
        note(connection, machine, "delete-for-credits", dry.proof(), now=now)
        announcements.stopped_for_credits(connection, machine, message, is_terminated=True, now=now)
    for volume in stored:
        volumes.end(connection, volume, now=now, error=NO_CREDITS)
        note_volume(connection, volume, dry.proof(), now=now)
    low_balance.note(connection, team_id, disks_deleted_at=now)
    debt = credit_control.balance_micros(connection, team_id)
    about = low_balance.about(connection, team_id, rules)
    letter = low_balance_letters.disks_gone(about, names(machines) + volume_names(stored), debt, rules.grace_days)
    low_balance.tell(connection, team_id, "disks deleted", debt, letter, now=now)
    return len(machines) + len(stored)


def note_credit_again(connection: Connection, team_id: str, *, now: datetime) -> int:
    """Forget that a team had run dry, if it has credit again; 1 if that is news. What was stopped stays so."""
    if not credit_control.clear_dry(connection, team_id):
        return 0
    low_balance.forget(connection, team_id)
    low_balance.record(connection, team_id, "have-come-back", {}, now=now)
    return 1


def note(connection: Connection, machine: Deployment, verb: str, details: dict[str, Any], *, now: datetime) -> None:
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


def note_volume(connection: Connection, volume: Volume, details: dict[str, Any], *, now: datetime) -> None:
    """The same for a volume that is deleted."""
    activity.record(
        connection,
        None,
        "volume.delete-for-credits",
        now=now,
        team_id=volume.team_id,
        object_type="volume",
        object_id=volume.id,
        details=details,
    )


def names(machines: Sequence[Deployment]) -> list[str]:
    """The machines, one a line."""
    return [f"{machine.name} ({machine.id})" for machine in machines]


def volume_names(stored: Sequence[Volume]) -> list[str]:
    """Volumes, one a line."""
    return [f"volume {volume.name}, {volume.size_gb} GB ({volume.id})" for volume in stored]
