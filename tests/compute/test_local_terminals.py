"""Terminals in real machines, and the notice that a machine is given before it is taken back."""

import json
from datetime import UTC, datetime

import pytest

from tests.compute.conftest import Lab, answered

pytestmark = pytest.mark.podman


def test_a_shell_is_a_process_of_the_machine_and_ends_when_it_is_closed(lab: Lab) -> None:
    machine = lab.launch("terminal")
    shell = lab.provider.open_shell("terminal", 100, 30)
    told = answered(shell, "echo $FOREBAY_AUTHORIZED_KEYS; id -u; tty; stty size; pwd").split()
    assert told == ["0", "/dev/pts/0", "30", "100", "/root"]
    shell.resize(132, 50)
    assert answered(shell, "stty size").split() == ["50", "132"]
    bounds = "sed -n 's/^\\(CapBnd\\|Seccomp\\|NoNewPrivs\\):\\s*//p' /proc/self/status"
    assert answered(shell, bounds).split() == lab.says(machine, bounds).split()
    shell.write(b"trap '' HUP; sleep 1000\r")
    assert lab.says(machine, "sleep 0.3; pgrep -c bash") != "0"
    shell.close()
    assert lab.says(machine, "pgrep -t pts/0 -l bash || echo none") == "none"


def test_a_notice_is_a_file_a_line_on_terminals_and_sigterm_to_what_people_run(lab: Lab) -> None:
    machine = lab.launch("reclaimed")
    shell = lab.provider.open_shell("reclaimed")
    saves = "trap 'echo saved >> /root/saved; exit' TERM; touch /root/ready; while :; do sleep 0.1; done"
    lab.says(
        machine, f'setsid sh -c "{saves}" >/dev/null 2>&1 </dev/null & until [ -e /root/ready ]; do sleep 0.1; done'
    )
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    message = "Capacity \x1b[2J is 'needed' \"elsewhere\": $(reboot) é"
    for _ in range(2):
        lab.provider.warn("reclaimed", message, at)
    assert json.loads(lab.says(machine, "cat /run/forebay/notice")) == {
        "at": "2030-01-02T03:04:05Z",
        "message": message,
    }
    assert lab.says(machine, "sleep 0.5; cat /root/saved") == "saved"
    text = b""
    while part := shell.read(1):
        text += part
    assert b"is 'needed' \"elsewhere\": $(reboot) " in text
    assert b"(2030-01-02T03:04:05Z)" in text
    assert b"\x1b[2J" not in text
    assert answered(shell, "echo still here").strip() == "still here"
    lab.says(machine, "dd if=/dev/zero of=/run/forebay/full bs=1M count=2 2>/dev/null || rm /run/forebay/full")
    # A terminal is still open at the end: its shell is hung up on, but not before what runs in it is done.
    slow = "trap 'sleep 1; echo slowly >> /root/order; exit' TERM; touch /root/runs; while :; do sleep 0.1; done"
    shell.write(f"trap 'echo hung up >> /root/order' EXIT; sh -c \"{slow}\"\r".encode())
    lab.says(machine, "until [ -e /root/runs ]; do sleep 0.1; done")
    lab.provider.stop("reclaimed")
    shell.close()
    lab.provider.start("reclaimed")
    machine = lab.ready("reclaimed")
    assert lab.says(machine, "ls /run/forebay; cat /root/order") == "slowly\nhung up"
