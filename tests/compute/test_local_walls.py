"""The walls between teams, tried from inside a machine as its root."""

import contextlib
import json
import os
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from forebay.compute.base import Instance
from forebay.compute.local import LocalProvider, container
from forebay.compute.local.service import run
from tests.compute.conftest import Lab

pytestmark = pytest.mark.podman


def address_inside(lab: Lab, machine: Instance) -> str:
    """The machine's address on its team's network."""
    return lab.says(machine, "hostname -I").split()[0]


def reached(lab: Lab, machine: Instance, places: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those places of which a TCP connection from inside gets any answer, a refusal included."""
    probe = "(timeout 2 bash -c '</dev/tcp/{0}/{1}' 2>/dev/null; [ $? = 124 ] || echo {0} {1}) &"
    answered = lab.says(machine, " ".join(probe.format(*place) for place in places) + " wait")
    return [(address, int(port)) for address, port in map(str.split, answered.splitlines())]


def addresses_of_the_host() -> list[str]:
    """IPv4 addresses of this machine, its bridges' included, but loopback."""
    shown = run(["ip", "-4", "-o", "address"]).stdout
    found = [line.split()[3].split("/")[0] for line in shown.splitlines()]
    return [address for address in found if not address.startswith("127.")]


def test_what_a_machine_reaches_and_what_it_does_not(
    lab: Lab, make_lab: Callable[[LocalProvider], Lab], neighbour_provider: LocalProvider
) -> None:
    other_cloud = make_lab(neighbour_provider)
    machine, mate, stranger = lab.launch("one"), lab.launch("mate"), lab.launch("stranger", team=2)
    foreigner = other_cloud.launch("foreigner")
    assert [i.deployment_id for i in neighbour_provider.observe()] == ["foreigner"]

    gateway = lab.says(machine, "ip route show default").split()[2]
    with socket.create_server(("0.0.0.0", 0)) as listening:
        port = listening.getsockname()[1]
        walled = [
            *((address, port) for address in addresses_of_the_host()),
            (gateway, 22),
            (address_inside(lab, stranger), 22),
            (address_inside(other_cloud, foreigner), 22),
            *((address, 80) for address in ("169.254.169.254", "10.1.2.3", "172.16.0.1", "192.168.0.1", "198.18.0.1")),
            ("100.64.0.1", 80),
        ]
        friend = (address_inside(lab, mate), 22)
        assert reached(lab, machine, [*walled, friend]) == [friend]


ESCAPES = Path(__file__).with_name("escapes.py")
REFUSALS = {
    "EPERM", "EACCES", "EROFS", "ENOENT", "ENOSYS", "EAFNOSUPPORT", "ESRCH", "empty", "none", "inside", "killed",
    "RTNETLINK answers: Operation not permitted",
}  # fmt: skip


def test_root_of_a_machine_finds_no_way_out(lab: Lab) -> None:
    machine = lab.launch("escapes")
    lab.says(machine, f"cat > /root/escapes.py <<'END'\n{ESCAPES.read_text()}\nEND")
    ended = json.loads(lab.says(machine, "python3 /root/escapes.py"))
    assert {way: how for way, how in ended.items() if how not in REFUSALS} == {}
    assert len(ended) > 110
    ours = "null zero full tty random urandom fd mqueue ptmx pts shm stdin stdout stderr"
    assert set(lab.says(machine, "ls /dev").split()) == set(ours.split())
    assert lab.says(machine, "cat /proc/1/environ /proc/self/environ | grep -aoi 'FOREBAY_[A-Z_]*' | sort -u") == (
        "FOREBAY_AUTHORIZED_KEYS"
    )


def test_every_process_of_a_machine_is_nobody_outside(lab: Lab) -> None:
    machine = lab.launch("nobody", team=2)
    network = lab.provider.team_network(2)
    shell = lab.provider.open_shell("nobody")
    lab.says(machine, "(setsid sleep 60 >/dev/null 2>&1 &) ; cp /bin/sleep /root/raised; chmod 4755 /root/raised")
    lab.says(machine, "(setsid setpriv --reuid 65534 --clear-groups /root/raised 60 >/dev/null 2>&1 &)")
    found = lab.provider.podman.container(container.name_of(lab.provider.tag, "nobody"))
    assert found is not None
    folder = Path(f"/proc/{found['State']['Pid']}/ns/pid").readlink()
    owners = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "ns/pid").readlink() == folder:
                owners |= set(
                    re.findall(r"^[UG]id:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$", (process / "status").read_text(), re.M)
                )
    numbers = {int(number) for each in owners for number in each}
    assert len(owners) > 1
    assert all(network.uid_base <= number < network.uid_base + network.uid_count for number in numbers)
    shell.close()


