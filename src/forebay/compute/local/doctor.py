"""What the local provider needs of the machine, checked one by one, each with the way to get it."""

import os
import platform
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from forebay.compute.base import Finding
from forebay.compute.local import disks, gpus, image, seccomp
from forebay.compute.local.container import limits
from forebay.compute.local.service import Service, find_program, run

OLDEST_PODMAN = (4, 0)
IDMAP_KERNEL = (5, 19)
"""From here on overlayfs takes id-mapped layers; before, each team's first launch copies the image."""
CGROUPS = Path("/sys/fs/cgroup")


def examine(service: Service, *, is_root: bool) -> list[Finding]:
    """All findings, in the order in which to mend them."""
    return [
        is_privileged(is_root),
        podman_found(service.program),
        program("runc", "runc", ("/usr/sbin/runc", "/usr/bin/runc")),
        program("netavark", "netavark", ("/usr/lib/podman/netavark", "/usr/libexec/podman/netavark")),
        firewall_usable(),
        calls_listed(),
        program("mmdebstrap", "mmdebstrap"),
        program("ssh-keyscan", "openssh-client"),
        volumes_kept(),
        *controllers(),
        disks_bounded(),
        open_files(),
        kernel_maps_ids(),
        image_present(service),
        gpus_found(),
    ]


def install(package: str) -> str:
    """The remedy for a missing package."""
    return f"apt-get install --no-install-recommends {package}"


def output(*command: str) -> str | None:
    """What a program prints, or None if it can't be run or fails."""
    try:
        done = run(command)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def is_privileged(is_root: bool) -> Finding:
    """Rootless Podman isn't supported: its walls, uid ranges and limits would be other ones."""
    found = "root" if is_root else f"user {os.getuid()}; machines without root are not supported"
    return Finding(name="privileges", is_ok=is_root, found=found, remedy="" if is_root else "run forebay serve as root")


def podman_found(podman: str) -> Finding:
    """Podman itself, new enough for netavark and id maps over REST."""
    version = output(podman, "version", "--format", "{{.Client.Version}}") or output(podman, "--version")
    numbers = re.search(r"(\d+)\.(\d+)", version or "")
    is_new = numbers is not None and (int(numbers[1]), int(numbers[2])) >= OLDEST_PODMAN
    return Finding(
        name="podman", is_ok=is_new, found=f"version {version}" if numbers else "missing",
        remedy="" if is_new else install("podman"),
    )  # fmt: skip


def program(name: str, package: str, paths: Sequence[str] = ()) -> Finding:
    """A program by its name, or at one of these paths."""
    found = find_program(name) or next((path for path in paths if os.access(path, os.X_OK)), None)
    return Finding(name=name, is_ok=bool(found), found=found or "missing", remedy="" if found else install(package))


def volumes_kept() -> Finding:
    """Whether volumes can be kept; machines work without."""
    tool = program("XFS for volumes", "xfsprogs", ("/usr/sbin/mkfs.xfs", "/sbin/mkfs.xfs"))
    kernel = "xfs" in Path("/proc/filesystems").read_text().split() or output("modinfo", "xfs") is not None
    found = tool.found if kernel or not tool.is_ok else "missing in the kernel"
    remedy = tool.remedy or ("" if kernel else "a kernel with XFS")
    return Finding(name=tool.name, is_ok=not remedy, found=found, remedy=remedy, is_required=False)


def firewall_usable() -> Finding:
    """Whether the kernel lets us list the table that the walls are in."""
    rules = output("iptables", "--wait", "-t", "mangle", "-S")
    installed = find_program("iptables") is not None
    found = "usable" if rules is not None else "refused by the kernel" if installed else "missing"
    remedy = "" if rules is not None else "run as root, with CAP_NET_ADMIN" if installed else install("iptables")
    return Finding(name="iptables", is_ok=rules is not None, found=found, remedy=remedy)


def calls_listed() -> Finding:
    """Whether there is a list of system calls to hold machines to."""
    path = seccomp.found()
    remedy = "" if path else install("golang-github-containers-common")
    return Finding(name="seccomp", is_ok=path is not None, found=str(path or "missing"), remedy=remedy)


def controllers() -> Iterator[Finding]:
    """The cgroup controllers that hold machines to their size."""
    unified = CGROUPS / "cgroup.controllers"
    available = set(unified.read_text().split()) if unified.exists() else {path.name for path in CGROUPS.glob("*")}
    for name in ("memory", "cpu", "pids"):
        is_there = name in available
        remedy = "" if is_there else f"boot with the {name} cgroup controller enabled"
        yield Finding(name=f"cgroup {name}", is_ok=is_there, found="there" if is_there else "missing", remedy=remedy)


def disks_bounded() -> Finding:
    """Whether a machine is held to the size of its disk; without, one can fill the disk of all."""
    tool = program("machine disks", "e2fsprogs", ("/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"))
    has_loop = disks.LOOP_CONTROL.exists()
    is_ok = tool.is_ok and has_loop
    found = "each has its own, of the size it pays for" if is_ok else tool.found if has_loop else "no loop devices"
    remedy = tool.remedy or ("" if has_loop else "modprobe loop; until then a machine may fill the disk of all")
    return Finding(name=tool.name, is_ok=is_ok, found=found, remedy=remedy, is_required=False)


def open_files() -> Finding:
    """Without CAP_SYS_RESOURCE machines get smaller limits, and work."""
    hard = limits()[0]["hard"]
    is_full = hard > 8192
    found = f"machines may open {hard} files" + ("" if is_full else ": CAP_SYS_RESOURCE is missing")
    remedy = "" if is_full else "give Forebay CAP_SYS_RESOURCE for limits of 1048576"
    return Finding(name="open files", is_ok=is_full, found=found, remedy=remedy, is_required=False)


def kernel_maps_ids() -> Finding:
    """Whether a team's first launch is as fast as the next."""
    release = platform.release()
    numbers = re.match(r"(\d+)\.(\d+)", release)
    is_new = numbers is not None and (int(numbers[1]), int(numbers[2])) >= IDMAP_KERNEL
    remedy = "" if is_new else "a kernel from 5.19 on; before, each team's first launch copies the image"
    return Finding(name="id-mapped layers", is_ok=is_new, found=f"Linux {release}", remedy=remedy, is_required=False)


def image_present(service: Service) -> Finding:
    """The base image; it is built by itself when it is missing."""
    name = image.reference()
    is_there = find_program(service.program) is not None and os.getuid() == 0 and image.is_built(service)
    remedy = "" if is_there else "forebay serve builds it at its start (a minute)"
    found = name if is_there else "not built yet"
    return Finding(name="base image", is_ok=is_there, found=found, remedy=remedy, is_required=False)


def gpus_found() -> Finding:
    """GPUs that containers can have."""
    names = gpus.cdi_names(gpus.NVIDIA)
    found = f"{len(names)} of {gpus.NVIDIA}" if names else "none in /etc/cdi or /var/run/cdi"
    remedy = "" if names else "where there are NVIDIA GPUs: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
    return Finding(name="GPUs (CDI)", is_ok=bool(names), found=found, remedy=remedy, is_required=False)
