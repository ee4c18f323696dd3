"""Keys, sessions, ports and logs of real machines: what changes while they run, and what is read back from them."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.compute.base import CloudInit, FoundKey, Instance, LogKind
from forebay.compute.local import container, first_boot, inside, sessions
from tests.compute.conftest import PATIENCE_SECONDS, Lab

pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second private key; its public half is beside it."""
    path = tmp_path_factory.mktemp("other") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-C", "the other", "-f", str(path)], check=True)
    return path


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


def fingerprint(key: Path) -> str:
    printed = subprocess.run(["ssh-keygen", "-lf", key], check=True, capture_output=True, text=True).stdout
    return printed.split()[1]


@contextlib.contextmanager
def session(machine: Instance, key: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An open SSH connection, from the moment that it says so."""
    ssh = ["ssh", "-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
    ssh += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p", str(machine.ssh_port)]
    with subprocess.Popen(
        [*ssh, f"root@{machine.address}", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "in"
            yield process
        finally:
            process.kill()


def is_over(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether the client has noticed the end of its connection by then."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return True
    return False


def test_try(lab: Lab, other_key: Path) -> None:
    machine = lab.launch("ends", authorized_keys=(lab.public_key, public(other_key)))
    print(lab.ssh(machine, "sh -x /usr/lib/forebay/note-login SHA256:x; cat /run/forebay-logins/logins; exit 0").stderr)
    print(lab.provider.logs("ends"))
    print(lab.says(machine, "cat /run/forebay-logins/logins; ls -la /run/forebay-logins; ps ax -o pid,ppid,cmd"))
    with session(machine, other_key, "echo in; exec sleep 1000") as leaving, session(machine, lab.key, "echo in; cat") as staying:
        print(lab.says(machine, "cat /run/forebay-logins/logins; ps ax -o pid,ppid,cmd"))
        began = time.monotonic()
        lab.provider.set_authorized_keys("ends", [lab.public_key], [public(other_key)])
        print("set", time.monotonic() - began)
        began = time.monotonic()
        n = lab.provider.end_sessions("ends", [fingerprint(other_key)])
        print("end", n, time.monotonic() - began)
        assert is_over(leaving, 5)
        assert not is_over(staying, 0.5)
        began = time.monotonic()
        print(lab.provider.authorized_keys("ends"), time.monotonic() - began)
    began = time.monotonic()
    part = lab.provider.read_log("ends", LogKind.console)
    print(part, time.monotonic() - began)
    began = time.monotonic()
    print(lab.provider.read_log("ends", LogKind.console, after=part.cursor), time.monotonic() - began)
