"""`/api/ssh-keys`: the keys that open a team's machines."""

from typing import Annotated

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import route
from forebay.domain.machines import ssh_keys
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class NewSshKey(Input):
    """A public key, as the .pub file holds it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=240)]
    public_key: Annotated[str, msgspec.Meta(max_length=65536)]
    team_id: str | None = None


class SshKey(Wire):
    """A public key of a team. `fingerprint` is what `ssh-keygen -lf` prints."""

    id: str
    name: str
    public_key: str
    fingerprint: str
    created_at: str
    team_id: str


class OfTeam(Input):
    """Which team; without it the key's current one."""

    team_id: str | None = None


class Success(Wire):
    """It was done."""

    success: bool


def to_wire(key: ssh_keys.SshKey) -> SshKey:
    """A key as clients see it."""
    return SshKey(
        id=key.id,
        name=key.name,
        public_key=key.public_key,
        fingerprint=key.fingerprint,
        created_at=iso(int(key.created_at.timestamp())) or "",
        team_id=key.team_id,
    )


@route(
    "GET",
    "/api/ssh-keys",
    needs=Permission.see,
    target=Target.current,
    target_from="query:teamId",
    query=OfTeam,
    answers=list[SshKey],
)
def list_all(call: Call, query: OfTeam) -> list[SshKey]:
    """The team's SSH keys, newest first."""
    return [to_wire(key) for key in ssh_keys.of_team(call.connection, call.team.team_id)]


@route(
    "POST",
    "/api/ssh-keys",
    needs=Permission.manage_ssh_keys,
    target=Target.current,
    target_from="body:teamId",
    body=NewSshKey,
    answers=SshKey,
    status=201,
)
def create(call: Call, body: NewSshKey) -> SshKey:
    """Add a key to the team: any type that OpenSSH takes.

    A key that can't be used is refused with the reason.
    """
    key = ssh_keys.add_by(call.connection, call.team, name=body.name, public_key=body.public_key, now=call.now)
    return to_wire(key)


@route(
    "GET",
    "/api/ssh-keys/{key_id}",
    needs=Permission.see,
    target=Target.ssh_key,
    target_from="path:key_id",
    answers=SshKey,
    is_inline=True,
)
def show(call: Call, key_id: str) -> SshKey:
    """One SSH key."""
    return to_wire(ssh_keys.get(call.connection, call.team.team_id, key_id))


@route(
    "DELETE",
    "/api/ssh-keys/{key_id}",
    needs=Permission.manage_ssh_keys,
    target=Target.ssh_key,
    target_from="path:key_id",
    answers=Success,
)
def delete(call: Call, key_id: str) -> Success:
    """Take a key out of the team. It can't be chosen any more, and is off every machine within 60 seconds."""
    ssh_keys.delete_by(call.connection, call.team, key_id, now=call.now)
    call.nudge("ssh-keys")
    return Success(success=True)
