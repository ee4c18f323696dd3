"""Pages are sent compressed where that gives nothing away.

How long a compressed page is tells how well what another site had in it fits what is secret in it (BREACH). So over
HTTPS a page is compressed only for a browser that says that no other site began the request; and the one secret that is
on every page, the token of its forms, is written differently each time.
"""

import gzip
from collections.abc import Mapping

from forebay import ids

LEVEL = 5
OUR_OWN = ("same-origin", "none")
"""What `Sec-Fetch-Site` says of requests that begin here, or with whoever sits at the browser."""
TOKEN_BYTES = 32


def may_compress(headers: Mapping[str, str], *, is_https: bool) -> bool:
    """Whether the answer to this request may be compressed, and the browser takes it so."""
    # Over HTTP the network reads the page as it is; browsers say nothing of sites there.
    begins_here = headers.get("sec-fetch-site", "" if is_https else "none") in OUR_OWN
    return begins_here and "gzip" in headers.get("accept-encoding", "")


def compress(body: bytes) -> bytes:
    """As gzip has it."""
    return gzip.compress(body, LEVEL, mtime=0)


def mask(token: bytes) -> str:
    """A token of `TOKEN_BYTES` as it has never been written before."""
    key = ids.new_secret(TOKEN_BYTES)
    return (key + combine(key, token)).hex()


def unmask(text: str) -> bytes:
    """The token that was masked; empty for what `mask` can't have made."""
    try:
        both = bytes.fromhex(text)
    except ValueError:
        return b""
    return combine(both[:TOKEN_BYTES], both[TOKEN_BYTES:]) if len(both) == 2 * TOKEN_BYTES else b""


def combine(one: bytes, other: bytes) -> bytes:
    """Bit by bit, either but not both."""
    if len(one) != len(other):
        raise ValueError("they are not as long as each other")
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(len(one))
