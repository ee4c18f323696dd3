"""Files and processes of a machine as the host sees them, without going through anything its owner put in the way.

A file is reached from the machine's own root, one folder at a time, and no symbolic link is followed: one that leads
out of the machine leads nowhere. A process is known by its number and its start, and is signalled by a descriptor that
can mean no other.
"""

import contextlib
import os
import re
import select
import signal
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

PROC = Path("/proc")
STATUS_LINE = re.compile(r"^(\w+):\s*(.*)$", re.M)
START_FIELD = 19
"""Of /proc/PID/stat after the name: when the process started, in ticks since the host did."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process of a machine."""

    pid: int
    """On the host."""
    inner: int
    """In the machine."""
    parent: int
    """On the host."""
    name: str
    started: int


def is_machine(pid: int, identity: str) -> bool:
    """Whether the process belongs to the container of this identity, and not to whoever got its number since."""
    try:
        return identity in (PROC / str(pid) / "cgroup").read_text()
    except OSError:
        return False


@contextlib.contextmanager
def opened(pid: int, identity: str, path: str) -> Iterator[BinaryIO | None]:
    """A regular file of a running machine, by its init's process, or None if there is none at this very place."""
    with contextlib.ExitStack() as stack:
        yield descend(stack, pid, identity, path.strip("/").split("/"))


def descend(stack: contextlib.ExitStack, pid: int, identity: str, parts: Sequence[str]) -> BinaryIO | None:
    """Open the file at the end of these parts. What was opened on the way is the stack's to close."""
    folder, kept = os.O_PATH | os.O_DIRECTORY, os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        here = os.open(PROC / str(pid) / "root", folder | os.O_CLOEXEC)
        stack.callback(os.close, here)
        # Asked after it was opened: a number that is the machine's now was so then.
        if not is_machine(pid, identity):
            return None
        for part in parts[:-1]:
            here = os.open(part, folder | kept, dir_fd=here)
            stack.callback(os.close, here)
        file = os.fdopen(os.open(parts[-1], os.O_RDONLY | os.O_NONBLOCK | kept, dir_fd=here), "rb")
    except OSError:
        return None
    stack.callback(file.close)
    return file if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def read(pid: int, identity: str, path: str, most_bytes: int) -> bytes | None:
    """The beginning of a file of a running machine, or None."""
    with opened(pid, identity, path) as file:
        return None if file is None else file.read(most_bytes)


def processes(pid: int, identity: str) -> list[Process]:
    """All processes of a running machine, by its init's."""
    try:
        namespace = os.readlink(PROC / str(pid) / "ns" / "pid")
    except OSError:
        return []
    if not is_machine(pid, identity):
        return []
    found = (process(int(entry.name), namespace) for entry in PROC.iterdir() if entry.name.isdigit())
    return [each for each in found if each is not None]


def process(pid: int, namespace: str) -> Process | None:
    """One process, if it is in this namespace and still there."""
    folder = PROC / str(pid)
    try:
        if os.readlink(folder / "ns" / "pid") != namespace:
            return None
        facts = dict(STATUS_LINE.findall((folder / "status").read_text()))
        started = int((folder / "stat").read_text().rpartition(")")[2].split()[START_FIELD])
    except (OSError, ValueError, IndexError):
        return None
    return Process(
        pid=pid, inner=int(facts["NSpid"].split()[-1]), parent=int(facts["PPid"]), name=facts["Name"], started=started
    )


def end(ending: Sequence[Process], namespace_of: int, patience_seconds: float) -> None:
    """SIGTERM, and SIGKILL to those that are still there after a while."""
    namespace = os.readlink(PROC / str(namespace_of) / "ns" / "pid")
    with contextlib.ExitStack() as stack:
        held = []
        for each in ending:
            with contextlib.suppress(OSError):
                descriptor = os.pidfd_open(each.pid)
                stack.callback(os.close, descriptor)
                # Asked after it was opened, as above.
                if process(each.pid, namespace) == each:
                    held.append(descriptor)
        for number, seconds in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, patience_seconds)):
            for descriptor in held:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
            held = still_there(held, seconds)


def still_there(descriptors: Sequence[int], seconds: float) -> list[int]:
    """Wait for processes to end; those that have not."""
    left, until = list(descriptors), time.monotonic() + seconds
    while left and (remaining := until - time.monotonic()) > 0:
        ended, _, _ = select.select(left, [], [], remaining)
        left = [each for each in left if each not in ended]
    return left
