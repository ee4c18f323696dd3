"""What it costs Forebay's process to look at 1,000 machines: listed, compared with the books, sighted.

The listing is what Podman 4.3 answers of a machine, a thousand times over, from a socket in Podman's place in another
process: a thousand containers would measure this machine instead. Podman's own share is not in the figure.
"""

import json
import multiprocessing
import socketserver
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from benchmarks import cloud
from benchmarks.figures import Figure, note
from benchmarks.installation import provider_of
from forebay.clock import SystemClock
from forebay.compute.local import container
from forebay.settings import Settings
from forebay.storage.database import Database
from forebay.storage.tables import deployments
from forebay.worker.clock_guard import ClockGuard
from forebay.worker.sightings import SightingReconciler

MACHINES = 1000
ROUNDS = 7
MOST_SECONDS = 1


def run() -> Iterator[Figure]:
    """Seconds of a processor that one round takes."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        prepared = cloud.prepare(Path(name), machines=MACHINES)
        provider = provider_of(prepared.data_dir)
        database = Database(Settings(data_dir=prepared.data_dir).sqlalchemy_url)
        provider.service.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        clock = SystemClock()
        guard = ClockGuard(database, clock, jump_seconds=3600)
        reconciler = SightingReconciler(database, {provider.name: provider}, clock, guard, end_orphans=False)
        try:
            with listing(provider.service.socket, entries(database, provider.cloud_id)):
                seconds = [cost(reconciler) for _ in range(ROUNDS)]
            assert len(provider.running or ()) >= MACHINES
        finally:
            provider.close()
            database.close()
            provider.service.forget()
    note(f"looking at {MACHINES} machines: {', '.join(f'{each:.2f}' for each in seconds)} s of a processor")
    yield Figure("observing-1000-machines", median(seconds), "s", "<=", MOST_SECONDS)


def cost(reconciler: SightingReconciler) -> float:
    """Seconds of a processor of one round, in all threads; a second after the last, for times are whole seconds."""
    time.sleep(1)
    began = time.process_time()
    reconciler.run()
    return time.process_time() - began


def entries(database: Database, cloud_id: str) -> list[dict[str, Any]]:
    """The machines in the books, as Podman would list them."""
    with database.read() as connection:
        columns = deployments.c
        found = sa.select(columns.id, columns.team_id, columns.ssh_port).where(columns.status == "running")
        rows = connection.execute(found).all()
    return [entry(row.id, row.team_id, row.ssh_port, cloud_id) for row in rows]


def entry(deployment_id: str, team_id: str, port: int, cloud_id: str) -> dict[str, Any]:
    """One of them, with all of its fields."""
    labels = {
        container.CLOUD: cloud_id, container.DEPLOYMENT: deployment_id, container.TEAM: team_id, container.GPUS: "",
        container.PORT: str(port),
    }  # fmt: skip
    return {
        "AutoRemove": False, "Command": [], "Created": "2026-01-01T00:00:00.123456789Z", "CreatedAt": "",
        "Exited": False,
        "ExitedAt": -62135596800, "ExitCode": 0, "Id": deployment_id.rjust(64, "0"),
        "Image": "localhost/forebay/debian-12:0123456789ab", "ImageID": "0" * 64, "IsInfra": False, "Labels": labels,
        "Mounts": ["/mnt", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv"],
        "Names": [f"forebay-abcde-{deployment_id}"], "Namespaces": {}, "Networks": ["forebay-abcde-1"], "Pid": 12345,
        "Pod": "", "PodName": "", "Restarts": 0, "Size": None, "StartedAt": 1767225600, "State": "running",
        "Status": "",
        "Ports": [{"host_ip": "127.0.0.1", "container_port": 22, "host_port": port, "range": 1, "protocol": "tcp"}],
    }  # fmt: skip


@contextmanager
def listing(path: Path, found: list[dict[str, Any]]) -> Iterator[None]:
    """Answer on the socket with this list, from a process of its own."""
    body = json.dumps(found).encode()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

        def address_string(self) -> str:
            return "unix"

    path.unlink(missing_ok=True)
    with socketserver.ThreadingUnixStreamServer(str(path), Answer) as server:
        server.daemon_threads = True
        process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
        process.start()
        try:
            yield
        finally:
            process.terminate()
            process.join()
