"""Which addresses of the network are anyone's to ask for: where people name an address, Forebay must not be their
way into the network that it stands in.

Everything that the registries of IANA keep apart is closed: this host, private and shared networks, link-local ones
with the metadata services of clouds, documentation, multicast, and every form of IPv6 that carries an IPv4 address
inside (mapped, compatible, NAT64, 6to4, Teredo). Of IPv6 only 2000::/3 is given out at all. Operators may open
networks.
"""

import ipaddress
import re
from functools import cache
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from forebay.errors import BadRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CLOSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # what a virtual machine at Azure is told by its host
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
MOST_CHARACTERS = 1000
WELL_KNOWN = (80, 443)
NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?\.?", re.IGNORECASE)


class AddressRefused(BadRequest):
    """An address that Forebay does not send to."""

    code = "ADDRESS_REFUSED"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Forebay doesn't send to this address: {reason}.", details={"url": reason})


class Walls(msgspec.Struct, frozen=True):
    """What this cloud allows."""

    open_networks: tuple[str, ...] = ()
    """Closed networks that are open all the same."""
    allows_http: bool = False

    def opens(self, address: Address) -> bool:
        """Whether the operator has opened a network that the address is in."""
        return any(address in network for network in networks(self.open_networks))

    def lets_through(self, address: Address) -> bool:
        """Whether the address may be connected to."""
        return is_public(address) or self.opens(address)


class Decided(Protocol):
    """The settings that are walls."""

    @property
    def webhook_open_networks(self) -> tuple[str, ...]: ...

    @property
    def webhook_allow_http(self) -> bool: ...


def walls_of(settings: Decided) -> Walls:
    """Where webhooks of this cloud may lead."""
    return Walls(settings.webhook_open_networks, settings.webhook_allow_http)


@cache
def networks(written: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of a setting."""
    return tuple(ipaddress.ip_network(network, strict=False) for network in written)


def is_public(address: Address) -> bool:
    """Whether the address is on the public network."""
    if isinstance(address, ipaddress.IPv6Address) and (address not in GIVEN_OUT or address.scope_id is not None):
        return False
    return not any(address in network for network in CLOSED)


class Place(msgspec.Struct, frozen=True):
    """Where a URL leads, taken apart once."""

    scheme: str
    host: str
    """Without brackets."""
    port: int
    path: str
    """With the query."""


def place(url: str, walls: Walls) -> Place:
    """Where the URL leads. Raises AddressRefused for one that can't be sent to whatever its name resolves to."""
    if len(url) > MOST_CHARACTERS or not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>'):
        raise AddressRefused(f"a URL of at most {MOST_CHARACTERS} ASCII characters, without spaces, is needed")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AddressRefused("it is no URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and walls.allows_http):
        raise AddressRefused("it must begin with https://")
    if not host:
        raise AddressRefused("it names no host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressRefused("no user, password or fragment may be in it")
    port = port if port is not None else (443 if parts.scheme == "https" else 80)
    if port not in WELL_KNOWN and port < 1024:
        raise AddressRefused("only the ports 80, 443 and those from 1024 on may be asked for")
    check_host(host, walls)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme, host, port, path)


def check_host(host: str, walls: Walls) -> None:
    """Raise AddressRefused for a number that leads nowhere public, and for what is no name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # 0x7f.1 and 2130706433 are names that programs read as 127.0.0.1.
        if HOST.fullmatch(host) is None or NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            raise AddressRefused("its host is neither a name nor an address in full") from None
        if host.rstrip(".").lower().split(".")[-1] == "localhost":
            check_host("127.0.0.1", walls)
        return
    if not walls.lets_through(address):
        raise AddressRefused("it is not on the public network")
