"""The walls between teams, tried from inside a machine as its root."""

import socket
from collections.abc import Callable, Sequence

import pytest

from forebay.compute.base import Instance
from forebay.compute.local import LocalProvider
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
