"""A disk of its own for each machine: an image file as large as the offer says, with ext4 in it, under Podman's layers.

What a machine writes goes through Podman's overlay to the folder of its container, which here leads into the image: so
its disk is full when it has used what it pays for, and nobody else's is. The few files that Podman would bind from the
host into each container (hosts, host name, resolvers) lie on that disk too, for what a machine may write without end
must not be the host's.

The file is sparse and made in milliseconds; what is deleted in the machine is free on the host again. It is made and
mounted by the host alone, so no machine hands the kernel a file system that it made. The mounts are in one folder of an
installation, in which what is mounted and taken away is so in every mount namespace at once, Podman's monitors among
them. The kernel's own table says what is mounted; nothing else is remembered, and everything here can be done twice.
"""

import contextlib
import fcntl
import os
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forebay.compute.base import OutOfStock, ProviderUnavailable
from forebay.compute.local import loops
from forebay.compute.local.offers import DISK_RESERVE_GB, GIGABYTE
from forebay.compute.local.service import RUN_DIR, find_program, machine_lock

IMAGES = Path("/var/lib/containers/forebay")
"""Beside Podman's own storage, on the same file system: what is offered is measured there."""
PROGRAMS = ("mkfs.ext4",)
LOOP_CONTROL = loops.CONTROL

OVERHEAD_BYTES = 96 * 1024**2
"""For the journal; a sixty-fourth is for the inodes. Both come on top of what is paid for."""
MAKE = (
    "mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=64", "-O", "^resize_inode",
    "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
)  # fmt: skip
"""Nothing is kept back for root: Podman's overlay writes as the host's root, so the machine would have that too. Nor is
there room for growing: a machine's disk keeps its size, and that room is most of what would have to be written."""
OPTIONS = "noinit_itable,discard"
FOLDER_OPTIONS, FOLDER_FLAGS = "mode=0700,size=4m", loops.NODEV | loops.NOSUID | loops.NOEXEC

LOOP_SET_DIRECT_IO = 0x4C08
"""Past the host's page cache: what a machine writes isn't kept twice, and no one else's fsync waits for it."""
EXT4_SHUTDOWN = 0x8004587D
SHUTDOWN_WITHOUT_FLUSH = struct.pack("I", 2)
DIRTY_BYTES = 64 * 1024**2
"""How much of a machine's writing may wait in memory before the machine itself has to wait."""

FILES = {
    "hosts": "/etc/hosts", "hostname": "/etc/hostname", "resolv.conf": "/etc/resolv.conf",
    "containerenv": "/run/.containerenv",
}  # fmt: skip
"""What lies on the disk beside the machine's own files, and where the machine has it."""


