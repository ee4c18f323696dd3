"""SSH keys of a team: what opens its machines. Without `team_id` the current team is meant."""

from forebay.client.request import Answer, Request, given


class SshKey(Answer):
    """A public key; `fingerprint` is what `ssh-keygen -lf` prints."""

    id: str
    name: str
    public_key: str
    fingerprint: str
    created_at: str
    team_id: str


class Success(Answer):
    """It was done."""

    success: bool


def listed(*, team_id: str | None = None) -> Request[list[SshKey]]:
    """The team's keys, newest first."""
    return Request(method="GET", path="/api/ssh-keys", query=given(teamId=team_id), answers=list[SshKey])


def add(name: str, public_key: str, *, team_id: str | None = None) -> Request[SshKey]:
    """Add a key, as the .pub file holds it."""
    body = given(name=name, publicKey=public_key, teamId=team_id)
    return Request(method="POST", path="/api/ssh-keys", body=body, answers=SshKey)


def show(key_id: str) -> Request[SshKey]:
    """One key."""
    return Request(method="GET", path="/api/ssh-keys/{key_id}", at={"key_id": key_id}, answers=SshKey)


def delete(key_id: str) -> Request[Success]:
    """Take a key out of the team, and off its machines within a minute."""
    return Request(method="DELETE", path="/api/ssh-keys/{key_id}", at={"key_id": key_id}, answers=Success)
