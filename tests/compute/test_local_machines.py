"""Real machines of the local provider: what a person finds on one, and what it outlives."""

import base64
import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forebay.compute.base import (
    CloudInit,
    InstanceState,
    OutOfStock,
    ProviderUnavailable,
    Rejected,
    Usage,
    WriteFile,
)
from forebay.compute.local import cgroups, container, seccomp, usage
from forebay.compute.local.gpus import SIMULATED_COUNT
from forebay.compute.local.placement import place
from forebay.compute.local.service import NETWORK_NAMESPACES, run
from tests.compute.conftest import PATIENCE_SECONDS, Lab, answered, answers

pytestmark = pytest.mark.podman


def create_only(lab: Lab, name: str, **changes: Any) -> None:
    """What a crash between creating and starting leaves behind."""
    provider = lab.provider
    spec = lab.spec(name, **changes)
    network = provider.team_network(spec.team_number)
    place(
        provider.podman, spec, name=container.name_of(provider.tag, name), cloud_id=provider.cloud_id,
        image=provider.image, network=network, listen_on=provider.listen_on, gpus=None, resolvers=provider.resolvers,
        seccomp=seccomp.write(provider.service.folder),
        disk_mounts=provider.disks.make(name, spec.storage_gb, network.uid_base, spec.hostname, provider.resolvers),
    )  # fmt: skip


def facts(lab: Lab, name: str) -> dict[str, dict[str, object]]:
    """Podman's own description of a machine."""
    found = lab.provider.podman.container(container.name_of(lab.provider.tag, name))
    assert found is not None
    return found


def network_of(lab: Lab, name: str) -> Path:
    """The file that keeps a machine's network namespace."""
    return Path(str(facts(lab, name)["NetworkSettings"]["SandboxKey"]))


