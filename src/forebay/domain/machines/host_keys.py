"""Host keys: what a machine proves itself with, so that people know they are on theirs and on no other.

A machine reports them, and whoever is root there decides what it reports: what is no key is passed over.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence

import msgspec

MOST_KEYS = 8
MOST_CHARACTERS = 4096
KIND = re.compile(r"[a-z0-9][a-z0-9@.-]{0,63}")


class HostKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of a machine."""

    type: str
    fingerprint: str
    """The SHA256:… that `ssh-keygen -lf` prints, and `ssh` when it asks."""
    public_key: str
    """`type base64`, as it stands in a known_hosts file."""


def read(lines: Iterable[str]) -> Sequence[HostKey]:
    """The keys among the lines that a machine reported, each `type base64`."""
    found = (parse(line) for line in lines)
    return [key for key in found if key is not None][:MOST_KEYS]


def parse(line: str) -> HostKey | None:
    """One key, or None for what is none."""
    kind, _, body = line.strip().partition(" ")
    if not KIND.fullmatch(kind) or len(line) > MOST_CHARACTERS:
        return None
    try:
        blob = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None
    # A key begins with its own type: four bytes of length, and the name.
    if blob[:4] != len(kind).to_bytes(4, "big") or blob[4 : 4 + len(kind)] != kind.encode():
        return None
    return HostKey(type=kind, fingerprint=fingerprint_of(blob), public_key=f"{kind} {body}")


def fingerprint_of(blob: bytes) -> str:
    """The fingerprint of a public key, as OpenSSH prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
