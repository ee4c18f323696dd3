"""From the start of the process to the first answered request, on a data folder that has been used before.

Forebay starts whole: `forebay serve` with its worker and the local provider, whose base image is there and whose Podman
service runs, as after any earlier start. The peer dstack starts without its background processing. Both take turns.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import cloud, dstack
from benchmarks.cloud import Cloud
from benchmarks.figures import Figure, note
from benchmarks.installation import removed_afterwards, service_with_image
from benchmarks.processes import PROCESSORS, Server, free_port, server

STARTS = 5
REQUESTS = 100
MOST_SECONDS = 1.5
MOST_MB = 130


def run() -> Iterator[Figure]:
    """Seconds, the memory after some requests, and the ratio of seconds."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        ours, theirs = Path(name) / "forebay", Path(name) / "dstack"
        prepared = cloud.prepare(ours, machines=0)
        theirs.mkdir()
        dstack.prepare(theirs)
        with removed_afterwards(ours), service_with_image(ours):
            pairs = [(start(prepared), start_peer(theirs)) for _ in range(STARTS + 1)]
    # The first of each finds nothing in the caches.
    found, peers = zip(*pairs[1:], strict=True)
    seconds, memory = (median(values) for values in zip(*found, strict=True))
    peer_seconds, peer_memory = (median(values) for values in zip(*peers, strict=True))
    note(f"forebay: {', '.join(f'{one:.2f}' for one, _ in found)} s, {memory:.0f} MB")
    note(f"dstack: {', '.join(f'{one:.2f}' for one, _ in peers)} s, {peer_memory:.0f} MB")
    yield Figure("start", seconds, "s", "<=", MOST_SECONDS)
    yield Figure("start-memory", memory, "MB", "<=", MOST_MB)
    yield Figure("start-to-dstack-ratio", peer_seconds / seconds, "x", ">=", 2)


def start(prepared: Cloud) -> tuple[float, float]:
    """Seconds and MB of one start of Forebay."""
    wanted = prepared.list_request(free_port())
    command: list[str | Path] = [Path(sys.executable).with_name("forebay"), "serve", "--port", str(wanted.port)]
    environment = {**prepared.environment(), "FOREBAY_PROVIDERS": "local"}
    with server(command, wanted, environment=environment, processors=PROCESSORS) as started:
        return used(started)


def start_peer(data_dir: Path) -> tuple[float, float]:
    """Seconds and MB of one start of dstack."""
    with dstack.running(data_dir, processors=PROCESSORS) as started:
        return used(started)


def used(started: Server) -> tuple[float, float]:
    """Its seconds, and its memory once it has answered some requests."""
    for _ in range(REQUESTS):
        started.request.answer()
    return started.seconds, started.resident_mb()
