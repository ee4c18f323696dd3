"""Prices that change under running machines: a cut at its second, a rise a week after the mail, discounts on their day.

A small machine costs a thousand micro-dollars a second (`A_SECOND`), its disk ten.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.machines import audit, discounts, offer_changes, price_changes
from forebay.domain.machines.deployments import Status
from forebay.domain.machines.discounts import Wish
from forebay.storage import tables
from forebay.storage.database import Database
from tests.worker.dying import Death, DyingDatabase, Fuse
from tests.worker.stage import A_SECOND, DISK_SECOND, START, Stage, Team

SMALL = "memory-small"
HOUR = 3_600_000
"""Micro-dollars an hour of a machine that costs a thousand a second."""
WEEK = 7 * 86400


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def say(stage: Stage, offer: str = SMALL, **said: Any) -> None:
    """An operator changes an offer, and the reconciler hears of it."""
    with stage.database.begin() as connection:
        now = stage.clock.now()
        offer_changes.change(connection, None, offer, said, reason="the power bill", now=now, by="a test")
    stage.forebay.prices.run()


def give(stage: Stage, team: Team, basis_points: int, **more: Any) -> str:
    with stage.database.begin() as connection:
        wish = Wish(basis_points=basis_points, **more)
        given = discounts.give(connection, None, team.id, wish, reason="early", now=stage.clock.now(), by="a test")
    stage.forebay.prices.run()
    return given.id


def look(stage: Stage, seconds: float) -> None:
    """Time goes by, the provider is looked at, prices and charges follow."""
    stage.clock.pass_(seconds)
    stage.forebay.sightings.run()
    stage.forebay.cycle.run()


def mails(stage: Stage) -> list[tuple[str, str]]:
    """Subject and text of those that are waiting."""
    with stage.database.read() as connection:
        rows = connection.execute(sa.select(tables.mails.c.subject, tables.mails.c.text).order_by(tables.mails.c.id))
        return [(row.subject, row.text) for row in rows]


def test_a_cut_reaches_what_runs_at_once(stage: Stage) -> None:
    team = stage.team()
    machine = stage.running(team)
    look(stage, 100)
    say(stage, rate_micros=HOUR // 2)
    look(stage, 100)
    assert stage.charged(team) == 100 * A_SECOND + 100 * A_SECOND // 2
    begun = stage.seconds() - 200
    assert stage.segments(machine) == [("compute", begun, begun + 100), ("compute", begun + 100, None)]
    assert stage.events(machine)[-1] == "repriced"
    assert stage.find(stage.running(team)).rate_micros == HOUR // 2
    stage.check()
    # Nothing is said or done a second time.
    stage.forebay.prices.run()
    assert stage.events(machine).count("repriced") == 1
    assert mails(stage) == []


def test_a_rise_reaches_what_runs_seven_days_after_the_mail(stage: Stage) -> None:
    team = stage.team(dollars=5000)
    machine, other = stage.running(team), stage.running(team, offer="minimum")
    begun = stage.clock.now()
    say(stage, rate_micros=2 * HOUR)
    told = stage.clock.now()
    [(subject, text)] = mails(stage)
    assert "Small will cost more from 8 March 2026 at 00:00 UTC" in subject
    assert f"({machine}): $3.60 now, $7.20 then" in text
    assert other not in text
    assert stage.find(stage.running(team)).rate_micros == 2 * HOUR
    look(stage, WEEK - 1)
    assert stage.find(machine).rate_micros == HOUR
    look(stage, 1)
    assert stage.find(machine).rate_micros == 2 * HOUR
    look(stage, 60)
    [before, after] = stage.segments(machine)
    moved = int((told - begun).total_seconds()) + stage.seconds() - 60 - int((told - START).total_seconds())
    assert before[2] == after[1] == int((told - START).total_seconds()) + WEEK
    assert moved >= WEEK
    assert stage.find(other).rate_micros == HOUR
    assert len(mails(stage)) == 1
    stage.check()


def test_a_price_from_its_date_and_machines_launched_before_it_are_told_when_they_run(stage: Stage) -> None:
    team, later = stage.team(dollars=5000), stage.team(dollars=5000)
    machine = stage.running(team)
    date = stage.clock.now() + timedelta(days=3)
    say(stage, rate_micros=3 * HOUR, prices_from=date)
    stage.clock.pass_(86400)
    stage.forebay.sightings.run()
    second = stage.running(later)
    stage.forebay.prices.run()
    assert stage.find(second).rate_micros == HOUR
    assert len(mails(stage)) == 2
    look(stage, 2 * 86400 - 1)
    stage.clock.pass_(1)
    # At its second, whether or not the reconciler has been there.
    third = stage.launch(team)
    assert stage.find(third).rate_micros == 3 * HOUR
    stage.settle()
    look(stage, 4 * 86400 - (stage.clock.now() - date).total_seconds())
    assert [stage.find(each).rate_micros for each in (machine, second)] == [3 * HOUR, HOUR]
    look(stage, 86400)
    assert [stage.find(each).rate_micros for each in (machine, second)] == [3 * HOUR, 3 * HOUR]
    stage.check()


def test_a_cut_during_the_notice_lowers_what_was_announced(stage: Stage) -> None:
    team = stage.team(dollars=5000)
    machine = stage.running(team)
    say(stage, rate_micros=4 * HOUR)
    look(stage, 86400)
    say(stage, rate_micros=2 * HOUR)
    assert stage.find(machine).rate_micros == HOUR
    look(stage, WEEK - 86400)
    assert stage.find(machine).rate_micros == 2 * HOUR
    # What was announced and is taken back before its day raises nothing.
    say(stage, rate_micros=5 * HOUR)
    say(stage, rate_micros=HOUR)
    look(stage, WEEK + 1)
    assert stage.find(machine).rate_micros == HOUR
    stage.check()


def test_a_date_that_is_called_off_raises_nothing(stage: Stage) -> None:
    team = stage.team(dollars=5000)
    machine = stage.running(team)
    say(stage, rate_micros=3 * HOUR, prices_from=stage.clock.now() + timedelta(days=8))
    say(stage, rate_micros=None, prices_from=None)
    look(stage, 9 * 86400)
    assert stage.find(machine).rate_micros == stage.find(stage.running(team)).rate_micros == HOUR
    with stage.database.read() as connection:
        [change] = price_changes.of_offer(connection, SMALL)
    assert change.cancelled_at is not None
    stage.check()


def test_disks_of_stopped_machines_alike(stage: Stage) -> None:
    team = stage.team(dollars=5000)
    machine = stage.running(team)
    stage.stop(team, machine)
    stage.settle()
    before = stage.charged(team)
    say(stage, storage_rate_micros=DISK_SECOND * 3600 // 2)
    look(stage, 100)
    assert stage.charged(team) - before == 100 * DISK_SECOND // 2
    say(stage, storage_rate_micros=DISK_SECOND * 3600 * 2)
    assert "The disk of a stopped machine" in mails(stage)[-1][1]
    look(stage, WEEK)
    before = stage.charged(team)
    look(stage, 100)
    assert stage.charged(team) - before == 100 * DISK_SECOND * 2
    stage.start(team, machine)
    stage.settle()
    assert stage.find(machine).status is Status.running
    stage.check()


def test_a_discount_begins_and_ends_on_its_second(stage: Stage) -> None:
    team = stage.team(dollars=5000)
    machine = stage.running(team)
    now = stage.clock.now()
    give(stage, team, 2500, starts_at=now + timedelta(seconds=90), ends_at=now + timedelta(seconds=250))
    # The worker is away over both ends: what was due is done exactly all the same.
    stage.clock.pass_(300)
    stage.forebay.sightings.run()
    stage.forebay.cycle.run()
    assert stage.charged(team) == (90 + 50) * A_SECOND + 160 * A_SECOND * 3 // 4
    given = give(stage, team, 1000)
    assert stage.find(machine).rate_micros == HOUR * 9 // 10
    with stage.database.begin() as connection:
        discounts.end(connection, None, given, at=None, reason="over", now=stage.clock.now(), by="a test")
    look(stage, WEEK - 1)
    assert stage.find(machine).rate_micros == HOUR * 9 // 10
    look(stage, 1)
    assert stage.find(machine).rate_micros == HOUR
    assert [subject.partition(": ")[2] for subject, _ in mails(stage)] == [
        "25% off all machines", "10% off all machines", "10% off all machines ends on 8 March 2026 at 00:05 UTC",
    ]  # fmt: skip
    stage.check()


def test_a_machine_that_can_not_be_seen_is_not_raised_and_is_cut_from_its_last_sighting(stage: Stage) -> None:
    team = stage.team(dollars=5000)
    machine = stage.running(team)
    say(stage, rate_micros=2 * HOUR)
    look(stage, WEEK - 1000)
    stage.provider.be_unreachable()
    look(stage, 1000)
    assert stage.find(machine).rate_micros == HOUR
    stage.provider.be_back()
    look(stage, 1)
    assert stage.find(machine).rate_micros == 2 * HOUR
    paid = stage.charged(team)
    stage.provider.be_unreachable()
    look(stage, 500)
    say(stage, rate_micros=HOUR)
    stage.provider.be_back()
    look(stage, 100)
    assert stage.charged(team) - paid == 600 * A_SECOND
    stage.check()


def test_it_can_be_cut_off_at_any_step(stage: Stage) -> None:
    team = stage.team(dollars=50_000)
    machines = [stage.running(team) for _ in range(2)]
    rate = HOUR
    for step in range(1, 60):
        rate = HOUR + step
        with stage.database.begin() as connection:
            now = stage.clock.now()
            said = {"rate_micros": rate if step % 2 else HOUR // 2 + step}
            offer_changes.change(connection, None, SMALL, said, reason="r", now=now, by="a test")
        fuse = Fuse(step // 2 + 1)
        doomed = stage.open(DyingDatabase(stage.database, fuse))
        with suppress(Death):
            doomed.prices.run()
        is_over = not fuse.is_burnt_out
        stage.restart()
        stage.forebay.prices.run()
        look(stage, WEEK + 60)
        look(stage, 60)
        assert {stage.find(each).rate_micros for each in machines} == {said["rate_micros"]}, step
        stage.check()
        if is_over and step % 2 == 0:
            break
    else:
        raise AssertionError("it never comes to its end")
    with stage.database.read() as connection:
        twice = connection.execute(
            sa.select(tables.mails.c.subject, tables.mails.c.created_at, sa.func.count())
            .group_by(tables.mails.c.subject, tables.mails.c.created_at, tables.mails.c.text)
            .having(sa.func.count() > 1)
        ).all()
    assert twice == []


def test_the_audit_finds_a_rise_without_its_notice_and_a_rate_that_nobody_said(stage: Stage) -> None:
    team = stage.team(dollars=5000)
    machine = stage.running(team)
    say(stage, rate_micros=2 * HOUR)
    stage.check()
    notices, deployments = tables.price_notices, tables.deployments
    with stage.database.begin() as connection:
        soon = stage.clock.now() + timedelta(days=6)
        connection.execute(sa.update(notices).values(effective_at=soon))
        connection.execute(sa.update(deployments).where(deployments.c.id == machine).values(rate_micros=1))
        found = [(each.check, each.sentence) for each in audit.run(connection)]
    assert [name for name, _ in found] == ["prices", "prices"]
    assert all(machine in text for _, text in found)
