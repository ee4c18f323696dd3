"""GET /api/deployments with a key and twenty rows, over HTTP on loopback, against `bare_asgi.py` on the same database.

Both answers are compared byte for byte before anything is measured.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import cloud, load
from benchmarks.cloud import Cloud
from benchmarks.figures import Figure
from benchmarks.processes import Request, free_port, server
from tests import servers

ROUNDS = 5
SECONDS = 3
ATTEMPTS = 20


class DifferentAnswers(RuntimeError):
    """The peer does not do the same work: its speed means nothing."""


def run() -> Iterator[Figure]:
    """On SQLite, then on a PostgreSQL server of its own."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as folder:
        yield from compare(cloud.prepare(Path(folder)), "sqlite", least_throughput=0.6)
    with servers.postgresql() as postgresql, tempfile.TemporaryDirectory(prefix="forebay-bench-") as folder:
        address = postgresql.create("bench").replace("postgresql+psycopg://", "postgresql://")
        prepared = cloud.prepare(Path(folder), address)
        with_statistics(address)
        yield from compare(prepared, "postgresql", least_throughput=0.5)


def with_statistics(address: str) -> None:
    """Let the planner know the tables, as autovacuum would have in a while."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def compare(cloud: Cloud, database: str, *, least_throughput: float) -> Iterator[Figure]:
    """Forebay and the bare program side by side."""
    ours, bare = cloud.list_request(free_port()), cloud.list_request(free_port())
    serve: list[str | Path] = [
        Path(sys.executable).with_name("forebay"),
        "serve",
        "--no-worker",
        "--port",
        str(ours.port),
    ]
    peer: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.bare_asgi",
        str(bare.port),
        cloud.data_dir,
        cloud.database_url,
    ]
    with (
        server(serve, ours, environment=cloud.environment()),
        server(peer, bare, environment={}),
    ):
        check_sameness(ours, bare)
        found, limit = load.compare(
            [(f"forebay on {database}", ours), (f"bare ASGI on {database}", bare)], rounds=ROUNDS, seconds=SECONDS
        )
    name = f"deployments-list-{database}"
    yield Figure(f"{name}-throughput-ratio", found.per_second / limit.per_second, "x", ">=", least_throughput)
    yield Figure(f"{name}-p99-ratio", found.p99_seconds / limit.p99_seconds, "x", "<=", 1 / least_throughput)


def check_sameness(ours: Request, bare: Request) -> None:
    """Raise DifferentAnswers unless both write the same bytes. Costs grow by the second: it may take a few attempts."""
    for _ in range(ATTEMPTS):
        found, expected = ours.answer(), bare.answer()
        if found == expected:
            return
    raise DifferentAnswers(f"Forebay:\n{found.decode()}\nthe bare program:\n{expected.decode()}")
