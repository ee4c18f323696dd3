"""Podman's REST service: found by its socket, or started, and left running when Forebay goes.

One service an installation, under /run/forebay, whose path is short because a unix socket's may have 107 bytes at most.
It is in a session of its own, so the end of Forebay, however rude, ends neither it nor any machine. Machines don't
depend on it either: each has its own monitor process, and a new service finds them all.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from forebay.compute.base import ProviderUnavailable

RUN_DIR = Path("/run/forebay")
"""Shared by all installations on the machine: the locks are here."""

CONFIGURATION = """\
[containers]
log_size_max = 4194304
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
"""
"""Podman's own defaults differ between machines and are replaced whole. runc, because crun refuses hybrid cgroups."""

START_SECONDS = 15

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where iptables and runc are, which not every PATH has."""

NETWORK_NAMESPACES = Path("/run/netns")


def tag_of(cloud_id: str) -> str:
    """Five characters [a-z2-7] that stand for an installation where a name must be short (an interface has 15)."""
    digest = hashlib.sha256(cloud_id.encode()).digest()
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[byte & 31] for byte in digest[:5])


def system_path() -> str:
    """PATH with the folders of the system's own programs."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS])


def find_program(name: str) -> str | None:
    """Where a program is, or None."""
    return shutil.which(name, path=system_path())


def run(
    command: Sequence[str], *, given: str | None = None, keeping: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program of the system's to its end, with text in and out; it has the descriptors `keeping`.

    Raises FileNotFoundError if it isn't there.
    """
    environment = os.environ | {"PATH": system_path()}
    return subprocess.run(
        command, input=given, env=environment, capture_output=True, text=True, check=False, pass_fds=keeping
    )


@contextlib.contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Hold a lock that all installations on this machine share. The kernel lets go of it when the process dies."""
    RUN_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (RUN_DIR / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def share_network_namespaces(folder: Path = NETWORK_NAMESPACES) -> None:
    """Let mounts below the folder be seen, and taken away, from other mount namespaces.

    Podman starts a machine that has a user namespace of its own from a mount namespace of its own, and from there
    clears away behind it. Where the root file system isn't shared (systemd shares it, others may not) the machine's
    network would stay behind, and its port would lead nowhere after the next start. Raises ProviderUnavailable.
    """
    with machine_lock("mounts"):
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        if is_shared(folder, Path("/proc/self/mountinfo").read_text()):
            return
        for command in (["mount", "--rbind", str(folder), str(folder)], ["mount", "--make-rshared", str(folder)]):
            if run(command).returncode != 0:
                raise ProviderUnavailable("The folder of network namespaces can't be shared between mount namespaces")


def is_shared(folder: Path, mounts: str) -> bool:
    """Whether the mount that holds a folder is shared, from the text of mountinfo: its last entry is the topmost."""
    holding = ("", False)
    for line in mounts.splitlines():
        place, *flags = line.split(" - ")[0].split()[4:]
        if folder.is_relative_to(place) and len(place) >= len(holding[0]):
            holding = (place, any(flag.startswith("shared:") for flag in flags))
    return holding[1]


class Service:
    """The REST service of one installation. Thread-safe, and several processes may share it."""

    def __init__(self, program: str, tag: str) -> None:
        self.program = program
        self.tag = tag
        self.folder = RUN_DIR / tag
        self.socket = self.folder / "podman.sock"
        self.configuration = self.folder / "containers.conf"

    def environment(self) -> dict[str, str]:
        """The environment in which Podman reads our configuration, for the service and for single commands."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.configuration.exists() or self.configuration.read_text() != CONFIGURATION:
            fresh = self.folder / f"containers.conf.{os.getpid()}"
            fresh.write_text(CONFIGURATION)
            fresh.replace(self.configuration)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONTAINER", "PODMAN"))}
        return kept | {"CONTAINERS_CONF": str(self.configuration), "PATH": system_path()}

    def answers(self) -> bool:
        """Whether something accepts connections on the socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
            return True

    def ensure(self) -> None:
        """Find the service or start it. Raises ProviderUnavailable if it doesn't come up, or we aren't root."""
        if os.geteuid() != 0:
            raise ProviderUnavailable("Machines need a Forebay that runs as root")
        if self.answers():
            return
        with machine_lock(f"service-{self.tag}"):
            if not self.answers():
                self.start()

    def start(self) -> None:
        """Start the service and wait until it accepts connections."""
        program = find_program(self.program)
        if program is None:
            raise ProviderUnavailable("Podman is not installed on this machine")
        share_network_namespaces()
        environment = self.environment()
        self.socket.unlink(missing_ok=True)
        with (self.folder / "podman.log").open("ab") as log:
            process = subprocess.Popen(
                [program, "--log-level=error", "system", "service", "--time=0", f"unix://{self.socket}"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ProviderUnavailable("Podman's service does not come up; its log is beside its socket")
            time.sleep(0.02)
        # It outlives this object on purpose, so nobody waits for it: say so, or the interpreter warns.
        process.returncode = 0

    def clear_away(self, name: str) -> None:
        """Take away what a stopped container left of its network, where its own monitor process did not."""
        command = [self.program, "container", "cleanup", name]
        subprocess.run(command, env=self.environment(), capture_output=True, check=False)

    def kill_unrecorded(self, identity: str) -> None:
        """End what a start that was cut off left running under a container that Podman takes for stopped."""
        run(["runc", "delete", "--force", identity])

    def pid(self) -> int | None:
        """The process that listens on the socket, or None."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return None
            peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", peer)[0])

    def end(self) -> None:
        """End the service; machines run on. For tests and for removing an installation."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + START_SECONDS
        while self.answers() and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)

    def forget(self) -> None:
        """Remove what is kept for this installation under /run/forebay. The service must have ended."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for lock in RUN_DIR.glob(f"*-{self.tag}.lock"):
            lock.unlink(missing_ok=True)
