"""From the start of the process to the first answered request, on a data folder that has been used before.

Forebay starts whole: `forebay serve` with its worker and the local provider, whose base image is there and whose Podman
service runs, as after any earlier start. The peer dstack starts without its background processing. Both take turns.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import cloud, dstack
from benchmarks.cloud import Cloud
from benchmarks.figures import Figure, note
from benchmarks.installation import removed_afterwards, service_with_image
from benchmarks.processes import PROCESSORS, Server, free_port, server

STARTS = 3
REQUESTS = 100
MOST_SECONDS = 1.5
MOST_MB = 130


@dataclass(frozen=True)
class Start:
    """One start."""

    seconds: float
    processor_seconds: float
    resident_mb: float
    """Memory of the process once it has answered some requests."""


def run() -> Iterator[Figure]:
    """Seconds, memory, and the ratio of seconds."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        ours, theirs = Path(name) / "forebay", Path(name) / "dstack"
        prepared = cloud.prepare(ours, machines=0)
        theirs.mkdir()
        dstack.prepare(theirs)
        with removed_afterwards(ours), service_with_image(ours):
            pairs = [(start(prepared), start_peer(theirs)) for _ in range(STARTS + 1)]
    # The first of each finds nothing in the caches.
    found, peers = zip(*pairs[1:], strict=True)
    tell("forebay", found)
    tell("dstack", peers)
    seconds = median(one.seconds for one in found)
    yield Figure("start", seconds, "s", "<=", MOST_SECONDS)
    yield Figure("start-memory", median(one.resident_mb for one in found), "MB", "<=", MOST_MB)
    yield Figure("start-to-dstack-ratio", median(one.seconds for one in peers) / seconds, "x", ">=", 2)


def tell(who: str, starts: Sequence[Start]) -> None:
    """Note every start: processor time does not depend on what else this machine does, as seconds do."""
    each = ", ".join(f"{one.seconds:.2f} s ({one.processor_seconds:.2f} s of a processor)" for one in starts)
    note(f"{who}: {each}, {median(one.resident_mb for one in starts):.0f} MB")


def start(prepared: Cloud) -> Start:
    """One start of Forebay."""
    wanted = prepared.list_request(free_port())
    command: list[str | Path] = [Path(sys.executable).with_name("forebay"), "serve", "--port", str(wanted.port)]
    environment = {**prepared.environment(), "FOREBAY_PROVIDERS": "local"}
    with server(command, wanted, environment=environment, processors=PROCESSORS) as started:
        return used(started)


def start_peer(data_dir: Path) -> Start:
    """One start of dstack."""
    with dstack.running(data_dir, processors=PROCESSORS) as started:
        return used(started)


def used(started: Server) -> Start:
    """What the start took, and the memory after some use."""
    for _ in range(REQUESTS):
        started.request.answer()
    return Start(started.seconds, started.processor_seconds, started.resident_mb())
