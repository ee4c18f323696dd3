"""`forebay deployments`: listed, shown, watched, renamed, labelled, stopped, started, ended, and planned to end."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forebay.cli.here import Here
from forebay.domain.people.roles import Role
from tests.api.cloud import Cloud, Person
from tests.cli.conftest import Run
from tests.cli.test_deploy import typing


@pytest.fixture(autouse=True)
def waiting(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits lets the worker work."""
    monkeypatch.setattr(Here, "pause", lambda here, seconds: cloud.settle())


def shown(cloud: Cloud, person: Person, machine: Any) -> Any:
    return cloud.get(f"/api/deployments/{machine['id']}", person.session).ok()


def test_listed_and_shown(cloud: Cloud, run: Run) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    mine = cloud.running(pat, name="trainer", labels={"run": "7"}, maxCost=5, autoStopMinutes=30)
    hers = cloud.running(mia, pat.team, name="hers")
    gone = cloud.running(pat, name="trainer")
    cloud.send("DELETE", f"/api/deployments/{gone['id']}", pat.session).ok()
    cloud.settle()
    bare, listed = (run(*words, token=pat.session) for words in (("deployments",), ("deployments", "list")))
    assert bare.out == listed.out
    assert mine["sshCommand"] in listed.out
    assert "at $5.00; stopped after 30 idle minutes" in listed.out
    for words, ids in (
        ([], {mine["id"], hers["id"]}), (["--mine"], {mine["id"]}), (["--status", "terminated"], {gone["id"]}),
        (["--all"], {mine["id"], hers["id"], gone["id"]}),
    ):  # fmt: skip
        assert {each["id"] for each in run("deployments", "list", *words, "--json", token=pat.session).json} == ids
    assert run("deployments", "--json", token=pat.session).json[0]["id"] in (mine["id"], hers["id"])
    assert run("deployments", "--json", "list", token=pat.session).status == 2
    detail = run("deployments", "show", "TRAINER", token=pat.session).out
    for said in (mine["id"], "2 vCPUs, 4 GB of memory", "run=7", "SSH answers at 192.0.2.1", "accepted"):
        assert said in detail, "the one that is there, before the one that has ended"
    assert run("deployments", "show", gone["id"], "--json", token=pat.session).json["status"] == "terminated"
    assert run("deployments", "show", "nothing", token=pat.session).status == 4
    twin = cloud.running(pat, name="hers")
    both = run("deployments", "show", "hers", token=pat.session)
    assert (both.status, twin["id"] in both.err) == (2, True)


def test_changed_stopped_started_and_ended(cloud: Cloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pat = cloud.person()
    machine = cloud.running(pat, name="one", labels={"a": "1", "b": "2"})

    def say(*words: str, status: int = 0) -> str:
        done = run("deployments", *words, token=pat.session)
        assert done.status == status, done
        return done.out + done.err

    assert "called two now" in say("rename", "one", "two")
    assert say("label", "two", "c=3", "a-", "b=x=y") == "two: b=x=y, c=3\n"
    say("label", "two", "nonsense", status=2)
    assert say("plan", "two", "--max-cost", "$5", "--auto-stop", "20m") == (
        "two ends at $5.00; stopped after 20 idle minutes.\n"
    )
    say("plan", "two", "--auto-stop-action", "terminate", "--terminate-at", "3d")
    assert (shown(cloud, pat, machine)["autoStopAction"], shown(cloud, pat, machine)["maxCost"]) == ("terminate", 5.0)
    assert "when somebody ends it" in say(
        "plan", "two", "--max-cost", "none", "--auto-stop", "none", "--terminate-at", "none"
    )
    say("plan", "two", status=2)
    assert "lies in the past" in say("plan", "two", "--terminate-at", "2020-01-01", status=1)
    say("stop", "two", status=2)
    typing(monkeypatch, "n")
    say("stop", "two", status=1)
    cloud.clock.forward(seconds=100)
    assert "two is stopped. It has cost $0.10." in say("stop", "two", "--yes")
    cloud.settle()
    assert say("start", "two", "--detach").startswith("two is on its way: forebay deployments watch")
    cloud.settle()
    assert say("stop", "two", "-y").startswith("two is stopped")
    cloud.settle()
    assert f"two runs: {shown(cloud, pat, machine)['sshCommand'] or 'ssh'}" in say("start", "two")
    typing(monkeypatch, "y")
    assert "two is terminated." in say("terminate", "two")
    assert shown(cloud, pat, machine)["status"] == "terminated"
    say("terminate", "two", "--yes", status=4)


def test_terminated_as_soon_as_it_is_allowed(cloud: Cloud, run: Run) -> None:
    pat = cloud.person()
    machine = cloud.running(pat, name="least", offerId="memory-minimum")
    assert run("deployments", "terminate", "least", "--yes", token=pat.session).status == 1
    planned = run("deployments", "terminate", "least", "--when-allowed", "--yes", token=pat.session)
    at = (cloud.clock.now() + timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert planned.out.startswith(f"least is terminated at {at}. Not after all: forebay deployments plan")
    assert shown(cloud, pat, machine)["terminateAt"] == at


def test_watched_until_it_runs_and_until_it_ends(
    cloud: Cloud, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pat = cloud.person()
    machine = cloud.launch(pat, name="seen")
    lines = run("deployments", "watch", "seen", "--until", "running", token=pat.session).out.splitlines()
    kinds = [line.split()[1] for line in lines]
    assert (kinds[0], kinds[-1]) == ("accepted", "running")

    def end(here: Here, seconds: float) -> None:
        cloud.send("DELETE", f"/api/deployments/{machine['id']}", pat.session).ok()

    monkeypatch.setattr(Here, "pause", end)
    told = run("deployments", "watch", "seen", "--json", token=pat.session).out.splitlines()
    assert [msgspec.json.decode(line)["kind"] for line in told] == [*kinds, "terminated"]
    late = run("deployments", "watch", machine["id"], "--until", "running", token=pat.session)
    assert (late.status, "seen is terminated." in late.err) == (1, True)
    assert run("deployments", "watch", machine["id"], "--until", "happy", token=pat.session).status == 2
