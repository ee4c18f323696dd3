"""Identifiers and secrets: 24 lowercase hex characters for things, 256 random bits for what opens doors.

An id begins with the second it was made in and ends with a count, so ids of one process sort by age. It is no secret.
Randomness comes from `entropy`, which a simulation may replace with a seeded source.
"""

import itertools
import os
import re
from collections.abc import Callable
from datetime import datetime

entropy: Callable[[int], bytes] = os.urandom

LAST_SECOND = 0xFFFFFFFF
AFTER_ALL = "g"
"""In the order of texts behind every id."""
ID_PATTERN = re.compile(r"[0-9a-f]{24}")

process = os.urandom(5).hex()
count = itertools.count(int.from_bytes(os.urandom(2)))


def new_id(now: datetime) -> str:
    """A fresh id: 4 bytes of time, 5 of the process, 3 of a count."""
    return f"{int(now.timestamp()) & 0xFFFFFFFF:08x}{process}{next(count) & 0xFFFFFF:06x}"


def first_of(moment: datetime) -> str:
    """What all ids of this second and later ones come after, and all earlier ones before."""
    seconds = max(0, int(moment.timestamp()))
    return f"{seconds:08x}" if seconds <= LAST_SECOND else AFTER_ALL


def new_secret(size: int = 32) -> bytes:
    """`size` unpredictable bytes."""
    return entropy(size)


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id."""
    return ID_PATTERN.fullmatch(text) is not None
