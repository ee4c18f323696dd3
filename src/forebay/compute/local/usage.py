"""What machines use, read from the kernel's own files: nothing is started, in the machine or beside it.

Processor time is the machine's cgroup's. Who works in it is seen at its terminals, of SSH and of the web alike: their
time of access is that of the last key. An SSH session without a terminal (a tunnel, a file transfer) counts as in use
for as long as it is there. Both look only at what the machine's own processes show, and read nothing a person wrote.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from forebay.compute.base import Usage

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
COARSE_SECONDS = 8
"""A terminal's time of access is kept no finer than that."""
MOST_PROCESSES = 512
"""So many are looked at for sessions; a machine with more than that is not idle."""


def usage_of(
    deployment_id: str, process: int, folder: Path | None, busy: float | None, *, now: float | None = None
) -> Usage | None:
    """What a machine uses whose init is `process` and whose cgroup is `folder`; None if it is gone.

    `busy` is how much its GPUs are.
    """
    if folder is None:
        return None
    cpu_seconds = cpu_seconds_of(folder)
    processes = list(processes_of(folder))
    if cpu_seconds is None or process not in processes:
        return None
    idle = last_key(process, time.time() if now is None else now)
    if idle is None and any(has_no_terminal(each) for each in processes[:MOST_PROCESSES]):
        idle = 0.0
    return Usage(deployment_id=deployment_id, cpu_seconds=cpu_seconds, gpu_busy=busy, untouched_seconds=idle)


def cgroup_of(process: int, container_id: str, root: Path = CGROUPS, proc: Path = PROC) -> Path | None:
    """The folder of a container's cgroup in which its processor time is counted; None if that isn't its process."""
    with suppress(OSError):
        for line in (proc / str(process) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if container_id not in path:
                continue
            below = path.lstrip("/")
            if "cpuacct" in controllers.split(","):
                return root / "cpuacct" / below
            if not controllers and (root / below / "cpu.stat").exists():
                return root / below
    return None


def cpu_seconds_of(folder: Path) -> float | None:
    """Processor time that a cgroup has used since it was made."""
    with suppress(OSError, ValueError, IndexError):
        if folder.is_relative_to(CGROUPS / "cpuacct"):
            return int((folder / "cpuacct.usage").read_text()) / 1e9
        return int((folder / "cpu.stat").read_text().split()[1]) / 1e6
    return None


def processes_of(folder: Path) -> Iterator[int]:
    """The processes of a cgroup."""
    with suppress(OSError):
        yield from map(int, (folder / "cgroup.procs").read_text().split())


def last_key(process: int, now: float, proc: Path = PROC) -> float | None:
    """Seconds since somebody typed at a terminal of the machine of this init, at least; None: there is no terminal."""
    latest = None
    with suppress(OSError), os.scandir(proc / str(process) / "root" / "dev" / "pts") as terminals:
        for terminal in terminals:
            if terminal.name.isdecimal():
                with suppress(OSError):
                    latest = max(latest or 0.0, terminal.stat(follow_symlinks=False).st_atime)
    return None if latest is None else max(0.0, now - latest - COARSE_SECONDS)


def has_no_terminal(process: int, proc: Path = PROC) -> bool:
    """Whether it is the SSH session of somebody who is logged in without a terminal."""
    with suppress(OSError):
        words = (proc / str(process) / "cmdline").read_bytes()
        return words.startswith(b"sshd: ") and words.rstrip(b"\0").endswith(b"@notty")
    return False


def busiest(names: str, busy: Mapping[str, float]) -> float | None:
    """How busy the busiest of a machine's GPUs is, from 0 to 1; `names` as its label has them. None: nobody knows."""
    found = [busy[name] for name in names.split(",") if name in busy]
    return max(found, default=None)
