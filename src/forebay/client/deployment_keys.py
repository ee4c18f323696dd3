"""The SSH keys of one machine: which open it, as found there, and which are to."""

from collections.abc import Sequence

from forebay.client.request import Answer, Request


class AddedBy(Answer):
    """Who put a key on the machine."""

    id: str
    name: str


class DeploymentKey(Answer):
    """A key of a machine."""

    id: str | None
    """None for an unknown key that the team doesn't have."""
    name: str | None
    fingerprint: str
    public_key: str
    state: str
    """`installed`, `pending`, `missing`, `leaving`, `kept-out`, `unknown`, or `unread`: it could not be asked."""
    added_by: AddedBy | None
    since: str | None
    places: list[str]
    """Files of the machine that it stands in beside Forebay's own."""


class DeploymentKeys(Answer):
    """The keys of a machine."""

    ssh_keys: list[DeploymentKey]
    read_at: str | None
    """When the machine was asked; None if it could not be, and `reason` says why."""
    reason: str | None
    can_change: bool
    can_end_sessions: bool


def show(deployment_id: str) -> Request[DeploymentKeys]:
    """The keys of a machine, as they are found there."""
    return Request(
        method="GET",
        path="/api/deployments/{deployment_id}/ssh-keys",
        at={"deployment_id": deployment_id},
        answers=DeploymentKeys,
    )


def change(deployment_id: str, ssh_key_ids: Sequence[str]) -> Request[DeploymentKeys]:
    """Make these keys of the team, one at least, the ones that open a machine; within a minute it is so."""
    return Request(
        method="PUT",
        path="/api/deployments/{deployment_id}/ssh-keys",
        at={"deployment_id": deployment_id},
        body={"sshKeyIds": ssh_key_ids},
        answers=DeploymentKeys,
    )
