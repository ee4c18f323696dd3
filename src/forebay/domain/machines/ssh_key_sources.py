"""Keys that people have published elsewhere, taken from a source that the operator has named.

The source is asked for a user's keys while no transaction is open. What it answers is only an offer: each key is
parsed as a pasted one is, a person says which they want by its fingerprint, and when they have, the source is asked
once more, so that the activity tells the truth about where a key came from.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import ssh_keys
from forebay.domain.machines.ssh_keys import SshKey
from forebay.domain.people import slow_down, teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, Unavailable
from forebay.ssh_key_sources import USER, SshKeySource
from forebay.storage import tables

MOST_BYTES = 256 * 1024
MOST_KEYS = 40
"""Of one user that are looked at."""
KINDS = ("ssh-", "ecdsa-", "sk-")
"""How the types of keys begin: an answer without any is something else, a page to sign in at."""
REALM = "ssh-key-source"


class Fetched(Protocol):
    """What a server answered."""

    @property
    def status_code(self) -> int | None:
        """None: nothing came of it."""

    @property
    def reason(self) -> str:
        """Why, in words."""

    @property
    def body(self) -> bytes:
        """All of it."""


class Fetches(Protocol):
    """Who asks other servers, behind walls and within a few seconds. Never raises."""

    def get(self, url: str, headers: Mapping[str, str], *, most_bytes: int) -> Fetched:
        """What is at an address."""


class FoundKey(msgspec.Struct, frozen=True, kw_only=True):
    """A line that the source answered."""

    type: str
    public_key: str
    """`type base64 comment`; of a refused one the line as it came, cut."""
    fingerprint: str
    """Empty for a refused one."""
    name: str
    """What it will be called: its comment, else whose it is and where from."""
    refusal: str | None = None
    """Why it can't be used."""
    existing: SshKey | None = None
    """The key of the team that is the same."""


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    keys: Sequence[SshKey]
    present: Sequence[SshKey]
    """Those that the team had already."""


def find(sources: Sequence[SshKeySource], name: str) -> SshKeySource:
    """The source of this name. Raises BadRequest."""
    for source in sources:
        if source.name.lower() == name.strip().lower():
            return source
    names = ", ".join(source.name for source in sources)
    sentence = f"There is no such source here. Keys can be taken from: {names}." if sources else "There are no sources."
    raise BadRequest(sentence, code="NO_SUCH_SOURCE", details={"source": sentence})


def check_user(user: str) -> str:
    """The user's name, trimmed. Raises BadRequest for what can't be one."""
    user = user.strip()
    if USER.fullmatch(user) is None:
        reason = "a user's name there: letters, digits and . _ ~ @ + -, at most 100"
        raise BadRequest("This is no user's name.", details={"user": reason})
    return user


def count(connection: Connection, user_id: str, *, secret_key: bytes, now: datetime) -> None:
    """Count that a person has a source asked. Raises RateLimitExceeded once they have often."""
    slow_down.count(connection, slow_down.of_person(REALM, user_id, secret_key), now=now)


def fetch(fetches: Fetches, source: SshKeySource, user: str) -> list[FoundKey]:
    """The keys of a user at a source, in its order. Not within a transaction.

    Raises BadRequest where there is no such user or they have no keys, Unavailable where the source has no answer.
    """
    answered = fetches.get(source.address_of(user), {"accept": "text/plain"}, most_bytes=MOST_BYTES)
    if answered.status_code in (404, 410):
        raise refused(f"{source.name} knows no {user}.")
    if answered.status_code != 200:
        sentence = f"{source.name} can't be asked now: {answered.reason}."
        raise Unavailable(sentence, code="SOURCE_UNAVAILABLE", details={"source": sentence})
    text = answered.body.decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise refused(f"{user} has no SSH keys at {source.name}.")
    fallback = f"{user}@{source.name}"
    names = [fallback] if len(lines) == 1 else [f"{fallback} {number + 1}" for number in range(len(lines))]
    found = [read(line, name) for line, name in zip(lines[:MOST_KEYS], names, strict=False)]
    if not any(key.type.startswith(KINDS) for key in found):
        sentence = f"What {source.name} answered are no SSH keys."
        raise Unavailable(sentence, code="SOURCE_UNAVAILABLE", details={"source": sentence})
    once: dict[str, FoundKey] = {}
    for key in found:
        once.setdefault(key.fingerprint or key.public_key, key)
    return list(once.values())


