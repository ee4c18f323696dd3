"""The SSH keys of one machine, as people set them and as they are found there.

Which keys should be on it is on record; which are is read from the machine. What differs is named: a key that is still
to come or to go, one that somebody took away inside, and one that nobody put there through Forebay.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import authorized_keys, deployments, offers, ssh_keys
from forebay.domain.machines.deployments import Deployment, record
from forebay.domain.machines.events import note
from forebay.domain.machines.looks import FoundKey
from forebay.domain.machines.ssh_keys import SshKey
from forebay.domain.people import teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage import tables
from forebay.storage.rows import values_of
from forebay.storage.tables import deployment_ssh_keys, users

MOST_KEYS = 100
MOST_SHOWN = 500
"""Of what is found on a machine: its owner may have put there as much as they like."""


class State(StrEnum):
    """What is so with a key."""

    installed = "installed"
    pending = "pending"
    """It should be on the machine, and will be soon."""
    missing = "missing"
    """It was put there, and somebody in the machine took it away."""
    leaving = "leaving"
    """It has to go, and is still there."""
    kept_out = "kept-out"
    """It was taken off, and stands in a file of its owner's still: it opens nothing."""
    unknown = "unknown"
    """It is there, and nobody put it there through Forebay."""
    unread = "unread"
    """It was put there; whether it still is could not be read."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is on record for a machine, or of its team."""

    id: str
    name: str
    fingerprint: str
    public_key: str
    added_by: str
    """The id of who put it on the machine."""
    added_by_name: str
    added_at: datetime
    is_installed: bool
    is_removed: bool
    is_off: bool
    """The machine was told, after it was removed."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A key and what is so with it. Of an unknown one only what stands in the machine is known."""

    state: State
    fingerprint: str
    public_key: str
    id: str | None = None
    name: str | None = None
    added_by: str | None = None
    added_by_name: str | None = None
    added_at: datetime | None = None
    places: Sequence[str] = ()
    """Files of the machine that it stands in beside Forebay's own."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the books say of a machine's keys."""

    deployment_id: str
    provider: str
    may_exist: bool
    """Whether there is a machine to look at."""
    kept: Sequence[Kept]
    of_team: dict[str, SshKey]
    """The team's keys by fingerprint, to name those that are found."""
    can_change: bool
    can_end_sessions: bool


def change(
    connection: Connection, context: TeamContext, deployment_id: str, key_ids: Sequence[str], *, now: datetime
) -> None:
    """Make these keys of the team the ones that open the machine. Afterwards the caller wakes `ssh-keys`.

    Raises NotFound, Forbidden, BadRequest, Conflict for a machine that has ended.
    """
    context = teams.hold(connection, context, Permission.see)
    context.demand(
        Permission.operate, created_by=deployments.find(connection, deployment_id, context.team_id).created_by
    )
    check_ids(key_ids)
    # Keys before machines, as where one is deleted; held, so that a deletion knows of this machine.
    wanted = [usable(connection, context.team_id, deployment_id, key_id) for key_id in sorted(set(key_ids))]
    deployment = deployments.lock(connection, deployment_id, context.team_id)
    if deployment.status not in deployments.ACTIVE:
        raise Conflict(f"The machine is {deployment.status}: it has no keys to change.", code="NOT_ACTIVE")
    offer = offers.find(connection, deployment.offer_id)
    if offer is not None and not offer.supports_live_keys:
        sentence = f"{deployment.provider} can't change the keys of a machine: they are chosen at its launch."
        raise BadRequest(sentence, code="LIVE_KEYS_UNSUPPORTED", details={"sshKeyIds": "can't be changed here"})
    present, _ = authorized_keys.keys_of(connection, [deployment_id])[deployment_id]
    new = [key for key in wanted if key.id not in {each.id for each in present}]
    gone = [key for key in present if key.id not in {each.id for each in wanted}]
    if not new and not gone:
        return
    by = context.caller.user_id
    columns = deployment_ssh_keys.c
    is_gone = sa.and_(columns.deployment_id == deployment_id, columns.ssh_key_id.in_([key.id for key in gone]))
    authorized_keys.take_off(connection, is_gone, now=now)
    authorized_keys.put_on(connection, deployment_id, [key.id for key in new], added_by=by, now=now, at_launch=False)
    authorized_keys.make_due(connection, tables.deployments.c.id == deployment_id, now=now)
    parts = [f"adds {key.name} ({key.fingerprint})" for key in new]
    parts += [f"takes off {key.name} ({key.fingerprint})" for key in gone]
    note(connection, deployment_id, "ssh-keys-changed", f"{context.caller.name} {', '.join(parts)}.", now=now)
    details = {"added": [key.fingerprint for key in new], "removed": [key.fingerprint for key in gone]}
    record(connection, context, "ssh-keys", deployment_id, now=now, details=details)


def check_ids(key_ids: Sequence[str]) -> None:
    """One key at least, and not too many. Raises BadRequest."""
    if not key_ids:
        sentence = "One key at least has to stay: nobody could enter the machine. To keep everybody out, stop it."
        raise BadRequest(sentence, details={"sshKeyIds": "at least one"})
    if len(key_ids) > MOST_KEYS:
        raise BadRequest("Too many keys.", details={"sshKeyIds": f"at most {MOST_KEYS}"})


