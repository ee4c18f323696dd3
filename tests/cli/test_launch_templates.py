"""`forebay templates`, and launching from one: what is said beside it comes first."""

from pathlib import Path

import pytest

from forebay.cli.here import Here
from tests.api.cloud import Cloud
from tests.cli.conftest import Run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def waiting(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever waits lets the worker work; nobody has keys of their own."""
    monkeypatch.setattr(Here, "pause", lambda here, seconds: cloud.settle())
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_template_from_its_making_to_its_end(cloud: Cloud, run: Run, tmp_path: Path) -> None:
    pat = cloud.person()
    cloud.ssh_key(pat.team, pat)
    config = tmp_path / "config.yaml"
    config.write_text("#cloud-config\npackages: [htop]\n")
    words = (
        "templates", "save", "Nightly", "memory-small", "--name", "train-{n}", "--ssh-key", "a laptop",
        "--label", "a=b", "--port", "8888", "--terminate-after", "8h", "--auto-stop", "30", "--max-cost", "5",
        "--cloud-init", config,
    )  # fmt: skip
    done = run(*words, token=pat.session)
    assert (done.status, "Launch from it with: forebay deploy --template" in done.out) == (0, True), done
    assert run(*words, token=pat.session).status == 1, "the name is taken"
    listed = run("templates", token=pat.session).out
    for word in ("Nightly", "memory-small", "$3.60", "never"):
        assert word in listed
    shown = run("templates", "show", "nightly", token=pat.session).out
    for word in ("train-{n}", "a=b", "8888", "after 480 minutes, at $5.00, stop after 30 idle minutes", "cloud-init"):
        assert word in shown
    made = run("deploy", "--template", "nightly", "--yes", "--json", token=pat.session).json
    assert (made["name"], made["labels"], made["ports"], made["maxCost"]) == ("train-1", {"a": "b"}, [8888], 5.0)
    assert cloud.provider.machines[made["id"]].spec.cloud_init is not None
    other = ("--label", "c=d", "--name", "mine", "--max-cost", "none", "--port", "1", "--detach", "--json")
    made = run("deploy", "memory-gpu", "--template", "nightly", *other, "--yes", token=pat.session).json
    assert (made["offerId"], made["name"], made["labels"]) == ("memory-gpu", "mine", {"c": "d"})
    assert (made["ports"], made["maxCost"], made["autoStopMinutes"]) == ([1], None, 30)
    assert run("templates", "show", "nightly", "--json", token=pat.session).json["lastUsedAt"] is not None
    again = ("templates", "save", "nightly", "--replace", "--terminate-after", "none", "--label", "e=f")
    assert run(*again, token=pat.session).status == 0
    assert "is Weekly from now on" in run("templates", "rename", "nightly", "Weekly", token=pat.session).out
    found = run("templates", "show", "weekly", "--json", token=pat.session).json
    assert (found["terminateAfterMinutes"], found["labels"], found["maxCost"]) == (None, {"e": "f"}, 5.0)
    assert run("templates", "save", "like it", "--from", "mine", token=pat.session).status == 0
    assert run("templates", "delete", "weekly", "--yes", token=pat.session).status == 0
    assert run("deploy", "--template", "weekly", "--yes", token=pat.session).status == 4
    cloud.settle()


def test_what_can_not_be_meant(cloud: Cloud, run: Run, tmp_path: Path) -> None:
    pat = cloud.person()
    key = cloud.ssh_key(pat.team, pat)
    save = ("templates", "save", "x")
    strange = tmp_path / "strange.pub"
    strange.write_text("ssh-ed25519 AAAA strange")
    for more in ((), ("memory-small", "--from", "y"), ("memory-small", "--terminate-after", "soon"),
                 ("memory-small", "--ssh-key", strange), ("--replace", "--from", "y")):  # fmt: skip
        assert run(*save, *more, token=pat.session).status == 2, more
    assert run(*save, "--replace", token=pat.session).status == 4
    assert run(*save, "memory-none", token=pat.session).status == 1
    assert run(*save, "memory-small", "--ssh-key", "a laptop", token=pat.session).status == 0
    cloud.send("DELETE", f"/api/ssh-keys/{key}", pat.key).ok()
    other = cloud.ssh_key(pat.team, pat)
    done = run("deploy", "--template", "x", "--yes", "--json", token=pat.session)
    assert "The key a laptop was deleted from the team." in done.err
    assert done.json["sshKeyId"] == other, "the only one there is"
