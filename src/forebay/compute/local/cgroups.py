"""The share that all machines of this host have of it together, and the limit of their processes.

Podman's own group for containers weighs as much as one process of the host. Ours weighs one process for each processor:
where all of them are wanted, machines have half of each, and the control plane, which wants one at a time and for
moments, is never behind more than one competitor. Within the group a machine weighs as much as its vCPUs. Disks are
shared evenly between machines, which is the kernel's way where nothing else is said.

A host's processes are numbered, and there is an end to the numbers. Each machine may have few enough of them; all of
them together leave a quarter to the host.
"""

import contextlib
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
PARENT = "forebay"
"""One group for all installations on the host: how many there are is no reason for machines to weigh more."""

SHARES, MOST_SHARES = 1024, 262_144
WEIGHT, MOST_WEIGHT = 100, 10_000
"""What one process of the host weighs, and the most that a group may; of the first kind of cgroups and the second."""
CONTROLLERS = ("cpu", "memory", "pids", "io")


def prepare(root: Path = CGROUPS, proc: Path = PROC) -> None:
    """Make the group, unless it is as it should be. Where the kernel can't, machines run with less of a share."""
    processors = os.cpu_count() or 1
    processes = processes_of_machines(proc)
    if (root / "cgroup.controllers").exists():
        for controller in CONTROLLERS:
            written(root / "cgroup.subtree_control", f"+{controller}")
        group = made(root)
        written(group / "cpu.weight", str(min(WEIGHT * processors, MOST_WEIGHT)))
        written(group / "pids.max", processes)
    else:
        written(made(root / "cpu") / "cpu.shares", str(min(SHARES * processors, MOST_SHARES)))
        written(made(root / "pids") / "pids.max", processes)


def processes_of_machines(proc: Path) -> str:
    """How many processes and threads all machines may have, as the kernel is told."""
    limits = [int((proc / "sys/kernel" / name).read_text()) for name in ("pid_max", "threads-max")]
    return str(min(limits) * 3 // 4)


def made(parent: Path) -> Path:
    """The group under this one, there unless it can't be."""
    group = parent / PARENT
    with contextlib.suppress(OSError):
        group.mkdir(exist_ok=True)
    return group


def written(file: Path, text: str) -> None:
    """Tell the kernel, if it has such a file and lets us."""
    with contextlib.suppress(OSError):
        if file.exists() and file.read_text().strip() != text:
            file.write_text(text)