def test_no_socket_of_the_host_is_reached_by_another_way(lab: Lab, tmp_path: Path) -> None:
    machine = lab.launch("sockets")
    gateway = lab.says(machine, "ip route show default").split()[2]
    name = f"forebay-test-{os.getpid()}"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams6,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.create_server(("127.0.0.1", 0)) as inner,
    ):
        datagrams.bind(("0.0.0.0", 0))
        datagrams6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        datagrams6.bind(("::", 0))
        abstract.bind(f"\0{name}")
        abstract.listen()
        port, port6, loopback = (each.getsockname()[1] for each in (datagrams, datagrams6, inner))
        bridge = lab.provider.team_network(1).bridge
        address6 = run(["ip", "-6", "-o", "address", "show", "dev", bridge]).stdout.split()[3].split("/")[0]
        tries = f"""
import socket
def told(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            s.sendto(b"out", address)
        except OSError:
            pass
for address in {[*addresses_of_the_host(), gateway, "255.255.255.255", "224.0.0.1", "127.0.0.1"]}:
    told(socket.AF_INET, (address, {port}))
for address in ("{address6}%eth0", "ff02::1%eth0", "::1"):
    told(socket.AF_INET6, (address, {port6}))
for family, address in ((socket.AF_UNIX, "\\0{name}"), (socket.AF_INET, ("127.0.0.1", {loopback}))):
    with socket.socket(family) as s:
        try:
            s.connect(address)
        except OSError:
            continue
        print("connected", address)
print("tried")
"""
        assert lab.says(machine, f"python3 - <<'END'\n{tries}\nEND") == "tried"
        for each in (datagrams, datagrams6):
            each.settimeout(0.3)
            with pytest.raises(TimeoutError):
                each.recv(10)


def test_names_are_asked_of_the_configured_resolvers_alone(lab: Lab) -> None:
    """Also on port 53 no private address answers but those."""
    machine = lab.launch("names")
    gateway = lab.says(machine, "ip route show default").split()[2]
    rules = run(["iptables", "-w", "-t", "mangle", "-S"]).stdout
    opened = {line.split(" -d ")[1].split("/")[0] for line in rules.splitlines()
              if lab.provider.tag in line and "--dport 53" in line}  # fmt: skip
    assert opened == set(lab.provider.walls.resolvers)
    assert lab.says(machine, "sed -n 's/^nameserver //p' /etc/resolv.conf").split() == list(lab.provider.resolvers)
    places = [(address, 53) for address in {gateway, "10.1.2.3", "172.16.0.1", "192.168.0.1"} - opened]
    assert reached(lab, machine, places) == []


def test_a_port_open_to_the_world_is_reached_from_there_and_is_no_way_to_another_team(
    make_lab: Callable[[LocalProvider], Lab], neighbour_provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbour_provider, "listen_on", container.EVERYWHERE)
    lab = make_lab(neighbour_provider)
    machine, stranger = lab.launch("one"), lab.launch("stranger", team=2)
    assert stranger.ssh_port is not None
    places = [(address, stranger.ssh_port) for address in addresses_of_the_host()]
    for place in [("127.0.0.1", stranger.ssh_port), places[0]]:
        with socket.create_connection(place, timeout=5) as connection:
            assert connection.recv(4) == b"SSH-", place
    assert reached(lab, machine, places) == []


def test_ipv6_does_not_lead_to_the_host(lab: Lab) -> None:
    machine = lab.launch("six")
    bridge = lab.provider.team_network(1).bridge
    shown = run(["ip", "-6", "-o", "address", "show", "dev", bridge])
    address = shown.stdout.split()[3].split("/")[0]
    assert address.startswith("fe80:")
    assert lab.ssh(machine, f"ping -6 -c1 -W2 {address}%eth0").returncode != 0


def test_walls_come_back_and_can_be_taken_away(local_provider: LocalProvider) -> None:
    def rules() -> str:
        return run(["iptables", "-w", "-t", "mangle", "-S"]).stdout

    local_provider.team_network(1)
    local_provider.prepare()
    standing = [line for line in rules().splitlines() if local_provider.tag in line]
    local_provider.walls.remove()
    assert local_provider.tag not in rules()
    for _ in range(2):
        local_provider.prepare()
        assert sorted(line for line in rules().splitlines() if local_provider.tag in line) == sorted(standing)


def test_an_opened_network_is_reached_and_other_teams_still_are_not(lab: Lab) -> None:
    everything = ["0.0.0.0/0"]
    walls = type(lab.provider.walls)(lab.provider.tag, f"fby{lab.provider.tag}", lab.provider.resolvers, everything)
    machine, stranger = lab.launch("one"), lab.launch("stranger", team=2)
    bridges = [network.bridge for network in lab.provider.networks.all()]
    gateway = lab.says(machine, "ip route show default").split()[2]
    stranger_inside = (address_inside(lab, stranger), 22)
    assert reached(lab, machine, [(gateway, 9), stranger_inside]) == []
    try:
        walls.raise_around(bridges)
        assert reached(lab, machine, [(gateway, 9), stranger_inside]) == [(gateway, 9)]
    finally:
        lab.provider.walls.raise_around(bridges)
