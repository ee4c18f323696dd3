"""Logging in to machines: what `ssh` is told, whatever a server says. On real machines: tests/e2e/test_ssh.py."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from forebay.cli import host_keys
from forebay.cli.here import Here
from forebay.cli.ssh import place_of
from forebay.client import deployments
from tests.api.cloud import Cloud, new_public_key
from tests.cli.conftest import Run

ID = "0" * 23 + "a"
KEY = " ".join(new_public_key().split()[:2])


def machine(cloud: Cloud, **more: Any) -> deployments.Deployment:
    """A machine as the client reads it, with something about it as a wrong server would say."""
    pat = cloud.person("Pat")
    shown = cloud.running(pat, name="train") | {
        "hostKeys": [{"type": "ssh-ed25519", "fingerprint": "", "publicKey": KEY}]
    }
    return msgspec.convert(shown | more, deployments.Deployment)


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": "-oProxyCommand=touch /tmp/x"},
        {"user": "root\n    ProxyCommand x"},
        {"ipAddress": "-oProxyCommand=x"},
        {"ipAddress": "1.2.3.4 x"},
        {"sshPort": 0},
        {"id": "../../.ssh/authorized_keys"},
    ],
)
def test_an_address_that_can_not_be_one_is_refused(cloud: Cloud, home: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SystemExit):
        host_keys.options(Here("http://127.0.0.1"), machine(cloud, **wrong))
    assert not list(home.rglob("*.keys"))


def test_keys_that_are_none_are_left_out_and_without_any_a_person_is_asked(cloud: Cloud, home: Path) -> None:
    here = Here("http://127.0.0.1:8400")
    odd = [{"type": "x", "fingerprint": "", "publicKey": key} for key in (f"{KEY}\n* {KEY}", "@cert-authority x", KEY)]
    found = machine(cloud, hostKeys=odd)
    assert dict(host_keys.options(here, found))["StrictHostKeyChecking"] == "yes"
    [path] = home.rglob("*.keys")
    assert path.read_text() == f"{found.id} {KEY}\n"
    none = machine(cloud, hostKeys=[])
    assert dict(host_keys.options(here, none))["StrictHostKeyChecking"] == "ask"


def test_a_machine_is_waited_for_or_it_is_said_why_not(cloud: Cloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pat = cloud.person("Pat")
    cloud.launch(pat, name="train")
    monkeypatch.setattr(Here, "pause", lambda here, seconds: cloud.settle())
    printed = run("ssh", "--print", "train", "nvidia-smi", "-l", token=pat.key)
    assert (printed.status, printed.out.endswith(" -- nvidia-smi -l\n")) == (0, True), printed
    assert "train is being made" in printed.err
    stopped = cloud.running(pat, name="idle")
    cloud.post(f"/api/deployments/{stopped['id']}/stop", pat.key).ok()
    refused = run("ssh", "idle", token=pat.key)
    assert (refused.status, "idle is stopped" in refused.err) == (1, True), refused


def test_what_is_here_is_never_taken_for_an_option_or_another_machine(cloud: Cloud, home: Path) -> None:
    found = machine(cloud)
    places = ["a b", "-r", "./x:y", "/x", "..", "train:x y", "train:"]
    assert [place_of(place, found) for place in places] == [
        "./a b", "./-r", "./x:y", "/x", "..", f"{found.id}:x y", f"{found.id}:",
    ]  # fmt: skip
