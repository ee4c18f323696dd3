"""The hashes that make a change by hand visible.

Each transfer carries the hash of the one before it in its team's chain, so a transfer can't be changed, moved or taken
out without the rest of the chain, and the head in `accounts`, disagreeing. What may never change in a row of `segments`
or `holds` is under a seal of its own. None of this needs a secret: it shows a slip or a careless hand. Whoever reckons
a whole chain anew is found out only by heads that were kept elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

Fact = str | int | None | Sequence["Fact"]


def digest(*facts: Fact) -> str:
    """SHA-256, in hex, of these facts as compact JSON, which keeps 1 and "1" apart, and ("ab", "c") and ("a", "bc")."""
    return sha256(msgspec.json.encode(facts)).hexdigest()


def genesis(account_id: str) -> str:
    """The head of a chain that has no transfer yet; each account has its own, so that chains can't be swapped."""
    return digest("genesis", account_id)


def seal(row: Mapping[str, Any], columns: Iterable[str]) -> str:
    """The digest of these columns of a row, by name; moments count as seconds since 1970."""
    values = ((column, row[column]) for column in columns)
    return digest(*[[name, int(v.timestamp()) if isinstance(v, datetime) else v] for name, v in values])
