"""A worker on another host must not take this host's machines for lost."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from forebay.domain.machines import local_host
from forebay.errors import Conflict
from forebay.storage.database import Database
from forebay.storage.tables import cloud

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_without_machines_the_place_may_change(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sa.insert(cloud).values(id="0" * 24, created_at=NOW, key_check="x"))
        for host in ("alpha 1", "alpha 1", "beta 2"):
            local_host.claim(connection, host)
            assert connection.execute(sa.select(cloud.c.local_host)).scalar() == host


def test_with_machines_another_host_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.begin() as connection:
        connection.execute(sa.insert(cloud).values(id="0" * 24, created_at=NOW, key_check="x", local_host="alpha 1"))
        some = sa.table("some_deployments", sa.column("id"), sa.column("provider"), sa.column("gone_at"))
        connection.exec_driver_sql("CREATE TABLE some_deployments (id TEXT, provider TEXT, gone_at BIGINT)")
        connection.exec_driver_sql("INSERT INTO some_deployments VALUES ('x', 'local', NULL)")
        monkeypatch.setattr(local_host, "deployments", some)
        with pytest.raises(Conflict, match="are on alpha"):
            local_host.claim(connection, "beta 2")
        local_host.claim(connection, "alpha 1")
        connection.exec_driver_sql("UPDATE some_deployments SET gone_at = 1")
        local_host.claim(connection, "beta 2")