class Disks:
    """The disks of one installation. Thread-safe, and several processes may share them."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.images, self.folder = IMAGES / tag, RUN_DIR / f"{tag}-disks"
        self.is_usable = os.geteuid() == 0 and LOOP_CONTROL.exists() and all(find_program(name) for name in PROGRAMS)

    def image(self, deployment_id: str) -> Path:
        """Where a machine's image is, or would be."""
        return self.images / f"{deployment_id}.ext4"

    def place(self, deployment_id: str) -> Path:
        """Where it is mounted."""
        return self.folder / deployment_id

    def prepare(self) -> None:
        """Mount every disk there is: after a reboot none is. Raises ProviderUnavailable."""
        if self.is_usable and self.images.exists():
            for image in sorted(self.images.glob("*.ext4")):
                self.open(image.stem)

    def make(
        self, deployment_id: str, size_gb: int, owner: int, hostname: str, resolvers: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Make and mount a machine's disk; what its container must mount of it.

        Raises OutOfStock where the host's own disk is nearly full, ProviderUnavailable.
        """
        if not self.is_usable:
            return []
        image = self.image(deployment_id)
        with machine_lock(f"disks-{self.tag}"):
            if not image.exists():
                self.images.mkdir(mode=0o700, parents=True, exist_ok=True)
                if shutil.disk_usage(self.images).free < DISK_RESERVE_GB * GIGABYTE:
                    raise OutOfStock("The disk of this machine is nearly full")
                format_image(image, size_gb)
        self.open(deployment_id)
        texts = {
            "hosts": f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t{hostname}\n",
            "hostname": f"{hostname}\n",
            "containerenv": "",
        }
        if resolvers:
            texts["resolv.conf"] = "".join(f"nameserver {address}\n" for address in resolvers)
        return self.mounts(deployment_id, texts, owner)

    def mounts(self, deployment_id: str, texts: Mapping[str, str], owner: int) -> list[dict[str, Any]]:
        """Lay the files out, unless they are there; the mounts that show them in the machine."""
        place = self.place(deployment_id)
        for name, text in texts.items():
            if not (place / name).exists():
                (place / name).write_text(text)
                os.chown(place / name, owner, owner)
        options = ["bind", "nosuid", "nodev"]
        return [
            {"destination": FILES[name], "type": "bind", "source": str(place / name), "options": options}
            for name in texts
        ]

    def open(self, deployment_id: str) -> bool:
        """Mount a disk unless it is; whether there is one. Raises ProviderUnavailable."""
        image, place = self.image(deployment_id), self.place(deployment_id)
        if not self.is_usable or not image.exists():
            return False
        with machine_lock(f"disks-{self.tag}"):
            if os.path.ismount(place):
                return True
            self.share_folder()
            place.mkdir(mode=0o711, exist_ok=True)
            loops.mount_image(image, place, "ext4", loops.NODEV, OPTIONS)
            tune(place)
        return True

    def share_folder(self) -> None:
        """Make the folder whose mounts every mount namespace sees."""
        if not os.path.ismount(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            loops.mount("forebay-disks", self.folder, "tmpfs", FOLDER_FLAGS, FOLDER_OPTIONS)
        # Said again each time: a crash may have come in between.
        loops.share(self.folder)

    def put_under(self, deployment_id: str, layers: Mapping[str, str]) -> None:
        """Let a container that has never run write to its disk: `layers` is where Podman has its upper folders."""
        if not self.is_usable:
            return
        for name in ("UpperDir", "WorkDir"):
            theirs = Path(layers[name])
            ours = self.place(deployment_id) / theirs.name
            if theirs.is_symlink():
                continue
            if not ours.exists():
                ours.mkdir()
            if theirs.exists():
                found = theirs.stat()
                os.chown(ours, found.st_uid, found.st_gid)
                ours.chmod(found.st_mode & 0o7777)
                theirs.rmdir()
            theirs.symlink_to(ours)

    def delete(self, deployment_id: str) -> None:
        """Take a disk away with all that is on it. Its container must be gone; fine if the disk is."""
        image, place = self.image(deployment_id), self.place(deployment_id)
        with machine_lock(f"disks-{self.tag}"):
            if os.path.ismount(place):
                shut_down(place)
                loops.take_away(place)
            with contextlib.suppress(FileNotFoundError):
                place.rmdir()
            if image.exists():
                # A monitor that began while this machine ran may have its mount still: the room is free all the same.
                os.truncate(image, 0)
                image.unlink()

    def remove(self) -> None:
        """Take all of them away. Nothing may run any more."""
        for image in self.images.glob("*.ext4"):
            self.delete(image.stem)
        for unfinished in self.images.glob("*.new"):
            unfinished.unlink()
        if os.path.ismount(self.folder):
            loops.take_away(self.folder)
        for folder in (self.folder, self.images):
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()


def format_image(image: Path, size_gb: int) -> None:
    """Make the file and the file system in it; it has its name once it is whole. Raises ProviderUnavailable."""
    fresh = image.with_suffix(".new")
    try:
        loops.format_file(fresh, size_gb * GIGABYTE * 65 // 64 + OVERHEAD_BYTES, MAKE)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise ProviderUnavailable("The machine's disk can't be made") from error
    fresh.rename(image)


def tune(place: Path) -> None:
    """Keep the writing of one machine out of the way of others. Where the kernel can't, it is only slower."""
    found = os.stat(place).st_dev
    device = f"{os.major(found)}:{os.minor(found)}"
    with contextlib.suppress(OSError):
        block = Path("/sys/dev/block", device).resolve()
        if (block / "loop/dio").read_text().strip() != "1":
            opened = os.open(f"/dev/{block.name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(opened, LOOP_SET_DIRECT_IO, 1)
            finally:
                os.close(opened)
    folder = Path("/sys/class/bdi", device)
    for name, value in (("strict_limit", 1), ("max_bytes", DIRTY_BYTES)):
        with contextlib.suppress(OSError):
            (folder / name).write_text(f"{value}\n")


def shut_down(place: Path) -> None:
    """End a file system where it stands: what it had still to write is not wanted any more."""
    with contextlib.suppress(OSError):
        opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(opened, EXT4_SHUTDOWN, SHUTDOWN_WITHOUT_FLUSH)
        finally:
            os.close(opened)
