"""`/api/deployments/{id}/ssh-keys`: the keys of one machine."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call, Services
from forebay.api.envelope import Input, Wire, iso, iso_at
from forebay.api.route import route
from forebay.domain.machines import deployment_keys, deployments
from forebay.domain.machines.deployment_keys import Record, Shown
from forebay.domain.machines.looks import FoundKey, Unreadable
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission

KeyState = Literal["installed", "pending", "missing", "leaving", "kept-out", "unknown", "unread"]


class ChosenKeys(Input):
    """All the keys that are to open the machine: ids of keys of the team, at least one."""

    ssh_key_ids: Annotated[list[str], msgspec.Meta(max_length=1000)]


class AddedBy(Wire):
    """Who put a key on the machine."""

    id: str
    name: str


class DeploymentKey(Wire):
    """A key of a machine, and what is so with it.

    `installed`: it is there. `pending`, `leaving`: it will come, or go, within a minute. `missing`: it was there, and
    somebody took it away inside. `kept-out`: it was taken off and is written down in the machine still, but opens
    nothing. `unknown`: it is there, and nobody put it there through Forebay. `unread`: the machine could not be asked.
    """

    id: str | None
    """None for an unknown key that the team doesn't have."""
    name: str | None
    fingerprint: str
    public_key: str
    state: KeyState
    added_by: AddedBy | None
    since: str | None
    """When it was put on the machine through Forebay."""
    places: list[str]
    """Files of the machine that it stands in beside Forebay's own."""


class DeploymentKeys(Wire):
    """The keys of a machine."""

    ssh_keys: list[DeploymentKey]
    read_at: str | None
    """When the machine was asked; None if it could not be, and `reason` says why."""
    reason: str | None
    can_change: bool
    """Whether the provider can change keys of a machine that runs."""
    can_end_sessions: bool
    """Whether connections that a key opened end when it is taken off."""


class Asked(msgspec.Struct, frozen=True):
    """What is on record, before the machine is asked."""

    record: Record
    now: int


def to_wire(key: Shown) -> DeploymentKey:
    """A key as clients see it."""
    added_by = None
    if key.added_by is not None:
        added_by = AddedBy(id=key.added_by, name=key.added_by_name or "")
    return DeploymentKey(
        id=key.id,
        name=key.name,
        fingerprint=key.fingerprint,
        public_key=key.public_key,
        state=key.state.value,
        added_by=added_by,
        since=iso_at(key.added_at),
        places=list(key.places),
    )


def answer(record: Record, found: list[FoundKey] | None, read_at: int | None, reason: str | None) -> DeploymentKeys:
    """The keys of a machine as clients see them."""
    return DeploymentKeys(
        ssh_keys=[to_wire(key) for key in deployment_keys.compare(record, found)],
        read_at=None if read_at is None else iso(read_at),
        reason=reason,
        can_change=record.can_change,
        can_end_sessions=record.can_end_sessions,
    )


def look(services: Services, asked: Asked) -> DeploymentKeys:
    """Ask the machine which keys it has, and put them beside those on record."""
    record = asked.record
    if not record.may_exist:
        return answer(record, None, None, "The machine has ended.")
    try:
        found = services.looks.keys(record.provider, record.deployment_id)
    except Unreadable as unreadable:
        return answer(record, None, None, unreadable.sentence)
    if found is None:
        return answer(record, None, None, "The machine isn't there yet.")
    return answer(record, list(found), asked.now, None)


@route(
    "GET",
    "/api/deployments/{deployment_id}/ssh-keys",
    needs=Permission.see,
    target=Target.deployment,
    target_from="path:deployment_id",
    answers=DeploymentKeys,
    finish=look,
)
def show(call: Call, deployment_id: str) -> Asked:
    """The keys of a machine, as they are found there.

    Each with its name, who put it there and since when; what is there and isn't known is named too.
    """
    deployment = deployments.find(call.connection, deployment_id, call.team.team_id)
    return Asked(deployment_keys.read(call.connection, deployment), int(call.now.timestamp()))


@route(
    "PUT",
    "/api/deployments/{deployment_id}/ssh-keys",
    needs=Permission.see,
    target=Target.deployment,
    target_from="path:deployment_id",
    body=ChosenKeys,
    answers=DeploymentKeys,
    raises=(409,),
)
def change(call: Call, deployment_id: str, body: ChosenKeys) -> DeploymentKeys:
    """Choose the keys that open a machine; the one of its launch may be exchanged too.

    Within a minute they are on it and the others off, and connections that those opened are ended.
    """
    deployment_keys.change(call.connection, call.team, deployment_id, body.ssh_key_ids, now=call.now)
    call.nudge("ssh-keys")
    deployment = deployments.find(call.connection, deployment_id, call.team.team_id)
    record = deployment_keys.read(call.connection, deployment)
    return answer(record, None, None, "The machine is being told.")
