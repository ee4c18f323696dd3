"""The system calls that machines may make: Podman's own list, and less.

Podman's list leaves user namespaces to containers. In one, root of a machine would have every capability again, over
namespaces of its own making, and with them those parts of the kernel in which ways out are found. So namespaces, mounts
and the kernel's keys are closed here; and of sockets only those of the network and of the machine itself are open: one
to the hypervisor, say, would pass by every firewall. Programs for 32-bit processors don't run.
"""

import json
from errno import EAFNOSUPPORT, EPERM
from pathlib import Path
from typing import Any

from forebay.compute.base import ProviderUnavailable

PROFILES = (Path("/etc/containers/seccomp.json"), Path("/usr/share/containers/seccomp.json"))
"""Where Podman looks for its list, in its own order."""
FILE = "seccomp.json"

REFUSED = (
    "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "name_to_handle_at", "open_tree",
    "pivot_root", "setns", "umount", "umount2", "unshare",
)  # fmt: skip
"""What answers that it is not permitted."""
UNKNOWN = ("add_key", "clone3", "keyctl", "request_key", "socketcall")
"""What answers as a kernel does that hasn't got it: programs then take the older call, or do without."""
BOUND = ("clone", "socket")
"""What depends on its arguments."""

NAMESPACES = 0x7E020000
"""All flags of clone that ask for a namespace."""
FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK."""
ALL_FAMILIES = 64
"""More than any kernel has; what is beyond is not known either."""


def narrowed(profile: dict[str, Any]) -> dict[str, Any]:
    """A profile in Podman's form, with what is closed here taken out of it."""
    closed = {*REFUSED, *UNKNOWN, *BOUND}
    kept = [{**rule, "names": [name for name in rule["names"] if name not in closed]} for rule in profile["syscalls"]]
    ours = [
        {"names": list(REFUSED), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
        bounded("clone", NAMESPACES, "SCMP_CMP_MASKED_EQ", action="SCMP_ACT_ALLOW"),
        *(bounded("socket", family, "SCMP_CMP_EQ", action="SCMP_ACT_ALLOW") for family in FAMILIES),
        *(
            bounded("socket", family, "SCMP_CMP_EQ", action="SCMP_ACT_ERRNO", errnoRet=EAFNOSUPPORT)
            for family in range(ALL_FAMILIES)
            if family not in FAMILIES
        ),
    ]
    # The calls of 32-bit programs have a way to sockets of their own, whose arguments no filter can see.
    native = [{**entry, "subArchitectures": []} for entry in profile["archMap"]]
    return {**profile, "archMap": native, "syscalls": [*(rule for rule in kept if rule["names"]), *ours]}


def bounded(name: str, value: int, comparison: str, **outcome: Any) -> dict[str, Any]:
    """A rule about a call by its first argument; behind a mask it must be nought."""
    bound = {"index": 0, "value": value, "valueTwo": 0, "op": comparison}
    return {"names": [name], "args": [bound], **outcome}


def found() -> Path | None:
    """Podman's own list, if it is installed."""
    return next((path for path in PROFILES if path.exists()), None)


def write(folder: Path) -> Path:
    """Write the profile where Podman reads it for new machines. Raises ProviderUnavailable without Podman's list."""
    base = found()
    if base is None:
        raise ProviderUnavailable("Podman's list of system calls is missing: machines can't be walled off")
    path = folder / FILE
    text = json.dumps(narrowed(json.loads(base.read_text())))
    if not path.exists() or path.read_text() != text:
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(path)
    return path