def test_ssh_lets_in_the_key_of_the_launch_and_shows_the_reported_host_key(lab: Lab) -> None:
    machine = lab.launch("login")
    assert lab.says(machine, "hostname; id -un; sudo id -u; cat /etc/debian_version").split()[:3] == [
        "login",
        "root",
        "0",
    ]
    seen = subprocess.run(
        ["ssh-keyscan", "-T", "5", "-p", str(machine.ssh_port), "127.0.0.1"], capture_output=True, text=True, check=True
    ).stdout
    assert sorted(line.split(maxsplit=1)[1] for line in seen.splitlines() if line[0] != "#") == sorted(
        machine.host_keys
    )
    offered = subprocess.run(
        ["ssh", "-F", "none", "-p", str(machine.ssh_port), "-o", "PubkeyAuthentication=no", "-o", "BatchMode=yes",
         "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Permission denied (publickey)" in offered.stderr


def test_no_two_machines_have_a_host_key_in_common(lab: Lab) -> None:
    machines = [lab.launch(name) for name in ("first", "second")]
    assert not set(machines[0].host_keys) & set(machines[1].host_keys)


def test_a_crash_between_create_and_start_is_made_good_by_the_next_launch(lab: Lab) -> None:
    create_only(lab, "halfway")
    assert [(i.deployment_id, i.state, i.started_at) for i in lab.provider.observe()] == [
        ("halfway", InstanceState.starting, None)
    ]
    identity = facts(lab, "halfway")["Id"]
    lab.provider.launch(lab.spec("halfway"))
    assert lab.says(lab.ready("halfway"), "echo in") == "in"
    assert facts(lab, "halfway")["Id"] == identity


def test_a_port_that_was_taken_meanwhile_is_replaced_by_another(lab: Lab) -> None:
    create_only(lab, "crowded")
    instance = lab.provider.inspect("crowded")
    assert instance is not None
    with socket.socket() as other:
        other.bind(("127.0.0.1", instance.ssh_port))
        other.listen()
        machine = lab.launch("crowded")
    assert machine.ssh_port != instance.ssh_port


def test_stop_and_start_keep_disk_port_keys_and_leave_no_network_behind(lab: Lab) -> None:
    machine = lab.launch("kept")
    networks = [network_of(lab, "kept")]
    lab.says(machine, "echo here > /root/file; trap '' TERM; (sleep 1000 >/dev/null 2>&1 &)")
    started = time.monotonic()
    lab.provider.stop("kept")
    assert time.monotonic() - started < container.STOP_SECONDS
    assert not answers(machine)
    lab.provider.start("kept")
    again = lab.ready("kept")
    assert (again.ssh_port, again.host_keys) == (machine.ssh_port, machine.host_keys)
    assert lab.says(again, "cat /root/file") == "here"
    networks.append(network_of(lab, "kept"))
    assert all(path.parent == NETWORK_NAMESPACES for path in networks)
    lab.end(["kept"])
    assert [path for path in networks if path.exists()] == []
    rules = run(["iptables", "-w", "-t", "nat", "-S"]).stdout
    assert f"--dport {machine.ssh_port} " not in rules


def test_keys_change_on_a_running_machine_and_on_a_stopped_one(lab: Lab) -> None:
    machine = lab.launch("keys")
    lab.provider.set_authorized_keys("keys", [])
    assert "Permission denied" in lab.ssh(machine, "true").stderr
    lab.provider.set_authorized_keys("keys", [lab.public_key])
    assert lab.says(machine, "wc -l < /etc/forebay/authorized_keys") == "1"
    lab.provider.stop("keys")
    lab.provider.set_authorized_keys("keys", [])
    lab.provider.start("keys")
    assert "Permission denied" in lab.ssh(lab.ready("keys"), "true").stderr


def test_a_machine_that_ends_by_itself_says_why_and_starts_again(lab: Lab) -> None:
    lab.launch("dies")
    os.kill(int(str(facts(lab, "dies")["State"]["Pid"])), signal.SIGKILL)
    until = time.monotonic() + 10
    while lab.provider.observe()[0].state is not InstanceState.stopped and time.monotonic() < until:
        time.sleep(0.05)
    (seen,) = lab.provider.observe()
    assert (seen.state, seen.exit_reason) == (InstanceState.stopped, "Its init was killed.")
    lab.provider.start("dies")
    assert lab.says(lab.ready("dies"), "echo back") == "back"


def test_cloud_init_writes_files_before_it_runs_commands(lab: Lab) -> None:
    odd = "tab\there, quote \" and ', back\\slash, é, \U0001f600 and \x07\n"
    given = CloudInit(
        write_files=(
            WriteFile(path="/opt/one/plain", content=odd, owner="root:root", permissions="0640"),
            WriteFile(path="/opt/one/coded", content=base64.b64encode(b"\x00\xff").decode(), encoding="b64"),
        ),
        runcmd=("cp /opt/one/plain /root/copy", 'echo "$((1 + 1)) \U0001f600 \\\\ : #" > /root/said'),
    )
    machine = lab.launch("first-boot", cloud_init=given)
    until = time.monotonic() + 30
    while (outcome := lab.provider.cloud_init_outcome("first-boot")) is None and time.monotonic() < until:
        time.sleep(0.1)
    assert outcome is not None
    assert outcome.succeeded, outcome.log
    assert "Cloud-init v." in outcome.log
    assert lab.ssh(machine, "cat /root/copy").stdout == odd
    assert lab.says(machine, "stat -c %a /opt/one/plain; od -An -tx1 /opt/one/coded").split() == ["640", "00", "ff"]
    assert lab.says(machine, "cat /root/said") == "2 \U0001f600 \\ : #"


def test_cloud_init_that_fails_is_told_and_the_machine_lives(lab: Lab) -> None:
    machine = lab.launch("fails", cloud_init=CloudInit(runcmd=("echo something is wrong >&2", "false")))
    until = time.monotonic() + 30
    while (outcome := lab.provider.cloud_init_outcome("fails")) is None and time.monotonic() < until:
        time.sleep(0.1)
    assert outcome is not None
    assert not outcome.succeeded
    assert "something is wrong" in outcome.log
    assert lab.says(machine, "echo alive") == "alive"


START_UNTIL_REFUSED = """
import os, threading
threading.stack_size(32768)
end = threading.Event()
count = 0
try:
    while count < 20000:
        threading.Thread(target=end.wait, daemon=True).start()
        count += 1
except RuntimeError:
    print(count, flush=True)
os._exit(0)
"""


def test_memory_and_processes_are_limited_and_the_machine_survives(lab: Lab) -> None:
    machine = lab.launch("limits")
    greedy = lab.ssh(machine, "python3 -c 'x = bytearray(1500 * 2**20)'; echo $?")
    assert greedy.stdout.strip() == "137"
    processes = int(lab.says(machine, f"python3 -c '{START_UNTIL_REFUSED}'"))
    assert container.PROCESSES - 100 < processes < container.PROCESSES
    assert lab.says(machine, "df -B1M --output=size /dev/shm | tail -1") == "512"
    assert lab.says(
        machine, "dd if=/dev/zero of=/dev/shm/full bs=1M count=600 2>/dev/null || stat -c %s /dev/shm/full"
    ) == (str(512 * 2**20))
    [process] = [entry["Pid"] for entry in lab.provider.podman.containers([f"{container.DEPLOYMENT}=limits"])]
    group = usage.cgroup_of(process, str(facts(lab, "limits")["Id"]))
    assert group is not None
    assert group.parent.name == cgroups.PARENT
    if (cgroups.CGROUPS / "cgroup.controllers").exists():
        assert int((group.parent / "cpu.weight").read_text()) == cgroups.WEIGHT * (os.cpu_count() or 1)
    else:
        group = cgroups.CGROUPS / "cpu" / cgroups.PARENT / group.name
        assert int((group.parent / "cpu.shares").read_text()) == cgroups.SHARES * (os.cpu_count() or 1)
        assert int((group / "cpu.shares").read_text()) == cgroups.SHARES, "of one vCPU"


def test_root_of_a_machine_is_nobody_outside(lab: Lab) -> None:
    machine = lab.launch("mapped", team=2)
    network = lab.provider.team_network(2)
    inside, outside, count = map(int, lab.says(machine, "touch /owned; cat /proc/self/uid_map").split())
    assert (inside, outside, count) == (0, network.uid_base, network.uid_count)
    assert outside >= 1_000_000
    assert network.uid_base != lab.provider.team_network(1).uid_base
    upper = Path(str(facts(lab, "mapped")["GraphDriver"]["Data"]["UpperDir"]))  # type: ignore[index]
    assert (upper / "owned").stat().st_uid == network.uid_base
    kept = int(lab.says(machine, "sed -n 's/^CapBnd:\\s*//p' /proc/self/status"), 16)
    refused = (
        ("SYS_ADMIN", 21),
        ("NET_ADMIN", 12),
        ("NET_RAW", 13),
        ("SYS_MODULE", 16),
        ("SYS_PTRACE", 19),
        ("MKNOD", 27),
    )
    assert [name for name, bit in refused if kept >> bit & 1] == []
    assert lab.says(machine, "sed -n 's/^Seccomp:\\s*//p' /proc/self/status") == "2"
    assert "/dev/" not in lab.says(
        machine, "findmnt -rno SOURCE,TARGET -t ext4,xfs | grep -v ' /etc/\\| /run/.cont' || true"
    )


def test_the_service_is_started_again_and_machines_live_on(lab: Lab) -> None:
    machine = lab.launch("outlives")
    pid = lab.provider.service.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    assert lab.says(machine, "echo alive") == "alive"
    assert [(i.deployment_id, i.state) for i in lab.provider.observe()] == [("outlives", InstanceState.running)]
    assert lab.provider.service.pid() not in {None, pid}
    lab.provider.stop("outlives")
    lab.provider.start("outlives")
    assert lab.says(lab.ready("outlives"), "echo again") == "again"


@pytest.mark.parametrize("seconds", [0.05, 0.15, 0.25])
def test_a_start_that_was_cut_off_is_made_good_by_the_next(lab: Lab, seconds: float) -> None:
    machine = lab.launch("cut")
    lab.says(machine, "echo here > /root/file")
    lab.provider.stop("cut")
    with ThreadPoolExecutor(1) as thread:
        starting = thread.submit(lab.provider.start, "cut")
        time.sleep(seconds)
        pid = lab.provider.service.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProviderUnavailable):
            starting.result()
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            lab.provider.start("cut")
            break
        except ProviderUnavailable:
            assert time.monotonic() < until
            time.sleep(0.2)
    assert lab.says(lab.ready("cut"), "cat /root/file") == "here"


def test_ten_launches_at_once_of_old_and_new_teams(lab: Lab) -> None:
    seconds: list[float] = []

    def launch(number: int) -> int | None:
        began = time.monotonic()
        machine = lab.launch(f"many-{number}", team=number % 4 + 1)
        seconds.append(time.monotonic() - began)
        return machine.ssh_port

    with ThreadPoolExecutor(10) as threads:
        ports = list(threads.map(launch, range(10)))
    assert len(set(ports)) == 10
    assert {i.state for i in lab.provider.observe()} == {InstanceState.running}
    print(f"ten at once: the median answered after {statistics.median(seconds):.1f} s, the last {max(seconds):.1f} s")


def test_each_simulated_gpu_goes_to_one_machine(lab: Lab) -> None:
    machine = lab.launch("gpus", gpu_type="SIMULATED-H100", gpu_count=SIMULATED_COUNT - 1)
    devices = lab.says(machine, "ls /dev | grep simulated; echo 1 > /dev/forebay-simulated-gpu0").split()
    assert len(devices) == SIMULATED_COUNT - 1
    lab.provider.stop("gpus")
    with pytest.raises(OutOfStock):
        lab.provider.launch(lab.spec("too-many", gpu_type="SIMULATED-H100", gpu_count=2))
    last = lab.launch("last-gpu", gpu_type="SIMULATED-H100", gpu_count=1)
    assert lab.says(last, "ls /dev | grep simulated") not in devices
    with pytest.raises(Rejected):
        lab.provider.launch(lab.spec("other", gpu_type="h100", gpu_count=1))


def test_the_console_is_kept(lab: Lab) -> None:
    machine = lab.launch("talks")
    lab.says(machine, "true")
    assert "Accepted publickey for root" in lab.provider.logs("talks")
    assert len(lab.provider.logs("talks", most_bytes=20)) == 20
    assert re.search(r"^forebay: host key ssh-ed25519 ", lab.provider.logs("talks"), re.M)


def test_use_is_seen_in_processor_time_keys_and_sessions_without_a_terminal(lab: Lab) -> None:
    machine = lab.launch("used")

    def usage() -> Usage:
        lab.provider.observe()
        [found] = [each for each in lab.provider.usage() if each.deployment_id == "used"]
        return found

    assert usage().untouched_seconds is None, "nobody is there"
    before = usage().cpu_seconds
    lab.says(machine, "timeout 1 sh -c 'while :; do :; done'; true")
    burnt = usage().cpu_seconds - before
    assert 0.3 < burnt < 3
    shell = lab.provider.open_shell("used")
    answered(shell, "true")
    assert usage().untouched_seconds == 0, "somebody types"
    lab.says(machine, "touch -a -d '1 hour ago' /dev/pts/0")
    untouched = usage().untouched_seconds
    assert untouched is not None
    assert 3500 < untouched < 3700, "a terminal is open, and nobody types"
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    lab.says(machine, "setsid sleep 600 >/dev/null 2>&1 </dev/null & touch /root/begun")
    lab.provider.warn("used", "Idle: it is stopped unless it is used", at, is_final=False)
    text = b""
    while part := shell.read(1):
        text += part
    assert b"it is stopped unless it is used (2030-01-02T03:04:05Z)" in text
    assert lab.says(machine, "pgrep -c sleep; cat /run/forebay/notice").startswith("2\n{"), "it goes on as before"
    still = usage().untouched_seconds
    assert still is not None
    assert still >= untouched, "what was shown is not what was typed"
    shell.close()
    with lab.session(machine, "sleep 600"):
        until = time.monotonic() + PATIENCE_SECONDS
        while usage().untouched_seconds != 0:
            assert time.monotonic() < until
            time.sleep(0.1)
    lab.provider.stop("used")
    lab.provider.observe()
    assert "used" not in [each.deployment_id for each in lab.provider.usage()]
