"""`kill -9` of the server, and of Podman's service, at any moment of launches, stops and terminations.

After a restart on the same folder: no container without a record, no record without its container, books that balance,
and nobody has paid for the same second twice.
"""

import contextlib
import os
import random
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from forebay.compute.local import LocalProvider
from forebay.settings import Settings
from tests.e2e.cloud import Client, Cloud, cloud, eventually

ROUNDS = 8
SEED = int(os.environ.get("SEED", "20260301"))
MOST_SECONDS_TO_LIVE = 1.6

OVERLAPS = """
    SELECT one.resource_id FROM segments AS one JOIN segments AS other
    ON one.resource_id = other.resource_id AND one.id < other.id
    AND one.started_at < COALESCE(other.ended_at, 1e18) AND other.started_at < COALESCE(one.ended_at, 1e18)
"""
BALANCES = """
    SELECT teams.id, accounts.balance_micros,
        (SELECT COALESCE(SUM(amount_micros), 0) FROM entries
            JOIN transfers ON transfers.id = transfer_id WHERE account_id = accounts.id AND kind = 'grant'),
        (SELECT COALESCE(SUM(rate_micros * (charged_through - started_at) / 3600), 0) FROM segments
            WHERE segments.team_id = teams.id)
    FROM teams JOIN accounts ON accounts.team_id = teams.id
"""
STATES = {"running": "running", "stopped": "exited"}


@pytest.fixture
def mortal(base_image: None, tmp_path: Path) -> Any:
    """A demo cloud of the test's own."""
    with cloud(tmp_path) as found:
        yield found


def check(mortal: Cloud) -> None:
    """What must hold whenever all is quiet."""
    records = dict(mortal.rows("SELECT id, status FROM deployments WHERE gone_at IS NULL"))
    assert {key: STATES[status] for key, status in records.items()} == mortal.containers()
    assert mortal.violations() == []
    assert mortal.rows(OVERLAPS) == []
    for team_id, balance, granted, used in mortal.rows(BALANCES):
        assert balance == granted - used, team_id
    open_holds = {key for (key,) in mortal.rows("SELECT resource_id FROM holds WHERE released_at IS NULL")}
    assert open_holds == {key for key, status in records.items() if status == "running"}


def keep_busy(client: Client, order: dict[str, Any], machines: dict[str, str]) -> list[threading.Thread]:
    """Launch two machines and change every other, all at once; what was answered doesn't matter."""

    def act(method: str, path: str, body: Any = None) -> None:
        with contextlib.suppress(httpx.TransportError):
            client.http.request(method, path, json=body)

    requests: list[tuple[Any, ...]] = [("POST", "/api/deployments", order)] * 2
    for place, (key, status) in enumerate(machines.items()):
        path = f"/api/deployments/{key}"
        if status == "stopped":
            requests.append(("POST", f"{path}/start") if place % 2 else ("DELETE", path))
        elif place % 2:
            requests.append(("POST", f"{path}/stop") if place % 4 == 1 else ("DELETE", path))
    threads = [threading.Thread(target=act, args=request) for request in requests]
    for thread in threads:
        thread.start()
    return threads


def test_killed_at_random_moments(mortal: Cloud) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    for number in range(ROUNDS):
        client = mortal.client()
        eventually(lambda client=client: client.get("/api/gpu-offers")["data"], "there are offers")
        machines = dict(
            mortal.rows("SELECT id, status FROM deployments WHERE status IN ('running', 'stopped') ORDER BY id")
        )
        seconds = chance.uniform(0, MOST_SECONDS_TO_LIVE)
        threads = keep_busy(client, mortal.order(), machines)
        time.sleep(seconds)
        mortal.server.kill()
        for thread in threads:
            thread.join()
        mortal.start()
        mortal.await_quiet()
        states = [status for (status,) in mortal.rows("SELECT status FROM deployments")]
        print(f"round {number}: killed after {seconds:.2f} s; {', '.join(states)}")
        check(mortal)
    client = mortal.client()
    for (key,) in mortal.rows("SELECT id FROM deployments WHERE status IN ('running', 'stopped')"):
        assert client.delete(f"/api/deployments/{key}").status_code == 200
    mortal.await_quiet()
    assert mortal.containers() == {}
    check(mortal)


def test_the_lease_of_a_killed_server_s_cycle_holds_nobody_up(mortal: Cloud) -> None:
    client = mortal.client()
    machine = mortal.launch(client)
    mortal.server.kill()
    with contextlib.closing(sqlite3.connect(mortal.data_dir / "forebay.db", isolation_level=None)) as database:
        database.execute("INSERT OR REPLACE INTO leases VALUES ('deduction-cycle', 'the dead', 4000000000)")
    mortal.start()
    client = mortal.client()
    eventually(lambda: client.deployment(machine["id"])["totalCost"] > 0, "a cycle has charged", within=15)
    assert client.delete(f"/api/deployments/{machine['id']}").status_code == 200
    mortal.await_quiet()
    check(mortal)


def test_a_killed_podman_service_is_started_again(mortal: Cloud) -> None:
    client = mortal.client()
    machine = mortal.launch(client)
    service = LocalProvider(Settings(), mortal.cloud_id).service
    pid = service.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    other = mortal.launch(client)
    assert service.pid() not in (None, pid)
    assert mortal.says(machine, "echo in") == mortal.says(other, "echo in") == "in"
    pid = service.pid()
    assert pid is not None
    mortal.server.kill()
    os.kill(pid, signal.SIGKILL)
    mortal.start()
    client = mortal.client()
    for deployment in (machine, other):
        assert mortal.says(deployment, "echo in") == "in"
        assert client.delete(f"/api/deployments/{deployment['id']}").status_code == 200
    mortal.await_quiet()
    assert mortal.containers() == {}
    check(mortal)
