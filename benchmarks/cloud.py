"""A cloud to measure: the demo's people and teams, and twenty machines in the books of one that no provider runs.

Each has been running for an hour and has been charged by sixty cycles, so lists show what they show in daily use.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.processes import Request
from forebay import demo, ids
from forebay.app import Forebay
from forebay.domain.money import metering
from forebay.settings import Settings
from forebay.storage.tables import deployments, pools, segments, ssh_keys

MACHINES = 20
RATE_MICROS = 65_000
UNLIMITED = {
    "FOREBAY_RATE_LIMIT_KEY": "1000000000",
    "FOREBAY_RATE_LIMIT_ANONYMOUS": "1000000000",
    "FOREBAY_PROVIDERS": "",
    "FOREBAY_LOG_LEVEL": "warning",
}
"""The settings of a server under load: a benchmark is no abuse."""


@dataclass(frozen=True)
class Cloud:
    """A prepared data folder and database, and what asks of it."""

    data_dir: Path
    database_url: str
    api_key: str
    team_id: str

    def environment(self) -> dict[str, str]:
        """The settings of a `forebay serve` over it."""
        return {**UNLIMITED, "FOREBAY_DATA_DIR": str(self.data_dir), "FOREBAY_DATABASE_URL": self.database_url}

    def list_request(self, port: int) -> Request:
        """GET /api/deployments with a key."""
        return Request(port, "/api/deployments", {"Authorization": f"Bearer {self.api_key}"})


def prepare(data_dir: Path, database_url: str = "", *, machines: int = MACHINES) -> Cloud:
    """Make the cloud: on SQLite in the data folder, or in an empty PostgreSQL database."""
    forebay = Forebay(Settings(data_dir=data_dir, database_url=database_url, providers=()))
    try:
        path = demo.prepare(forebay, "http://127.0.0.1")
        assert path is not None
        facts = json.loads(path.read_text())
        if machines:
            fill(forebay, facts, machines)
    finally:
        forebay.close()
    return Cloud(data_dir, database_url, facts["people"][0]["apiKey"], facts["teams"][0]["id"])


def fill(forebay: Forebay, facts: dict[str, Any], machines: int) -> None:
    """Write the machines and charge them minute by minute."""
    now = forebay.clock.now()
    began = now - timedelta(hours=1)
    team, key = facts["teams"][0], facts["sshKey"]
    with forebay.database.begin() as connection:
        owner_id = connection.execute(sa.select(ssh_keys.c.created_by).where(ssh_keys.c.id == key["id"])).scalar_one()
        connection.execute(
            sa.insert(pools).values(id="local/machine", vcpus=64, memory_gb=256, storage_gb=1000, gpus=0, seen_at=now)
        )
        for number in range(machines):
            row = machine(number, team["id"], owner_id, key["id"], began)
            connection.execute(sa.insert(deployments).values(**row))
            metering.start(
                connection,
                team_id=team["id"],
                resource_type="compute",
                resource_id=str(row["id"]),
                rate_micros=RATE_MICROS,
                at=began,
            )
        for minute in range(1, 61):
            at = began + timedelta(minutes=minute)
            connection.execute(sa.update(segments).values(sighted_at=at))
            cycle_id = metering.open_cycle(connection, now=at)
            metering.deduct(connection, cycle_id=cycle_id, team_ids=[team["id"]], now=at)
            metering.close_cycle(connection, cycle_id, now=at)


def machine(number: int, team_id: str, owner_id: str, key_id: str, at: datetime) -> dict[str, object]:
    """The row of one running machine."""
    return {
        "id": ids.new_id(at),
        "team_id": team_id,
        "created_by": owner_id,
        "name": f"trainer-{number:02d}",
        "status": "running",
        "desired": "running",
        "provider": "local",
        "pool_id": "local/machine",
        "offer_id": "local-cpu-small",
        "instance_type": "DEDICATED",
        "region": "local",
        "operating_system": "Debian 12",
        "gpu_type": "cpu",
        "gpu_model": "",
        "gpu_count": 0,
        "vcpus": 2,
        "memory_gb": 4,
        "storage_gb": 20,
        "rate_micros": RATE_MICROS,
        "storage_rate_micros": 2000,
        "minimum_runtime_minutes": 0,
        "supports_pause": True,
        "ssh_key_id": key_id,
        "is_ssh_key_temporary": False,
        "ssh_key_name": "demo key",
        "ssh_key_fingerprint": "SHA256:Kk1mN0pQ2rS3tU4vW5xY6zA7bC8dE9fG0hI1jK2lM3o",
        "labels": {"project": f"run-{number % 4}"},
        "ip_address": "127.0.0.1",
        "ssh_user": "root",
        "ssh_port": 20000 + number,
        "port_forwards": [{"external": 20000 + number, "internal": 22}],
        "created_at": at,
        "started_at": at,
        "deploying_since": at,
    }
