"""The firewall around teams: what a machine may reach, and who may reach it.

A machine reaches the internet, its own team's machines and the resolvers' port 53. It does not reach any address of the
host, another team, link-local addresses (a cloud's metadata service among them) or private networks, unless the
operator opened them. From outside it is reached only through its published ports. IPv6 is closed.

The rules are in the mangle table, where a drop is final: Podman and others insert their own accepting rules into the
filter table at any place and time. Each installation has chains of its own, replaced as a whole in one step.
"""

import contextlib
import ipaddress
import shlex
import threading
from collections.abc import Iterator, Sequence

from forebay.compute.base import ProviderUnavailable
from forebay.compute.local.service import run

ANY_BRIDGE = "fby+"
"""The bridges of all installations on the machine."""

PRIVATE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip

REPLIES = "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"


def succeeds(command: Sequence[str], *, given: str | None = None) -> bool:
    """Run one program of the firewall's; whether it succeeded. Raises ProviderUnavailable if it isn't installed."""
    try:
        return run(command, given=given).returncode == 0
    except FileNotFoundError:
        raise ProviderUnavailable("iptables is not installed on this machine: teams can't be walled off") from None


class Walls:
    """The rules of one installation. Thread-safe; `raise_around` may be called at will."""

    def __init__(self, tag: str, prefix: str, resolvers: Sequence[str], open_networks: Sequence[str]) -> None:
        self.prefix = prefix
        self.resolvers = [address for address in resolvers if ipaddress.ip_address(address).version == 4]
        networks = [ipaddress.ip_network(network, strict=False) for network in open_networks]
        self.open_networks = [str(network) for network in networks if network.version == 4]
        self.host_chain, self.out_chain, self.in_chain = (f"FBY-{tag}-{kind}" for kind in ("HOST", "OUT", "IN"))
        self.lock = threading.Lock()

    def jumps(self) -> Iterator[tuple[str, str, str]]:
        """(program, chain, rule) of every rule outside our own chains."""
        yield "iptables", "INPUT", f"-i {self.prefix}+ -j {self.host_chain}"
        yield "iptables", "FORWARD", f"-i {self.prefix}+ -j {self.out_chain}"
        yield "iptables", "FORWARD", f"-o {self.prefix}+ -j {self.in_chain}"
        yield "ip6tables", "INPUT", f"-i {self.prefix}+ -j DROP"
        yield "ip6tables", "FORWARD", f"-i {self.prefix}+ -j DROP"
        yield "ip6tables", "FORWARD", f"-o {self.prefix}+ -j DROP"

    def rules(self, bridges: Sequence[str]) -> str:
        """Our chains, for iptables-restore."""
        to_resolver = "-d {} -p {} --dport 53 -j RETURN".format
        resolvers = [to_resolver(address, protocol) for address in self.resolvers for protocol in ("udp", "tcp")]
        opened = [f"-d {network} -j RETURN" for network in self.open_networks]
        teammates = [f"-i {bridge} -o {bridge} -j RETURN" for bridge in bridges]
        chains = {
            self.host_chain: [REPLIES, *resolvers, *opened, "-j DROP"],
            self.out_chain: [
                REPLIES, *teammates, f"-o {ANY_BRIDGE} -j DROP", *resolvers, *opened,
                *(f"-d {network} -j DROP" for network in PRIVATE),
            ],
            self.in_chain: [REPLIES, *teammates, "-m conntrack --ctstate DNAT -j RETURN", "-j DROP"],
        }  # fmt: skip
        lines = ["*mangle", *(f":{chain} - [0:0]" for chain in chains)]
        lines += [f"-A {chain} {rule}" for chain, entries in chains.items() for rule in entries]
        return "\n".join([*lines, "COMMIT", ""])

    def raise_around(self, bridges: Sequence[str]) -> None:
        """Put all rules in place for these bridges. Raises ProviderUnavailable if the kernel refuses them."""
        with self.lock:
            if not succeeds(["iptables-restore", "--wait", "--noflush"], given=self.rules(bridges)):
                raise ProviderUnavailable("The firewall between teams can't be set up on this machine")
            for program, chain, rule in self.jumps():
                if program == "ip6tables" and not has_ipv6():
                    continue
                command = [program, "--wait", "-t", "mangle"]
                if succeeds([*command, "-C", chain, *rule.split()]) or succeeds(
                    [*command, "-I", chain, "1", *rule.split()]
                ):
                    continue
                raise ProviderUnavailable("The firewall between teams can't be set up on this machine")

    def remove(self) -> None:
        """Take every rule of this installation away."""
        with self.lock, contextlib.suppress(ProviderUnavailable):
            for program, chain, rule in self.jumps():
                while succeeds([program, "--wait", "-t", "mangle", "-D", chain, *rule.split()]):
                    continue
            for chain in (self.host_chain, self.out_chain, self.in_chain):
                succeeds(["iptables", "--wait", "-t", "mangle", "-F", chain])
                succeeds(["iptables", "--wait", "-t", "mangle", "-X", chain])


def close_port(port: int) -> None:
    """Take away what a start that was cut off left of Podman's forwarding of a port, which would win over a new one.

    Only for a port whose machine does not run: it is that machine's alone.
    """
    command = ["iptables", "--wait", "-t", "nat"]
    rules = run([*command, "-S"]).stdout
    for rule in rules.splitlines():
        if rule.startswith("-A NETAVARK-") and f"--dport {port} " in rule:
            succeeds([*command, "-D", *shlex.split(rule)[1:]])


def has_ipv6() -> bool:
    """Whether the kernel speaks IPv6 at all."""
    try:
        with open("/proc/net/if_inet6"):
            return True
    except OSError:
        return False
