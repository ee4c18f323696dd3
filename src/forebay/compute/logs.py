"""Pieces of a growing log, so that whoever follows it is sent what is new and nothing twice.

A cursor names a file and a place in it. A log that was begun anew is another file, and is told from its beginning.
"""

from typing import BinaryIO

import msgspec


class Piece(msgspec.Struct, frozen=True):
    """Bytes of a log up to the end of a line; see `base.LogPart`."""

    content: bytes
    cursor: str
    is_cut: bool


def piece(log: BinaryIO, file: int, size: int, after: str, most_bytes: int) -> Piece:
    """What comes after the cursor, or the end of the log where there is none. `file` is a number of this log's own."""
    start = place(after, file, size)
    is_cut = start is None and bool(after)
    start = start or 0
    if size - start > most_bytes:
        start, is_cut = size - most_bytes, True
    log.seek(start)
    content = log.read(size - start)
    if is_cut and start > 0:
        # The first line is most likely half of one.
        skipped = content.find(b"\n") + 1
        start, content = start + skipped, content[skipped:]
    end = content.rfind(b"\n") + 1
    if end == 0 and len(content) >= most_bytes // 2:
        # A line that never ends is told as it is.
        end = len(content)
    return Piece(content[:end], f"{file:x}-{start + end:x}", is_cut)


def place(cursor: str, file: int, size: int) -> int | None:
    """Where the cursor stands in this file; None if it is another's, or none."""
    name, _, offset = cursor.partition("-")
    try:
        found = int(offset, 16)
        is_this = int(name, 16) == file
    except ValueError:
        return None
    return found if is_this and 0 <= found <= size else None
