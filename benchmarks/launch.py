"""From asking for a machine to `running`, which means that SSH answers, on the local provider; thirty launches.

The peer is `podman run` by hand: the same image and init, the same limits of memory and processors, a published port,
until SSH greets; without the user namespace, the walls and the books of a team. Both take turns.
"""

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import cloud
from benchmarks.figures import Figure, note
from benchmarks.installation import removed_afterwards, service_with_image
from benchmarks.processes import PROCESSORS, free_port, server
from forebay.compute.local import container, image
from forebay.compute.local.service import Service

LAUNCHES = 30
POLL_SECONDS = 0.02
WITHIN_SECONDS = 60
MOST_SECONDS = 3
MOST_RATIO = 1.5
ORDER = {
    "provider": "local",
    "offerId": "local-cpu-small",
    "gpuType": "cpu",
    "gpuCount": 0,
    "region": "local",
    "operatingSystem": "Debian 12",
    "instanceType": "DEDICATED",
}


class DidNotRun(RuntimeError):
    """A machine did not come up, or did not go."""


class Client:
    """One connection to Forebay's API."""

    def __init__(self, port: int, api_key: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, content: object = None) -> Any:
        """The answer's JSON. Raises DidNotRun with what was refused."""
        body = None if content is None else json.dumps(content)
        self.connection.request(method, path, body=body, headers=self.headers)
        answer = self.connection.getresponse()
        read = answer.read()
        if answer.status not in (200, 201):
            raise DidNotRun(f"{method} {path}: {answer.status} {read!r}")
        return json.loads(read)


def run() -> Iterator[Figure]:
    """Seconds, and their ratio to those by hand."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        data_dir = Path(name)
        prepared = cloud.prepare(data_dir, machines=0)
        environment = {**prepared.environment(), "FOREBAY_PROVIDERS": "local", "FOREBAY_RATE_LIMIT_CREATIONS": "1000"}
        wanted = prepared.list_request(free_port())
        command: list[str | Path] = [Path(sys.executable).with_name("forebay"), "serve", "--port", str(wanted.port)]
        with (
            removed_afterwards(data_dir),
            service_with_image(data_dir) as service,
            server(command, wanted, environment=environment, processors=PROCESSORS),
        ):
            client = Client(wanted.port, prepared.api_key)
            await_offer(client)
            order = {**ORDER, "teamId": prepared.team_id, "sshKeyId": client.ask("GET", "/api/ssh-keys")[0]["id"]}
            offer = size_of(client)
            pairs = [(by_forebay(client, order, service), by_hand(service, offer)) for _ in range(LAUNCHES + 1)]
    # The first of each finds nothing in the caches.
    ours, hand = zip(*pairs[1:], strict=True)
    note(f"forebay: {', '.join(f'{seconds:.2f}' for seconds in ours)} s")
    note(f"podman run: {', '.join(f'{seconds:.2f}' for seconds in hand)} s")
    yield Figure("launch", median(ours), "s", "<=", MOST_SECONDS)
    yield Figure("launch-p99", percentile(ours, 99), "s", "<=", MOST_SECONDS)
    yield Figure("launch-to-podman-ratio", median(ours) / median(hand), "x", "<=", MOST_RATIO)
    yield Figure("launch-to-podman-ratio-p99", percentile(ours, 99) / percentile(hand, 99), "x", "<=", MOST_RATIO)


def percentile(seconds: Sequence[float], percent: int) -> float:
    """The value that so many percent don't exceed: of few values, the largest."""
    return sorted(seconds)[min(len(seconds) - 1, len(seconds) * percent // 100)]


def await_offer(client: Client) -> None:
    """Wait until the local provider offers what is ordered."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            if not size_of(client)["maintenance"]:
                return
        except StopIteration:
            pass
        if time.monotonic() > deadline:
            raise DidNotRun(f"there is no offer {ORDER['offerId']}")
        time.sleep(0.1)


def size_of(client: Client) -> dict[str, Any]:
    """The offer that is ordered. Raises StopIteration while there is none."""
    groups = client.ask("GET", "/api/gpu-offers?limit=100")["data"]
    offers = (offer for group in groups for offer in group["offers"])
    return next(offer for offer in offers if offer["offerId"] == ORDER["offerId"])


def by_forebay(client: Client, order: dict[str, Any], service: Service) -> float:
    """Seconds of one launch; the machine is gone again afterwards."""
    began = time.perf_counter()
    deployment = client.ask("POST", "/api/deployments", order)
    while deployment["status"] == "deploying":
        if time.perf_counter() - began > WITHIN_SECONDS:
            raise DidNotRun(f"still deploying: {deployment}")
        time.sleep(POLL_SECONDS)
        deployment = client.ask("GET", f"/api/deployments/{deployment['id']}")
    seconds = time.perf_counter() - began
    if deployment["status"] != "running" or not greets(deployment["sshPort"]):
        raise DidNotRun(f"not running: {deployment}")
    client.ask("DELETE", f"/api/deployments/{deployment['id']}")
    label = f"label=io.forebay.deployment={deployment['id']}"
    while podman(service, "ps", "--all", "--quiet", "--filter", label):
        if time.perf_counter() - began > WITHIN_SECONDS:
            raise DidNotRun(f"{deployment['id']} is still there")
        time.sleep(POLL_SECONDS)
    return seconds


def by_hand(service: Service, offer: dict[str, Any]) -> float:
    """Seconds of `podman run` until SSH greets."""
    port = free_port()
    sizes = ["--cpus", str(offer["vcpus"]), "--memory", f"{offer['memory']}g"]
    sizes += [f"--ulimit={limit['type']}={limit['soft']}:{limit['hard']}" for limit in container.limits()]
    publish = ("--publish", f"127.0.0.1:{port}:22")
    init = ("--entrypoint", json.dumps(["/usr/bin/tini", "--", "/usr/lib/forebay/init"]))
    began = time.perf_counter()
    name = podman(service, "run", "--detach", "--rm", *sizes, *publish, *init, image.reference())
    try:
        while not greets(port):
            if time.perf_counter() - began > WITHIN_SECONDS:
                raise DidNotRun("podman run: SSH does not answer")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - began
    finally:
        podman(service, "rm", "--force", "--time", "0", name)


def podman(service: Service, *arguments: str) -> str:
    """What a command of Podman says, with the configuration that Forebay's machines have."""
    done = subprocess.run(
        [service.program, *arguments], env=service.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DidNotRun(f"podman {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def greets(port: int) -> bool:
    """Whether an SSH server says its name there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
