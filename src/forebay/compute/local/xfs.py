"""The file system of volumes: how it is made, and what is stored on it.

While a volume is mounted the kernel is asked, while it isn't the file system's own first sector is read. Nothing is
measured on the way out and remembered: until the last write has reached the file, XFS counts as used what it holds
ready for that too, and for a file that grew by appending this can be as much again.
"""

import os
import struct
from pathlib import Path

import msgspec

LOG_MB = 64
"""The file system's log; it comes on top of what was bought."""
PLAIN = ("-m", "reflink=0,rmapbt=0,finobt=0,inobtcount=0", "-l", f"size={LOG_MB}m")
"""Without what takes room of its own: nothing is used on an empty volume."""
POOL_BLOCKS = 8192
"""What XFS keeps for itself while it is mounted, or a twentieth of a small volume; it counts that as used."""
GROUP_BLOCKS, GROUP_KEPT_BLOCKS, ROOT_BLOCKS = 4, 8, 8
"""What an empty one takes: the heads and roots of each group, what is kept back in each while it is mounted, and the
first inodes."""
SUPERBLOCK = struct.Struct(">4s I Q 72x I 4x I 44x Q")
"""Of the first sector: the magic, a block's bytes, blocks in all, groups, blocks of the log, free blocks."""


class Superblock(msgspec.Struct, frozen=True):
    """What the file system says of itself in its image; of the blocks that are free only while it isn't mounted."""

    block_bytes: int
    blocks: int
    groups: int
    log_blocks: int
    free_blocks: int

    @property
    def own_blocks(self) -> int:
        """What it takes while nothing is stored on it."""
        return self.log_blocks + self.groups * GROUP_BLOCKS + ROOT_BLOCKS

    @property
    def used_bytes(self) -> int:
        """What is stored on it. After a crash of the host this is older, until it is mounted again."""
        return max(0, self.blocks - self.free_blocks - self.own_blocks) * self.block_bytes


def superblock(image: Path) -> Superblock | None:
    """Read it; None where the image has no XFS in it. Raises OSError."""
    with image.open("rb") as opened:
        magic, *numbers = SUPERBLOCK.unpack(opened.read(SUPERBLOCK.size).ljust(SUPERBLOCK.size, b"\0"))
    if magic != b"XFSB":
        return None
    return Superblock(*numbers)


def used_bytes(place: Path, groups: int) -> int:
    """What is stored on a volume that is mounted, as `df` says on a machine, less what is used on an empty one."""
    found = os.statvfs(place)
    kept = min(found.f_blocks // 20, POOL_BLOCKS) + groups * (GROUP_BLOCKS + GROUP_KEPT_BLOCKS) + ROOT_BLOCKS
    return max(0, found.f_blocks - found.f_bfree - kept) * found.f_frsize
