"""What budgets say is spent is what usage says of the same, to the micro-dollar, wherever the cycles and months cut."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from forebay.domain.machines import budgets, usage
from forebay.domain.machines.budgets import Standing
from forebay.domain.money import metering
from forebay.domain.money.budget_scopes import Scope
from forebay.domain.money.budgets import AtLimit, month_of
from forebay.ids import new_id
from forebay.storage import tables
from forebay.storage.database import Database
from tests.domain.money.books import DOLLAR, START, after, new_teams, numbers, resource

DAY = 86400
PEOPLE, KEYS, VALUES = 2, 3, ("x", "y", None)
OTHERWISE: dict[str, Any] = {"status": "running", "desired": "running", "instance_type": "DEDICATED"}
rates = st.sampled_from([0, 1, 3599, 3600, 1_234_567, 8_100_000])
things = st.tuples(
    st.sampled_from(["compute", "storage", "volume"]),
    st.integers(0, PEOPLE - 1),
    st.one_of(st.none(), st.integers(0, KEYS - 1)),
    st.sampled_from(VALUES),
    rates,
    st.integers(0, 40 * DAY),
    st.one_of(st.none(), st.integers(1, 20 * DAY)),
)
"""Kind, whose, through which key, which label, rate, when it starts, how long it runs (None: it runs on)."""


def row_of(table: sa.Table, **values: Any) -> dict[str, Any]:
    """A row with what matters here, and something in every other column that must have something."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name in values or column.nullable or column.default is not None or column.server_default is not None:
            continue
        if isinstance(column.type, sa.Boolean):
            row[column.name] = False
        elif isinstance(column.type, sa.String | sa.Text):
            row[column.name] = "x"
        elif column.name.endswith("_at"):
            row[column.name] = START
        elif isinstance(column.type, sa.Integer | sa.BigInteger):
            row[column.name] = 1
        else:
            row[column.name] = []
    known = {name: value for name, value in OTHERWISE.items() if name in table.columns}
    return row | known | values


