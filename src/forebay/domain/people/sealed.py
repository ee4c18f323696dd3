"""Secrets that must be read again, unlike hashes: kept encrypted, so that whoever copies the database alone has none.

AES-256-GCM under a key derived (HKDF-SHA-256) from the cloud's secret key for this use alone. What is sealed for one
owner and one purpose opens for no other.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING

from forebay import ids

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12


class NotOpened(ValueError):
    """It was sealed under another key or for somebody else, or was changed since."""


def cipher(secret_key: bytes) -> "AESGCM":
    """The cipher of this cloud."""
    # Only who needs it waits for the library to be loaded, not every start.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"forebay sealed v1").derive(secret_key))


def seal(secret: bytes, secret_key: bytes, *, purpose: str, owner: str) -> str:
    """The secret as it may be kept: base64url of nonce, ciphertext and tag."""
    nonce = ids.new_secret(NONCE_BYTES)
    box = cipher(secret_key).encrypt(nonce, secret, f"{purpose}:{owner}".encode())
    return urlsafe_b64encode(nonce + box).decode()


def unseal(sealed: str, secret_key: bytes, *, purpose: str, owner: str) -> bytes:
    """The secret again. Raises NotOpened."""
    from cryptography.exceptions import InvalidTag

    try:
        raw = urlsafe_b64decode(sealed)
        return cipher(secret_key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], f"{purpose}:{owner}".encode())
    except (InvalidTag, ValueError):
        raise NotOpened("this can't be opened with the cloud's secret key") from None
