"""Passwords that have been stolen and published, or are made of one in the ways that guessing programs try first.

The list is kept as sorted hashes cut down to six bytes (`passwords.bin`): small, quick to search, and no list of words
to be offended by. Where it comes from stands in `NOTICE`. Nothing is asked of anybody over the network. About 60,000
of its entries are long enough to be passwords here; all of them count as what a password may not be made of.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

HASH_BYTES = 6
MOST_ADDED = 5
"""Characters before or after a known password that don't make it another."""
LOOKALIKES = str.maketrans("013457@$!", "oleastasi")
FILE = Path(__file__).parent / "passwords.bin"


@cache
def known() -> bytes:
    """The sorted hashes, read once."""
    return FILE.read_bytes()


def fold(password: str) -> str:
    """The same for all that differ by case or by how the characters are encoded."""
    return unicodedata.normalize("NFKC", password).casefold()


def hash_of(folded: str) -> bytes:
    """What stands in the list for it."""
    return hashlib.sha256(folded.encode()).digest()[:HASH_BYTES]


def is_listed(folded: str) -> bool:
    """Whether the list has exactly this."""
    hashes, wanted = known(), hash_of(folded)
    low, high = 0, len(hashes) // HASH_BYTES
    while low < high:
        middle = (low + high) // 2
        if hashes[middle * HASH_BYTES : (middle + 1) * HASH_BYTES] < wanted:
            low = middle + 1
        else:
            high = middle
    return hashes[low * HASH_BYTES : (low + 1) * HASH_BYTES] == wanted


def is_breached(password: str) -> bool:
    """Whether the password, or what it is made of, is in the list."""
    folded = fold(password)
    return any(is_listed(form) for form in forms(folded))


def forms(folded: str) -> Iterator[str]:
    """What a guessing program would have to begin with: itself, undecorated, undoubled, with letters for digits."""
    for start in (folded, undoubled(folded)):
        for bare in (start, undecorated(start)):
            yield bare
            yield bare.translate(LOOKALIKES)


def undoubled(text: str) -> str:
    """`abcabc` is `abc`."""
    place = (text + text).find(text, 1)
    return text[:place] if 0 < place < len(text) else text


def undecorated(text: str) -> str:
    """Without a few digits and signs around it."""
    bare = text.strip("0123456789!@#$%^&*()-_=+.,;:?/\\'\" ")
    return bare if len(text) - len(bare) <= MOST_ADDED and len(bare) >= 4 else text


def pack(passwords: Iterable[str]) -> bytes:
    """The content of the file for a list of passwords."""
    return b"".join(sorted({hash_of(fold(password)) for password in passwords if password}))
