"""SSH keys that people have published elsewhere. Without `team_id` the current team is meant."""

from collections.abc import Sequence

from forebay.client.request import Answer, Request, given
from forebay.client.ssh_keys import SshKey


class Source(Answer):
    """A server that keys can be taken from, and where there a user's keys are."""

    name: str
    pattern: str


class Sources(Answer):
    """Those that the operator has named."""

    sources: list[Source]


class PublishedKey(Answer):
    """A key as the source answers it; with a `refusal` it can't be used, with an `existing_id` the team has it."""

    type: str
    public_key: str
    fingerprint: str | None
    name: str
    refusal: str | None
    existing_id: str | None


class Lookup(Answer):
    """The keys of a user."""

    source: str
    user: str
    keys: list[PublishedKey]


class Imported(Answer):
    """What was added, and what the team had already."""

    added: list[SshKey]
    present: list[SshKey]


def listed() -> Request[Sources]:
    """The servers that keys can be taken from."""
    return Request(method="GET", path="/api/ssh-key-sources", answers=Sources)


def lookup(source: str, user: str, *, team_id: str | None = None) -> Request[Lookup]:
    """The keys of a user at a source; nothing is changed."""
    body = given(source=source, user=user, teamId=team_id)
    return Request(method="POST", path="/api/ssh-keys/lookup", body=body, answers=Lookup, is_harmless=True)


def take(
    source: str, user: str, fingerprints: Sequence[str] | None = None, *, team_id: str | None = None
) -> Request[Imported]:
    """Add a user's keys to a team: those with these fingerprints, or all that can be used."""
    body = given(source=source, user=user, fingerprints=fingerprints, teamId=team_id)
    return Request(method="POST", path="/api/ssh-keys/import", body=body, answers=Imported)
