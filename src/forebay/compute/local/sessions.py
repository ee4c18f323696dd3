"""The SSH connections of a machine, and which key each came in with.

PAM tells a program of ours in the machine (`machine/note-login.sh`) whenever sshd lets somebody in, and it writes down
the process that serves the connection to its end, and the key that opened it.
"""

import base64
import contextlib
import hashlib
from collections.abc import Collection, Sequence

from forebay.compute.local import inside
from forebay.compute.local.inside import Process

LOGINS = "/run/forebay-logins/logins"
LOGINS_BYTES = 256 * 1024
SSHD = "sshd"
END_SECONDS = 2.0


def keys_of(logins: bytes) -> dict[tuple[int, int], str]:
    """The fingerprint of the key for each process, by number in the machine and start. What is no record is nothing."""
    found = {}
    for line in logins.decode(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            pid, started, _, key = line.split()
            found[int(pid), int(started)] = fingerprint_of(base64.b64decode(key, validate=True))
    return found


def fingerprint_of(key: bytes) -> str:
    """What `ssh-keygen -lf` prints of a public key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def end(init: int, identity: str, fingerprints: Collection[str]) -> int:
    """End the connections that these keys opened; how many there were."""
    logins = inside.read(init, identity, LOGINS, LOGINS_BYTES)
    if logins is None:
        return 0
    keys = keys_of(logins)
    there = inside.processes(init, identity)
    serving = [
        each for each in there if each.name.startswith(SSHD) and keys.get((each.inner, each.started)) in fingerprints
    ]
    inside.end(with_children(serving, there), init, END_SECONDS)
    return len(serving)


def with_children(serving: Sequence[Process], there: Sequence[Process]) -> Sequence[Process]:
    """The processes of sshd that serve these connections: one for root, and one more for anybody else."""
    found = {each.pid: each for each in serving}
    for each in sorted(there, key=lambda one: one.started):
        if each.parent in found and each.name.startswith(SSHD):
            found[each.pid] = each
    return list(found.values())
