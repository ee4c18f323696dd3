"""Machines for tests: the local provider under a name of this test process's own, taken off the machine at the end."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from forebay.compute.base import Instance, LaunchSpec, NotYetTerminated, Provider, Shell
from forebay.compute.local import LocalProvider
from forebay.settings import Settings

PATIENCE_SECONDS = 30


class Lab:
    """A provider, the machines that a test launched with it, and a way into them."""

    def __init__(self, provider: LocalProvider, key: Path) -> None:
        self.provider = provider
        self.key = key
        self.public_key = key.with_suffix(".pub").read_text().strip()
        self.launched: list[str] = []

    def spec(self, name: str, *, team: int = 1, **changes: Any) -> LaunchSpec:
        """A small machine of a team."""
        self.launched.append(name)
        facts: dict[str, Any] = {
            "deployment_id": name, "team_id": f"team-{team}", "team_number": team, "hostname": name,
            "offer_id": "cpu-small", "pool": "local", "operating_system": "Debian 12", "vcpus": 1, "memory_gb": 1,
            "storage_gb": 10, "gpu_type": "cpu", "gpu_count": 0, "authorized_keys": (self.public_key,),
        }  # fmt: skip
        return LaunchSpec(**(facts | changes))

    def launch(self, name: str, **changes: Any) -> Instance:
        """Launch a machine, and return it once SSH answers."""
        self.provider.launch(self.spec(name, **changes))
        return self.ready(name)

    def ready(self, name: str) -> Instance:
        """The machine, once it has told its host keys and SSH answers."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            instance = self.provider.inspect(name)
            assert instance is not None
            if instance.host_keys and answers(instance):
                return instance
            time.sleep(0.02)
        raise AssertionError(f"{name} does not answer: {self.provider.logs(name)}")

    def ssh(self, instance: Instance, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a machine, trusting only the host keys that it reported."""
        return subprocess.run(
            self.command(instance, command), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )

    def command(self, instance: Instance, command: str) -> list[str]:
        """How a command on a machine is run."""
        known = self.key.with_name("known_hosts")
        place = f"[{instance.address}]:{instance.ssh_port}"
        known.write_text("".join(f"{place} {host_key}\n" for host_key in instance.host_keys))
        return [
            "ssh", "-F", "none", "-i", str(self.key), "-p", str(instance.ssh_port), "-o", "BatchMode=yes", "-o",
            f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5", "-o",
            "LogLevel=ERROR", f"{instance.user}@{instance.address}", command,
        ]  # fmt: skip

    @contextmanager
    def session(self, instance: Instance, command: str) -> Iterator[None]:
        """A command that runs on a machine meanwhile, without a terminal."""
        process = subprocess.Popen(self.command(instance, command), stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def says(self, instance: Instance, command: str) -> str:
        """What a command prints on a machine; it must succeed."""
        done = self.ssh(instance, command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def end(self, names: Sequence[str]) -> None:
        """Terminate, asking again as the protocol says."""
        for name in names:
            end(self.provider, name)


def end(provider: Provider, name: str) -> None:
    """Terminate one deployment, asking again while the provider says "not yet"."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return provider.terminate(name)
        except NotYetTerminated:
            assert time.monotonic() < until
            time.sleep(0.1)


def answers(instance: Instance) -> bool:
    """Whether an SSH server greets at the machine's port."""
    place = (instance.probe_address or instance.address, instance.ssh_port)
    try:
        with socket.create_connection(place, timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def answered(shell: Shell, command: str) -> str:
    """What a command prints on a terminal."""
    shell.write(f"printf '<%s' '<'; {command}; printf '>%s' '>'\r".encode())
    text = ""
    until = time.monotonic() + PATIENCE_SECONDS
    while ">>" not in text:
        assert time.monotonic() < until, text
        text += (shell.read(1) or b"").decode()
    return text[text.index("<<") + 2 : text.index(">>")]


@pytest.fixture(scope="session")
def ssh_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key; its public half is beside it."""
    path = tmp_path_factory.mktemp("ssh") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path


def installation(name: str, **settings: Any) -> Iterator[LocalProvider]:
    """A local provider that shares nothing with others on this machine, and leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        cloud_id = f"test-{name}-{os.getpid()}-{time.time_ns()}"
        provider = LocalProvider(Settings(data_dir=Path(folder), **settings), cloud_id)
        provider.prepare()
        yield provider
        for instance in provider.observe():
            end(provider, instance.deployment_id)
        provider.remove_installation()


@pytest.fixture(scope="session")
def local_provider() -> Iterator[LocalProvider]:
    """One installation for all tests of this process, with the demo's simulated GPUs."""
    yield from installation("one", demo=True)


@pytest.fixture(scope="session")
def neighbour_provider() -> Iterator[LocalProvider]:
    """Another installation on the same machine."""
    yield from installation("two")


@pytest.fixture
def make_lab(ssh_key: Path) -> Iterator[Callable[[LocalProvider], Lab]]:
    """Makes a Lab of a provider; what was launched in it ends with the test."""
    labs: list[Lab] = []

    def make(provider: LocalProvider) -> Lab:
        labs.append(Lab(provider, ssh_key))
        return labs[-1]

    yield make
    for lab in labs:
        lab.end(lab.launched)


@pytest.fixture
def lab(make_lab: Callable[[LocalProvider], Lab], local_provider: LocalProvider) -> Lab:
    """The usual one."""
    return make_lab(local_provider)
