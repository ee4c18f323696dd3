"""`forebay ssh`, `cp` and `ssh-config` on a real machine: by its own host keys, or not at all."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.cloud import new_public_key
from tests.e2e.cloud import PROGRAM, Client, Cloud, environment, eventually
from tests.e2e.test_command_line import Terminal

NAME = "Ada’s box; touch /tmp/x"
"""A name that a colleague may give, and that nothing may take for a command."""


@pytest.fixture(scope="module")
def machine(demo: Cloud) -> Iterator[dict[str, Any]]:
    client = demo.client()
    eventually(lambda: client.get("/api/gpu-offers")["data"], "there are offers")
    found = demo.launch(client, name="ssh-box")
    yield found
    assert client.delete(f"/api/deployments/{found['id']}").status_code == 200


@pytest.fixture
def person(demo: Cloud, tmp_path: Path) -> Terminal:
    """With a home of their own, in which is the demo's private key."""
    found = Terminal(tmp_path / "olga", demo.url, demo.facts["people"][0])
    ssh = found.folder / ".ssh"
    ssh.mkdir(mode=0o700)
    key = Path(demo.facts["sshKey"]["privateKeyFile"])
    (ssh / "id_demo").write_bytes(key.read_bytes())
    (ssh / "id_demo").chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
    (ssh / "id_demo.pub").write_text(public)
    found.environment |= {
        "HOME": str(found.folder),
        "FOREBAY_TOKEN": demo.facts["people"][0]["apiKey"],
        "FOREBAY_TEAM": demo.facts["teams"][0]["slug"],
    }
    found.environment.pop("SSH_AUTH_SOCK", None)
    return found


def host_keys_of(person: Terminal) -> Path:
    [path] = (person.folder / "forebay" / "ssh").glob("*/*.keys")
    return path


def test_commands_and_their_exit_status(person: Terminal, machine: dict[str, Any]) -> None:
    assert person.types("ssh", "ssh-box", "echo", "on $(hostname -s)").strip().startswith("on ")
    person.types("ssh", "ssh-box", "exit 7", status=7)
    person.types("ssh", machine["id"], "exit 200", status=200)
    assert "There is no machine 'nobody'" in person.types("ssh", "nobody", status=4)
    lines = host_keys_of(person).read_text().splitlines()
    assert lines == [f"{machine['id']} {key['publicKey']}" for key in machine["hostKeys"]]
    shown = person.types("ssh", "--print", "ssh-box")
    for option in ("StrictHostKeyChecking=yes", f"HostKeyAlias={machine['id']}", "id_demo"):
        assert option in shown
    assert person.json("ssh", "--print", "--json", "ssh-box")["command"][0] == "ssh"
    assert "leave --json out" in person.types("ssh", "--json", "ssh-box", status=2)


def test_files_there_and_back(person: Terminal, machine: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    content = os.urandom(100_000)
    (folder / "two words").write_bytes(content)
    person.types("cp", "-r", folder, "ssh-box:received")
    person.types("cp", "ssh-box:received/two words", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert "No such file" in person.types("cp", "ssh-box:/nowhere", tmp_path, status=1)
    for wrong in (("a", "b"), ("ssh-box:a", "ssh-box:b"), ("ssh-box:a", "other:b"), ("a", "ssh-box:b", "c")):
        assert "Copy between" in person.types("cp", *wrong, status=2)


def test_entries_for_ssh_itself_and_a_machine_that_is_another(
    demo: Cloud, owner: Client, person: Terminal, machine: dict[str, Any]
) -> None:
    odd = demo.launch(owner, name=NAME)
    said = person.types("ssh-config")
    [config] = (person.folder / "forebay" / "ssh").glob("*.config")
    assert f"Include {config.parent}/*.config" in said.replace("\n", "").replace("Include", "\nInclude")
    slug = demo.facts["teams"][0]["slug"]
    hosts = person.json("ssh-config")["hosts"]
    assert {f"ssh-box.{slug}.forebay", f"{odd['id']}.{slug}.forebay"} <= set(hosts)
    text = config.read_text()
    assert "touch" not in text
    assert person.types("ssh-config", "--print") == text
    line = ["ssh", "-F", str(config), "-o", "BatchMode=yes", f"ssh-box.{slug}.forebay", "echo in"]
    done = subprocess.run(line, env=person.environment, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (0, "in\n"), done
    # Somebody else answers at that address: ssh is told so by the keys, and doesn't go on.
    keys = config.with_name(config.name.removesuffix(".config")) / f"{machine['id']}.keys"
    keys.write_text(f"{machine['id']} {' '.join(new_public_key().split()[:2])}\n")
    done = subprocess.run(line, env=person.environment, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, "Host key verification failed" in done.stderr) == (255, True), done
    assert owner.delete(f"/api/deployments/{odd['id']}").status_code == 200
    assert "are others than before" in person.types("ssh", "ssh-box", "true")


def test_names_are_completed_by_the_shell(person: Terminal, machine: dict[str, Any]) -> None:
    def completed(words: str) -> list[str]:
        more = {"_FOREBAY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            [PROGRAM], env=person.environment | more, capture_output=True, text=True, check=False, timeout=30
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout.split()

    assert completed("forebay ssh ss") == ["ssh-box"]
    assert completed("forebay ssh --team vis") == completed("forebay teams show vis") != []
    assert "offers" in completed("forebay off")
    person.environment["FOREBAY_SERVER"] = "http://127.0.0.1:1"
    assert completed("forebay ssh ss") == []
    installed = subprocess.run(
        [PROGRAM, "--install-completion", "bash"],
        env=environment() | {"HOME": str(person.folder)}, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert installed.returncode == 0, installed
    assert list(person.folder.rglob("*forebay*.sh"))
