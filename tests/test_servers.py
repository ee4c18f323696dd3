"""The tests' own servers: they are there, they are clean, and they end."""

import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from forebay.storage.database import Database
from tests import servers


def test_each_test_gets_an_empty_migrated_database(database: Database) -> None:
    with database.read() as connection:
        names = [name for name in sa.inspect(connection).get_table_names() if name != "alembic_version"]
        counts = {name: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) for name in names}
    assert names
    assert not any(counts.values()), counts


def test_a_blank_database_has_no_table(blank_url: str) -> None:
    database = Database(blank_url)
    with database.read() as connection:
        assert sa.inspect(connection).get_table_names() == []
    database.close()


@pytest.mark.postgresql
def test_a_server_ends_with_its_block_even_if_someone_is_still_connected() -> None:
    with servers.postgresql() as server:
        database = Database(server.url("postgres"))
        with database.read() as connection:
            assert connection.scalar(sa.text("SELECT 1")) == 1
            os.kill(server.process_id, 0)
            assert Path(f"/proc/{server.process_id}").stat().st_uid != 0
    with pytest.raises(ProcessLookupError):
        os.kill(server.process_id, 0)
    assert not server.folder.exists()
    database.close()


def test_a_missing_server_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(servers.MissingServer, match="make setup"):
        servers.postgresql_binaries(installed=tmp_path)
