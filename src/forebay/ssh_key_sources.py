"""Where people's SSH keys may be asked for: named addresses with a place for the user, as operators write them.

`GitHub=https://github.com/{user}.keys` is one. Whoever may add keys to a team chooses among these and names a user,
never an address.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

import msgspec

PLACE = "{user}"
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,28}[A-Za-z0-9])?")
USER = re.compile(r"[A-Za-z0-9_~][A-Za-z0-9._~@+-]{0,99}")
"""What forges call people by, and their `~name`. The first letter keeps `..` out of addresses."""


class SshKeySource(msgspec.Struct, frozen=True, kw_only=True):
    """One of them."""

    name: str
    pattern: str
    """A URL with `{user}` in its path or query."""

    def address_of(self, user: str) -> str:
        """Where this user's keys are. The name has been checked (`USER`), and is encoded all the same."""
        return self.pattern.replace(PLACE, quote(user, safe="~"))


def read(entries: Iterable[str], *, allows_http: bool) -> tuple[SshKeySource, ...]:
    """What the setting says, in its order. Raises ValueError with the reason."""
    found: list[SshKeySource] = []
    for entry in entries:
        name, _, pattern = (part.strip() for part in entry.partition("="))
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name for a source: letters, digits, spaces, dots, hyphens, at most 30")
        if name.lower() in {source.name.lower() for source in found}:
            raise ValueError(f"there are two of the name {name}")
        found.append(SshKeySource(name=name, pattern=checked(name, pattern, allows_http=allows_http)))
    return tuple(found)


def checked(name: str, pattern: str, *, allows_http: bool) -> str:
    """The pattern, if it leads where the operator says, whoever the user is. Raises ValueError."""
    parts = urlsplit(pattern)
    if parts.scheme != "https" and not (parts.scheme == "http" and allows_http):
        raise ValueError(f"the address of {name} must begin with https://")
    if not parts.hostname or parts.username or parts.password or parts.fragment:
        raise ValueError(f"the address of {name} must be https://host/path, without user, password or fragment")
    if pattern.count(PLACE) != 1 or PLACE not in parts.path + parts.query:
        raise ValueError(f"the address of {name} must have {PLACE} once, after the host")
    return pattern
