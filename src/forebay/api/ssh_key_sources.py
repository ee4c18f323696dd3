"""`/api/ssh-key-sources`, `/api/ssh-keys/lookup` and `…/import`: keys that people have published elsewhere."""

from typing import Annotated

import msgspec

from forebay.api.call import Asker, Call, Services
from forebay.api.envelope import Input, Wire
from forebay.api.route import Needs, route
from forebay.api.ssh_keys import SshKey, to_wire
from forebay.domain.machines import ssh_key_sources
from forebay.domain.machines.ssh_key_sources import FoundKey
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.ssh_key_sources import SshKeySource

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class Source(Wire):
    """A server that keys can be taken from."""

    name: str
    pattern: str
    """Where a user's keys are: `{user}` is their name there."""


class Sources(Wire):
    """Those that the operator has named."""

    sources: list[Source]


class Whose(Input):
    """A user of a source."""

    source: Name
    """Its name, in upper or lower case."""
    user: Name
    team_id: str | None = None


class Wanted(Whose):
    """Which of a user's keys."""

    fingerprints: Annotated[list[Annotated[str, msgspec.Meta(max_length=100)]], msgspec.Meta(max_length=100)] | None = (
        None
    )
    """Those with these fingerprints; null: all that can be used."""


class PublishedKey(Wire):
    """A key as the source answers it, and whether the team can have it."""

    type: str
    public_key: str
    fingerprint: str | None
    """Null where it can't be used."""
    name: str
    """What it will be called."""
    refusal: str | None
    """Why it can't be used."""
    existing_id: str | None
    """The key of the team that is the same."""


class Lookup(Wire):
    """The keys of a user, in the source's order."""

    source: str
    user: str
    keys: list[PublishedKey]


class Imported(Wire):
    """What was added, and what the team had already."""

    added: list[SshKey]
    present: list[SshKey]


class Asked(msgspec.Struct, frozen=True):
    """Whose keys are wanted, and for which team, before the source is asked."""

    source: SshKeySource
    user: str
    person_id: str
    team_id: str


def look(services: Services, asked: Asked) -> Lookup:
    """Ask the source, and compare with what the team has."""
    found = fetched(services, asked.source, asked.user, asked.person_id)
    with services.database.read() as connection:
        found = ssh_key_sources.compare(connection, asked.team_id, found)
    return Lookup(source=asked.source.name, user=asked.user, keys=[published(key) for key in found])


def published(key: FoundKey) -> PublishedKey:
    """A key of a source as clients see it."""
    return PublishedKey(
        type=key.type,
        public_key=key.public_key,
        fingerprint=key.fingerprint or None,
        name=key.name,
        refusal=key.refusal,
        existing_id=None if key.existing is None else key.existing.id,
    )


def fetched(services: Services, source: SshKeySource, user: str, person_id: str) -> list[FoundKey]:
    """What the source answers, once it is counted that it was asked."""
    with services.database.begin() as connection:
        now = services.clock.now()
        ssh_key_sources.count(connection, person_id, secret_key=services.secret_key, now=now)
    return ssh_key_sources.fetch(services.fetches, source, user)


def fetch_first(services: Services, body: Wanted, asker: Asker) -> list[FoundKey]:
    """The keys that the source has now."""
    source = ssh_key_sources.find(services.settings.key_sources, body.source)
    user = ssh_key_sources.check_user(body.user)
    return fetched(services, source, user, "" if asker.person is None else asker.person.user_id)


@route("GET", "/api/ssh-key-sources", needs=Needs.account, answers=Sources, is_inline=True)
def list_all(call: Call) -> Sources:
    """The servers that SSH keys can be taken from; which they are is a setting."""
    return Sources(sources=[Source(name=each.name, pattern=each.pattern) for each in call.settings.key_sources])


@route(
    "POST",
    "/api/ssh-keys/lookup",
    needs=Permission.manage_ssh_keys,
    target=Target.current,
    target_from="body:teamId",
    body=Whose,
    answers=Lookup,
    writes=False,
    finish=look,
)
def lookup(call: Call, body: Whose) -> Asked:
    """The public keys that a user has at a source, for the team to choose from.

    A user without keys is a 400, a source that doesn't answer a 503. Nothing is changed.
    """
    source = ssh_key_sources.find(call.settings.key_sources, body.source)
    user = ssh_key_sources.check_user(body.user)
    return Asked(source, user, call.caller.user_id, call.team.team_id)


@route(
    "POST",
    "/api/ssh-keys/import",
    needs=Permission.manage_ssh_keys,
    target=Target.current,
    target_from="body:teamId",
    body=Wanted,
    answers=Imported,
    before=fetch_first,
    asks_elsewhere=True,
)
def take(call: Call, body: Wanted, prepared: list[FoundKey]) -> Imported:
    """Add keys of a user at a source to the team: all of them or none.

    The source is asked at that moment. What the team has already stays as it is.
    """
    source = ssh_key_sources.find(call.settings.key_sources, body.source)
    user = ssh_key_sources.check_user(body.user)
    result = ssh_key_sources.add_by(call.connection, call.team, source, user, prepared, body.fingerprints, now=call.now)
    return Imported(added=[to_wire(key) for key in result.keys], present=[to_wire(key) for key in result.present])
