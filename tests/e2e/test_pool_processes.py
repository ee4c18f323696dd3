"""Eight `forebay worker` processes on one PostgreSQL database, and fifty teams that need a charge at one moment."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from forebay.storage import tables
from forebay.storage.database import Database
from tests import servers
from tests.e2e.cloud import Process, eventually, forebay
from tests.payments.bank import SECRET, StripeBank
from tests.servers import PostgreSQL
from tests.worker.test_auto_top_ups import Pump
from tests.worker.till import Till

pytestmark = [pytest.mark.postgresql, pytest.mark.prove]

WORKERS, TEAMS = 8, 50


@pytest.fixture
def url(postgresql_server: PostgreSQL) -> Iterator[str]:
    """An empty database."""
    yield postgresql_server.create("pool")
    postgresql_server.drop("pool")


def test_fifty_teams_below_their_threshold_at_once_are_charged_fifty_times(url: str, tmp_path: Path) -> None:
    with servers.stripe_world() as world:
        account = world.account()
        settings = {
            "database_url": url.replace("+psycopg", ""),
            "secret_key": "k" * 40,
            "providers": "",
            "stripe_secret_key": SECRET,
            "stripe_api_base": account,
        }
        assert forebay("migrate", "--data-dir", tmp_path / "shell", **settings).returncode == 0
        bank, database = StripeBank(account), Database(url)
        pump = Pump(Till(database, bank))
        teams = [pump.team(dollars=100) for _ in range(TEAMS)]
        workers = [
            Process(["worker", "--data-dir", tmp_path / name], tmp_path / name, settings)
            for name in (f"worker {number}" for number in range(WORKERS))
        ]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.says(re.compile("(Forebay reconciles)"))
            for worker in workers:
                os.kill(worker.pid, signal.SIGSTOP)
            for team in teams:
                pump.spend(team, 81)
            for worker in workers:
                os.kill(worker.pid, signal.SIGCONT)
            rows = tables.payment_attempts
            ended = sa.select(sa.func.count()).where(rows.c.closed_at.is_not(None))

            def are_charged() -> bool:
                with database.read() as connection:
                    return connection.execute(ended).scalar_one() >= TEAMS

            eventually(are_charged, "all are charged", within=300)
        finally:
            for worker in workers:
                if worker.child is not None and worker.child.poll() is None:
                    worker.end()
        assert [pump.charges(team) for team in teams] == [[50]] * TEAMS
        assert len(pump.till.charged()) == TEAMS
        assert {pump.till.balance(team) for team in teams} == {69}
        pump.till.check()
        bank.close()
        database.close()
