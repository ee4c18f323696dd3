"""The peer dstack: another control plane for GPU machines, a Python server beside a SQLite file, installed by pip.

Its server runs with every favour that its settings allow: no background processing, no default backends, no pool of SSH
connections, logs of errors only. It is kept from the network by a proxy that isn't there. What it lists is fleets,
twenty of them without instances: of the objects that it makes without a cloud, their list is the one most like ours
(20 kB of JSON, as here) and the quickest; its runs, which are its word for what is launched, take three times as long.

It is installed, pinned with all that it needs, into an environment of its own under `.cache/` when it is first wanted.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cloud import MACHINES
from benchmarks.peers import installed
from benchmarks.processes import Request, Server, free_port, server

TOKEN = "dstack-benchmark-token"
NOWHERE = "http://127.0.0.1:9"


def program() -> Path:
    """The `dstack` program, installed first if need be; takes a minute or two then."""
    return installed("dstack") / "dstack"


def environment(data_dir: Path) -> dict[str, str]:
    """Its settings: all data in one folder, nothing but answering requests, nowhere to go."""
    switched_on = (
        "DSTACK_SERVER_BACKGROUND_PROCESSING_DISABLED",
        "DSTACK_SERVER_CONFIG_DISABLED",
        "DSTACK_SERVER_SSH_POOL_DISABLED",
        "DSTACK_DEFAULT_CREDS_DISABLED",
        "DSTACK_DO_NOT_UPDATE_DEFAULT_PROJECT",
    )
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {
        **dict.fromkeys(switched_on, "1"),
        **dict.fromkeys((*proxies, *map(str.lower, proxies)), NOWHERE),
        "NO_PROXY": "127.0.0.1,localhost",
        "HOME": str(data_dir),
        "DSTACK_SERVER_DIR": str(data_dir),
        "DSTACK_SERVER_ADMIN_TOKEN": TOKEN,
        "PYTHONWARNINGS": "ignore",
    }


def request(port: int, path: str, **content: object) -> Request:
    """A request of its API: everything is a POST."""
    return Request(port, path, {"Authorization": f"Bearer {TOKEN}"}, json.dumps(content))


def list_request(port: int) -> Request:
    """The list of the project's fleets."""
    return request(port, "/api/project/main/fleets/list")


@contextmanager
def running(data_dir: Path, *, processors: list[int]) -> Iterator[Server]:
    """Its server over this folder, until the end of the block."""
    wanted = list_request(free_port())
    command: list[str | Path] = [
        program(),
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(wanted.port),
        "--log-level",
        "ERROR",
        "-n",
    ]
    with server(command, wanted, environment=environment(data_dir), processors=processors) as started:
        yield started


def prepare(data_dir: Path) -> None:
    """Make its data folder, with the fleets in it."""
    with running(data_dir, processors=sorted(os.sched_getaffinity(0))) as started:
        for number in range(MACHINES):
            configuration = {"type": "fleet", "name": f"trainer-{number:02d}", "nodes": "0..2"}
            plan = {"spec": {"configuration": configuration, "profile": {}}}
            path = "/api/project/main/fleets/apply"
            request(started.request.port, path, plan=plan, force=False).answer()
        listed = json.loads(started.request.answer())
    if len(listed) != MACHINES:
        raise RuntimeError(f"dstack lists {len(listed)} fleets instead of {MACHINES}")
