"""`forebay deploy` and `deployments` as people use them, with real machines: from nothing to SSH, and to the end."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cloud import Client, Cloud, eventually
from tests.e2e.test_command_line import Terminal

SMALL = "local-cpu-small"


def in_a_home(demo: Cloud, folder: Path) -> tuple[Terminal, Path]:
    """A person who has signed in, with a key of their own that no team knows; the key."""
    person = Terminal(folder / "olga", demo.url, demo.facts["people"][0])
    ssh = person.folder / ".ssh"
    ssh.mkdir(mode=0o700)
    key = ssh / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "olga at home", "-f", key], check=True)
    team = demo.facts["teams"][0]["slug"]
    person.environment |= {"HOME": str(person.folder), "FOREBAY_TEAM": team}
    person.environment.pop("SSH_AUTH_SOCK", None)
    person.types("login")
    return person, key


def test_from_nothing_to_a_machine_and_to_its_end(demo: Cloud, owner: Client, tmp_path: Path) -> None:
    eventually(lambda: owner.get("/api/gpu-offers")["data"], "there are offers")
    person, key = in_a_home(demo, tmp_path)
    assert "$" in person.types("deploy", SMALL, "--preview")
    answers = [("Which offer", SMALL), ("Its name", "by hand"), ("Which key", str(key) + ".pub"), ("Launch it?", "y")]
    shown = person.types("deploy", answer=answers)
    assert "is added to" in shown
    assert re.search("Lasts +The credits last", shown)
    [line] = re.findall(r"by hand runs: (ssh .*)$", shown, re.M)
    words = shlex.split(line)
    options = ["-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path / 'known'}"]
    done = subprocess.run([*words, *options, "echo in"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "in\n", done.stderr
    assert "by hand" in person.types("deployments")
    assert "SSH answers at" in person.types("deployments", "show", "by hand")
    assert "called renamed now" in person.types("deployments", "rename", "by hand", "renamed")
    assert "run=7" in person.types("deployments", "label", "renamed", "run=7")
    assert "ends at $5.00" in person.types("deployments", "plan", "renamed", "--max-cost", "5")
    assert "is stopped" in person.types("deployments", "stop", "renamed", answer="y")
    machine: Any = person.json("deployments", "show", "renamed")
    eventually(lambda: demo.containers()[machine["id"]] == "exited", "it is stopped")
    assert "renamed runs: ssh" in person.types("deployments", "start", "renamed")
    assert "running" in person.types("deployments", "watch", "renamed", "--until", "running")
    assert "is terminated" in person.types("deployments", "terminate", "renamed", answer="y")
    assert "terminated" in person.types("deployments", "watch", machine["id"])
    owner.delete(f"/api/ssh-keys/{machine['sshKeyId']}")
    assert demo.violations() == []


def test_a_cost_ends_a_real_machine_to_the_second(demo: Cloud, owner: Client, tmp_path: Path) -> None:
    person, _ = in_a_home(demo, tmp_path)
    rate = person.json("deploy", SMALL, "--preview")["cost"]["perHour"]
    words = ("deploy", SMALL, "--ssh-key", demo.facts["sshKey"]["id"], "--yes")
    machine = person.json(*words, "--name", "dear", "--max-cost", str(round(4.5 * rate / 3600, 6)))
    ended = owner.await_status(machine["id"], "terminated")
    assert ended["totalCost"] == ended["accruedCost"] <= machine["maxCost"]
    assert machine["maxCost"] - ended["totalCost"] < rate / 3600
    demo.await_quiet()
    assert demo.violations() == []


@pytest.mark.prove
def test_an_idle_minute_stops_a_real_machine_and_a_busy_one_runs_on(demo: Cloud, owner: Client, tmp_path: Path) -> None:
    person, _ = in_a_home(demo, tmp_path)
    words = ("deploy", SMALL, "--ssh-key", demo.facts["sshKey"]["id"], "--auto-stop", "1", "--yes")
    idle, busy = (person.json(*words, "--name", name) for name in ("idle", "busy"))
    demo.says(busy, "setsid sh -c 'while :; do :; done' >/dev/null 2>&1 </dev/null &")
    stopped = eventually(
        lambda: (found := owner.deployment(idle["id"]))["status"] == "stopped" and found, "it is stopped", within=120
    )
    assert stopped["autoStopMinutes"] == 1
    kinds = [event["kind"] for event in owner.get(f"/api/deployments/{idle['id']}/events")["events"]]
    assert [kind for kind in kinds if kind != "halted"][:2] == ["stopped", "idle-warning"]
    assert owner.deployment(busy["id"])["status"] == "running"
    for machine in (idle, busy):
        owner.delete(f"/api/deployments/{machine['id']}")
    demo.await_quiet()
    assert demo.violations() == []
