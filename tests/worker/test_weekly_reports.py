"""The weekly report: on Monday morning, once for each team, with what people spent and what idle machines cost."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.machines import usage, weekly_reports
from forebay.domain.people import notifications as switchboard
from forebay.domain.people import teams
from forebay.domain.people.notification_kinds import Kind
from forebay.domain.people.roles import Role
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.weekly_reports import WeeklyReportReconciler
from tests.worker.stage import Stage, Team

URL = "https://cloud.example.org"
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
"""The stage begins on the Sunday before."""


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def at(stage: Stage, moment: datetime) -> None:
    """Let time go by until then, all machines seen and charged on the way."""
    while (left := (moment - stage.clock.now()).total_seconds()) > 0:
        stage.clock.pass_(min(left, 86400))
        stage.forebay.sightings.run()
        stage.forebay.cycle.run()


def reconciler(stage: Stage) -> WeeklyReportReconciler:
    return WeeklyReportReconciler(stage.database, stage.clock, public_url=URL)


def reports(stage: Stage) -> list[Any]:
    with stage.database.read() as connection:
        found = (
            sa.select(tables.mails).where(tables.mails.c.subject.like("%in the week of%")).order_by(tables.mails.c.id)
        )
        return list(connection.execute(found).all())


def change(stage: Stage, machine: str, **values: Any) -> None:
    with stage.database.begin() as connection:
        connection.execute(sa.update(tables.deployments).where(tables.deployments.c.id == machine).values(**values))


def two_people(stage: Stage) -> tuple[Team, str, str]:
    """A team whose owner and a member each have a machine; the member's is idle since the Sunday's morning."""
    team, member = stage.team(dollars=2000), stage.team(dollars=0).context.caller.user_id
    with stage.database.begin() as connection:
        teams.add_member(connection, team.id, member, Role.member, now=stage.clock.now())
    mine, theirs = stage.running(team), stage.running(team)
    change(stage, theirs, created_by=member, idle_since=stage.clock.now(), name="left.behind")
    return team, mine, theirs


def test_who_spent_what_and_what_idles(stage: Stage) -> None:
    team, _, theirs = two_people(stage)
    at(stage, MONDAY + timedelta(hours=7, minutes=59))
    reconciler(stage).run()
    assert reports(stage) == []
    at(stage, MONDAY + timedelta(hours=8))
    reconciler(stage).run()
    [mail] = reports(stage)
    with stage.database.read() as connection:
        spent = usage.used(connection, team.id, "member", from_at=MONDAY - timedelta(days=7), to_at=MONDAY)
        [event] = connection.execute(
            sa.select(tables.notifications).where(tables.notifications.c.kind == Kind.report_weekly.value)
        ).all()
    assert mail.recipient == team.context.caller.email
    assert mail.kind == "report.weekly"
    total = weekly_reports.dollars(sum(use.cost_micros for use in spent))
    assert f": {total} in the week of 23 February" in mail.subject
    assert f"spent {total} from 23 February to 1 March 2026; the week before it was $0.00" in mail.text
    for use in spent:
        assert f"{use.name}: {weekly_reports.dollars(use.cost_micros)}" in mail.text
    assert (
        f"left\u2024behind ({theirs}): idle since 1 March, $3.60 an hour; stopping it saves $598.75 a week" in mail.text
    )
    assert "In all that is $598.75 a week." in mail.text
    assert f"{URL}/account/notifications" in mail.text
    assert [person["cost"] for person in event.details["people"]] == [use.cost_micros / 1_000_000 for use in spent]
    assert [machine["deploymentId"] for machine in event.details["idle"]] == [theirs]


def test_once_whoever_is_at_it_and_however_often_it_is_started(stage: Stage) -> None:
    two_people(stage)
    at(stage, MONDAY + timedelta(hours=8))
    for _ in range(2):
        for each in (reconciler(stage), reconciler(stage)):
            each.run()
            each.run()
    assert len(reports(stage)) == 1
    at(stage, MONDAY + timedelta(days=7, hours=8))
    again = reconciler(stage)
    again.run()
    again.run()
    assert len(reports(stage)) == 2


def test_cut_off_it_is_written_whole_or_not_at_all(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    two_people(stage)
    at(stage, MONDAY + timedelta(hours=8))

    def die(*_: object, **__: object) -> None:
        raise OSError("cut off")

    with monkeypatch.context() as patched:
        patched.setattr(switchboard, "mail_team", die)
        with pytest.raises(OSError, match="cut off"):
            reconciler(stage).run()
    assert reports(stage) == []
    reconciler(stage).run()
    assert len(reports(stage)) == 1


def test_a_cloud_that_was_down_sends_it_later_but_not_much_later(stage: Stage) -> None:
    two_people(stage)
    at(stage, MONDAY)
    stage.clock.pass_((timedelta(days=3, hours=7)).total_seconds())
    reconciler(stage).run()
    assert len(reports(stage)) == 1
    at(stage, MONDAY + timedelta(days=7))
    stage.clock.pass_((timedelta(days=3, hours=8)).total_seconds())
    reconciler(stage).run()
    assert len(reports(stage)) == 1, "by then the week is past"


def test_who_spent_nothing_hears_nothing_and_who_wants_none_gets_none(stage: Stage) -> None:
    team, _, theirs = two_people(stage)
    stage.team()
    with stage.database.begin() as connection:
        switchboard.choose(connection, team.context.caller.user_id, {Kind.report_weekly: False})
    change(stage, theirs, idle_since=None)
    at(stage, MONDAY + timedelta(hours=8))
    reconciler(stage).run()
    assert reports(stage) == []
    with stage.database.read() as connection:
        told = connection.execute(
            sa.select(tables.notifications.c.details).where(tables.notifications.c.kind == Kind.report_weekly.value)
        ).scalars()
        assert [details["idle"] for details in told] == [[]], "webhooks have choices of their own"


@pytest.mark.parametrize(
    ("now", "begins"),
    [("2026-03-01 23:59", "2026-02-16"), ("2026-03-02 00:00", "2026-02-23"), ("2026-03-08 12:00", "2026-02-23")],
)
def test_weeks_begin_on_mondays(now: str, begins: str) -> None:
    week = weekly_reports.week_before(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (week.key, week.ends_at - week.begins_at) == (begins, timedelta(days=7))
