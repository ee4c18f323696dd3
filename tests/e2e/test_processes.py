"""Several processes on one PostgreSQL database: servers without a worker, workers without a server, one killed."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from forebay.domain.money import audit
from forebay.storage.database import Database
from tests.e2e.cloud import ADDRESS, Client, Process, containers, eventually, forebay, remove
from tests.servers import PostgreSQL

pytestmark = pytest.mark.postgresql

LAUNCHES = 6


@pytest.fixture
def address(postgresql_server: PostgreSQL) -> Iterator[str]:
    """An empty database; gone at the end, and with it the cloud's machines."""
    url = postgresql_server.create("processes")
    yield url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        found = connection.execute("SELECT id FROM cloud").fetchone()
    if found is not None:
        remove(str(found[0]))
    postgresql_server.drop("processes")


@pytest.fixture
def processes(address: str, base_image: None, tmp_path: Path) -> Iterator[dict[str, Process]]:
    """Two servers and two workers with one secret key, each in a folder of its own. They end with the test."""
    settings = {"database_url": address, "secret_key": "k" * 40, "rate_limit_creations": "100", "cycle_seconds": "2"}
    settings["api_access"] = "everyone"
    made = {}
    for name in ("first server", "second server", "first worker", "second worker"):
        command = ["serve", "--no-worker", "--port", "0"] if "server" in name else ["worker"]
        folder = tmp_path / name
        made[name] = Process([*command, "--data-dir", folder / "data"], folder, settings)
    made["first server"].start()
    made["first server"].says(ADDRESS)
    for name in ("second server", "first worker", "second worker"):
        made[name].start()
    yield made
    for process in made.values():
        if process.child is not None and process.child.poll() is None:
            process.end()


def sign_in(url: str, tmp_path: Path, processes: dict[str, Process]) -> tuple[str, str]:
    """A person with an API key, and their team with credits; both ids as the wire has them."""
    settings = processes["first server"].settings
    account = ("ann@example.org", "--name", "Ann", "--password", "a long password")
    for command in (("create", *account), ("grant", "ann", "50")):
        done = forebay("operator", *command, "--data-dir", tmp_path / "shell", **settings)
        assert done.returncode == 0, done.stderr
    credentials = {"email": "ann@example.org", "password": "a long password"}
    token = httpx.post(f"{url}/api/auth/sign-in", json=credentials).json()["token"]
    session = Client(url, token)
    made = session.post("/api/api-keys", {"name": "processes"})
    assert made.status_code == 201, made.text
    [team] = session.get("/api/teams")["teams"]
    session.close()
    return str(made.json()["secret"]), str(team["id"])


def test_two_servers_and_two_workers_one_of_them_killed(
    processes: dict[str, Process], address: str, tmp_path: Path
) -> None:
    urls = [processes[name].says(ADDRESS) for name in ("first server", "second server")]
    for name in ("first worker", "second worker"):
        processes[name].says(re.compile("(Forebay reconciles)"))
    key, team_id = sign_in(urls[0], tmp_path, processes)
    private = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(private)], check=True)
    clients = [Client(url, key) for url in urls]
    eventually(lambda: clients[1].get("/api/gpu-offers")["data"], "there are offers")
    order = {
        "teamId": team_id,
        "provider": "local",
        "offerId": "local-cpu-small",
        "gpuType": "cpu",
        "gpuCount": 0,
        "region": "local",
        "operatingSystem": "Debian 12",
        "instanceType": "DEDICATED",
        "ssh_public_key": private.with_suffix(".pub").read_text().strip(),
    }

    def launch(number: int) -> str:
        answer = clients[number % 2].post("/api/deployments", order | {"name": f"machine-{number}"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    with ThreadPoolExecutor(LAUNCHES) as pool:
        launched = list(pool.map(launch, range(LAUNCHES)))
    processes["first worker"].kill()
    started_at = time.monotonic()
    for number, deployment_id in enumerate(launched):
        clients[number % 2].await_status(deployment_id, "running")
    print(f"all run {time.monotonic() - started_at:.1f} s after one of the workers was killed")

    database = Database(address.replace("postgresql://", "postgresql+psycopg://"), connections=2)
    try:
        with database.read() as connection:
            [(cloud_id,)] = connection.exec_driver_sql("SELECT id FROM cloud").all()
            segments = connection.exec_driver_sql("SELECT resource_id FROM segments").scalars().all()
            events = connection.exec_driver_sql("SELECT deployment_id FROM deployment_events WHERE kind = 'running'")
            assert sorted(events.scalars()) == sorted(segments) == sorted(launched)
        assert containers(cloud_id) == dict.fromkeys(launched, "running")
        eventually(lambda: clients[0].deployment(launched[0])["totalCost"] > 0, "a cycle has charged")
        for number, deployment_id in enumerate(launched):
            assert clients[number % 2].delete(f"/api/deployments/{deployment_id}").status_code == 200
        eventually(lambda: containers(cloud_id) == {}, "all are gone", every=0.5)
        balance = clients[0].balance(team_id)
        charged = [clients[1].deployment(deployment_id)["totalCost"] for deployment_id in launched]
        assert round(balance * 1e6) == 50_000_000 - round(sum(charged) * 1e6)
        with audit.snapshot(database) as connection:
            assert audit.run(connection) == []
    finally:
        with contextlib.suppress(Exception):
            database.close()
        for client in clients:
            client.close()
