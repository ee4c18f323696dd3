"""`POST /api/teams/{id}/members/{userId}/off-board`: a person's way out of a team, and the answer to every such way."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso_at
from forebay.api.route import route
from forebay.domain.machines import off_boarding
from forebay.domain.machines.off_boarding import OffBoarding
from forebay.domain.machines.ssh_keys import SshKey
from forebay.domain.money.amounts import to_dollars
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class OffBoard(Input):
    """How somebody is taken out of a team."""

    keep_key_ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=200)] = ()
    """SSH keys that they added and that stay in the team and on its machines. All others go."""


class KeyOfMember(Wire):
    """An SSH key that they added. A temporary one was sent along with a launch, and belongs to that machine."""

    id: str
    name: str
    fingerprint: str
    is_temporary: bool


class MachineToClear(Wire):
    """A machine from which keys go."""

    id: str
    name: str
    status: Literal["deploying", "running", "stopped"]


class StartedByMember(Wire):
    """A deployment that they started and that is still there."""

    id: str
    name: str
    status: Literal["deploying", "running", "stopped"]
    hourly_rate: float
    """Dollars an hour as it is now; for a stopped machine those of its disk."""


class WebhookOfMember(Wire):
    """A webhook that they added."""

    id: str
    name: str


class Done(Wire):
    """What was done at once, or within a minute."""

    removed_keys: list[KeyOfMember]
    machines: list[MachineToClear]
    """The removed keys go from these."""
    keys_gone_by: str | None
    """By then; null where no machine had one of them."""
    revoked_api_keys: int
    """Of theirs, those that reached this team alone. All others reach it no more."""


class Left(Wire):
    """What is left for the owners to decide."""

    deployments: list[StartedByMember]
    kept_keys: list[KeyOfMember]
    webhooks: list[WebhookOfMember] | msgspec.UnsetType = msgspec.UNSET
    """They added these, whose addresses go on being told what happens in the team. Missing where there are none."""


class OffBoarded(Wire):
    """A person does not belong to the team any more."""

    success: bool
    user_id: str
    name: str
    email: str
    role: Literal["owner", "admin", "member"]
    """The one they had."""
    done: Done
    left: Left


def to_wire(found: OffBoarding) -> OffBoarded:
    """An off-boarding as clients see it."""
    member = found.member
    gone_by = found.keys_gone_by
    return OffBoarded(
        success=True,
        user_id=member.user_id,
        name=member.name,
        email=member.email,
        role=member.role.value,
        done=Done(
            removed_keys=[key_to_wire(key) for key in found.removed_keys],
            machines=[
                MachineToClear(id=each.id, name=each.name, status=each.status)  # type: ignore[arg-type]
                for each in found.machines
            ],
            keys_gone_by=iso_at(gone_by),
            revoked_api_keys=found.revoked_api_keys,
        ),
        left=Left(
            deployments=[
                StartedByMember(
                    id=each.id,
                    name=each.name,
                    status=each.status,  # type: ignore[arg-type]
                    hourly_rate=to_dollars(each.rate_micros),
                )
                for each in found.deployments
            ],
            kept_keys=[key_to_wire(key) for key in found.kept_keys],
            webhooks=[WebhookOfMember(id=webhook_id, name=name) for webhook_id, name in found.webhooks]
            or msgspec.UNSET,
        ),
    )


def key_to_wire(key: SshKey) -> KeyOfMember:
    """A key as the owners see it here."""
    return KeyOfMember(id=key.id, name=key.name, fingerprint=key.fingerprint, is_temporary=key.is_temporary)


@route(
    "POST",
    "/api/teams/{team_id}/members/{user_id}/off-board",
    needs=Permission.manage_members,
    target=Target.team,
    target_from="path:team_id",
    body=OffBoard,
    answers=OffBoarded,
    raises=(404,),
)
def off_board(call: Call, team_id: str, user_id: str, body: OffBoard) -> OffBoarded:
    """Take a person out of the team, and with them all that would let them in again.

    Their access ends with this answer; the SSH keys they added leave the team at once and its machines within 60
    seconds, but for those to keep. What they started runs on, and is listed.
    """
    found = off_boarding.off_board(call.connection, call.team, user_id, keep_key_ids=body.keep_key_ids, now=call.now)
    call.nudge("ssh-keys")
    call.nudge("mails")
    return to_wire(found)
