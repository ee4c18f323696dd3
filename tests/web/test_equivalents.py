"""What pages show to be pasted into a shell says what was asked for, and runs nothing else, whatever it is called.

It is pasted into a real bash that is talked to as by a person: with history, in which `!` means something as well.
"""

import ast
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from forebay.domain.machines import shell_words
from forebay.domain.machines.orders import Order
from forebay.web import equivalents

URL, TEAM = "https://cloud.test/it's", "0" * 24
STUB = """#!/bin/sh
for word; do printf '%s\\0' "$word"; done > "$SEEN/$(basename "$0")"
"""
NAMES = (
    'it\'s "mine"',
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "x\ntouch pwned\n",
    "x\r\ntouch pwned",
    "!touch pwned !! !$ ^a^b",
    "a'!!'b",
    "\\",
    "\\' touch pwned \\'",
    "${HOME} $HOME ~ * ? [a] {a,b} # &",
    "-x",
    "--help",
    "@file",
    "EOF\ntouch pwned\nEOF",
    "\x1b[201~\ntouch pwned\n",
    "\u202etouch\u2028pwned\u0085\u200b",
    "'''\"\"\"\\N{BULLET}{0}%s",
)


def order(name: str) -> Order:
    """One in which everything that somebody writes is called this."""
    return Order(
        offer_id="memory-small", provider="memory", gpu_type=name, gpu_count=1, region=name, operating_system=name,
        instance_type="SPOT", name=name, ssh_public_key=f"ssh-ed25519 AAAA {name}", labels={name: name},
        cloud_init={
            "packages": [name], "runcmd": [name], "write_files": [{"path": f"/{name}", "content": name}],
        },
    )  # fmt: skip


@pytest.fixture
def paste(tmp_path: Path) -> Callable[[str], dict[str, list[str]]]:
    """Paste text into a shell; what each stub was called with, and that nothing else happened."""
    tools, seen, here = (tmp_path / name for name in ("tools", "seen", "here"))
    for folder in (tools, seen, here):
        folder.mkdir()
    for name in ("curl", "forebay", "ssh", "uuidgen"):
        (tools / name).write_text(STUB)
        (tools / name).chmod(0o755)
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin", "SEEN": str(seen), "HOME": str(here), "HISTFILE": "/dev/null", "TERM": "dumb",
        "FOREBAY_API_KEY": "a key", "LC_ALL": "C.UTF-8",
    }  # fmt: skip

    def run(text: str) -> dict[str, list[str]]:
        checked = subprocess.run(["bash", "-n"], input=text.encode(), capture_output=True, env=environment, check=False)
        assert (checked.returncode, checked.stderr) == (0, b"")
        subprocess.run(
            ["bash", "--norc", "--noprofile", "-i"],
            input=f"touch before\n{text}\n".encode(), cwd=here, env=environment, capture_output=True, check=True,
            start_new_session=True,
        )  # fmt: skip
        written = {path.name for path in here.iterdir()} - {"before"}
        assert written <= {"cloud-init.yaml", "machine.pub"}
        return {
            path.name: [os.fsdecode(word) for word in path.read_bytes().split(b"\0")[:-1]] for path in seen.iterdir()
        } | {path.name: [path.read_bytes().decode()] for path in here.iterdir() if path.name in written}

    return run


@pytest.mark.parametrize("name", NAMES)
def test_curl(paste: Callable[[str], dict[str, list[str]]], name: str) -> None:
    said = paste(equivalents.curl(order(name), TEAM, URL))
    words = said["curl"]
    assert words[0] == f"{URL}/api/deployments"
    assert json.loads(words[words.index("-d") + 1]) == body(name)
    assert "Authorization: Bearer a key" in words
    assert set(said) == {"curl", "uuidgen"}


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line(paste: Callable[[str], dict[str, list[str]]], name: str) -> None:
    said = paste(equivalents.command(order(name), TEAM, URL))
    words = said["forebay"]
    assert words[:2] == ["deploy", "memory-small"]
    given = [
        (option, words[place + 1]) for place, option in enumerate(words) if option in ("--name", "--label", "--os")
    ]
    assert {("--name", name), ("--label", f"{name}={name}"), ("--os", name)} <= set(given)
    assert said["machine.pub"] == [f"ssh-ed25519 AAAA {name}\n"]
    [config] = said["cloud-init.yaml"]
    assert yaml.safe_load(config)["runcmd"] == [name]
    assert set(said) == {"forebay", "machine.pub", "cloud-init.yaml"}


@pytest.mark.parametrize("name", NAMES)
def test_python(name: str) -> None:
    tree = ast.parse(equivalents.python(order(name), TEAM, URL))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {ast.unparse(call.func) for call in calls}
    assert names == {"Client", "deployments.launch", "print", "cloud.ask"}
    [launch] = [call for call in calls if ast.unparse(call.func) == "deployments.launch"]
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in launch.keywords}
    assert given["name"] == name
    assert given["labels"] == {name: name}
    assert given["cloud_init"]["runcmd"] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_is_shown_can_end_a_paste_or_turn_the_text_around(name: str) -> None:
    for text in (
        equivalents.curl(order(name), TEAM, URL), equivalents.command(order(name), TEAM, URL),
        equivalents.python(order(name), TEAM, URL),
    ):  # fmt: skip
        assert all(letter.isprintable() or letter == "\n" for letter in text), ascii(text)


@pytest.mark.parametrize("name", NAMES)
def test_the_way_into_a_machine(paste: Callable[[str], dict[str, list[str]]], name: str) -> None:
    assert paste(shell_words.ssh_command(name, "203.0.113.7", 22))["ssh"][-1] == f"{name}@203.0.113.7"
    words = paste(shell_words.ssh_command("root", name, 22))["ssh"]
    assert words == ["-p", "22", f"root@{name}"]


def body(name: str) -> dict[str, Any]:
    """What is asked of the API."""
    return {
        "teamId": TEAM, "provider": "memory", "offerId": "memory-small", "gpuType": name, "gpuCount": 1,
        "region": name, "operatingSystem": name, "instanceType": "SPOT", "name": name,
        "ssh_public_key": f"ssh-ed25519 AAAA {name}", "labels": {name: name},
        "cloudInit": {"packages": [name], "writeFiles": [{"path": f"/{name}", "content": name}], "runcmd": [name]},
    }  # fmt: skip
