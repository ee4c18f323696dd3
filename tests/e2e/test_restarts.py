"""The control plane goes and comes back, gently or not: machines and whoever works on them notice nothing of it."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.domain.money.amounts import charge_micros
from tests.e2e.cloud import ADDRESS, PROGRAM, Client, Cloud, Process, cloud, environment, eventually


@pytest.fixture
def mortal(base_image: None, tmp_path: Path) -> Iterator[Cloud]:
    """A demo cloud of the test's own."""
    with cloud(tmp_path) as found:
        yield found


class Session:
    """An SSH connection in which somebody works."""

    def __init__(self, machine: dict[str, Any], key: Path) -> None:
        options = ["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
        options += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        self.ssh = subprocess.Popen(
            [*machine["sshCommand"].split(), "-i", key, *options, "exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def echoes(self, line: str) -> bool:
        """Whether what is typed comes back."""
        assert self.ssh.stdin is not None
        assert self.ssh.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.ssh.stdin.write(f"{line}\n")
            self.ssh.stdin.flush()
            return self.ssh.stdout.readline() == f"{line}\n"
        return False

    def is_over(self) -> bool:
        """Whether it was ended."""
        return self.ssh.poll() is not None

    def close(self) -> None:
        self.ssh.kill()
        with self.ssh:
            pass


def new_key(folder: Path, name: str) -> Path:
    """A private key; its public half is beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name], check=True)
    return folder / name


def add_key(mortal: Cloud, client: Client, key: Path) -> str:
    """The id of a key, which is the team's from now on."""
    body = {"name": key.name, "publicKey": key.with_suffix(".pub").read_text(), "teamId": mortal.order()["teamId"]}
    return str(client.post("/api/ssh-keys", body).json()["id"])


def process_of(machine: dict[str, Any]) -> tuple[str, str]:
    """The number of the machine's init on the host, and when it was started."""
    command = ["podman", "ps", "--filter", f"label=io.forebay.deployment={machine['id']}", "--format", "{{.Pid}}"]
    pid = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return pid, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@contextlib.contextmanager
def without_worker(mortal: Cloud) -> Iterator[Client]:
    """The API alone: what is asked for waits for somebody to bring it about."""
    process = Process(
        ["serve", "--no-worker", "--port", "0", "--data-dir", mortal.data_dir], mortal.folder / "api", mortal.settings
    )
    process.start()
    client = Client(process.says(ADDRESS), mortal.facts["people"][0]["apiKey"])
    try:
        yield client
    finally:
        client.close()
        process.end()


def test_machines_sessions_and_money_outlive_the_server_and_keys_follow(mortal: Cloud, tmp_path: Path) -> None:
    client = mortal.client()
    first, second = new_key(tmp_path, "first"), new_key(tmp_path, "second")
    ids = [add_key(mortal, client, key) for key in (first, second)]
    machine = mortal.launch(client, ports=[8080])
    path = f"/api/deployments/{machine['id']}"
    launch_key = machine["sshKeyId"]
    assert client.http.put(f"{path}/ssh-keys", json={"sshKeyIds": [launch_key, *ids]}).status_code == 200

    def states(client: Client) -> dict[str, str]:
        return {key["id"]: key["state"] for key in client.get(f"{path}/ssh-keys")["sshKeys"]}

    eventually(lambda: set(states(client).values()) == {"installed"}, "both keys are on the machine", within=15)
    before = process_of(machine)
    sessions = {key: Session(machine, key) for key in (first, second)}
    mine = Session(machine, Path(mortal.facts["sshKey"]["privateKeyFile"]))
    try:
        for key, key_id, kill in ((first, ids[0], mortal.server.end), (second, ids[1], mortal.server.kill)):
            assert sessions[key].echoes("before")
            kill()
            assert mine.echoes("while nobody watches")
            assert mortal.says(machine, "echo in") == "in"
            with without_worker(mortal) as other:
                assert other.delete(f"/api/ssh-keys/{key_id}").status_code == 200
                eventually(lambda other=other: other.get(f"{path}/ssh-keys")["readAt"], "machines are looked into")
                assert states(other)[key_id] == "leaving"
                assert "Accepted publickey" in other.get(f"{path}/logs")["text"]
            assert sessions[key].echoes("still here")
            mortal.start()
            began = time.monotonic()
            eventually(sessions[key].is_over, "what the deleted key opened is closed", within=30)
            print(f"closed {time.monotonic() - began:.1f} s after the start")
            assert mine.echoes("afterwards")
            assert process_of(machine) == before
        client = mortal.client()
        assert states(client) == {launch_key: "installed"}
        shown = client.deployment(machine["id"])
        assert [shown[name] for name in ("status", "sshPort", "portForwards", "hostKeys", "startedAt")] == [
            machine[name] for name in ("status", "sshPort", "portForwards", "hostKeys", "startedAt")
        ]
        kinds = [event["kind"] for event in reversed(client.get(f"{path}/events?limit=100")["events"])]
        assert kinds[:4] == ["accepted", "placed", "running", "ports"]
        assert kinds.count("ssh-key-removed") == kinds.count("ssh-sessions-ended") == 2
        assert "stopped" not in kinds
    finally:
        for session in (*sessions.values(), mine):
            session.close()
    assert client.delete(path).status_code == 200
    mortal.await_quiet()
    # One stretch of time from the first second to the last, charged once.
    [(started, ended, charged, rate)] = mortal.rows(
        f"SELECT started_at, ended_at, charged_micros, rate_micros FROM segments WHERE resource_id = '{machine['id']}'"
    )
    assert charged == charge_micros(rate, ended - started)
    assert mortal.violations() == []


def test_logs_are_followed_on_the_command_line(demo: Cloud, owner: Client) -> None:
    """`forebay logs -f` shows what a machine writes while it does, and ends when the machine is gone."""
    machine = demo.launch(owner, name="talks")
    told = environment(server=demo.url, token=demo.facts["people"][0]["apiKey"], team=machine["teamId"])
    command: list[str | Path] = [PROGRAM, "logs", "talks", "--follow"]
    with subprocess.Popen(command, env=told, stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        assert "forebay: host key" in logs.stdout.readline()
        demo.says(machine, "true")
        for line in logs.stdout:
            if "Accepted publickey" in line:
                break
        assert owner.delete(f"/api/deployments/{machine['id']}").status_code == 200
        assert logs.wait(30) == 0
    demo.await_quiet()
