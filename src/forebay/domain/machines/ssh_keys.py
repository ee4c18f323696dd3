"""SSH keys of a team: any type that OpenSSH takes, each known by the SHA256 fingerprint that `ssh-keygen -lf` prints.

A deleted key stays as a row, because deployments launched with it still name it; machines that have it lose it within
a minute (`authorized_keys.py`). A temporary key belongs to one deployment.
"""

import base64
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines import authorized_keys
from forebay.domain.machines.authorized_keys import Machine
from forebay.domain.machines.host_keys import fingerprint_of
from forebay.domain.people import activity, teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.database import lock_rows, upsert_insert
from forebay.storage.prepared import PreparedValues
from forebay.storage.tables import deployment_ssh_keys, deployments, ssh_keys

MOST_CHARACTERS = 16384
LEAST_RSA_BITS = 1024
"""OpenSSH's own RequiredRSASize."""


class SshKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of a team."""

    id: str
    team_id: str
    name: str
    public_key: str
    fingerprint: str
    is_temporary: bool
    created_by: str
    created_at: datetime


COLUMNS = [ssh_keys.c[name] for name in SshKey.__struct_fields__]


def refusal(reason: str) -> BadRequest:
    """A 400 that says what is wrong with the key."""
    return BadRequest(f"This SSH key can't be used: {reason}", code="INVALID_SSH_KEY", details={"publicKey": reason})


def parse(text: str) -> tuple[str, str, str]:
    """(`type base64`, fingerprint, comment) of one line in OpenSSH's public key format.

    Raises BadRequest with the reason.
    """
    text = text.strip()
    if "PRIVATE KEY" in text:
        raise refusal("this is a private key. Keep it to yourself, make a new one, and send the .pub file.")
    if not text or "\n" in text or "\r" in text or len(text) > MOST_CHARACTERS:
        raise refusal("one line like the .pub file holds is needed: type, key, comment.")
    if not text.isprintable():
        raise refusal("it holds control characters.")
    kind, _, rest = text.partition(" ")
    body, _, comment = rest.strip().partition(" ")
    if kind == "ssh-dss":
        raise refusal("OpenSSH does not take DSA keys any more. Make one with: ssh-keygen -t ed25519")
    if not body:
        raise refusal("one line like the .pub file holds is needed: type, key, comment.")
    # Only who adds a key waits for the library to be loaded, not every start.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

    try:
        found = load_ssh_public_identity(f"{kind} {body}".encode("ascii"))
        blob = base64.b64decode(body, validate=True)
    except (ValueError, UnsupportedAlgorithm):
        raise refusal("it is not a key of a type that OpenSSH takes, or it was cut short.") from None
    if isinstance(found, SSHCertificate):
        raise refusal("this is a certificate, not a public key.")
    if isinstance(found, RSAPublicKey) and found.key_size < LEAST_RSA_BITS:
        raise refusal(f"an RSA key needs at least {LEAST_RSA_BITS} bits, this one has {found.key_size}.")
    return f"{kind} {body}", fingerprint_of(blob), comment.strip()


def check_name(name: str) -> str:
    """The name, trimmed. Raises BadRequest for an empty one, one over 120 characters, or with control characters."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > 120 or any(unicodedata.category(letter) in ("Cc", "Cs", "Cf") for letter in name):
        reason = "1 to 120 characters, no control characters"
        raise BadRequest("The name of the key is not usable.", details={"name": reason})
    return name


def add(
    connection: Connection,
    *,
    team_id: str,
    name: str,
    public_key: str,
    created_by: str,
    now: datetime,
    is_temporary: bool = False,
) -> SshKey:
    """Add a key to the team.

    Raises BadRequest for a bad one, Conflict if the team has it already (by another name, even).
    """
    line, fingerprint, comment = parse(public_key)
    name = check_name(name)
    key = SshKey(
        id=ids.new_id(now),
        team_id=team_id,
        name=name,
        public_key=f"{line} {comment}".strip(),
        fingerprint=fingerprint,
        is_temporary=is_temporary,
        created_by=created_by,
        created_at=now,
    )
    # Not asked first and inserted then: two may add the same key in the same moment.
    insert = upsert_insert(connection, ssh_keys).values(**msgspec.structs.asdict(key))
    if connection.execute(insert.on_conflict_do_nothing().returning(ssh_keys.c.id)).scalar() is None:
        raise taken(connection, team_id, fingerprint)
    return key


def add_by(connection: Connection, context: TeamContext, *, name: str, public_key: str, now: datetime) -> SshKey:
    """Add a key to the person's team. Raises Forbidden, and as `add` does."""
    # Whoever is taken out of the team in this very moment leaves no key behind.
    context = teams.hold(connection, context, Permission.manage_ssh_keys)
    key = add(
        connection,
        team_id=context.team_id,
        name=name,
        public_key=public_key,
        created_by=context.caller.user_id,
        now=now,
    )
    record(connection, context, "add", key, now=now)
    return key