class Books:
    """A team whose people, keys and labels spend, and what budgets there are of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        [self.team] = new_teams(connection, 1, credits_micros=1_000_000 * DOLLAR)
        owner = connection.execute(sa.select(tables.teams.c.created_by).where(tables.teams.c.id == self.team)).scalar()
        self.people = [str(owner), self.person()]
        self.keys = [new_id(START) for _ in range(KEYS)]
        # The first was rotated to the second.
        for at, key in enumerate(self.keys):
            self.insert(
                tables.api_keys, id=key, user_id=self.people[0], name=f"key {at}", secret_hash=key, created_at=START,
                current_team_id=self.team, replaced_by=self.keys[1] if at == 0 else None,
            )  # fmt: skip
        self.insert_if_none(tables.pools, "x", vcpus=1, memory_gb=1, storage_gb=1, gpus=0, seen_at=START)
        self.insert_if_none(tables.volume_regions, "x")
        self.ssh_key = new_id(START)
        self.insert(
            tables.ssh_keys, id=self.ssh_key, team_id=self.team, fingerprint=self.ssh_key, created_by=self.people[0]
        )

    def person(self) -> str:
        user = new_id(START)
        self.insert(tables.users, id=user, email=f"{user}@example.org", email_key=user, name="Ada", api_access="none")
        return user

    def insert(self, table: sa.Table, **values: Any) -> None:
        self.connection.execute(sa.insert(table).values(**row_of(table, **values)))

    def insert_if_none(self, table: sa.Table, row_id: str, **values: Any) -> None:
        if self.connection.execute(sa.select(table.c.id).where(table.c.id == row_id)).first() is None:
            self.insert(table, id=row_id, **values)

    def thing(self, kind: str, person: int, key: int | None, value: str | None) -> str:
        """A machine or a volume on record."""
        made = resource()
        whose = {
            "id": made,
            "team_id": self.team,
            "created_by": self.people[person],
            "api_key_id": None if key is None else self.keys[key],
            "name": f"thing-{next(numbers)}",
            "created_at": START,
        }
        if kind == "volume":
            self.insert(tables.volumes, region_id="x", state="available", **whose)
        else:
            labels = {} if value is None else {"project": value}
            self.insert(
                tables.deployments, pool_id="x", ssh_key_id=self.ssh_key, labels=labels, ports=[], port_forwards=[],
                **whose,
            )  # fmt: skip
        return made

    def budget(self, scope: Scope, subject: str, at_limit: AtLimit = AtLimit.notify) -> None:
        self.insert(
            tables.budgets, id=new_id(START), team_id=self.team, scope=scope.value, subject=subject, shares=[100],
            amount_micros=DOLLAR, at_limit=at_limit.value, created_by=self.people[0], month="2026-01", told_share=0,
        )  # fmt: skip

    def budgets(self) -> None:
        self.budget(Scope.team, "")
        for person in self.people:
            self.budget(Scope.member, person)
        # Of the rotated key's budget nobody has said that it is the other one's now.
        for key in (self.keys[0], self.keys[2]):
            self.budget(Scope.api_key, key)
        for value in VALUES[:2]:
            self.budget(Scope.label, f"project={value}")

    def run(self, made: list[Any], cuts: list[int], last: int) -> None:
        """Let it all come and go until `last`, with a cycle then and at each of the moments."""
        steps: list[tuple[int, str, str, str, int]] = []
        for kind, *whose, rate, start, long in made:
            each, kind_of = self.thing(kind, *whose), "compute" if kind == "compute" else "storage"
            steps.append((start, "start", each, kind_of, rate))
            if long is not None:
                steps.append((start + long, "stop", each, kind_of, rate))
        steps += [(second, "then charge", "", "", 0) for second in {*cuts, last}]
        running: list[str] = []
        for second, what, each, kind, rate in sorted(steps):
            of_what: Any = {"resource_id": each, "resource_type": kind, "at": after(second)}
            if second > last:
                return
            if what == "start":
                metering.start(self.connection, team_id=self.team, rate_micros=rate, **of_what)
                running.append(each)
            elif what == "stop":
                metering.end(self.connection, **of_what)
                running.remove(each)
            else:
                self.charge(running, after(second))

    def charge(self, running: list[str], at: datetime) -> None:
        """A cycle, of all that runs."""
        metering.sight(self.connection, running, at=at)
        cycle = metering.open_cycle(self.connection, now=at)
        metering.deduct(self.connection, cycle_id=cycle, team_ids=[self.team], now=at)

    def by_usage(self, group_by: str, now: datetime) -> dict[str | None, int]:
        month = month_of(now)
        found = usage.used(self.connection, self.team, group_by, from_at=month.start_at, to_at=now)
        return {use.key: use.cost_micros for use in found}


def spent(found: list[Standing]) -> dict[tuple[Scope, str], int]:
    return {(each.budget.scope, each.budget.subject): each.spent_micros for each in found}


@pytest.mark.slow
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # No shrinking: with a database behind every step it takes longer than a test may.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(
    made=st.lists(things, max_size=8),
    cuts=st.lists(st.integers(0, 65 * DAY), max_size=6),
    day=st.sampled_from([15, 31, 32, 45]),
)
def test_what_is_spent_is_what_usage_says(database: Database, made: list[Any], cuts: list[int], day: int) -> None:
    now = after(day * DAY)
    with database.begin() as connection:
        books = Books(connection)
        books.budgets()
        books.run(made, cuts, day * DAY)
        found = budgets.standings(connection, books.team, now=now)
        said = spent(found)
        members, keys, labels = (books.by_usage(group, now) for group in ("member", "apiKey", "label:project"))
        assert said[Scope.team, ""] == sum(members.values()) == sum(keys.values()) == sum(labels.values())
        for person in books.people:
            assert said[Scope.member, person] == members.get(person, 0)
        assert said[Scope.api_key, books.keys[0]] == keys.get(books.keys[1], 0), "the one in its place"
        assert said[Scope.api_key, books.keys[2]] == keys.get(books.keys[2], 0)
        for value in VALUES[:2]:
            assert said[Scope.label, f"project={value}"] == labels.get(value, 0)
        # What is foreseen comes to pass if nothing changes, and the next month begins with nothing.
        end_at = month_of(now).end_at
        still_open = sa.select(tables.segments.c.resource_id).where(
            tables.segments.c.team_id == books.team, tables.segments.c.ended_at.is_(None)
        )
        books.charge(list(connection.execute(still_open).scalars()), end_at)
        later = spent(budgets.standings(connection, books.team, now=end_at - timedelta(seconds=1)))
        assert {(each.budget.scope, each.budget.subject): each.forecast_micros for each in found} == later
        assert not any(spent(budgets.standings(connection, books.team, now=end_at)).values())
        connection.rollback()


def test_what_ends_by_plan_is_foreseen_until_then(database: Database) -> None:
    now, hour = after(15 * DAY), 3600
    month = month_of(now)
    left = int((month.end_at - now).total_seconds()) // hour
    with database.begin() as connection:
        books = Books(connection)
        books.budget(Scope.team, "")
        books.run([("compute", 0, None, None, 3600, 0, None)] * 5, [], 15 * DAY)
        machines = tables.deployments
        ids = connection.execute(sa.select(machines.c.id).where(machines.c.team_id == books.team)).scalars().all()
        ends: list[dict[str, Any]] = [
            {"ends_at": now + timedelta(hours=10)},
            {"ends_at": now + timedelta(hours=10), "reclaim_at": now + timedelta(hours=4)},
            {"ends_at": month.end_at + timedelta(days=1)},
            {"ends_at": now - timedelta(minutes=1)},
            {},
        ]
        for machine, values in zip(ids, ends, strict=True):
            if values:
                connection.execute(sa.update(machines).where(machines.c.id == machine).values(**values))
        [standing] = budgets.standings(connection, books.team, now=now)
        assert standing.figures.burn_micros_per_hour == 5 * 3600
        assert standing.figures.coming_micros == 3600 * (10 + 4 + left + 0 + left)
        connection.rollback()


def test_months_begin_and_end_in_utc() -> None:
    month = month_of(datetime.fromisoformat("2026-12-31T23:30:00-05:00"))
    assert (month.key, month.end_at.isoformat()) == ("2027-01", "2027-02-01T00:00:00+00:00")