def usable(connection: Connection, team_id: str, deployment_id: str, key_id: str) -> SshKey:
    """A key of the team, or the temporary one of this machine. Raises BadRequest for any other."""
    try:
        key = ssh_keys.get(connection, team_id, key_id, is_for_launch=True)
        if key.is_temporary and not is_own(connection, deployment_id, key_id):
            raise NotFound("SSH key")
    except NotFound:
        raise BadRequest(
            "An SSH key does not exist in this team.",
            code="UNKNOWN_SSH_KEY",
            details={"sshKeyIds": f"{key_id[:24]} is not a key of the team"},
        ) from None
    return key


def is_own(connection: Connection, deployment_id: str, key_id: str) -> bool:
    """Whether the machine was launched with this key."""
    columns = tables.deployments.c
    launched = sa.select(columns.id).where(columns.id == deployment_id, columns.ssh_key_id == key_id)
    return connection.execute(launched).first() is not None


columns, keys = deployment_ssh_keys.c, tables.ssh_keys.c
KEPT = (
    sa.select(
        keys.id,
        keys.name,
        keys.fingerprint,
        keys.public_key,
        columns.added_by,
        users.c.name.label("added_by_name"),
        columns.added_at,
        columns.installed_at.is_not(None).label("is_installed"),
        columns.removed_at.is_not(None).label("is_removed"),
        columns.off_at.is_not(None).label("is_off"),
    )
    .join(tables.ssh_keys, keys.id == columns.ssh_key_id)
    .join(users, users.c.id == columns.added_by)
    .where(columns.deployment_id == sa.bindparam("deployment_id"))
    .order_by(columns.added_at, keys.id)
)


def read(connection: Connection, deployment: Deployment) -> Record:
    """What the books say."""
    offer = offers.find(connection, deployment.offer_id)
    rows = connection.execute(KEPT, {"deployment_id": deployment.id})
    return Record(
        deployment_id=deployment.id,
        provider=deployment.provider,
        may_exist=deployment.gone_at is None and deployment.status in deployments.ACTIVE,
        kept=values_of(Kept, rows),
        of_team={key.fingerprint: key for key in ssh_keys.of_team(connection, deployment.team_id)},
        can_change=offer is not None and offer.supports_live_keys,
        can_end_sessions=offer is not None and offer.supports_session_ends,
    )


def compare(record: Record, found: Sequence[FoundKey] | None) -> list[Shown]:
    """The keys on record beside those that were found on the machine; None: it could not be read."""
    there = by_fingerprint(found or ())
    shown = [to_shown(key, there.get(key.fingerprint), is_read=found is not None) for key in record.kept]
    known = {key.fingerprint for key in record.kept}
    for fingerprint, (line, places) in list(there.items())[:MOST_SHOWN]:
        if fingerprint not in known:
            key = record.of_team.get(fingerprint)
            _, _, comment = line.partition(" ")[2].partition(" ")
            shown.append(
                Shown(
                    state=State.unknown,
                    fingerprint=fingerprint,
                    public_key=line,
                    id=key.id if key else None,
                    name=key.name if key else comment[:120] or None,
                    places=[place for place in places if place],
                )
            )
    wanted = {key.fingerprint for key in record.kept if not key.is_removed}
    # What has left is past, and what has come back by another name is no leaving.
    has_to_go = (State.leaving, State.kept_out)
    return [key for key in shown if key and not (key.state in has_to_go and key.fingerprint in wanted)]


def by_fingerprint(found: Sequence[FoundKey]) -> dict[str, tuple[str, list[str]]]:
    """What was found, each key once with the files it stands in; what is no key is passed over."""
    there: dict[str, tuple[str, list[str]]] = {}
    for key in found:
        kind, _, rest = key.line.partition(" ")
        body, _, comment = rest.strip().partition(" ")
        try:
            line, fingerprint, _ = ssh_keys.parse(f"{kind} {body}")
        except BadRequest:
            continue
        readable = "".join(letter for letter in comment if letter.isprintable()).strip()
        there.setdefault(fingerprint, (f"{line} {readable}".strip(), []))[1].append(key.place)
    return there


def to_shown(key: Kept, found: tuple[str, list[str]] | None, *, is_read: bool) -> Shown | None:
    """A key on record with what is so; None for one that has left."""
    places = found[1] if found else []
    if key.is_removed:
        if not found and (is_read or key.is_off):
            return None
        state = State.leaving if "" in places or not is_read else State.kept_out
    elif not is_read:
        state = State.unread if key.is_installed else State.pending
    elif "" in places:
        state = State.installed
    else:
        state = State.missing if key.is_installed else State.pending
    return Shown(
        state=state,
        fingerprint=key.fingerprint,
        public_key=key.public_key,
        id=key.id,
        name=key.name,
        added_by=key.added_by,
        added_by_name=key.added_by_name,
        added_at=key.added_at,
        places=[place for place in places if place],
    )
