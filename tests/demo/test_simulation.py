"""The demo's past: a month like any other by the books, with nothing left of it but records."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from forebay.demo import simulation
from forebay.domain.machines import audit, launch_templates, offers, usage
from forebay.domain.money import ledger, metering
from forebay.domain.money.audit import snapshot
from forebay.domain.people import accounts, notifications
from forebay.domain.people.accounts import Account
from forebay.storage.database import Database
from forebay.storage.tables import accounts as accounts_of
from forebay.storage.tables import deployments, entries, mails, memberships, transfers


def people(database: Database, now: datetime) -> list[Account]:
    """An operator, and three others."""
    with database.begin() as connection:
        ledger.open_system_accounts(connection)
        made = []
        for name in ("otto", "olga", "adam", "mia"):
            account, team_id = accounts.create(
                connection, email=f"{name}@demo.test", name=name, password_hash=None, now=now, is_verified=True
            )
            ledger.open_account(connection, team_id)
            made.append(account)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("now", [datetime(2026, 11, 24, 18, 31, 7, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)])
def test_a_month_has_passed_and_all_of_it_has_ended(database: Database, now: datetime) -> None:
    operator, *others = people(database, now - timedelta(days=31))
    with database.begin() as connection:
        team = simulation.make(connection, others, operator, now=now)
    with snapshot(database) as connection:
        assert audit.run(connection) == []
        machines = connection.execute(sa.select(deployments)).all()
        templates = launch_templates.listed(connection, team["id"])
        assert {each.name for each in templates} == {"Nightly render", "Denoiser on eight"}
        assert all(each.last_used_at for each in templates), "machines were launched from them"
        assert {machine.status for machine in machines} == {"terminated", "failed", "terminated-provider"}
        assert all(machine.gone_at is not None and machine.due_at is None for machine in machines)
        assert all(machine.team_id == team["id"] for machine in machines)
        assert len({machine.created_by for machine in machines}) == 3
        assert all("SIMULATED" in machine.gpu_model for machine in machines if machine.gpu_count)
        assert metering.burn_micros_per_hour(connection, team["id"]) == 0
        assert offers.listed(connection) == []
        balance = ledger.balance(connection, team["id"])
        assert balance.held_micros == 0
        assert 0 < balance.balance_micros < sum(dollars for _, dollars, _ in simulation.GRANTS) * 1_000_000
        assert connection.execute(sa.select(mails)).first() is None, "nobody is told of what never was"
        assert not notifications.is_any_due(connection, now=now)
        members = sa.select(memberships.c.user_id).where(memberships.c.team_id == team["id"])
        assert connection.execute(members).scalars().all() == [others[0].id], "the others keep the teams they know of"
        kinds = set(connection.execute(sa.select(transfers.c.kind)).scalars())
        assert kinds == {"grant", "usage"}
        for group, least in (("day", 15), ("gpuType", 4), ("member", 3), ("deployment", 40), ("label:project", 4)):
            uses = usage.used(connection, team["id"], group, from_at=now - timedelta(days=31), to_at=now)
            assert len(uses) >= least, group
            assert sum(use.cost_micros for use in uses) == spent(connection, team["id"]), group


def spent(connection: sa.Connection, team_id: str) -> int:
    """What the team has paid for use, by the ledger."""
    mine = sa.and_(transfers.c.kind == "usage", accounts_of.c.team_id == team_id)
    taken = sa.select(sa.func.sum(entries.c.amount_micros)).join(transfers, transfers.c.id == entries.c.transfer_id)
    taken = taken.join(accounts_of, accounts_of.c.id == entries.c.account_id).where(mine)
    return -int(connection.execute(taken).scalar_one())