def refused(sentence: str) -> BadRequest:
    """A 400 that says what is wrong with the user's name."""
    return BadRequest(sentence, code="NO_KEYS_FOUND", details={"user": sentence})


def read(line: str, name: str) -> FoundKey:
    """One line of the answer."""
    try:
        public_key, fingerprint, comment = ssh_keys.parse(line)
    except BadRequest as error:
        visible = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line[:200])
        kind = visible.partition(" ")[0][:60]
        reason = str(error.details["publicKey"])
        return FoundKey(type=kind, public_key=visible, fingerprint="", name=name, refusal=reason)
    return FoundKey(
        type=public_key.partition(" ")[0],
        public_key=f"{public_key} {comment}".strip(),
        fingerprint=fingerprint,
        name=comment[:120].strip() or name,
    )


def compare(connection: Connection, team_id: str, found: Sequence[FoundKey]) -> list[FoundKey]:
    """The same keys, with those that the team has already."""
    columns = tables.ssh_keys.c
    rows = connection.execute(
        sa.select(*ssh_keys.COLUMNS).where(
            columns.team_id == team_id,
            columns.fingerprint.in_([key.fingerprint for key in found if key.fingerprint]),
            columns.deleted_at.is_(None),
            sa.not_(columns.is_temporary),
        )
    )
    present = {row.fingerprint: SshKey(**row._mapping) for row in rows}
    return [msgspec.structs.replace(key, existing=present.get(key.fingerprint)) for key in found]


def chosen(found: Sequence[FoundKey], fingerprints: Sequence[str] | None, who: str) -> list[FoundKey]:
    """Those that are wanted; without fingerprints all that can be used. Raises BadRequest."""
    usable = {key.fingerprint: key for key in found if key.refusal is None}
    if fingerprints is None:
        if not usable:
            sentence = f"None of the keys of {who} can be used: {found[0].refusal}"
            raise BadRequest(sentence, code="NO_KEYS_FOUND", details={"user": sentence})
        return list(usable.values())
    gone = [each for each in fingerprints if each not in usable]
    if gone or not fingerprints:
        reason = f"{gone[0][:80]} is not among the keys of {who} that can be used" if gone else "choose one at least"
        raise BadRequest(f"{reason[:1].upper()}{reason[1:]}.", details={"fingerprints": reason})
    return [usable[each] for each in dict.fromkeys(fingerprints)]


def add_by(
    connection: Connection,
    context: TeamContext,
    source: SshKeySource,
    user: str,
    found: Sequence[FoundKey],
    fingerprints: Sequence[str] | None,
    *,
    now: datetime,
) -> Added:
    """Add those of the found keys that are wanted to the person's team; what is there already stays as it is.

    Without fingerprints all that can be used are meant. Raises Forbidden, and BadRequest for what was not found.
    """
    wanted = compare(connection, context.team_id, chosen(found, fingerprints, f"{user} at {source.name}"))
    context = teams.hold(connection, context, Permission.manage_ssh_keys)
    added, present = [], [key.existing for key in wanted if key.existing is not None]
    # Always in the same order: two who add the same keys wait for each other once, not for ever.
    for key in sorted((key for key in wanted if key.existing is None), key=lambda key: key.fingerprint):
        try:
            made = ssh_keys.add(
                connection,
                team_id=context.team_id,
                name=key.name,
                public_key=key.public_key,
                created_by=context.caller.user_id,
                now=now,
            )
        except Conflict:
            present += [again.existing for again in compare(connection, context.team_id, [key]) if again.existing]
            continue
        ssh_keys.record(connection, context, "add", made, now=now, details={"source": source.name, "user": user})
        added.append(made)
    return Added(keys=added, present=present)
