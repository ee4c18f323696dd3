"""`forebay deploy`: said in full, asked for step by step, refused, cut off, and asked for again."""

import io
import shlex
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from forebay.cli.here import Here
from forebay.domain.people.roles import Role
from forebay.web.launch_forms import OTHER_KEY
from tests.api.cloud import DOLLAR, Cloud, Person, new_public_key
from tests.cli.conftest import Run
from tests.web.browser import Forms, with_session


@pytest.fixture(autouse=True)
def waiting(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever waits lets the worker work; nobody has keys of their own."""
    monkeypatch.setattr(Here, "pause", lambda here, seconds: cloud.settle())
    monkeypatch.setenv("HOME", str(tmp_path))


class Person_in_a_terminal(io.StringIO):  # noqa: N801
    def isatty(self) -> bool:
        return True


def typing(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """What the person types, a line an answer."""
    monkeypatch.setattr("sys.stdin", Person_in_a_terminal("".join(f"{line}\n" for line in lines)))


def own_key(home: Path, name: str = "id_ed25519") -> str:
    """A pair of keys in the home; the public one."""
    folder = home / ".ssh"
    folder.mkdir(exist_ok=True)
    text = new_public_key()
    (folder / f"{name}.pub").write_text(text + "\n")
    (folder / name).write_text("private")
    return text


def machines(cloud: Cloud, person: Person) -> Any:
    return cloud.get(f"/api/deployments?teamId={person.team}", person.session).ok()


def test_said_in_full_it_launches_and_tells_how_to_get_in(cloud: Cloud, run: Run, tmp_path: Path) -> None:
    pat = cloud.person()
    key = cloud.ssh_key(pat.team, pat)
    config = tmp_path / "config.yaml"
    config.write_text(
        "#cloud-config\npackages: [htop]\nruncmd:\n- [echo, 'a b']\n- ls\nwrite_files:\n- {path: /x, content: y}\n"
    )
    words = (
        "deploy", "memory-small", "--name", "trainer", "--label", "run=7", "--label", "who=me", "--max-cost", "$5",
        "--terminate-at", "2d", "--auto-stop", "30", "--cloud-init", config, "--yes",
    )  # fmt: skip
    done = run(*words, token=pat.session)
    assert done.status == 0, done
    [made] = machines(cloud, pat)
    assert done.out == f"trainer runs: {made['sshCommand']}\n"
    assert "trainer is being made" in done.err
    assert (made["status"], made["labels"], made["sshKeyId"]) == ("running", {"run": "7", "who": "me"}, key)
    assert (made["maxCost"], made["autoStopMinutes"], made["autoStopAction"]) == (5.0, 30, "stop")
    spec = cloud.provider.machines[made["id"]].spec
    assert spec.cloud_init is not None
    assert (spec.cloud_init.packages, spec.cloud_init.runcmd) == (("htop",), ("echo 'a b'", "ls"))
    shown = run("deploy", "memory-small", "--yes", "--detach", "--json", token=pat.session).json
    assert (shown["status"], shown["teamId"]) == ("deploying", pat.team)
    cloud.settle()


def test_volumes_and_ports_come_with_it(cloud: Cloud, run: Run) -> None:
    pat = cloud.person()
    cloud.ssh_key(pat.team, pat)
    body = {"name": "data", "sizeInGb": 10, "provider": "memory", "region": "here", "teamId": pat.team}
    volume = cloud.post("/api/volumes", pat.key, body).ok(201)
    cloud.settle()
    words = ("deploy", "memory-small", "--volume", "data", "--port", "8080", "--port", "9090", "--yes", "--json")
    made = run(*words, token=pat.session).json
    assert (made["volumeIds"], made["ports"]) == ([volume["id"]], [8080, 9090])
    assert run("deploy", "memory-small", "--volume", "none", "--yes", token=pat.session).status == 4


def test_the_same_key_again_is_the_same_machine(cloud: Cloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pat = cloud.person(credits_micros=3 * DOLLAR)
    cloud.ssh_key(pat.team, pat)

    def cut(here: Here, seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Here, "pause", cut)
        cut_off = run("deploy", "memory-small", "--terminate-at", "1h", "--yes", token=pat.session)
    assert cut_off.status != 0
    [line] = [line for line in cut_off.err.splitlines() if line.startswith("To go on with the same machine")]
    again = shlex.split(line.partition(": forebay ")[2])
    assert "--key" in again
    cloud.clock.forward(seconds=5)
    first = run(*again, "--json", token=pat.session).json
    assert first["status"] == "running"
    assert run(*again, "--json", token=pat.session).json["id"] == first["id"]
    assert [each["id"] for each in machines(cloud, pat)] == [first["id"]]
    assert run("deploy", "memory-small", "--yes", token=pat.session).status == 1, "no credits for another one"


def test_a_preview_launches_nothing_and_says_all_that_is_in_the_way(cloud: Cloud, run: Run) -> None:
    pat = cloud.person(credits_micros=DOLLAR)
    cloud.ssh_key(pat.team, pat)
    words = ("deploy", "memory-minimum", "--os", "TempleOS", "--max-cost", "0.5", "--preview")
    found = run(*words, token=pat.session)
    assert found.status == 1
    assert "$3.60 an hour, $86.40 a day, $2,628.00 a month" in found.out
    for said in ("must be one of Debian 12", "its minimum runtime included", "Who can change that: owner, admin."):
        assert said in found.out
    good = run("deploy", "memory-minimum", "--preview", "--json", token=cloud_rich(cloud, run)).json
    assert (good["canLaunch"], good["minimumRuntimeMinutes"]) == (True, 20)
    refused = run("deploy", "memory-small", token=pat.session)
    assert refused.status == 1
    assert "Nothing was launched." in refused.err
    assert machines(cloud, pat) == []


def cloud_rich(cloud: Cloud, run: Run) -> str:
    """The session of somebody with credits and a key."""
    pat = cloud.person()
    cloud.ssh_key(pat.team, pat)
    return pat.session


def test_nobody_there_to_ask(cloud: Cloud, run: Run, tmp_path: Path) -> None:
    pat = cloud.person()
    assert run("deploy", token=pat.session).status == 2
    assert run("deploy", "memory-none", token=pat.session).status == 4
    keyless = run("deploy", "memory-small", "--yes", token=pat.session)
    assert (keyless.status, "--ssh-key" in keyless.err) == (2, True)
    for option, value in (
        ("--label", "x"), ("--max-cost", "much"), ("--auto-stop", "soon"), ("--ssh-key", "none-such"),
        ("--terminate-at", "tomorrow"),
    ):  # fmt: skip
        assert run("deploy", "memory-small", option, value, "--yes", token=pat.session).status in (1, 2, 4), option
    mine = own_key(tmp_path)
    done = run("deploy", "memory-small", "--yes", token=pat.session)
    assert done.status == 0, "the one key in this home, for this machine alone"
    [made] = machines(cloud, pat)
    assert (made["sshKeyId"], bool(made["tempSshKeyId"])) == (None, True)
    assert cloud.provider.machines[made["id"]].keys[0].split()[1] == mine.split()[1]
    unsure = run("deploy", "memory-small", token=pat.session)
    assert (unsure.status, "say --yes" in unsure.err) == (2, True)
    (tmp_path / "private").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    secret = run("deploy", "memory-small", "--ssh-key", tmp_path / "private", "--yes", token=pat.session)
    assert (secret.status, "stays with you" in secret.err) == (2, True)


def test_asked_for_step_by_step(cloud: Cloud, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pat = cloud.person()
    other = cloud.team(pat, credits_micros=50 * DOLLAR)
    cloud.ssh_key(other, pat)
    mine = own_key(tmp_path)
    offers = ("memory-none", "memory-small")
    typing(monkeypatch, "2", *offers, "asked", "", "")
    done = run("deploy", token=pat.session)
    assert done.status == 0, done
    [made] = cloud.get(f"/api/deployments?teamId={other}", pat.session).ok()
    assert (made["name"], made["offerId"], made["status"]) == ("asked", "memory-small", "running")
    assert done.out == f"asked runs: {made['sshCommand']}\n"
    for said in ("Which team pays", "Say a number from 1 to", "Which key opens it", "Launch it?", "The credits last"):
        assert said in done.err, said
    # Their own key is what is suggested, and it has joined the team's.
    assert cloud.provider.machines[made["id"]].keys[0].split()[1] == mine.split()[1]
    assert mine.split()[1] in [
        key["publicKey"].split()[1] for key in cloud.get(f"/api/ssh-keys?teamId={other}", pat.session).ok()
    ]
    typing(monkeypatch, "memory-small", "", "", "n")
    assert run("deploy", "--team", other, token=pat.session).status == 1
    assert len(cloud.get(f"/api/deployments?teamId={other}", pat.session).ok()) == 1
    # A member may not add keys to the team: theirs is for this machine alone.
    mia = cloud.person("Mia")
    cloud.join(other, mia, Role.member)
    own_key(tmp_path, "id_other")
    typing(monkeypatch, "memory-small", "", str(tmp_path / ".ssh" / "id_other.pub"), "y")
    assert run("deploy", "--team", other, token=mia.session).status == 0
    newest = cloud.get(f"/api/deployments?teamId={other}", pat.session).ok()[0]
    assert (newest["createdBy"], newest["sshKeyId"]) == (mia.id, None)


def test_what_comes_to_nothing_is_said(cloud: Cloud, run: Run) -> None:
    from forebay.compute.base import Rejected

    pat = cloud.person()
    cloud.ssh_key(pat.team, pat)
    cloud.provider.refusals["launch"] = Rejected("It never can be")
    try:
        failed = run("deploy", "memory-small", "--name", "bad", "--yes", token=pat.session)
    finally:
        cloud.provider.be_back()
    assert (failed.status, failed.out) == (1, "")
    assert "bad is failed. It never can be" in failed.err


def test_the_command_that_the_deploy_page_shows(
    cloud: Cloud, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pat = cloud.person()
    browser = with_session(cloud, pat)
    form = f"{browser.get('/t').headers['location']}/deploy/new"
    fields = Forms(browser.get(f"{form}?offerId=memory-small").text).found[form] | {
        "name": "it's mine", "maxCost": "5", "autoStopMinutes": "30", "ports": "8080",
        "cloudInit": "packages: [git]\n", "sshKeyId": OTHER_KEY, "ssh_public_key": new_public_key(),
    }  # fmt: skip
    page = browser.post(form.replace("/new", "/preview"), fields).text
    shown = unescape(page.partition('id="as-command" tabindex="0">')[2].partition("</pre>")[0])
    before, _, line = shown.rpartition("\nforebay deploy ")
    subprocess.run(["sh", "-c", before], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    words = ["deploy", *shlex.split(line)]
    del words[words.index("--server") : words.index("--server") + 2]
    made = run(*words, "--yes", "--json", token=pat.session).json
    assert (made["name"], made["maxCost"], made["autoStopMinutes"], made["ports"]) == ("it's mine", 5, 30, [8080])
