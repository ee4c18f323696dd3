"""Looks: what is read from a machine itself, at the moment somebody asks for it.

Everything else is told from the books. The keys that open a machine and what it has written are so only there; who may
look is decided first, in a transaction that is over by then.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from forebay.errors import Unavailable


class Unreadable(Unavailable):
    """The machine, or who runs it, gives no answer now."""


class FoundKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that opens a machine, as it was read there."""

    line: str
    """`type base64 comment`; whoever is root in the machine may have written it."""
    place: str
    """The file it stands in, as it is called inside; empty where Forebay's own keys are."""


class LogKind(StrEnum):
    """What a machine writes."""

    console = "console"
    cloud_init = "cloud-init"


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a log; asked for after its cursor comes what follows."""

    text: str
    cursor: str
    is_cut: bool = False
    """Something is missing before it."""


class Looks(Protocol):
    """Who looks. Every method raises Unreadable, after ten seconds at the latest."""

    def keys(self, provider: str, deployment_id: str) -> Sequence[FoundKey] | None:
        """The keys on a machine; None if it isn't there."""

    def log(self, provider: str, deployment_id: str, kind: LogKind, *, after: str, most_bytes: int) -> LogPart | None:
        """A piece of a log: its end, or what has come since a cursor. None if the machine isn't there."""
