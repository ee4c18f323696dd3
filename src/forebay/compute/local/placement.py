"""Where a machine goes: its ports on the host, its GPUs, its team's network; and its creation there.

What is taken is what Podman's containers say, those of other installations and stopped ones included: nothing else is
remembered. Choosing and creating is one step under a lock that all installations share.
"""

import random
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forebay.compute.base import LaunchSpec, OutOfStock, PortForward, ProviderUnavailable, Rejected
from forebay.compute.local.container import GPUS, PORT, ports_of, specification
from forebay.compute.local.gpus import Gpus
from forebay.compute.local.networks import TeamNetwork
from forebay.compute.local.podman import Podman, Refused
from forebay.compute.local.service import machine_lock

PORTS = range(20_000, 30_000)
"""Below the ports that the kernel gives to outgoing connections."""


def place(
    podman: Podman, spec: LaunchSpec, *, name: str, cloud_id: str, image: str, network: TeamNetwork, listen_on: str,
    gpus: Gpus | None, resolvers: Sequence[str], seccomp: Path,
    disk_mounts: Sequence[dict[str, Any]] = (), volumes: Path | None = None,
) -> None:  # fmt: skip
    """Create the container; fine if it exists. Raises OutOfStock if the GPUs are taken, Rejected if there are none."""
    if spec.gpu_count and (gpus is None or spec.gpu_type != gpus.gpu_type):
        raise Rejected(f"This machine has no GPU of type {spec.gpu_type}")
    with machine_lock("placement"):
        placed = podman.containers([PORT])
        chosen = free_gpus(placed, gpus, spec.gpu_count) if gpus and spec.gpu_count else []
        port, *more = free_ports(placed, listen_on, 1 + len(spec.ports))
        forwards = [PortForward(external=there, internal=here) for there, here in zip(more, spec.ports, strict=True)]
        body = specification(
            spec, name=name, cloud_id=cloud_id, image=image, network=network, port=port, forwards=forwards,
            listen_on=listen_on, resolvers=resolvers, devices=gpus.devices(chosen) if gpus else [],
            seccomp=seccomp, disk_mounts=disk_mounts, volumes=volumes,
        )  # fmt: skip
        try:
            podman.create(body)
        except Refused as refusal:
            if not refusal.is_name_taken:
                raise
            if podman.container(name) is None:
                # A crash left the disk of a container that Podman never recorded. Removing by name takes it away.
                podman.remove(name)
                podman.create(body)


def free_gpus(placed: Sequence[dict[str, Any]], gpus: Gpus, count: int) -> list[int]:
    """The lowest free indexes. Raises OutOfStock."""
    taken = {device for entry in placed for device in entry["Labels"].get(GPUS, "").split(",") if device}
    free = [index for index, device in enumerate(gpus.devices(range(len(gpus.names)))) if device not in taken]
    if len(free) < count:
        raise OutOfStock("All GPUs of this machine are taken")
    return free[:count]


def free_ports(placed: Sequence[dict[str, Any]], listen_on: str, count: int) -> list[int]:
    """Ports that no container has and no program listens on. Raises ProviderUnavailable if there are too few."""
    taken = {port for entry in placed for port in ports_of(entry["Labels"])}
    candidates = [port for port in PORTS if port not in taken]
    random.shuffle(candidates)
    found: list[int] = []
    for port in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((listen_on, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise ProviderUnavailable("This machine has too few free ports left")