def delete_by(connection: Connection, context: TeamContext, key_id: str, *, now: datetime) -> Sequence[Machine]:
    """Take a key out of the person's team, as `delete` does."""
    key = get(connection, context.team_id, key_id)
    machines = delete(connection, context.team_id, key_id, now=now)
    record(connection, context, "delete", key, now=now)
    return machines


def record(
    connection: Connection,
    context: TeamContext,
    verb: str,
    key: SshKey,
    *,
    now: datetime,
    details: Mapping[str, str] | None = None,
) -> None:
    """A row in the team's activity."""
    activity.record(
        connection,
        context.caller,
        f"ssh-key.{verb}",
        now=now,
        team_id=context.team_id,
        object_type="ssh-key",
        object_id=key.id,
        details={"name": key.name, "fingerprint": key.fingerprint, **(details or {})},
    )


def machines_with(connection: Connection, team_id: str) -> dict[str, list[Machine]]:
    """The machines that hold each key of the team, by the key's id; keys on none are left out."""
    rows = connection.execute(
        sa.select(deployment_ssh_keys.c.ssh_key_id, deployments.c.id, deployments.c.name, deployments.c.status)
        .join(deployment_ssh_keys, deployment_ssh_keys.c.deployment_id == deployments.c.id)
        .where(
            deployments.c.team_id == team_id,
            deployment_ssh_keys.c.removed_at.is_(None),
            deployments.c.gone_at.is_(None),
            deployments.c.status.in_(authorized_keys.MAY_EXIST),
        )
        .order_by(deployments.c.id.desc())
    )
    found: dict[str, list[Machine]] = {}
    for row in rows:
        found.setdefault(row.ssh_key_id, []).append(Machine(id=row.id, name=row.name, status=row.status))
    return found


def taken(connection: Connection, team_id: str, fingerprint: str) -> Conflict:
    """A 409 that says which of the team's keys is the same."""
    twin = connection.execute(
        sa.select(ssh_keys.c.id, ssh_keys.c.name).where(
            ssh_keys.c.team_id == team_id,
            ssh_keys.c.fingerprint == fingerprint,
            ssh_keys.c.deleted_at.is_(None),
            sa.not_(ssh_keys.c.is_temporary),
        )
    ).first()
    return Conflict(
        f"The team has this key already, as {twin.name!r}." if twin else "The team had this key already.",
        code="SSH_KEY_EXISTS",
        details={"id": twin.id if twin else None, "fingerprint": fingerprint},
    )


OF_TEAM = PreparedValues(
    SshKey,
    sa.select(*COLUMNS)
    .where(
        ssh_keys.c.team_id == sa.bindparam("team_id", type_=sa.String()),
        ssh_keys.c.deleted_at.is_(None),
        sa.not_(ssh_keys.c.is_temporary),
    )
    .order_by(ssh_keys.c.id.desc()),
)


def of_team(connection: Connection, team_id: str) -> Sequence[SshKey]:
    """The team's keys, newest first; temporary ones are their deployments' affair."""
    return OF_TEAM(connection, team_id=team_id)


def get(connection: Connection, team_id: str, key_id: str, *, is_for_launch: bool = False) -> SshKey:
    """One key of the team. Raises NotFound.

    For a launch it is kept from being deleted until the transaction ends, so that a deletion knows of the machine.
    """
    statement = sa.select(*COLUMNS).where(
        ssh_keys.c.id == key_id, ssh_keys.c.team_id == team_id, ssh_keys.c.deleted_at.is_(None)
    )
    row = connection.execute(statement.with_for_update(read=True) if is_for_launch else statement).first()
    if row is None:
        raise NotFound("SSH key")
    return SshKey(**row._mapping)


def delete(connection: Connection, team_id: str, key_id: str, *, now: datetime) -> Sequence[Machine]:
    """Take a key out of the team, and off its machines: these, soon. Raises NotFound.

    Where the same key was also sent along with launches, those temporary ones go with it. Afterwards the caller wakes
    the reconciler `ssh-keys`.
    """
    key = get(connection, team_id, key_id)
    same = sa.and_(ssh_keys.c.fingerprint == key.fingerprint, ssh_keys.c.is_temporary)
    which = ssh_keys.c.id == key_id if key.is_temporary else sa.or_(ssh_keys.c.id == key_id, same)
    gone, machines = delete_all(connection, team_id, which, now=now)
    if key_id not in [each.id for each in gone]:
        raise NotFound("SSH key")
    return machines


def delete_all(
    connection: Connection, team_id: str, which: sa.ColumnElement[bool], *, now: datetime
) -> tuple[Sequence[SshKey], Sequence[Machine]]:
    """Take those keys out of the team that there still are: these, and the machines that they have to leave."""
    mine = sa.and_(ssh_keys.c.team_id == team_id, ssh_keys.c.deleted_at.is_(None), which)
    lock_rows(connection, ssh_keys, list(connection.execute(sa.select(ssh_keys.c.id).where(mine)).scalars()))
    rows = connection.execute(sa.update(ssh_keys).where(mine).values(deleted_at=now).returning(*COLUMNS))
    gone = sorted((SshKey(**row._mapping) for row in rows), key=lambda key: key.id)
    return gone, authorized_keys.mark(connection, team_id, [key.id for key in gone], now=now)
