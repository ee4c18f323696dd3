"""Off-boarding: a person's way out of a team, and what becomes of all that would still let them in.

In the one transaction that ends the membership: nothing of theirs gets into the team any more (who may do what is read
with every request), API keys that reach this team alone are revoked, and the SSH keys they added leave the team and its
machines, but for those that an owner chose to keep. What they started runs on. The answer says what was done, and what
is left for the owners to decide.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import authorized_keys, ssh_keys
from forebay.domain.machines.authorized_keys import Machine
from forebay.domain.machines.ssh_keys import SshKey
from forebay.domain.people import activity, members, teams, webhooks
from forebay.domain.people.access import TeamContext
from forebay.domain.people.members import Member
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest
from forebay.storage import tables
from forebay.storage.rows import values_of
from forebay.storage.tables import deployments


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that the person started, and that is still there: it runs on until somebody ends it."""

    id: str
    name: str
    status: str
    rate_micros: int
    """What an hour costs as it is now; a stopped machine's is the price of its disk."""


class OffBoarding(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, and what is left."""

    member: Member
    """Who they were."""
    removed_keys: Sequence[SshKey]
    kept_keys: Sequence[SshKey]
    machines: Sequence[Machine]
    """From these machines the removed keys go."""
    keys_gone_by: datetime | None
    """By then they are off every machine that can be reached; None where no machine had one."""
    revoked_api_keys: int
    """Those that reached this team alone."""
    deployments: Sequence[Started]
    webhooks: Sequence[tuple[str, str]]
    """Id and name of those that they added: their addresses go on being told what happens in the team."""


def off_board(
    connection: Connection,
    context: TeamContext,
    user_id: str,
    *,
    keep_key_ids: Collection[str] = (),
    now: datetime,
) -> OffBoarding:
    """Take a person out of the team. Afterwards the caller wakes the reconcilers `ssh-keys` and `mails`.

    Raises Forbidden, NotFound, LastOwner, and BadRequest for a key to keep that is none of theirs.
    """
    context = teams.alone(connection, context, Permission.manage_members)
    kept = kept_keys(connection, context.team_id, user_id, keep_key_ids)
    member = members.remove(connection, context, user_id, now=now)
    return clear_away(connection, context, member, kept, now=now)


def leave(connection: Connection, context: TeamContext, *, now: datetime) -> OffBoarding:
    """Leave the team oneself: nothing is kept that would let one in again. Raises Forbidden, LastOwner."""
    context = teams.alone(connection, context, Permission.leave)
    member = members.find(connection, context.team_id, context.caller.user_id)
    members.leave(connection, context, now=now)
    return clear_away(connection, context, member, [], now=now)


def kept_keys(connection: Connection, team_id: str, user_id: str, keep_key_ids: Collection[str]) -> Sequence[SshKey]:
    """The keys to keep. Raises BadRequest unless each is one that the person added to this team."""
    theirs = {key.id: key for key in added_by(connection, team_id, user_id)}
    strange = sorted(set(keep_key_ids) - set(theirs))
    if strange:
        raise BadRequest(
            "Only SSH keys that this person added to the team can be kept.",
            details={"keepKeyIds": f"not added by them: {', '.join(strange)[:200]}"},
        )
    return [key for key in theirs.values() if key.id in set(keep_key_ids)]


def added_by(connection: Connection, team_id: str, user_id: str) -> Sequence[SshKey]:
    """The SSH keys a person added to the team, also those that were sent along with a launch; oldest first."""
    rows = connection.execute(
        sa.select(*ssh_keys.COLUMNS)
        .where(
            tables.ssh_keys.c.team_id == team_id,
            tables.ssh_keys.c.created_by == user_id,
            tables.ssh_keys.c.deleted_at.is_(None),
        )
        .order_by(tables.ssh_keys.c.id)
    )
    return values_of(SshKey, rows)


def clear_away(
    connection: Connection, context: TeamContext, member: Member, kept: Sequence[SshKey], *, now: datetime
) -> OffBoarding:
    """After the end of the membership: all that is left of it."""
    keys = tables.ssh_keys.c
    # A key that is kept stays under every name it has.
    theirs = sa.and_(keys.created_by == member.user_id, keys.fingerprint.not_in([key.fingerprint for key in kept]))
    removed, machines = ssh_keys.delete_all(connection, context.team_id, theirs, now=now)
    for key in removed:
        record(connection, context, "ssh-key.delete", "ssh-key", key.id, key.fingerprint, now=now)
    revoked = revoke_keys(connection, context.team_id, member.user_id, now=now)
    for key_id, name in revoked:
        record(connection, context, "api-key.revoke", "api-key", key_id, name, now=now)
    return OffBoarding(
        member=member,
        removed_keys=removed,
        kept_keys=kept,
        machines=machines,
        keys_gone_by=now + timedelta(seconds=authorized_keys.OFF_WITHIN_SECONDS) if machines else None,
        revoked_api_keys=len(revoked),
        deployments=started_by(connection, context.team_id, member.user_id),
        webhooks=webhooks.added_by(connection, context.team_id, member.user_id),
    )


def revoke_keys(
    connection: Connection, team_id: str, user_id: str | None, *, now: datetime
) -> Sequence[tuple[str, str]]:
    """Revoke the API keys of a person, or of anybody, that are narrowed to this team alone; id and name of each."""
    keys = tables.api_keys.c
    rows = connection.execute(
        sa.select(keys.id, keys.name, keys.team_ids).where(
            keys.revoked_at.is_(None),
            keys.team_ids.is_not(None),
            keys.current_team_id == team_id if user_id is None else keys.user_id == user_id,
        )
    )
    found = [(str(row.id), str(row.name)) for row in rows if set(row.team_ids) == {team_id}]
    connection.execute(
        sa.update(tables.api_keys).where(keys.id.in_([key_id for key_id, _ in found])).values(revoked_at=now)
    )
    return found


def started_by(connection: Connection, team_id: str, user_id: str) -> Sequence[Started]:
    """What a person started in the team and is not over, oldest first."""
    is_stopped = deployments.c.status == "stopped"
    rate = sa.case((is_stopped, deployments.c.storage_rate_micros), else_=deployments.c.rate_micros)
    rows = connection.execute(
        sa.select(deployments.c.id, deployments.c.name, deployments.c.status, rate.label("rate_micros"))
        .where(
            deployments.c.team_id == team_id,
            deployments.c.created_by == user_id,
            deployments.c.gone_at.is_(None),
            deployments.c.status.in_(authorized_keys.MAY_EXIST),
        )
        .order_by(deployments.c.id)
    )
    return values_of(Started, rows)


def record(
    connection: Connection, context: TeamContext, action: str, kind: str, object_id: str, what: str, *, now: datetime
) -> None:
    """A row in the team's activity for each thing that goes with the person."""
    activity.record(
        connection,
        context.caller,
        action,
        now=now,
        team_id=context.team_id,
        object_type=kind,
        object_id=object_id,
        details={"fingerprint" if kind == "ssh-key" else "name": what, "reason": "off-boarding"},
    )
