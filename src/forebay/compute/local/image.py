"""The base image: Debian 12 from the machine's own package mirror, with SSH, sudo, tini and cloud-init.

Built once for all installations on the machine and named after the hash of its recipe, so a changed recipe is another
image and machines that run keep theirs. Inside it the package sources are Debian's own, whatever mirror built it.
"""

import hashlib
import logging
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from forebay.compute.base import ProviderUnavailable
from forebay.compute.local.service import Service, find_program, machine_lock, system_path

OPERATING_SYSTEM = "Debian 12"
SUITE = "bookworm"
DEBIAN = "http://deb.debian.org/debian"

PACKAGES = (
    "openssh-server", "openssh-sftp-server", "sudo", "tini", "cloud-init", "ca-certificates", "curl", "iproute2",
    "iputils-ping", "procps", "less", "nano", "vim-tiny", "python3-minimal", "libpam-runtime", "rsync",
)  # fmt: skip

LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")

SOURCES = (
    "deb http://deb.debian.org/debian bookworm main",
    "deb http://deb.debian.org/debian bookworm-updates main",
    "deb http://deb.debian.org/debian-security bookworm-security main",
)
"""What machines install from, whatever mirror built their image."""

AFTERWARDS = (
    "set -e",
    # Each machine makes host keys and a machine id of its own.
    'rm -f "$1"/etc/ssh/ssh_host_*; : > "$1"/etc/machine-id',
    # Manuals are left out of the image only: what a person installs brings its own.
    'rm -f "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/apt/apt.conf.d/99mmdebstrap',
    'rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/cloud/cloud.cfg.d/90_dpkg.cfg',
    *(f'echo "{source}" >> "$1"/etc/apt/sources.list' for source in SOURCES),
    # A copy loses the file capability, which a machine may not have: ping works without it.
    'cp "$1"/usr/bin/ping "$1"/usr/bin/ping.new && mv "$1"/usr/bin/ping.new "$1"/usr/bin/ping',
    "chroot \"$1\" usermod -p '*' root",
)

MACHINE_FILES = {
    "init.sh": ("/usr/lib/forebay/init", 0o755),
    "note-login.sh": ("/usr/lib/forebay/note-login", 0o755),
    "first-boot.sh": ("/usr/lib/forebay/first-boot", 0o755),
    "sshd.conf": ("/etc/ssh/sshd_config.d/forebay.conf", 0o644),
    "cloud.cfg": ("/etc/cloud/cloud.cfg", 0o644),
}
"""Files of `machine/`, where they go, and their modes. An image that isn't ours gets them before its first start."""

logger = logging.getLogger(__name__)
FOLDER = Path(__file__).parent / "machine"


def reference() -> str:
    """The image's full name; its tag is the hash of everything that makes it."""
    texts = [(FOLDER / name).read_text() for name in MACHINE_FILES]
    recipe = repr((SUITE, PACKAGES, LEFT_OUT, AFTERWARDS, MACHINE_FILES, texts)).encode()
    return f"localhost/forebay/debian-12:{hashlib.sha256(recipe).hexdigest()[:12]}"


def sources() -> list[str]:
    """Lines for the package sources to build from: this machine's mirrors of Debian 12, else Debian's own."""
    form = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(COMPONENT)"
    try:
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        targets = ""
    found = {}
    for line in targets.splitlines():
        origin, codename, address, component = line.split("|")
        if origin == "Debian" and codename.split("-")[0] == SUITE and component == "main":
            found[f"deb {address} {codename} main"] = codename
    if SUITE in found.values():
        return sorted(found)
    return [f"deb {DEBIAN} {SUITE} main", f"deb {DEBIAN}-security {SUITE}-security main"]


def is_built(service: Service, image: str | None = None) -> bool:
    """Whether the image is in Podman's storage."""
    command = [service.program, "image", "exists", image or reference()]
    return subprocess.run(command, env=service.environment(), capture_output=True, check=False).returncode == 0


def build(service: Service, say: Callable[[str], None] = logger.info) -> str:
    """Build the image unless it is there, telling `say` what happens; return its name. Takes half a minute.

    Several installations may ask at once: the first builds, the others wait. Raises ProviderUnavailable.
    """
    name = reference()
    if is_built(service):
        return name
    with machine_lock("image"):
        if not is_built(service):
            if find_program("mmdebstrap") is None:
                raise ProviderUnavailable("mmdebstrap is not installed: the base image can't be built")
            say(f"Building the base image {name}: Debian 12 by mmdebstrap, once for this machine.")
            with tempfile.TemporaryDirectory(prefix="forebay-image-", dir="/var/tmp") as folder:
                archive = Path(folder) / "system.tar"
                debootstrap(archive, say)
                say("Importing the image.")
                run([service.program, "import", "--quiet", str(archive), name], say, environment=service.environment())
            say("The base image is ready.")
    return name


def debootstrap(archive: Path, say: Callable[[str], None]) -> None:
    """Make the file system as a tar archive."""
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    # The archive is all that remains of it, so nothing need reach the disk on the way.
    command += ["--dpkgopt=force-unsafe-io"]
    placed = [f'install -D -m {mode:o} "{FOLDER}/{name}" "$1"{path}' for name, (path, mode) in MACHINE_FILES.items()]
    command += ["--customize-hook=" + "; ".join([*AFTERWARDS, *placed])]
    command += [SUITE, str(archive), *sources()]
    run(command, say, environment=os.environ | {"PATH": system_path()})


def run(command: list[str], say: Callable[[str], None], *, environment: dict[str, str]) -> None:
    """Run one program of the build, passing on what it says. Raises ProviderUnavailable with its last lines."""
    last: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = [*last, line.strip()][-5:]
            if line.startswith("I: ") and "hook" not in line:
                say("  " + line.removeprefix("I: ").strip())
    if process.returncode != 0:
        logger.error("%s failed: %s", command[0], " / ".join(last))
        said = last[-1] if last else "silently"
        raise ProviderUnavailable(f"The base image can't be built: {command[0]} failed ({said})")
