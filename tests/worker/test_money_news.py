"""What is told of a team's money: charges, ceilings, credits that run out. Each by mail to whom it concerns, and as an
event for webhooks."""

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people import notifications as switchboard
from forebay.domain.people import teams
from forebay.domain.people.notification_kinds import Kind
from forebay.domain.people.roles import Role
from forebay.payments.memory import MemoryProcessor
from forebay.storage.database import Database
from forebay.storage.tables import notifications
from forebay.worker.notifications import NotificationReconciler
from tests.payments.bank import DECLINED_LATER, GOOD, MemoryBank
from tests.worker.stage import Stage, Team
from tests.worker.test_auto_top_ups import Pump
from tests.worker.till import Till

URL = "https://cloud.example.org"


@pytest.fixture
def pump(database: Database) -> Pump:
    return Pump(Till(database, MemoryBank(MemoryProcessor(lambda: datetime.now(UTC)))))


def events(stage: Stage, team: Team) -> list[tuple[str, Any]]:
    """Kind and details of what was told of the team, oldest first."""
    with stage.database.read() as connection:
        rows = connection.execute(
            sa.select(notifications.c.kind, notifications.c.details)
            .where(notifications.c.team_id == team.id)
            .order_by(notifications.c.id)
        )
        return [(row.kind, row.details) for row in rows]


def mailed(stage: Stage) -> list[str]:
    """The subjects of all mails, once all has been handed on; nothing is handed on twice."""
    reconciler = NotificationReconciler(stage.database, stage.clock, public_url=URL)
    reconciler.run()
    assert reconciler.run() == 0
    stage.forebay.mails.run()
    return [subject for _, _, subject in stage.outbox.sent]


def switch_off(stage: Stage, team: Team, *kinds: Kind) -> None:
    with stage.database.begin() as connection:
        switchboard.choose(connection, team.context.caller.user_id, dict.fromkeys(kinds, False))


def test_a_charge_that_was_made(pump: Pump) -> None:
    stage, team = pump.till.stage, pump.team(GOOD)
    pump.run()
    [(kind, details)] = events(stage, team)
    assert (kind, details["amount"], details["path"]) == ("charge.made", 50, "auto")
    assert [subject for subject in mailed(stage) if subject.startswith("Receipt: $50")] == mailed(stage)
    other = pump.team(GOOD)
    switch_off(stage, other, Kind.charge_made)
    pump.run()
    assert len(mailed(stage)) == 1, "without a receipt"
    assert [kind for kind, _ in events(stage, other)] == ["charge.made"], "webhooks have choices of their own"


def test_charges_that_were_declined_until_auto_top_up_stops(pump: Pump) -> None:
    stage, team = pump.till.stage, pump.team(DECLINED_LATER)
    for _ in range(4):
        pump.run()
        pump.clock.pass_(3600)
    told = events(stage, team)
    assert [kind for kind, _ in told] == ["charge.declined"] * 3 + ["auto-top-up.stopped"]
    assert all(details["amount"] == 50 for kind, details in told if kind == "charge.declined")
    subjects = mailed(stage)
    assert sum("was declined" in subject for subject in subjects) == 2, "the letter that it stopped says the third"
    assert sum("auto top-up has stopped" in subject for subject in subjects) == 1


def test_a_payment_by_hand_that_was_declined_is_told_to_who_asked(pump: Pump) -> None:
    stage, team = pump.till.stage, pump.till.team(DECLINED_LATER)
    pump.till.ask(team)
    pump.till.settle()
    [(kind, details)] = events(stage, team)
    assert (kind, details["requestedBy"]) == ("charge.declined", team.context.caller.user_id)
    assert len(mailed(stage)) == 1


def test_a_ceiling_that_was_met_is_told_once_a_day(pump: Pump) -> None:
    stage, team = pump.till.stage, pump.team(GOOD, day_ceiling=1)
    pump.run()
    pump.spend(team, 50)
    for _ in range(4):
        pump.clock.pass_(600)
        pump.run()
    told = [details for kind, details in events(stage, team) if kind == "limit.met"]
    assert [details["limit"] for details in told] == ["autoTopUp.dayCeiling"]
    assert sum("has met its ceiling" in subject for subject in mailed(stage)) == 1


def test_credits_that_run_out(pump: Pump) -> None:
    stage, database = pump.till.stage, pump.database
    team, now = stage.team(dollars=8), stage.clock.now()
    member = stage.team().context.caller.user_id
    with database.begin() as connection:
        teams.add_member(connection, team.id, member, Role.member, now=now)
    machine = stage.running(team)
    theirs = stage.running(team)
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE deployments SET created_by = :u WHERE id = :i"), {"u": member, "i": theirs})
    switch_off(stage, team, Kind.deployment_running)
    mailed(stage)
    stage.outbox.sent.clear()
    pump.spend(team, 7)
    for _ in range(12):
        stage.clock.pass_(60)
        stage.forebay.sightings.run()
        stage.forebay.cycle.run()
    told = events(stage, team)
    steps = [details["step"] for kind, details in told if kind == "balance.low"]
    assert steps[0] == "low"
    assert "stopped" in steps
    stops = {details["deployment"]["id"]: details for kind, details in told if kind == "deployment.stopped"}
    assert set(stops) == {machine, theirs}
    assert {details["cause"] for details in stops.values()} == {"credits"}
    subjects = [(recipient, subject) for _, recipient, subject in (mailed(stage), stage.outbox.sent)[1]]
    owner = team.context.caller.email
    about_machines = [
        recipient for recipient, subject in subjects if subject.endswith(("was stopped", "was terminated"))
    ]
    assert len(about_machines) == 1, "whoever looks after the team has a letter about all of them"
    assert owner not in about_machines
    assert [recipient for recipient, subject in subjects if "the credits ran out" in subject].count(owner) >= 1
