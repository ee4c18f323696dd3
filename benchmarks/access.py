"""What it costs to ask who is there and what they may do: processor time of the list of deployments, stage by stage.

Measured in one process without HTTP around it, which makes the shares larger than they are for a client. The best of
many short rounds counts: what is added by others on the machine is no part of the cost.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import cedar, cloud
from benchmarks.figures import Figure, note
from forebay.app import Forebay, build_api
from forebay.domain.people import credentials
from forebay.domain.people.access import Credential, Target, enter
from forebay.domain.people.roles import MemberMode, Permission, Role
from forebay.settings import Settings

ROUNDS = 100
TIMES = 50


def run() -> Iterator[Figure]:
    """The one joined query with what is made of its row, and the look-up in the table of permissions."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        prepared = cloud.prepare(Path(name))
        forebay = Forebay(Settings(data_dir=prepared.data_dir, providers=(), rate_limit_key=10**9))
        try:
            yield from measure(forebay, prepared)
        finally:
            forebay.close()


def measure(forebay: Forebay, prepared: cloud.Cloud) -> Iterator[Figure]:
    """The figures, on the open cloud."""
    request = request_microseconds(forebay, prepared)
    secret_hash = credentials.hash_token(prepared.api_key, forebay.secret_key)
    credential, now = Credential(secret_hash, True, "127.0.0.1"), forebay.clock.now()
    with forebay.database.read() as connection:
        entered = best(lambda: enter(connection, credential, Target.current, None, now=now))
        _, team = enter(connection, credential, Target.current, None, now=now)
    assert team is not None
    permission = best(lambda: team.demand(Permission.see))
    asked = [
        (msgspec.structs.replace(team, role=role, member_mode=mode), wanted)
        for role in Role
        for mode in MemberMode
        for wanted in Permission
    ]
    all_of_them = best(lambda: [context.reach(wanted) for context, wanted in asked]) / len(asked)
    peers = {parses_once: cedar.microseconds(parses_once=parses_once) for parses_once in (False, True)}
    note(f"{1e6 / all_of_them:.0f} checks/s, over the whole table; cedarpy {1e6 / peers[False]:.0f} checks/s given the")
    note(f"texts each time, {1e6 / peers[True]:.0f} checks/s given what it has parsed once")
    note(f"request {request:.0f} us, of which enter {entered:.1f} us and the permission {permission:.2f} us")
    yield Figure("access-enter", entered, "us", "<=", 100)
    yield Figure("access-permission-share", permission / request * 100, "%", "<=", 1)
    yield Figure("access-check-to-cedarpy", peers[False] / all_of_them, "x", ">=", 400)
    yield Figure("access-check-to-cedarpy-parsed-once", peers[True] / all_of_them, "x", ">=", 10)


def best(call: Callable[[], object]) -> float:
    """Microseconds of one call, in the quickest round."""
    found = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(TIMES):
            call()
        found.append((time.thread_time() - began) / TIMES)
    return min(found) * 1e6


def request_microseconds(forebay: Forebay, prepared: cloud.Cloud) -> float:
    """Microseconds of a whole request inside the application. Raises RuntimeError unless it is answered with 200."""
    application, _ = build_api(forebay, "http://127.0.0.1")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/api/deployments",
        "raw_path": b"/api/deployments",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {prepared.api_key}".encode())],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 80),
        "extensions": {},
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def rounds() -> float:
        app: Any = application
        found = []
        for _ in range(ROUNDS):
            began = time.thread_time()
            for _ in range(TIMES):
                sent.clear()
                await app(dict(scope), receive, send)
            found.append((time.thread_time() - began) / TIMES)
        return min(found) * 1e6

    microseconds = asyncio.run(rounds())
    if sent[0]["status"] != 200:
        raise RuntimeError(f"the list answered {sent}")
    return microseconds
