"""What the tests of money have in common: a clock's start, teams with accounts, and short ways to say amounts."""

import itertools
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.ids import new_id
from forebay.storage.database import Database
from forebay.storage.tables import accounts, entries, teams, users

START = datetime(2026, 3, 1, tzinfo=UTC)
DOLLAR = 1_000_000

numbers = itertools.count(1)


def after(seconds: int) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def resource() -> str:
    """The id of something new."""
    return new_id(START)


def new_teams(connection: Connection, count: int, *, credits_micros: int = 0) -> list[str]:
    """Teams with accounts, and credits if asked for, of one new person; in the order of their ids."""
    number = next(numbers)
    person = new_id(START)
    connection.execute(
        sa.insert(users).values(
            id=person,
            email=f"person{number}@example.org",
            email_key=f"person{number}@example.org",
            name="A person",
            api_access="none",
            created_at=START,
        )
    )
    ids = sorted(new_id(START) for _ in range(count))
    connection.execute(
        sa.insert(teams),
        [
            {
                "id": team_id,
                "number": next(numbers),
                "slug": f"team-{team_id}",
                "name": "A team",
                "member_mode": "deploy-only",
                "created_at": START,
                "created_by": person,
            }
            for team_id in ids
        ],
    )
    ledger.open_system_accounts(connection)
    for team_id in ids:
        ledger.open_account(connection, team_id)
        if credits_micros:
            give(connection, team_id, credits_micros)
    return ids


def give(connection: Connection, team_id: str, amount_micros: int, *, now: datetime = START) -> ledger.Transfer:
    """A grant."""
    return ledger.grant(
        connection, team_id=team_id, amount_micros=amount_micros, reason="to begin with", created_by=None, now=now
    )


def new_team(database: Database, *, credits_micros: int = 0) -> str:
    """A team with an account, in a transaction of its own."""
    with database.begin() as connection:
        return new_teams(connection, 1, credits_micros=credits_micros)[0]


def balance(database: Database, team_id: str) -> ledger.Balance:
    """The team's balance, in a transaction of its own."""
    with database.read() as connection:
        return ledger.balance(connection, team_id)


def sums_of_entries(connection: Connection) -> dict[str, int]:
    """The sum of each account's entries, by account."""
    statement = sa.select(accounts.c.id, sa.func.coalesce(sa.func.sum(entries.c.amount_micros), 0)).outerjoin(
        entries, entries.c.account_id == accounts.c.id
    )
    return {account: int(total) for account, total in connection.execute(statement.group_by(accounts.c.id))}
