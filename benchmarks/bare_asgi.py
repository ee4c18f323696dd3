"""The peer of the list: a program of one route with nothing between uvicorn and the driver.

It reads the key from the header, looks it up by its hash together with its person, team and membership, asks for the
team's machines with what they cost, and writes the same JSON: the two queries that Forebay asks, written by hand. No
router, no rate limit, no permissions, no errors, no metrics: Forebay's time beyond this one goes to those. Every row is
written anew, which Forebay does not do with rows that it has just written.

    python -m benchmarks.bare_asgi PORT DATA_DIR [POSTGRESQL_ADDRESS [threads|async]]

SQLite is asked on the event loop, on one connection. PostgreSQL through psycopg, in threads with a connection each, as
many as there are clients; or, if told so, asynchronously. The benchmark uses the way that was faster.
"""

import asyncio
import hmac
import sqlite3
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import uvicorn

CONNECTIONS = 8

Row = tuple[Any, ...]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]
Ask = Callable[[str], Awaitable[tuple[Row, list[Row]]]]
"""The key's row, and the rows of its current team's machines, for the hash of a key."""

KEY = """
SELECT k.id, k.expires_at, k.revoked_at, k.created_at, k.current_team_id, k.may_touch_money, k.team_ids, k.permissions,
       k.last_used_at, u.id, u.email, u.name, u.is_operator, u.api_access,
       t.id, t.name, t.slug, t.number, t.member_mode, t.frozen_at, m.role
FROM api_keys k JOIN users u ON u.id = k.user_id
LEFT JOIN teams t ON t.id = k.current_team_id AND t.deleted_at IS NULL
LEFT JOIN memberships m ON m.team_id = t.id AND m.user_id = u.id
WHERE k.secret_hash = ?
"""
TEAM_ID = 14
LIST = """
SELECT d.id, d.team_id, d.created_by, d.name, d.status, d.provider, d.offer_id, d.instance_type, d.region,
       d.operating_system, d.gpu_type, d.gpu_model, d.gpu_count, d.vcpus, d.memory_gb, d.storage_gb, d.rate_micros,
       d.ssh_key_id, d.is_ssh_key_temporary, d.ssh_key_name, d.ssh_key_fingerprint, d.labels, d.ip_address, d.ssh_user,
       d.ssh_port, d.port_forwards, d.error, d.created_at, d.started_at, d.stopped_at,
       (SELECT sum(s.charged_micros) FROM segments s WHERE s.resource_id = d.id),
       (SELECT max(s.charged_through) FROM segments s
        WHERE s.resource_id = d.id AND s.charged_through > s.started_at),
       o.rate_micros, o.started_at, o.charged_micros
FROM deployments d LEFT JOIN segments o ON o.resource_id = d.id AND o.ended_at IS NULL
WHERE d.team_id = ? ORDER BY d.id DESC LIMIT 101
"""


