"""A whole Forebay as its users have it: a process that is started and killed, requests over HTTP, machines by SSH."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from forebay.compute.base import ProviderError
from forebay.compute.local import LocalProvider
from forebay.domain.money import audit
from forebay.settings import Settings
from forebay.storage.database import Database

PROGRAM = Path(sys.executable).with_name("forebay")
PATIENCE_SECONDS = 60
END_SECONDS = 20
ADDRESS = re.compile(r"^Forebay answers at (\S+)$", re.M)


def environment(**more: str) -> dict[str, str]:
    """The environment without settings of Forebay's but these, by their names in lower case."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}
    return kept | {f"FOREBAY_{name.upper()}": value for name, value in more.items()}


def forebay(*arguments: str | Path, given: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [PROGRAM, *arguments],
        env=environment(**settings),
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def eventually(claim: Any, what: str, *, within: float = PATIENCE_SECONDS, every: float = 0.05) -> Any:
    """What `claim()` returns once that is true; fails if it doesn't become so."""
    until = time.monotonic() + within
    while True:
        found = claim()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {within} s")
        time.sleep(every)


@dataclass
class Process:
    """One `forebay` process that goes on until it is ended."""

    arguments: Sequence[str | Path]
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0

    def start(self) -> None:
        """Start it; returns at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.said.open("wb") as said, self.logged.open("ab") as logged:
            self.started_at = time.monotonic()
            self.child = subprocess.Popen(
                [PROGRAM, *self.arguments],
                env=environment(**self.settings),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=logged,
            )

    @property
    def said(self) -> Path:
        """What it wrote on standard output."""
        return self.folder / "said"

    @property
    def logged(self) -> Path:
        """What it logged, over all its starts."""
        return self.folder / "logged"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.child is not None
        return self.child.pid

    def says(self, pattern: re.Pattern[str]) -> str:
        """The first group of the pattern, once it stands in what the process says."""

        def claim() -> str | None:
            assert self.child is not None
            assert self.child.poll() is None, self.logged.read_text()[-3000:]
            found = pattern.search(self.said.read_text())
            return found[1] if found else None

        return str(eventually(claim, f"{self.arguments} says {pattern.pattern}", every=0.005))

    def kill(self) -> None:
        """kill -9."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()

    def end(self) -> int:
        """Ask it to end, and wait; its exit status."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(END_SECONDS)


class Client:
    """Requests with one key."""

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=PATIENCE_SECONDS)

    def get(self, path: str) -> Any:
        """The answer to a GET that must succeed."""
        answer = self.http.get(path)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        """A POST, whatever is answered."""
        return self.http.post(path, json=body)

    def delete(self, path: str) -> httpx.Response:
        """A DELETE, whatever is answered."""
        return self.http.delete(path)

    def deployment(self, deployment_id: str) -> dict[str, Any]:
        """A deployment as it is now."""
        found: dict[str, Any] = self.get(f"/api/deployments/{deployment_id}")
        return found

    def await_status(self, deployment_id: str, status: str) -> dict[str, Any]:
        """The deployment, once it has this status."""

        def claim() -> dict[str, Any] | None:
            found = self.deployment(deployment_id)
            assert status == "failed" or found["status"] != "failed", found["error"]
            return found if found["status"] == status else None

        found: dict[str, Any] = eventually(claim, f"{deployment_id} is {status}", every=0.02)
        return found

    def balance(self, team_id: str) -> float:
        """A team's balance in dollars."""
        teams = self.get("/api/balance")["teams"]
        return float(next(team["balance"] for team in teams if team["teamId"] == team_id))

    def close(self) -> None:
        """Let go of connections."""
        self.http.close()


class Cloud:
    """A demo cloud in a folder: its server, what `demo.json` tells, and a way to clean up after it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.data_dir = folder, folder / "data"
        self.settings = settings
        self.server = Process(
            ["serve", "--demo", "--port", "0", "--data-dir", self.data_dir], folder / "server", settings
        )
        self.url = ""
        self.clients: list[Client] = []

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.server.start()
        self.url = self.server.says(ADDRESS)

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{self.url}/healthz").status_code == 200
            return False

        eventually(answers, "the server answers", every=0.01)
        eventually(self.demo_file.exists, "demo.json is there")

    @property
    def demo_file(self) -> Path:
        """Where the keys are."""
        return self.data_dir / "demo.json"

    @property
    def facts(self) -> Any:
        """What `demo.json` tells."""
        return json.loads(self.demo_file.read_text())

    def client(self, key: str | None = None) -> Client:
        """Requests with the key, or with the owner's."""
        self.clients.append(Client(self.url, key or self.facts["people"][0]["apiKey"]))
        return self.clients[-1]

    def order(self, **changes: Any) -> dict[str, Any]:
        """The body of a launch of the smallest machine."""
        facts = self.facts
        return {
            "teamId": facts["teams"][0]["id"],
            "provider": "local",
            "offerId": "local-cpu-small",
            "gpuType": "cpu",
            "gpuCount": 0,
            "region": "local",
            "operatingSystem": "Debian 12",
            "instanceType": "DEDICATED",
            "sshKeyId": facts["sshKey"]["id"],
            **changes,
        }

    def launch(self, client: Client, **changes: Any) -> dict[str, Any]:
        """Launch the smallest machine; the deployment once it runs."""
        answer = client.post("/api/deployments", self.order(**changes))
        assert answer.status_code == 201, answer.text
        return client.await_status(answer.json()["id"], "running")

    def ssh(
        self, deployment: dict[str, Any], command: str, key: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a machine, by the command line that the API tells, with the demo's key."""
        key = key or Path(self.facts["sshKey"]["privateKeyFile"])
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        return subprocess.run(
            [
                *deployment["sshCommand"].split(),
                "-i",
                key,
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "BatchMode=yes",
                *options,
                command,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def says(self, deployment: dict[str, Any], command: str) -> str:
        """What a command prints that must succeed."""
        done = self.ssh(deployment, command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    # Behind the scenes.

    @property
    def cloud_id(self) -> str:
        """The mark of this cloud's containers."""
        [(found,)] = self.rows("SELECT id FROM cloud")
        return str(found)

    def rows(self, statement: str) -> list[Any]:
        """Rows of the database, read beside the server."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data_dir / 'forebay.db'}?mode=ro", uri=True)) as found:
            return found.execute(statement).fetchall()

    def violations(self) -> list[Any]:
        """What an audit finds."""
        database = Database(f"sqlite:///{self.data_dir / 'forebay.db'}", connections=2)
        try:
            with audit.snapshot(database) as connection:
                return list(audit.run(connection))
        finally:
            database.close()

    def containers(self) -> dict[str, str]:
        """The state of each container with this cloud's mark, by deployment, as Podman itself says."""
        return containers(self.cloud_id)

    def await_quiet(self) -> None:
        """Wait until nothing is left to be brought about."""
        due = "SELECT count(*) FROM deployments WHERE due_at IS NOT NULL"
        eventually(lambda: self.rows(due) == [(0,)], "all is quiet")

    def close(self) -> None:
        """End the server, and take everything of it off this machine."""
        for client in self.clients:
            client.close()
        if self.server.child is not None and self.server.child.poll() is None:
            self.server.end()
        if (self.data_dir / "forebay.db").exists():
            remove(self.cloud_id)


def containers(cloud_id: str) -> dict[str, str]:
    """The state of each container with a cloud's mark, by deployment, as Podman itself says."""
    listed = subprocess.run(
        ["podman", "ps", "--all", "--filter", f"label=io.forebay.cloud={cloud_id}", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    return {
        entry["Labels"]["io.forebay.deployment"]: str(entry["State"]) for entry in json.loads(listed.stdout or "[]")
    }


def remove(cloud_id: str) -> None:
    """Take a cloud's machines, networks, firewall rules and service off this machine."""
    provider = LocalProvider(Settings(), cloud_id)

    def is_gone() -> bool:
        try:
            provider.remove_installation()
        except ProviderError:
            return False
        return True

    eventually(is_gone, "the installation is gone", every=0.5)


@contextlib.contextmanager
def cloud(folder: Path, **settings: str) -> Iterator[Cloud]:
    """A running demo cloud, gone without a trace at the end."""
    found = Cloud(folder, **settings)
    try:
        found.start()
        yield found
    finally:
        found.close()
