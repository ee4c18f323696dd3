from datetime import datetime

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import credit_control, holds, ledger, low_balance, metering
from forebay.storage.database import Database
from forebay.storage.tables import teams
from tests.domain.money.books import START, after, give, new_team, new_teams, resource

DAY = 86400


class Team(msgspec.Struct):
    frozen_at: datetime | None = None
    frozen_reason: str | None = None


def spend(connection: Connection, team_id: str, amount_micros: int) -> None:
    ledger.post(
        connection,
        team_id=team_id,
        kind=ledger.USAGE,
        key=f"spend:{resource()}",
        postings=[
            ledger.Posting(ledger.account_id(team_id), -amount_micros),
            ledger.Posting(ledger.COMPUTE_REVENUE, amount_micros),
        ],
        now=START,
    )


def run(connection: Connection, team_id: str, kind: metering.ResourceType) -> None:
    metering.start(connection, team_id=team_id, resource_type=kind, resource_id=resource(), rate_micros=1, at=START)


def test_a_frozen_team_is_refused_with_the_reason() -> None:
    credit_control.refuse_if_frozen(Team())
    with pytest.raises(credit_control.Frozen, match="frozen: a dispute"):
        credit_control.refuse_if_frozen(Team(START, "a dispute"))


def test_a_team_is_dry_at_zero(database: Database) -> None:
    team_id = new_team(database, credits_micros=2)
    dry = []
    for _ in range(3):
        with database.begin() as connection:
            dry.append(credit_control.is_dry(connection, team_id))
            spend(connection, team_id, 1)
    assert dry == [False, False, True]


def test_dry_teams_are_those_with_a_machine_running_or_being_launched(database: Database) -> None:
    with database.begin() as connection:
        running, with_disk, idle, launching, rich = new_teams(connection, 5, credits_micros=3)
        run(connection, running, "compute")
        run(connection, with_disk, "storage")
        run(connection, rich, "compute")
        holds.take(connection, team_id=launching, resource_id=resource(), amount_micros=3, now=START)
        for team_id in (running, with_disk, idle, launching):
            spend(connection, team_id, 3)
        assert credit_control.dry_teams(connection) == [running, launching]
        assert credit_control.dry_teams(connection, limit=1) == [running]
        assert credit_control.dry_teams(connection, after=running) == [launching]


def test_dry_is_marked_once_and_cleared_with_credit(database: Database) -> None:
    team_id = new_team(database)
    with database.begin() as connection:
        assert credit_control.mark_dry(connection, team_id, after(1))
        assert not credit_control.mark_dry(connection, team_id, after(2))
        assert connection.execute(sa.select(teams.c.ran_dry_at)).scalar() == after(1)
        assert not credit_control.clear_dry(connection, team_id)
        assert credit_control.teams_with_credit_again(connection) == []
        give(connection, team_id, 1)
        assert credit_control.teams_with_credit_again(connection) == [team_id]
        assert not credit_control.mark_dry(connection, team_id, after(3))
        assert credit_control.clear_dry(connection, team_id)
        assert not credit_control.clear_dry(connection, team_id)
        assert connection.execute(sa.select(teams.c.ran_dry_at)).scalar() is None


def test_grace_ends_after_so_many_days_for_what_still_costs(database: Database) -> None:
    with database.begin() as connection:
        with_disk, empty, saved = new_teams(connection, 3)
        for team_id in (with_disk, saved):
            run(connection, team_id, "storage")
        for team_id in (with_disk, empty, saved):
            low_balance.note(connection, team_id, disks_kept_since=START)
        give(connection, saved, 1)
        early, late = (
            credit_control.teams_past_grace(connection, now=after(7 * DAY + seconds), days=7) for seconds in (-1, 0)
        )
    assert (early, late) == ([], [with_disk])
