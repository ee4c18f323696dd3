"""File systems in image files, made and mounted by the kernel's own calls: no program is started for them but mkfs.

A loop device is there for as long as what is mounted from it, and ends by itself: a crash between its setting up and
the mount leaves nothing behind. One file has one device at most. Two would be two file systems over the same blocks
that know nothing of each other, so a device that is still there, because its mount was hidden and is still in use, is
mounted again.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from forebay.compute.base import ProviderUnavailable
from forebay.compute.local.service import run

CONTROL = Path("/dev/loop-control")
BLOCK_DEVICES = Path("/sys/block")
BACKING_FILE = "loop/backing_file"

NOSUID, NODEV, NOEXEC, SHARED = 2, 4, 8, 1 << 20
"""Flags of mount."""
DETACH, DONT_FOLLOW = 2, 8
"""Flags of umount2: take the mount out of sight and end it when nothing uses it any more; trust no symbolic link."""

GET_FREE, CONFIGURE = 0x4C82, 0x4C0A
ENDS_BY_ITSELF, DIRECT_IO = 4, 16
CONFIGURATION = struct.Struct("=2I 5Q 4I 64s 64s 32s 2Q 64x")
"""struct loop_config: the file's descriptor, its block size, then struct loop_info64."""
NAME_BYTES = 63
TRIES = 20
"""Others set devices up at the same time, and may be quicker with the one that was free."""
COPIED_BYTES = 1024**2

libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, place: Path, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2). Raises ProviderUnavailable."""
    words = (source.encode(), os.fsencode(place), kind.encode() if kind else None)
    if libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None) != 0:
        raise ProviderUnavailable(f"A disk can't be mounted on this machine: {os.strerror(ctypes.get_errno())}")


def share(place: Path) -> None:
    """Let mounts below this one come and go in every mount namespace; fine if they do. Raises ProviderUnavailable."""
    mount("none", place, None, SHARED)


def take_away(place: Path) -> None:
    """Take the mount at a place out of sight, and end it when nothing uses it any more; fine if there is none."""
    libc.umount2(os.fsencode(place), DETACH | DONT_FOLLOW)


def mount_image(image: Path, place: Path, kind: str, flags: int, options: str) -> None:
    """Mount the file system in a file. Whoever calls sees to it that nobody else does. Raises ProviderUnavailable."""
    try:
        opened, device = still_there(image) or set_up(image)
    except OSError as error:
        raise ProviderUnavailable(f"A disk can't be set up on this machine: {error.strerror}") from error
    try:
        mount(device, place, kind, flags, options)
    finally:
        # The mount keeps it. Without one it ends here.
        os.close(opened)


def still_there(image: Path) -> tuple[int, str] | None:
    """The device that this file has already: a descriptor that keeps it, and its path."""
    for folder in BLOCK_DEVICES.glob("loop*"):
        if backing_file(folder) == str(image.resolve()):
            device = f"/dev/{folder.name}"
            with contextlib.suppress(OSError):
                opened = os.open(device, os.O_RDWR | os.O_CLOEXEC)
                # It may have ended just before, and be another file's by now.
                if backing_file(folder) == str(image.resolve()):
                    return opened, device
                os.close(opened)
    return None


def backing_file(folder: Path) -> str | None:
    """The file that a loop device stands for, by its folder in the kernel's list; None if it is free."""
    try:
        return (folder / BACKING_FILE).read_text().removesuffix("\n")
    except OSError:
        return None


def set_up(image: Path) -> tuple[int, str]:
    """Set a free device up for a file, past the host's page cache if that can be. Raises OSError."""
    file = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        flags, name = ENDS_BY_ITSELF | DIRECT_IO, os.fsencode(image)[-NAME_BYTES:]
        wanted = CONFIGURATION.pack(file, 0, *(0,) * 5, 0, 0, 0, flags, name, b"", b"", 0, 0)
        for is_last in (False,) * TRIES + (True,):
            device = f"/dev/loop{free_number()}"
            opened = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(opened, CONFIGURE, wanted)
            except OSError as error:
                os.close(opened)
                if is_last or error.errno != errno.EBUSY:
                    raise
            else:
                return opened, device
    finally:
        os.close(file)
    raise AssertionError("the last try returns or raises")


def free_number() -> int:
    """The number of a device that nobody has; the kernel makes another one where there is none."""
    control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, GET_FREE)
    finally:
        os.close(control)


def format_file(path: Path, size_bytes: int, command: Sequence[str]) -> None:
    """Make a sparse file with a file system in it, which is on the disk when this returns. Raises OSError.

    `command` is given a file in memory, which costs it a fifth of the time, and what it wrote there is copied.
    """
    draft = os.memfd_create("forebay-disk", os.MFD_CLOEXEC)
    try:
        os.truncate(draft, size_bytes)
        done = run([*command, f"/proc/self/fd/{draft}"], keeping=(draft,))
        if done.returncode != 0:
            raise OSError(errno.EIO, done.stderr)
        with path.open("wb") as file:
            file.truncate(size_bytes)
            for start, end in written(draft):
                file.seek(start)
                for position in range(start, end, COPIED_BYTES):
                    file.write(os.pread(draft, min(end - position, COPIED_BYTES), position))
            file.flush()
            os.fsync(file.fileno())
    finally:
        os.close(draft)


def written(file: int) -> list[tuple[int, int]]:
    """The pieces of a sparse file that aren't holes: where each begins, and where it ends."""
    found: list[tuple[int, int]] = []
    position = 0
    while True:
        try:
            start = os.lseek(file, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return found
        position = os.lseek(file, start, os.SEEK_HOLE)
        found.append((start, position))
