"""Statements: one month's closing balance is the next one's opening balance, and what lies between adds up."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from forebay.domain.machines import statements
from forebay.domain.machines.statements import Month
from forebay.domain.money import ledger, metering
from forebay.errors import NotFound
from forebay.storage.database import Database
from tests.domain.money.books import DOLLAR, START, give, new_teams, resource

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 15, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("month", "following"), [(Month(2026, 11), "2026-12"), (Month(2026, 12), "2027-01"), (Month(999, 1), "0999-02")]
)
def test_months_follow_each_other(month: Month, following: str) -> None:
    assert str(month.following) == following
    assert month.to_at == month.following.from_at > month.from_at


def fill(connection: Connection) -> str:
    """A team with a grant in March, use over the first midnight of April, and grants at that very second and before."""
    team, other = new_teams(connection, 2)
    give(connection, team, 100 * DOLLAR, now=START)
    give(connection, other, 7 * DOLLAR, now=START)
    machine, disk = resource(), resource()
    for each, kind in ((machine, "compute"), (disk, "storage")):
        metering.start(
            connection,
            team_id=team,
            resource_type="compute" if kind == "compute" else "storage",
            resource_id=each,
            rate_micros=3600,
            at=APRIL - timedelta(seconds=90),
        )
    for at in (APRIL - timedelta(seconds=30), APRIL + timedelta(seconds=30)):
        metering.sight(connection, [machine, disk], at=at)
        cycle = metering.open_cycle(connection, now=at)
        metering.deduct(connection, cycle_id=cycle, team_ids=[team], now=at)
        if at < APRIL:
            give(connection, team, 1, now=APRIL - SECOND)
            mistaken = give(connection, team, 2, now=APRIL)
    ledger.take_back(
        connection, transfer_id=mistaken.id, created_by=None, reason="a slip", now=APRIL + timedelta(days=3)
    )
    return team


def test_the_months_of_a_team(database: Database) -> None:
    with database.begin() as connection:
        team = fill(connection)
        march, april, may, june = [
            statements.statement(connection, team, month, now=JUNE)
            for month in ("2026-03", "2026-04", "2026-05", "2026-06")
        ]
        assert (march.opening_micros, march.closing_micros) == (0, 100 * DOLLAR - 120 + 1)
        assert [(each.kind, each.amount_micros) for each in march.sums] == [
            ("grant", 100 * DOLLAR + 1),
            ("usage", -120),
        ]
        assert (april.opening_micros, april.closing_micros) == (march.closing_micros, march.closing_micros - 120)
        assert [(each.kind, each.amount_micros) for each in april.sums] == [
            ("grant", 2), ("grant_taken_back", -2), ("usage", -120),
        ]  # fmt: skip
        assert [each.amount_micros for each in april.transactions] == [2, -2], "use is told apart"
        assert [each.amount_micros for each in april.spent] == [60, 60]
        assert {each.resource_type for each in april.spent} == {"compute", "storage"}
        for each in (march, april, may, june):
            assert each.opening_micros + sum(line.amount_micros for line in each.sums) == each.closing_micros
            use = sum(line.amount_micros for line in each.sums if line.kind == "usage")
            assert use == -sum(line.amount_micros for line in each.spent)
        assert (may.opening_micros, may.closing_micros, may.sums) == (april.closing_micros, april.closing_micros, [])
        assert june.closing_micros == ledger.balance(connection, team).balance_micros
        assert [each.is_complete for each in (march, may, june)] == [True, True, False]


def test_which_months_there_are(database: Database) -> None:
    with database.begin() as connection:
        [team] = new_teams(connection, 1)
        assert [str(month) for month in statements.months(connection, team, now=START)] == ["2026-03"]
        assert [str(month) for month in statements.months(connection, team, now=APRIL - SECOND)] == ["2026-03"]
        assert [str(month) for month in statements.months(connection, team, now=APRIL)] == ["2026-04", "2026-03"]
        for none in (
            "2026-02",
            "2026-05",
            "2026-3",
            "2026-13",
            "march",
            "",
            "2026-03 ",
            "٢٠٢٦-03",
            "0000-01",
            "9999-12",
        ):
            with pytest.raises(NotFound):
                statements.statement(connection, team, none, now=APRIL)


def test_a_clock_that_went_back_loses_nothing(database: Database) -> None:
    with database.begin() as connection:
        [team] = new_teams(connection, 1)
        for number, at in enumerate((APRIL - SECOND, APRIL, APRIL - 2 * SECOND, APRIL + SECOND)):
            give(connection, team, 10**number, now=at)
        march, april = [statements.statement(connection, team, month, now=JUNE) for month in ("2026-03", "2026-04")]
        assert (march.opening_micros, march.closing_micros, april.opening_micros) == (0, 111, 111)
        assert april.closing_micros == 1111
