"""What the command line says of a machine: its log, and its keys."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from forebay.compute.base import FoundKey
from tests.api.cloud import Cloud, new_public_key
from tests.cli.conftest import Run

pytestmark = pytest.mark.slow


def test_a_log_is_printed_without_what_would_move_the_cursor(run: Run, cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat, name="train")
    inside = cloud.provider.machines[machine["id"]]
    inside.console, inside.boot_log = "one\n\x1b[2Jtwo\tthree\x07\n", "first boot\n"
    assert run("logs", "train", token=pat.key).out == "one\n[2Jtwo\tthree\n"
    assert run("logs", machine["id"], "-n", "1", token=pat.key).out == "[2Jtwo\tthree\n"
    assert run("logs", "train", "--cloud-init", token=pat.key).out == "first boot\n"
    assert run("logs", "TRAIN", "--json", token=pat.key).json["text"] == inside.console
    assert run("logs", "another", token=pat.key).status == 4


def test_a_log_is_followed_until_nothing_can_come_any_more(
    run: Run, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    pat = cloud.person()
    machine = cloud.running(pat, name="train")
    inside = cloud.provider.machines[machine["id"]]
    inside.console = "one\n"
    news = iter(["two\n", "", "three\n"])

    def meanwhile(seconds: float) -> None:
        """What happens while the command waits; in the end the machine goes."""
        more = next(news, None)
        if more is not None:
            inside.console += more
            return
        cloud.send("DELETE", f"/api/deployments/{machine['id']}", pat.key).ok()
        cloud.settle()

    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setattr(time, "sleep", meanwhile)
    said = run("logs", "train", "-f", token=pat.key)
    assert (said.status, said.out) == (0, "one\ntwo\nthree\n")


def test_keys_of_a_machine_are_shown_and_chosen(run: Run, cloud: Cloud, home: Path) -> None:
    pat = cloud.person()
    machine = cloud.running(pat, name="train")
    for name in ("laptop", "desk"):
        (home / f"{name}.pub").write_text(new_public_key())
        assert run("ssh-keys", "add", home / f"{name}.pub", "--name", name, token=pat.key).status == 0
    inside = cloud.provider.machines[machine["id"]]
    inside.by_hand = [FoundKey(line=new_public_key(), place="/root/.ssh/authorized_keys")]
    shown = run("ssh-keys", "on", "train", token=pat.key)
    assert "installed" in shown.out
    assert "unknown (/root/.ssh/authorized_keys)" in shown.out
    said = run("ssh-keys", "set", "train", "--add", "laptop", "--add", "desk", token=pat.key)
    assert "train has these keys" in said.out
    cloud.run("ssh-keys")
    assert len(inside.keys) == 3
    assert run("ssh-keys", "set", "train", "--remove", "a laptop", token=pat.key).status == 0
    cloud.run("ssh-keys")
    assert len(inside.keys) == 2
    assert run("ssh-keys", "set", "train", "desk", token=pat.key).status == 0
    cloud.run("ssh-keys")
    assert [key.split()[1] for key in inside.keys] == [(home / "desk.pub").read_text().split()[1]]
    for words in (("train",), ("train", "desk", "--add", "laptop")):
        assert run("ssh-keys", "set", *words, token=pat.key).status == 2
    assert run("ssh-keys", "set", "train", "nobody", token=pat.key).status == 4
    assert run("ssh-keys", "set", "train", "--remove", "desk", token=pat.key).status == 1


def test_keys_come_from_standard_input_and_from_the_agent(
    run: Run, cloud: Cloud, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pat = cloud.person()
    with (home / "given").open("w+") as given:
        given.write(f"{new_public_key()}\n")
        given.seek(0)
        monkeypatch.setattr("sys.stdin", given)
        assert "someone@somewhere SHA256:" in run("ssh-keys", "add", "-", token=pat.key).out
    nobody = run("ssh-keys", "add", "--agent", token=pat.key, SSH_AUTH_SOCK=str(home / "none"))
    assert "No SSH agent answers" in nobody.err
    socket = str(home / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while not os.path.exists(socket) and time.monotonic() < until:
            time.sleep(0.01)
        for name in ("one", "two"):
            key = str(home / name)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
            environment = {**os.environ, "SSH_AUTH_SOCK": socket}
            subprocess.run(["ssh-add", "-q", key], env=environment, check=True, capture_output=True)
        several = run("ssh-keys", "add", "--agent", token=pat.key, SSH_AUTH_SOCK=socket)
        assert several.status == 2
        assert "one, two" in several.err
        assert "two SHA256:" in run("ssh-keys", "add", "--agent", "two", token=pat.key, SSH_AUTH_SOCK=socket).out
    finally:
        agent.terminate()
        agent.wait(10)
