"""SSH keys as OpenSSH itself makes and reads them."""

import subprocess
from pathlib import Path

import pytest

from forebay.domain.machines import ssh_keys
from forebay.errors import BadRequest

KINDS = [("ed25519", ""), ("rsa", "1024"), ("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")]
SECURITY_KEY = (
    "sk-ssh-ed25519@openssh.com "
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIKgh3mWxn1zIy29mg/DTZQ5JNHCIu7rQQzSPzRFDCnnkAAAABHNzaDo="
)


def make(folder: Path, kind: str, bits: str) -> str:
    size = ["-b", bits] if bits else []
    path = folder / f"{kind}{bits}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "a comment", "-f", path], check=True)
    return path.with_suffix(".pub").read_text()


def printed_fingerprint(folder: Path, text: str) -> str:
    path = folder / "printed.pub"
    path.write_text(text)
    found = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True)
    return found.stdout.split()[1]


@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_every_kind_is_taken_with_the_fingerprint_openssh_prints(tmp_path: Path, kind: str, bits: str) -> None:
    text = make(tmp_path, kind, bits)
    line, fingerprint, comment = ssh_keys.parse(f"  {text}\n")
    assert fingerprint == printed_fingerprint(tmp_path, text)
    assert (line, comment) == (" ".join(text.split()[:2]), "a comment")


def test_keys_on_security_tokens_are_taken(tmp_path: Path) -> None:
    assert ssh_keys.parse(SECURITY_KEY)[1] == printed_fingerprint(tmp_path, SECURITY_KEY)


def test_a_private_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    make(tmp_path, "ed25519", "")
    private = (tmp_path / "ed25519").read_text()
    with pytest.raises(BadRequest) as refused:
        ssh_keys.parse(private)
    assert "private key" in refused.value.sentence
    assert private.splitlines()[1] not in str(refused.value.details) + refused.value.sentence


def test_a_certificate_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "ed25519", "")
    key = tmp_path / "ed25519"
    subprocess.run(["ssh-keygen", "-q", "-s", key, "-I", "me", key.with_suffix(".pub")], check=True)
    with pytest.raises(BadRequest, match="certificate"):
        ssh_keys.parse((tmp_path / "ed25519-cert.pub").read_text())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 AAAA",
        "ssh-rsa AAAAB3NzaC1yc2E= x",
        "ssh-dss AAAAB3NzaC1kc3M= x",
        "not a key at all",
        'command="sh" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKgh3mWxn1zIy29mg/DTZQ5JNHCIu7rQQzSPzRFDCnnk',
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKgh3mWxn1zIy29mg/DTZQ5JNHCIu7rQQzSPzRFDCnnk\nssh-ed25519 AAAA",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKgh3mWxn1zIy29mg/DTZQ5JNHCIu7rQQzSPzRFDCnnk \x07",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIKgh3mWxn1zIy29mg/DTZQ5JNHCIu7rQQzSPzRFDCnnk",
        "sѕh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKgh3mWxn1zIy29mg/DTZQ5JNHCIu7rQQzSPzRFDCnnk",
        "x" * 20000,
    ],
)
def test_what_is_no_key_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        ssh_keys.parse(text)
    assert refused.value.details["publicKey"]


def test_a_weak_rsa_key_is_refused() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    weak = RSAPublicNumbers(65537, (1 << 767) + 123457).public_key()
    text = weak.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    with pytest.raises(BadRequest, match="bits"):
        ssh_keys.parse(text)
