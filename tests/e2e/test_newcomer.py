"""The newcomer's walk: with `demo.json` and nothing else, from the list of offers to books that balance."""

import sqlite3
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.e2e.cloud import Client, Cloud, eventually, forebay

CYCLE_SECONDS = 10


def amount(number: float) -> Decimal:
    """A JSON number of dollars, exactly."""
    return Decimal(str(number))


def test_demo_json_has_exactly_its_shape(demo: Cloud) -> None:
    facts = demo.facts
    assert stat.S_IMODE(demo.demo_file.stat().st_mode) == 0o600
    assert list(facts) == ["baseUrl", "operator", "people", "teams", "sshKey"]
    assert facts["baseUrl"] == demo.url
    assert set(facts["operator"]) == {"email", "password", "apiKey"}
    assert [set(person) for person in facts["people"]] == [{"name", "email", "password", "apiKey", "teams"}] * 3
    first, second = facts["teams"]
    assert set(first) == {"id", "slug", "name", "memberMode", "balance"}
    assert [team["memberMode"] for team in facts["teams"]] == ["deploy-only", "read-only"]

    def standing(team: dict[str, Any], role: str) -> dict[str, str]:
        return {"id": team["id"], "slug": team["slug"], "role": role}

    assert [person["teams"] for person in facts["people"]] == [
        [standing(first, "owner"), standing(second, "owner")],
        [standing(first, "admin")],
        [standing(first, "member"), standing(second, "member")],
    ]
    assert set(facts["sshKey"]) == {"id", "teamId", "privateKeyFile"}
    assert facts["sshKey"]["teamId"] == first["id"]
    key = Path(facts["sshKey"]["privateKeyFile"])
    assert key.is_absolute()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_every_key_of_the_demo_works_in_the_first_team(demo: Cloud) -> None:
    for person in demo.facts["people"]:
        teams = demo.client(person["apiKey"]).get("/api/balance")["teams"]
        assert [team["teamId"] for team in teams if team["isCurrentTeam"]] == [demo.facts["teams"][0]["id"]]
    assert demo.client(demo.facts["operator"]["apiKey"]).get("/api/me")


def test_from_the_offers_to_books_that_balance(demo: Cloud, owner: Client) -> None:
    team_id = demo.facts["teams"][0]["id"]
    eventually(lambda: owner.get("/api/gpu-offers")["data"], "there are offers")
    offers = [offer for group in owner.get("/api/gpu-offers?limit=100")["data"] for offer in group["offers"]]
    small = next(offer for offer in offers if offer["offerId"] == "local-cpu-small")
    assert small["available"]
    start = owner.balance(team_id)

    machine = demo.launch(owner, name="first")
    assert None not in (machine["ipAddress"], machine["user"], machine["sshPort"], machine["sshCommand"])
    assert demo.says(machine, "hostname") == "first"

    accrued, totals = set(), set()
    until = time.monotonic() + CYCLE_SECONDS + 2
    while time.monotonic() < until:
        found = owner.deployment(machine["id"])
        accrued.add(found["accruedCost"])
        totals.add(found["totalCost"])
        time.sleep(0.2)
    assert len(accrued) >= CYCLE_SECONDS
    assert len(totals) >= 2
    assert found["lastCreditDeduction"] is not None

    answer = owner.delete(f"/api/deployments/{machine['id']}")
    assert answer.status_code == 200, answer.text
    end = owner.balance(team_id)
    charged = owner.deployment(machine["id"])
    assert charged["status"] == "terminated"
    assert amount(start) - amount(end) == amount(charged["totalCost"]) == amount(charged["accruedCost"])
    assert amount(charged["totalCost"]) > 0
    demo.await_quiet()
    assert machine["id"] not in demo.containers()
    audited = forebay("audit", "--data-dir", demo.data_dir)
    assert (audited.returncode, audited.stdout.strip()) == (0, "The books balance.")


def test_a_row_changed_by_hand_is_found(demo: Cloud, tmp_path: Path) -> None:
    backup, copy = tmp_path / "backup", tmp_path / "copy"
    assert forebay("backup", backup, "--data-dir", demo.data_dir).returncode == 0
    assert forebay("restore", backup, "--data-dir", copy).returncode == 0
    assert forebay("audit", "--data-dir", copy).returncode == 0
    with closing(sqlite3.connect(copy / "forebay.db", isolation_level=None)) as database:
        with pytest.raises(sqlite3.DatabaseError):
            database.execute("UPDATE entries SET amount_micros = amount_micros + 1")
        triggers = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'entries'"
        )
        kept = triggers.fetchall()
        for name, _ in kept:
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE entries SET amount_micros = amount_micros + 1 WHERE rowid = 1")
        for _, statement in kept:
            database.execute(statement)
    audited = forebay("audit", "--data-dir", copy)
    assert audited.returncode == 1
    assert audited.stderr.startswith("The books do not balance: ")


def test_ten_launches_one_after_the_other(demo: Cloud, owner: Client) -> None:
    """From the request to `running`, which is said when SSH has answered: three seconds at most, by the median."""
    seconds = []
    for _ in range(10):
        started_at = time.monotonic()
        machine = demo.launch(owner)
        seconds.append(time.monotonic() - started_at)
        assert demo.says(machine, "echo in") == "in"
        assert owner.delete(f"/api/deployments/{machine['id']}").status_code == 200
    print(f"launch to running: {' '.join(f'{entry:.2f}' for entry in seconds)} s, median {median(seconds):.2f} s")
    demo.await_quiet()
    assert median(seconds) <= 3


def test_ten_launches_at_once_on_credits_for_four(demo: Cloud) -> None:
    operator = demo.client(demo.facts["operator"]["apiKey"])
    [team] = operator.get("/api/teams")["teams"]
    granted = forebay("operator", "grant", team["slug"], "12", "--data-dir", demo.data_dir)
    assert granted.returncode == 0, granted.stderr
    private = demo.facts["sshKey"]["privateKeyFile"]
    public = subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, text=True, check=True).stdout
    order = demo.order(teamId=team["id"], ssh_public_key=public.strip())
    del order["sshKeyId"]

    def launch(number: int) -> tuple[int, Any]:
        answer = operator.post("/api/deployments", order | {"name": f"machine {number}"})
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(launch, range(10)))
    assert sorted(status for status, _ in answers) == [201] * 4 + [402] * 6
    refused = next(body for status, body in answers if status == 402)
    assert refused["code"] == "INSUFFICIENT_BALANCE"
    assert {"balance", "credits"} <= set(refused["error"].lower().replace(":", "").split())
    for status, body in answers:
        if status == 201:
            machine = operator.await_status(body["id"], "running")
            assert demo.says(machine, "echo in") == "in"
    for status, body in answers:
        if status == 201:
            assert operator.delete(f"/api/deployments/{body['id']}").status_code == 200
    demo.await_quiet()
    assert demo.containers() == {}
    assert demo.violations() == []
