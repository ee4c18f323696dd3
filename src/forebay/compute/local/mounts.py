"""Where volumes are mounted on this machine, and how they come to be under `/mnt` of a container and go again.

One folder an installation, itself a small file system in memory, whose mounts are shared: each volume is mounted once
below `volumes`, and bound from there below `machines/<deployment>`, which is `/mnt` inside that container as a slave:
what is bound or taken away there is so inside at once. The kernel's own table says what is where; nothing else is
remembered. Whoever calls has the installation's lock.
"""

import contextlib
import ctypes
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from forebay.compute.base import Busy, ProviderUnavailable
from forebay.compute.local import loops
from forebay.compute.local.service import RUN_DIR, run

# Whoever else works on this machine has no business below here, whatever the files on a volume allow.
FOLDER_OPTIONS = "mode=0700,size=4m,nosuid,nodev,noexec"
VOLUME_OPTIONS = "loop,nosuid,nodev,noatime,discard"
"""No device and no set-uid program on a volume is any; what is deleted on it is free on this machine's disk again."""


class Mounted(msgspec.Struct, frozen=True):
    """One mount: its place, and the file behind it where that is known."""

    place: Path
    file: Path | None


def unescaped(word: str) -> str:
    """A path of the kernel's table, where blanks and the like are octal."""
    return word.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")


def file_behind(device: str) -> Path | None:
    """The file of a loop device, by its number as in 7:0."""
    try:
        return Path((Path("/sys/dev/block") / device / "loop/backing_file").read_text().strip())
    except OSError:
        return None


def unmount(place: Path, *, by_force: bool = False) -> None:
    """Take one mount away; fine if there is none. Raises Busy, ProviderUnavailable."""
    flags = loops.DONT_FOLLOW | (loops.DETACH if by_force else 0)
    if loops.libc.umount2(os.fsencode(place), flags) == 0:
        return
    reason = ctypes.get_errno()
    if reason == errno.EBUSY:
        raise Busy("A process still uses the volume")
    if reason not in (errno.EINVAL, errno.ENOENT):
        raise ProviderUnavailable(f"The volume can't be unmounted: {os.strerror(reason)}")


def mount(*arguments: str) -> None:
    """Run mount. Raises ProviderUnavailable."""
    done = run(["mount", *arguments])
    if done.returncode != 0:
        raise ProviderUnavailable("The volume can't be mounted on this machine")


class Mounts:
    """The mounts of one installation."""

    def __init__(self, tag: str) -> None:
        self.folder = RUN_DIR / f"{tag}-mounts"
        self.volumes, self.machines = self.folder / "volumes", self.folder / "machines"

    def prepare(self) -> None:
        """Make the folder, whose mounts containers see; again after a reboot. Raises ProviderUnavailable."""
        if not os.path.ismount(self.folder):
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            mount("-t", "tmpfs", "-o", FOLDER_OPTIONS, "forebay-volumes", str(self.folder))
        # Said again each time: a crash may have come in between.
        loops.share(self.folder)
        for folder in (self.volumes, self.machines):
            folder.mkdir(mode=0o755, exist_ok=True)

    def table(self) -> list[Mounted]:
        """What is mounted below the folder, in the order in which it was mounted."""
        found = []
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            words = line.split()
            place = Path(unescaped(words[4]))
            if place.is_relative_to(self.folder) and place != self.folder:
                found.append(Mounted(place, file_behind(words[2])))
        return found

    def machine(self, deployment_id: str) -> Path:
        """What is /mnt on a machine; made if it isn't there."""
        place = self.machines / deployment_id
        place.mkdir(mode=0o755, exist_ok=True)
        return place

    def on_machines(self, volume_id: str, table: Sequence[Mounted] | None = None) -> list[Path]:
        """The places at which machines have the volume."""
        return [
            each.place
            for each in (self.table() if table is None else table)
            if each.place.is_relative_to(self.machines) and each.file is not None and each.file.stem == volume_id
        ]

    def open(self, image: Path) -> Path:
        """Mount the volume in an image file, once for all machines; its place."""
        place = self.volumes / image.stem
        if not os.path.ismount(place):
            place.mkdir(mode=0o700, exist_ok=True)
            mount("-o", VOLUME_OPTIONS, str(image), str(place))
        return place

    def bind(self, place: Path, deployment_id: str, name: str) -> None:
        """Have an open volume on a machine. Raises ProviderUnavailable where something else has that name."""
        target = self.machine(deployment_id) / name
        if os.path.ismount(target):
            if not target.samefile(place):
                raise ProviderUnavailable("Another volume is at that place of the machine")
            return
        target.mkdir(mode=0o755, exist_ok=True)
        mount("--bind", str(place), str(target))

    def release(self, target: Path, *, by_force: bool = False) -> None:
        """Take a volume off a machine; the opposite of `bind`. Raises Busy."""
        unmount(target, by_force=by_force)
        with contextlib.suppress(FileNotFoundError):
            target.rmdir()

    def close(self, volume_id: str) -> None:
        """Unmount a volume that no machine has; the opposite of `open`. Raises Busy."""
        place = self.volumes / volume_id
        if place.exists():
            unmount(place)
            place.rmdir()

    def forget_machine(self, deployment_id: str) -> set[str]:
        """Take everything off a machine that has ended; which volumes it had."""
        folder, found = self.machines / deployment_id, set()
        for each in reversed([each for each in self.table() if each.place.parent == folder]):
            self.release(each.place, by_force=True)
            found |= {each.file.stem} if each.file else set()
        if folder.exists():
            for left in folder.iterdir():
                left.rmdir()
            folder.rmdir()
        return found

    def remove(self) -> None:
        """Unmount everything. Nothing may run any more."""
        for each in reversed(self.table()):
            unmount(each.place, by_force=True)
        unmount(self.folder, by_force=True)
        with contextlib.suppress(FileNotFoundError):
            self.folder.rmdir()
