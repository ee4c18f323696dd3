"""An authenticator in software: it makes passkeys and answers challenges as a phone or a security key does."""

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.api.cloud import URL, Cloud, Person

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One passkey. What it says of itself can be set, as one that was tampered with would."""

    def __init__(self, *, origin: str = URL, host: str = "forebay.test", is_edwards: bool = False) -> None:
        self.origin, self.host = origin, host
        self.is_edwards = is_edwards
        self.elliptic = ec.generate_private_key(ec.SECP256R1())
        self.edwards = ed25519.Ed25519PrivateKey.generate()
        self.id = os.urandom(32)
        self.handle = b""
        self.count = 0
        self.flags = PRESENT | VERIFIED
        self.steps = 1

    def public_key(self) -> bytes:
        """As COSE writes it."""
        if self.is_edwards:
            return cbor2.dumps({1: 1, 3: -8, -1: 6, -2: self.edwards.public_key().public_bytes_raw()})
        numbers = self.elliptic.public_key().public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)})

    def sign(self, message: bytes) -> bytes:
        if self.is_edwards:
            return self.edwards.sign(message)
        return self.elliptic.sign(message, ec.ECDSA(hashes.SHA256()))

    def client_data(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def authenticator_data(self, more: bytes = b"", flags: int = 0) -> bytes:
        self.count += self.steps
        return hashlib.sha256(self.host.encode()).digest() + bytes([self.flags | flags]) + self.count.to_bytes(4) + more

    def create(self, options: Any) -> dict[str, Any]:
        """The answer to `navigator.credentials.create`."""
        self.handle = decode(options["user"]["id"])
        attested = bytes(16) + len(self.id).to_bytes(2) + self.id + self.public_key()
        data = self.authenticator_data(attested, ATTESTED)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return {
            "id": encode(self.id),
            "rawId": encode(self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(self.client_data("webauthn.create", options["challenge"])),
                "attestationObject": encode(attestation),
                "transports": ["internal"],
            },
        }

    def get(self, options: Any) -> dict[str, Any]:
        """The answer to `navigator.credentials.get`."""
        said = self.client_data("webauthn.get", options["challenge"])
        data = self.authenticator_data()
        return {
            "id": encode(self.id),
            "rawId": encode(self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(said),
                "authenticatorData": encode(data),
                "signature": encode(self.sign(data + hashlib.sha256(said).digest())),
                "userHandle": encode(self.handle),
            },
        }


def add_passkey(cloud: Cloud, person: Person, authenticator: Authenticator | None = None) -> str:
    """A new passkey of the person's; its id."""
    authenticator = authenticator or Authenticator()
    session = cloud.session(person.id)
    begun = cloud.post("/api/auth/passkeys/options", session).ok()
    body = {"token": begun["token"], "credential": authenticator.create(begun["options"]), "name": "A phone"}
    return str(cloud.post("/api/auth/passkeys", session, body).ok(201)["id"])
