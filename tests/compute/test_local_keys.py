"""Keys, sessions, ports and logs of real machines: what changes while they run, and what is read back from them."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.compute.base import CloudInit, FoundKey, Instance, LogKind, LogPart
from forebay.compute.local import inside
from forebay.compute.local.service import run
from tests.compute.conftest import PATIENCE_SECONDS, Lab

pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second private key; its public half is beside it."""
    path = tmp_path_factory.mktemp("other") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-C", "the other", "-f", str(path)], check=True)
    return path


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


def fingerprint(key: Path) -> str:
    printed = subprocess.run(["ssh-keygen", "-lf", key], check=True, capture_output=True, text=True).stdout
    return printed.split()[1]


def into(machine: Instance, key: Path, *options: str) -> list[str]:
    """The words that connect to a machine with this key alone."""
    ssh = ["ssh", "-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    ssh += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    return [*ssh, "-p", str(machine.ssh_port), *options, f"root@{machine.address}"]


def refused(machine: Instance, key: Path) -> str:
    """What ssh says to whom it doesn't let in."""
    tried = subprocess.run([*into(machine, key), "true"], capture_output=True, text=True, check=False)
    assert tried.returncode == 255
    return tried.stderr


@contextlib.contextmanager
def session(machine: Instance, key: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """An open SSH connection, from the moment that a command in it has said `in`."""
    *options, command = words
    with subprocess.Popen(
        [*into(machine, key, *options), command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "in"
            yield process
        finally:
            process.kill()


def is_over(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether the client has noticed the end of its connection by then."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return True
    return False


def test_connections_of_a_removed_key_end_and_no_others(lab: Lab, other_key: Path) -> None:
    machine = lab.launch("ends", authorized_keys=(lab.public_key, public(other_key)))
    leaving, staying = public(other_key), lab.public_key
    with (
        session(machine, other_key, "echo in; exec sleep 1000") as command,
        session(machine, other_key, "-tt", "echo in; setsid sleep 1001 & exec sh") as shell,
        session(machine, lab.key, "echo in; exec cat") as mine,
    ):
        lab.provider.set_authorized_keys("ends", [staying], [leaving])
        assert lab.provider.end_sessions("ends", [fingerprint(other_key)]) == 2
        assert is_over(command, 5)
        assert is_over(shell, 5)
        assert mine.poll() is None
        assert lab.provider.end_sessions("ends", [fingerprint(other_key)]) == 0
        assert mine.stdin is not None
        mine.stdin.write("still here\n")
        mine.stdin.flush()
        assert mine.stdout is not None
        assert mine.stdout.readline() == "still here\n"
    # What was left to run runs on; the key gets in by no other file; and what stands there is told.
    assert lab.says(machine, "pgrep -fx 'sleep 1001' | wc -l") == "1"
    lab.says(machine, f"mkdir -p /root/.ssh; echo 'no-pty {leaving}' > /root/.ssh/authorized_keys")
    assert "Permission denied" in refused(machine, other_key)
    assert lab.provider.authorized_keys("ends") == [
        FoundKey(line=staying, place=""),
        FoundKey(line=leaving, place="/root/.ssh/authorized_keys"),
    ]
    lab.provider.set_authorized_keys("ends", [staying, leaving])
    with session(machine, other_key, "echo in"):
        pass
    lab.provider.stop("ends")
    assert lab.provider.end_sessions("ends", [fingerprint(lab.key)]) == 0
    assert [key.line for key in lab.provider.authorized_keys("ends") if not key.place] == [staying, leaving]


def test_a_machine_s_files_lead_nowhere_else(lab: Lab) -> None:
    machine = lab.launch("links")
    lab.says(machine, "rm -rf /root/.ssh; ln -s /etc /root/.ssh")
    lab.says(machine, "ln -s /etc/passwd /etc/authorized_keys; mkfifo /etc/authorized_keys2")
    lab.says(machine, "rm -rf /run/forebay-logins/logins; ln -s /etc/passwd /run/forebay-logins/logins")
    assert [key.place for key in lab.provider.authorized_keys("links")] == [""]
    assert lab.provider.end_sessions("links", [fingerprint(lab.key)]) == 0
    entry = lab.provider.entry("links")
    assert entry is not None
    for path in ("/etc/authorized_keys", "/etc/authorized_keys2", "/etc", "/nothing", "/root/.ssh/passwd"):
        assert inside.read(entry["Pid"], entry["Id"], path, 100) is None
    assert (inside.read(entry["Pid"], entry["Id"], "/etc/hostname", 100) or b"").strip() == b"links"
    # A number that is another's by now is nobody's.
    assert inside.read(os.getpid(), entry["Id"], "/etc/hostname", 100) is None
    assert inside.processes(os.getpid(), entry["Id"]) == []


SERVE = """
import socket
with socket.create_server(("", {port})) as server:
    while True:
        connection, _ = server.accept()
        connection.sendall(b"port {port}")
        connection.close()
"""


def heard(port: int) -> str:
    """What a port of this machine says to whoever connects."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            connection.settimeout(3)
            return connection.recv(100).decode()
    except OSError as error:
        return type(error).__name__


def serve(lab: Lab, machine: Instance, port: int) -> None:
    lab.says(machine, f"setsid python3 -c '{SERVE.format(port=port)}' >/dev/null 2>&1 </dev/null & sleep 0.3")


def test_ports_are_reached_from_outside_as_asked_and_by_no_other_team(lab: Lab) -> None:
    machine = lab.launch("ports", ports=(8080, 5432))
    other = lab.launch("stranger", team=2, ports=(8080,))
    external = {forward.internal: forward.external for forward in machine.port_forwards}
    assert list(external) == [22, 8080, 5432]
    assert not set(external.values()) & {forward.external for forward in other.port_forwards}
    for port in (8080, 9090):
        serve(lab, machine, port)
    assert heard(external[8080]) == "port 8080"
    assert heard(external[5432]) != "port 8080"
    assert lab.provider.inspect("ports") == machine
    [network] = (lab.provider.podman.container(f"forebay-{lab.provider.tag}-ports") or {})["NetworkSettings"][
        "Networks"
    ].values()
    tried = "timeout 1 bash -c 'exec 3<>/dev/tcp/{}/{}; cat <&3' 2>&1; echo done"
    for address, port in ((network["IPAddress"], 8080), (network["Gateway"], external[8080])):
        assert "port 8080" not in lab.says(other, tried.format(address, port))
    lab.provider.stop("ports")
    assert heard(external[8080]) == "ConnectionRefusedError"
    lab.provider.start("ports")
    again = lab.ready("ports")
    assert again.port_forwards == machine.port_forwards
    serve(lab, again, 5432)
    assert heard(external[5432]) == "port 5432"
    lab.end(["ports"])
    rules = run(["iptables", "-w", "-t", "nat", "-S"]).stdout
    assert [port for port in external.values() if f"--dport {port} " in rules] == []


def test_logs_are_read_piece_by_piece_while_the_machine_runs_and_after(lab: Lab) -> None:
    lab.launch("logs", cloud_init=CloudInit(runcmd=("echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two",)))
    machine = lab.ready("logs")
    console = part(lab, LogKind.console)
    assert "forebay: host key ssh-ed25519 " in console.text
    assert "\r" not in console.text
    lab.says(machine, "true")
    news = awaited(lab, LogKind.console, console.cursor, "Accepted publickey")
    assert "host key" not in news
    first = until(lab, LogKind.cloud_init, "one\n")
    lab.says(machine, "touch /go")
    assert "one\n" not in awaited(lab, LogKind.cloud_init, first.cursor, "two\n")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while lab.provider.cloud_init_outcome("logs") is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert lab.provider.read_log("logs", LogKind.console, most_bytes=40) != console
    lab.provider.stop("logs")
    assert "one\ntwo\n" in part(lab, LogKind.cloud_init).text
    assert "host key" in part(lab, LogKind.console).text
    lab.end(["logs"])
    assert [lab.provider.read_log("logs", kind) for kind in LogKind] == [None, None]


def part(lab: Lab, kind: LogKind, after: str = "") -> LogPart:
    found = lab.provider.read_log("logs", kind, after=after)
    assert found is not None
    return found


def until(lab: Lab, kind: LogKind, words: str) -> LogPart:
    """A log from its beginning, once these words are in it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while words not in (found := part(lab, kind)).text:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def awaited(lab: Lab, kind: LogKind, cursor: str, words: str) -> str:
    """What comes after the cursor, piece by piece, until these words have."""
    text, deadline = "", time.monotonic() + PATIENCE_SECONDS
    while words not in text:
        assert time.monotonic() < deadline, text
        piece = part(lab, kind, cursor)
        text, cursor = text + piece.text, piece.cursor
        time.sleep(0.05)
    return text
