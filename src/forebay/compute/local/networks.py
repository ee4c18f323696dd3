"""A network and a range of user ids for each team, remembered as one Podman network.

The range is in the network's labels, chosen once among those of all installations on the machine: so root of one team
is nobody to every other team, and to the host. It is never changed while the network exists.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from forebay.compute.base import ProviderUnavailable
from forebay.compute.local.podman import Podman, Refused
from forebay.compute.local.service import machine_lock, run

CLOUD = "io.forebay.cloud"
UID_BASE = "io.forebay.uid-base"

FIRST_UID = 1_000_000
UIDS = 65_536
LAST_UID = 2**32 - 2 * UIDS
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
INTERFACE_LENGTH = 15
INTERFACES = Path("/sys/class/net")


class TeamNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """What a team's machines share: a bridge, and the host's user ids that theirs are mapped to."""

    name: str
    bridge: str
    uid_base: int
    uid_count: int = UIDS


def bridge_prefix(tag: str) -> str:
    """What the names of all bridges of an installation begin with."""
    return f"fby{tag}"


def bridge_name(tag: str, team_number: int) -> str:
    """The bridge's name: the installation's tag and the team's number to base 36, at most 15 characters."""
    digits = ""
    while team_number:
        team_number, digit = divmod(team_number, len(DIGITS))
        digits = DIGITS[digit] + digits
    name = bridge_prefix(tag) + (digits or "0")
    if len(name) > INTERFACE_LENGTH:
        raise ValueError(f"no bridge can be named for a team of so high a number: {name}")
    return name


class Networks:
    """The networks of one installation. Thread-safe; installations on one machine take turns."""

    def __init__(
        self, podman: Podman, cloud_id: str, tag: str, kept_bases: Callable[[], Mapping[int, int]] = dict
    ) -> None:
        self.podman = podman
        self.cloud_id = cloud_id
        self.tag = tag
        self.kept_bases = kept_bases
        """The first user id of teams that have files of their own on this machine: theirs alone, for ever."""
        self.known: dict[int, TeamNetwork] = {}
        self.lock = threading.Lock()

    def all(self) -> list[TeamNetwork]:
        """Every network of this installation."""
        found = self.podman.networks(f"{CLOUD}={self.cloud_id}")
        return sorted((read(entry) for entry in found), key=lambda network: network.name)

    def of_team(self, team_number: int) -> tuple[TeamNetwork, bool]:
        """The team's network, and whether it was looked up or made just now."""
        with self.lock:
            if team_number in self.known:
                return self.known[team_number], False
            with machine_lock("networks"):
                self.known[team_number] = self.find_or_create(team_number)
            return self.known[team_number], True

    def find_or_create(self, team_number: int) -> TeamNetwork:
        """Look among the machine's networks, and take the range of the team's files, or the lowest that nobody has."""
        name = f"forebay-{self.tag}-{team_number}"
        taken = self.podman.networks(UID_BASE)
        for entry in taken:
            if entry["name"] == name:
                return read(entry)
        kept = self.kept_bases()
        bases = {int(entry["labels"][UID_BASE]) for entry in taken}
        own = kept.get(team_number)
        is_free = own is not None and own not in bases
        bases |= set(kept.values())
        delete_bridge(bridge_name(self.tag, team_number))
        base = own if is_free else next((base for base in range(FIRST_UID, LAST_UID, UIDS) if base not in bases), None)
        if base is None:
            raise ProviderUnavailable("This machine has no range of user ids left for another team")
        specification = {
            "name": name,
            "driver": "bridge",
            "network_interface": bridge_name(self.tag, team_number),
            "dns_enabled": False,
            "ipv6_enabled": False,
            "labels": {CLOUD: self.cloud_id, UID_BASE: str(base)},
        }
        try:
            return read(self.podman.create_network(specification))
        except Refused as refusal:
            raise ProviderUnavailable("The team's network can't be created") from refusal

    def forget(self) -> None:
        """Look everything up again next time."""
        with self.lock:
            self.known.clear()

    def remove_all(self) -> None:
        """Remove every network of this installation. Nothing may use them."""
        for network in self.all():
            self.podman.remove_network(network.name)
            delete_bridge(network.bridge)
        self.forget()


def delete_bridge(name: str) -> None:
    """Delete the interface of a network that is no more, with the address it had; a start that was cut off keeps it."""
    if (INTERFACES / name).exists():
        with contextlib.suppress(FileNotFoundError):
            run(["ip", "link", "delete", name])


def read(entry: dict[str, Any]) -> TeamNetwork:
    """A network of ours as Podman lists it."""
    return TeamNetwork(name=entry["name"], bridge=entry["network_interface"], uid_base=int(entry["labels"][UID_BASE]))
