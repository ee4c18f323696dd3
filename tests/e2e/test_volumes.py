"""Volumes on real machines, over HTTP and the command line, with the server killed in the middle of each step."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cloud import Client, Cloud, cloud, eventually
from tests.e2e.test_command_line import Terminal

SEED = 20261124


@pytest.fixture
def mortal(base_image: None, tmp_path: Path) -> Any:
    """A demo cloud of the test's own."""
    with cloud(tmp_path) as found:
        yield found


def kill_and_start(mortal: Cloud, chance: random.Random) -> Client:
    """kill -9 within the time that a step takes, and start again; requests from then on."""
    time.sleep(chance.random() * 0.4)
    mortal.server.kill()
    mortal.start()
    return mortal.client()


def volume(client: Client, volume_id: str) -> Any:
    return client.get(f"/api/volumes/{volume_id}")


def until(client: Client, volume_id: str, claim: Callable[[Any], bool], what: str) -> Any:
    """The volume once it is so."""

    def found() -> Any:
        seen = volume(client, volume_id)
        return seen if claim(seen) else None

    return eventually(found, what)


def test_what_is_stored_outlives_machines_and_the_server(mortal: Cloud) -> None:
    chance, client = random.Random(SEED), mortal.client()
    eventually(lambda: client.get("/api/volumes/regions")["regions"], "there are regions")
    team = mortal.facts["teams"][0]["id"]
    body = {"name": "data", "sizeInGb": 1, "provider": "local", "teamId": team}
    made = client.post("/api/volumes", body)
    assert made.status_code == 201, made.text
    data = made.json()["id"]
    until(client, data, lambda now: now["status"] == "available", "it is made")
    commands = {"runcmd": ["df -h /mnt/data > /mnt/data/at-first-boot; echo written > /mnt/data/file; sync"]}
    order = mortal.order(volumeIds=[data], cloudInit=commands)
    first = client.post("/api/deployments", order).json()
    client = kill_and_start(mortal, chance)
    first = client.await_status(first["id"], "running")
    assert first["volumeIds"] == [data]
    eventually(lambda: mortal.ssh(first, "cat /mnt/data/file").stdout == "written\n", "first boot wrote to it")
    assert "/mnt/data" in mortal.says(first, "cat /mnt/data/at-first-boot")
    second = mortal.launch(client, name="second")
    assert client.post(f"/api/volumes/{data}/attach", {"deploymentId": second["id"]}).status_code == 200
    client = kill_and_start(mortal, chance)
    until(client, data, lambda now: {each["status"] for each in now["attachments"]} == {"attached"}, "both have it")
    assert mortal.says(second, "cat /mnt/data/file; echo more >> /mnt/data/file") == "written"
    assert client.delete(f"/api/deployments/{first['id']}").status_code == 200
    until(client, data, lambda now: len(now["attachments"]) == 1, "the first is gone")
    assert mortal.says(second, "cat /mnt/data/file") == "written\nmore"
    assert client.http.patch(f"/api/volumes/{data}", json={"sizeInGb": 2}).status_code == 200
    client = kill_and_start(mortal, chance)
    eventually(lambda: mortal.says(second, "df -BG --output=size /mnt/data | tail -1") == "2G", "it has grown")
    assert client.post(f"/api/deployments/{second['id']}/stop").status_code == 200
    client.await_status(second["id"], "stopped")
    assert client.post(f"/api/deployments/{second['id']}/start").status_code == 200
    second = client.await_status(second["id"], "running")
    assert mortal.says(second, "cat /mnt/data/file") == "written\nmore"
    assert client.post(f"/api/volumes/{data}/detach", {"deploymentId": second["id"]}).status_code == 200
    client = kill_and_start(mortal, chance)
    until(client, data, lambda now: now["status"] == "available", "it is detached")
    assert mortal.says(second, "ls /mnt") == ""
    assert client.delete(f"/api/volumes/{data}").status_code == 200
    until(client, data, lambda now: now["status"] == "deleted", "it is deleted")
    assert [path.name for path in (mortal.data_dir / "volumes").iterdir()] == []
    assert mortal.violations() == []


def test_as_a_person_uses_them(demo: Cloud, owner: Client, tmp_path: Path) -> None:
    person = Terminal(tmp_path / "olga", demo.url, demo.facts["people"][0])
    person.environment |= {
        "FOREBAY_TOKEN": demo.facts["people"][0]["apiKey"],
        "FOREBAY_TEAM": demo.facts["teams"][0]["slug"],
    }
    eventually(lambda: person.json("volumes", "regions")["regions"], "there are regions")
    machine = demo.launch(owner, name="stored")
    assert "scratch is available: 1 GB" in person.types("volumes", "create", "scratch", "1")
    assert "scratch is attached to stored: /mnt/scratch" in person.types("volumes", "attach", "scratch", "stored")
    demo.says(machine, "cd /mnt/scratch && head -c 20M /dev/urandom > file && (sleep 300 >/dev/null 2>&1 & echo $!)")
    assert "uses /mnt/scratch" in person.types("volumes", "detach", "scratch", "stored", status=1)
    demo.says(machine, "pkill sleep; sleep 0.2")
    assert "grows to 2 GB" in person.types("volumes", "grow", "scratch", "2")
    assert "is off stored" in person.types("volumes", "detach", "scratch", "stored")
    assert "20 MB" in person.types("volumes", "list")
    assert "is kept now" in person.types("volumes", "rename", "scratch", "kept")
    assert "Delete kept with 20 MB" in person.types("volumes", "delete", "kept", answer="y")
    assert owner.delete(f"/api/deployments/{machine['id']}").status_code == 200