@lru_cache(65536)
def moment(seconds: int | None) -> str | None:
    """ISO 8601. Kept, because the same moments are shown again and again."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(row: Row, now: int) -> dict[str, Any]:
    """A machine as Forebay's clients see it."""
    (
        (id_, team_id, created_by, name, status, provider, offer_id, instance_type, region, operating_system),
        (gpu_type, gpu_model, gpu_count, vcpus, memory, storage, rate, key_id, is_temporary, key_name, fingerprint),
        (labels, address, user, port, forwards, error, created_at, started_at, stopped_at),
        (charged, charged_through, open_rate, open_started, open_charged),
    ) = row[:10], row[10:21], row[21:30], row[30:]
    charged = int(charged)
    accrued = charged
    if open_rate is not None:
        accrued += max(0, open_rate * (now - open_started) // 3600 - open_charged)
    return {
        "id": id_,
        "name": name,
        "providerId": provider,
        "gpuModelId": gpu_model,
        "gpuType": gpu_type,
        "offerId": offer_id,
        "gpuCount": gpu_count,
        "region": region,
        "operatingSystem": operating_system,
        "instanceType": instance_type,
        "sshKeyId": None if is_temporary else key_id,
        "tempSshKeyId": key_id if is_temporary else None,
        "sshKeyName": key_name,
        "sshKeyFingerprint": fingerprint,
        "ipAddress": address,
        "user": user,
        "status": status,
        "startedAt": moment(started_at),
        "stoppedAt": moment(stopped_at),
        "lastCreditDeduction": moment(charged_through),
        "totalCost": charged / 1_000_000,
        "hourlyRate": rate / 1_000_000,
        "originalHourlyRate": rate / 1_000_000,
        "discountPercentage": 0.0,
        "hasDiscount": False,
        "vcpus": vcpus,
        "memory": memory,
        "storage": storage,
        "sshCommand": None if address is None else f"ssh -p {port} {user}@{address}",
        "sshPort": port,
        "portForwards": msgspec.Raw(forwards.encode()),
        "volumeIds": [],
        "kubernetesAddon": None,
        "createdAt": moment(created_at),
        "teamId": team_id,
        "createdBy": created_by,
        "error": error,
        "labels": msgspec.Raw(labels.encode()),
        "terminateAt": None,
        "maxCost": None,
        "autoStopMinutes": None,
        "accruedCost": accrued / 1_000_000,
    }


def application(ask: Ask, secret_key: bytes) -> Asgi:
    """The ASGI program."""
    encoder = msgspec.json.Encoder()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        token = dict(scope["headers"])[b"authorization"].removeprefix(b"Bearer ")
        _, rows = await ask(hmac.digest(secret_key, token, "sha256").hex())
        now = int(time.time())
        body = encoder.encode([shown(row, now) for row in rows])
        headers = [
            (b"content-length", str(len(body)).encode()),
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def sqlite(path: Path) -> Ask:
    """Ask SQLite here and now."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=512)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA query_only=ON")

    async def ask(secret_hash: str) -> tuple[Row, list[Row]]:
        key: Row = connection.execute(KEY, (secret_hash,)).fetchone()
        return key, connection.execute(LIST, (key[TEAM_ID],)).fetchall()

    return ask


def in_threads(address: str) -> Ask:
    """Ask PostgreSQL in threads, each with a connection of its own."""
    of_thread = threading.local()
    executor = ThreadPoolExecutor(CONNECTIONS)
    key_query, list_query = KEY.replace("?", "%s"), LIST.replace("?", "%s")

    def both(secret_hash: str) -> tuple[Row, list[Row]]:
        connection = getattr(of_thread, "connection", None)
        if connection is None:
            connection = of_thread.connection = psycopg.connect(address, autocommit=True)
        key: Any = connection.execute(key_query, (secret_hash,)).fetchone()
        return key, connection.execute(list_query, (key[TEAM_ID],)).fetchall()

    async def ask(secret_hash: str) -> tuple[Row, list[Row]]:
        return await asyncio.get_running_loop().run_in_executor(executor, both, secret_hash)

    return ask


def asynchronous(address: str) -> Ask:
    """Ask PostgreSQL on the event loop, over as many connections."""
    idle: list[psycopg.AsyncConnection[Any]] = []
    key_query, list_query = KEY.replace("?", "%s"), LIST.replace("?", "%s")

    async def ask(secret_hash: str) -> tuple[Row, list[Row]]:
        connection = idle.pop() if idle else await psycopg.AsyncConnection.connect(address, autocommit=True)
        cursor = await connection.execute(key_query, (secret_hash,))
        key: Any = await cursor.fetchone()
        cursor = await connection.execute(list_query, (key[TEAM_ID],))
        rows = await cursor.fetchall()
        idle.append(connection)
        return key, rows

    return ask


def main(port: str, data_dir: str, address: str = "", way: str = "threads") -> None:
    """Serve until a signal comes, with the settings of uvicorn that Forebay uses."""
    folder = Path(data_dir)
    if not address:
        ask = sqlite(folder / "forebay.db")
    else:
        ask = in_threads(address) if way == "threads" else asynchronous(address)
    uvicorn.run(
        application(ask, (folder / "secret.key").read_text().strip().encode()),
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
