"""Secrets that open doors: how they look, how they are hashed, how passwords are checked.

An API key is the prefix, 40 characters of 238 random bits, and a checksum of 6, so a key that was cut short or
mistyped is refused without a look into the database. Tokens and keys are kept as HMAC-SHA-256 under the cloud's
secret key: whoever copies the database alone can't check guesses. Passwords are argon2id at 19 MiB, two at once at
most.
"""

import hashlib
import hmac
import string
import threading
import zlib
from datetime import datetime

import argon2

from forebay import ids
from forebay.errors import BadRequest, Unavailable

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
BODY_LENGTH = 40
CHECKSUM_LENGTH = 6
SESSION_PREFIX = "fby_st_"
MIN_PASSWORD = 10
MAX_PASSWORD = 128
PASSWORD_WAIT_SECONDS = 10

hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
turns = threading.BoundedSemaphore(2)


def base62(number: int, length: int) -> str:
    """The number in `length` letters and digits; what does not fit is left out."""
    letters = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        letters.append(ALPHABET[digit])
    return "".join(letters)


def new_token(prefix: str) -> str:
    """A fresh key or token with its checksum."""
    body = base62(int.from_bytes(ids.new_secret(32)), BODY_LENGTH)
    return f"{prefix}{body}{checksum(prefix + body)}"


def checksum(text: str) -> str:
    """Six characters that tell a typing error; they keep no secret."""
    return base62(zlib.crc32(text.encode()), CHECKSUM_LENGTH)


def is_well_formed(token: str, prefix: str) -> bool:
    """Whether the token has the prefix, the length and the right checksum."""
    if len(token) != len(prefix) + BODY_LENGTH + CHECKSUM_LENGTH or not token.startswith(prefix) or not token.isascii():
        return False
    return token[-CHECKSUM_LENGTH:] == checksum(token[:-CHECKSUM_LENGTH])


def hash_token(token: str, secret_key: bytes) -> str:
    """What is kept of a token: 64 hex characters."""
    return hmac.digest(secret_key, token.encode(), "sha256").hex()


def hash_password(password: str) -> str:
    """Argon2id. Call it in a thread.

    Raises BadRequest for one that is too short or long, Unavailable if the queue stands still.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        sentence = f"The password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters."
        raise BadRequest(sentence, details={"password": sentence})
    with turn():
        return hasher.hash(password)


def is_right_password(password_hash: str | None, password: str) -> bool:
    """Check a password; without a hash it takes as long and is wrong, so nobody learns whether the account exists."""
    # Nobody's password is longer: one that begins like the right one is as wrong as any, and must not take longer.
    looked_at = password_hash if len(password) <= MAX_PASSWORD else None
    with turn():
        try:
            hasher.verify(looked_at or WRONG, password[:MAX_PASSWORD])
            return looked_at is not None
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


class turn:  # noqa: N801
    """Two passwords at once at most: each takes 19 MiB and a processor."""

    def __enter__(self) -> None:
        """Raises Unavailable after ten seconds in the queue."""
        if not turns.acquire(timeout=PASSWORD_WAIT_SECONDS):
            raise Unavailable("Too many sign-ins at this moment. Try again in a few seconds.")

    def __exit__(self, *_: object) -> None:
        turns.release()


# The hash of a password nobody has, of the same cost.
WRONG = "$argon2id$v=19$m=19456,t=2,p=1$" + "c29tZXNhbHRzb21lc2FsdA" + "$" + "A" * 43


def key_check(secret_key: bytes) -> str:
    """A fingerprint of the secret key that tells a wrong one without revealing it."""
    return hashlib.sha256(b"forebay key check:" + secret_key).hexdigest()


def days_left(expires_at: datetime | None, now: datetime) -> int | None:
    """Whole days until a key expires, never below zero."""
    return None if expires_at is None else max(0, (expires_at - now).days)
