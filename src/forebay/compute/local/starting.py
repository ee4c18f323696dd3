"""Starting containers and taking them away, also after Podman was killed in the middle of it.

A start that was cut off may leave any part of itself: a process that Podman takes for stopped, a monitor that holds the
port, a forwarding rule that wins over the next one, a container that runs without a network. Each is looked for here.
"""

import time

from forebay.compute.local import cgroups, container
from forebay.compute.local.podman import Podman, Refused
from forebay.compute.local.service import Service
from forebay.compute.local.walls import close_port

PORT_PATIENCE = 10
PORT_WAIT_SECONDS = 0.2
INTERNAL_SERVER_ERROR = 500


def start(podman: Podman, name: str) -> None:
    """Start what does not run, on ports that lead nowhere yet. Raises Refused also if it comes up cut off."""
    entry = podman.container(name)
    if entry is not None and not entry["State"]["Running"]:
        for port in container.ports_of(entry["Config"]["Labels"]):
            close_port(port)
    # After a reboot it is gone, and Podman would make one without our weight.
    cgroups.prepare()
    podman.start(name)
    if not container.has_address(podman.container(name)):
        raise Refused(INTERNAL_SERVER_ERROR, "it runs without a network: an earlier start was cut off")


def start_over(podman: Podman, service: Service, name: str) -> None:
    """Start a machine whose last start was cut off in a way that Podman can't go on from: back to the beginning."""
    entry = podman.container(name)
    podman.stop(name, container.STOP_SECONDS)
    if entry is not None:
        service.kill_unrecorded(entry["Id"])
    service.clear_away(name)
    for is_last in (False,) * PORT_PATIENCE + (True,):
        try:
            return start(podman, name)
        except Refused as refusal:
            # The monitor of the start that was cut off holds the port until it has noticed the end.
            if is_last or not refusal.is_port_taken:
                raise
            time.sleep(PORT_WAIT_SECONDS)


def remove(podman: Podman, service: Service, name: str) -> None:
    """Kill it and delete its disk; also what runs of it without Podman's knowledge. Fine if it is gone."""
    entry = podman.container(name)
    if entry is not None and not entry["State"]["Running"]:
        service.kill_unrecorded(entry["Id"])
    podman.remove(name)
