"""The list of deployments against the peer dstack's list of fleets: twenty of each, over HTTP with a key, on SQLite."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import cloud, dstack, load
from benchmarks.figures import Figure, note
from benchmarks.processes import SERVER_PROCESSORS, free_port, server

ROUNDS = 3
SECONDS = 3


def run() -> Iterator[Figure]:
    """Requests a second of both, as a ratio."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        folder = Path(name)
        prepared = cloud.prepare(folder / "forebay")
        (folder / "dstack").mkdir()
        dstack.prepare(folder / "dstack")
        ours = prepared.list_request(free_port())
        command: list[str | Path] = [
            Path(sys.executable).with_name("forebay"),
            "serve",
            "--no-worker",
            "--port",
            str(ours.port),
        ]
        with (
            server(command, ours, environment=prepared.environment()),
            dstack.running(folder / "dstack", processors=SERVER_PROCESSORS) as peer,
        ):
            note(f"bodies: forebay {len(ours.answer())} bytes, dstack {len(peer.request.answer())} bytes")
            found, theirs = load.compare([("forebay", ours), ("dstack", peer.request)], rounds=ROUNDS, seconds=SECONDS)
    yield Figure("deployments-list-to-dstack-ratio", found.per_second / theirs.per_second, "x", ">=", 5)
