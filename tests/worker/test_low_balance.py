"""Low balance: who is told when, what is waited for, what is stopped and deleted, and that credits come in time."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.compute.memory import MemoryProvider
from forebay.domain.machines import credit_stops
from forebay.domain.machines.deployments import Status
from forebay.domain.money import credit_control, low_balance
from forebay.ids import new_id
from forebay.storage import tables
from forebay.storage.database import Database
from tests.worker.stage import A_SECOND, DOLLAR, RULES, Stage, Team

pytestmark = pytest.mark.slow

HOUR, DAY = 3600, 86400


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def cycle_after(stage: Stage, seconds: int) -> None:
    stage.clock.pass_(seconds)
    stage.forebay.cycle.run()


def letters(stage: Stage) -> list[tuple[str, str]]:
    """Subject (without the team) and text of every mail so far, none of them sent yet."""
    columns = tables.mails.c
    with stage.database.read() as connection:
        rows = connection.execute(sa.select(columns.subject, columns.text).order_by(columns.id)).all()
    return [(row.subject.partition(": ")[2], row.text) for row in rows]


def subjects(stage: Stage) -> list[str]:
    return [subject for subject, _ in letters(stage)]


def actions(stage: Stage, team: Team) -> list[str]:
    """What Forebay itself did in the team."""
    columns = tables.activity.c
    with stage.database.read() as connection:
        rows = connection.execute(
            sa.select(columns.action)
            .where(columns.team_id == team.id, columns.user_id.is_(None), columns.action.not_like("%tell-runway"))
            .order_by(columns.id)
        )
        return list(rows.scalars())


def state(stage: Stage, team: Team) -> low_balance.State:
    with stage.database.read() as connection:
        return low_balance.state(connection, team.id, RULES, now=stage.clock.now())


def card(stage: Stage, team: Team, **values: Any) -> str:
    now = stage.clock.now()
    card_id = new_id(now)
    row = {"is_default": True, "brand": "visa", "last_four": "4242", "expiry_month": 1, "expiry_year": 2030} | values
    with stage.database.begin() as connection:
        connection.execute(
            sa.insert(tables.cards).values(
                id=card_id, team_id=team.id, payment_method_id=f"pm_{card_id}", created_at=now, **row
            )
        )
    return card_id


def attempt(stage: Stage, team: Team, path: str = "auto") -> str:
    """An open attempt to charge the team's card."""
    now = stage.clock.now()
    attempt_id = new_id(now)
    with stage.database.begin() as connection:
        connection.execute(
            sa.insert(tables.payment_attempts).values(
                id=attempt_id,
                team_id=team.id,
                path=path,
                state="claimed",
                amount_micros=50 * DOLLAR,
                request={},
                idempotency_key=attempt_id,
                created_at=now,
            )
        )
    return attempt_id


def close(stage: Stage, attempt_id: str) -> None:
    with stage.database.begin() as connection:
        connection.execute(
            sa.update(tables.payment_attempts)
            .where(tables.payment_attempts.c.id == attempt_id)
            .values(state="declined", closed_at=stage.clock.now())
        )


def check(stage: Stage) -> None:
    """The books hold; attempts that no processor ever heard of are none of theirs."""
    with stage.database.begin() as connection:
        connection.execute(sa.delete(tables.payment_attempts))
    stage.check()


def policy(stage: Stage, team: Team, **values: Any) -> None:
    """Auto top-up, on, with a claim just made."""
    now = stage.clock.now()
    row: dict[str, Any] = {
        "is_on": True,
        "threshold_micros": 5 * DOLLAR,
        "amount_micros": 15 * DOLLAR,
        "max_charge_micros": 15 * DOLLAR,
        "consent_text": "yes",
        "consented_by": team.context.caller.user_id,
        "consented_at": now,
        "last_claimed_at": now,
        "next_attempt_at": now + timedelta(seconds=300),
        "updated_at": now,
    }
    with stage.database.begin() as connection:
        connection.execute(sa.insert(tables.auto_top_ups).values(team_id=team.id, **(row | values)))


def nearly_dry(stage: Stage) -> tuple[Team, str]:
    """A team whose machine has used up all but the last minute of three dollars."""
    team = stage.team(dollars=3)
    machine = stage.running(team)
    cycle_after(stage, 2940)
    return team, machine


# The runway.


def test_a_team_is_told_at_24_hours_and_at_one_to_the_second_and_once(stage: Stage) -> None:
    team = stage.team(dollars=3.6 * 25)
    stage.running(team)
    cycle_after(stage, HOUR - 1)
    assert (subjects(stage), state(stage, team).step) == ([], "fine")
    cycle_after(stage, 1)
    [(subject, text)] = letters(stage)
    assert subject == "the credits last about 24 hours"
    assert "$86.40 and spends $3.60 an hour" in text
    assert "gone on 2 March 2026 at 01:00 UTC" in text
    assert f"GET https://cloud.example.org/api/teams/{team.id}/billing" in text
    assert state(stage, team).step == "low"
    cycle_after(stage, 23 * HOUR - 1)
    assert len(letters(stage)) == 1
    cycle_after(stage, 1)
    cycle_after(stage, 60)
    assert subjects(stage)[1:] == ["the credits last about 1 hour"]


def test_a_dip_ends_when_the_runway_is_above_the_mark_again(stage: Stage) -> None:
    team = stage.team(dollars=3.6 * 24)
    stage.running(team)
    stage.forebay.cycle.run()
    assert len(letters(stage)) == 1
    stage.grant(team.id, 0.000001)
    stage.forebay.cycle.run()
    cycle_after(stage, 60)
    assert len(letters(stage)) == 2
    stage.grant(team.id, 0.06)
    cycle_after(stage, 1)
    assert len(letters(stage)) == 2, "at the mark is not above it"


def test_both_marks_at_once_are_one_mail_and_disks_count(stage: Stage) -> None:
    team = stage.team(dollars=3)
    machine = stage.running(team)
    stage.forebay.cycle.run()
    assert subjects(stage) == ["the credits last 50 minutes"]
    stage.stop(team, machine)
    stage.settle()
    stage.forebay.cycle.run()
    assert state(stage, team).step == "fine"
    cycle_after(stage, int((3 * DOLLAR - 10 * DAY) / 10))
    assert subjects(stage)[1:] == ["the credits last about 24 hours"]


def test_the_mails_go_to_owners_and_admins_alone(stage: Stage) -> None:
    team, others = stage.team(dollars=3), [stage.team() for _ in range(2)]
    with stage.database.begin() as connection:
        for other, role in zip(others, ("admin", "member"), strict=True):
            connection.execute(
                sa.insert(tables.memberships).values(
                    team_id=team.id, user_id=other.context.caller.user_id, role=role, joined_at=stage.clock.now()
                )
            )
    stage.running(team)
    stage.forebay.cycle.run()
    with stage.database.read() as connection:
        recipients = set(connection.execute(sa.select(tables.mails.c.recipient)).scalars())
    assert recipients == {team.context.caller.email, others[0].context.caller.email}


# The wait.


def test_an_open_charge_is_waited_for_ten_minutes_to_the_second(stage: Stage) -> None:
    team, machine = nearly_dry(stage)
    attempt(stage, team)
    cycle_after(stage, 60)
    stage.settle()
    assert stage.find(machine).status is Status.running
    assert state(stage, team).step == "waiting"
    cycle_after(stage, 599)
    stage.settle()
    assert stage.find(machine).status is Status.running
    assert state(stage, team).debt_micros == 599 * A_SECOND
    cycle_after(stage, 1)
    stage.settle()
    assert stage.find(machine).status is Status.stopped
    assert actions(stage, team) == ["credits.wait-for-top-up", "deployment.stop-for-credits"]
    assert "waiting-for-credits" in stage.events(machine)
    assert [subject for subject in subjects(stage) if "waited for" in subject or "stopped" in subject] == [
        "the credits ran out, a top-up is waited for",
        "machines were stopped because the credits ran out",
    ]
    check(stage)


def test_a_charge_that_fails_ends_the_wait_and_there_is_no_second_one(stage: Stage) -> None:
    team, machine = nearly_dry(stage)
    opened = attempt(stage, team)
    cycle_after(stage, 60)
    close(stage, opened)
    cycle_after(stage, 60)
    stage.settle()
    assert stage.find(machine).status is Status.stopped
    attempt(stage, team)
    cycle_after(stage, 60)
    assert state(stage, team).step == "stopped"
    check(stage)


def test_a_charge_that_succeeds_in_time_stops_nothing(stage: Stage) -> None:
    team, machine = nearly_dry(stage)
    opened = attempt(stage, team)
    cycle_after(stage, 60)
    close(stage, opened)
    stage.grant(team.id, 50)
    cycle_after(stage, 60)
    stage.settle()
    assert stage.find(machine).status is Status.running
    assert state(stage, team).step in ("fine", "low")
    assert actions(stage, team) == ["credits.wait-for-top-up", "credits.have-come-back"]
    with stage.database.read() as connection:
        assert low_balance.progress(connection, team.id).waiting_until is None
    check(stage)


@pytest.mark.parametrize(
    ("values", "is_coming"),
    [
        ({}, True),
        ({"next_attempt_at": None}, True),
        ({"last_claimed_at": None, "next_attempt_at": None}, True),
        ({"next_attempt_seconds": 301}, False),
        ({"is_on": False}, False),
        ({"stopped_reason": "card_declined"}, False),
        ({"has_card": False}, False),
        ({"is_frozen": True}, False),
    ],
)
def test_a_top_up_is_coming_if_only_the_cooldown_delays_it(
    stage: Stage, values: dict[str, Any], is_coming: bool
) -> None:
    team, now, values = stage.team(dollars=0), stage.clock.now(), dict(values)
    seconds = values.pop("next_attempt_seconds", None)
    if values.pop("has_card", True):
        card(stage, team)
    else:
        card(stage, team, is_default=False, deleted_at=now)
    if values.pop("is_frozen", False):
        with stage.database.begin() as connection:
            connection.execute(sa.update(tables.teams).values(frozen_at=now))
    if seconds is not None:
        values["next_attempt_at"] = now + timedelta(seconds=seconds)
    if "stopped_reason" in values:
        values["stopped_at"] = now
    policy(stage, team, **values)
    with stage.database.read() as connection:
        assert low_balance.has_top_up_coming(connection, team.id, now=now) is is_coming


def test_a_page_that_waits_for_a_person_is_no_top_up_to_wait_for(stage: Stage) -> None:
    team = stage.team()
    attempt(stage, team, "checkout")
    with stage.database.read() as connection:
        assert not low_balance.has_top_up_coming(connection, team.id, now=stage.clock.now())


def test_one_team_that_cannot_be_dealt_with_keeps_no_other_waiting(stage: Stage) -> None:
    teams = [stage.team(dollars=3) for _ in range(3)]
    machines = [stage.running(team) for team in teams]
    rate = tables.deployments.c.storage_rate_micros

    def set_rate(rate_micros: int) -> None:
        with stage.database.begin() as connection:
            connection.execute(
                sa.update(tables.deployments).where(tables.deployments.c.id == machines[0]).values({rate: rate_micros})
            )

    set_rate(-1)
    with pytest.raises(sa.exc.IntegrityError):
        cycle_after(stage, 3000)
    stage.settle()
    assert [stage.find(machine).status for machine in machines] == [Status.running, Status.stopped, Status.stopped]
    set_rate(36_000)
    cycle_after(stage, 60)
    stage.settle()
    assert stage.find(machines[0]).status is Status.stopped
    stage.check()


# The disks.


def test_disks_go_a_day_after_they_were_announced_even_if_forebay_was_away(stage: Stage) -> None:
    team, machine = nearly_dry(stage)
    cycle_after(stage, 60)
    stage.settle()
    cycle_after(stage, 20 * DAY)
    stage.settle()
    assert stage.find(machine).status is Status.stopped
    subject, text = letters(stage)[-1]
    assert subject.startswith("disks will be deleted on 22 March 2026")
    assert "-$17.28" in text, "the debt is shown"
    assert machine in text
    assert "deletion-announced" in stage.events(machine)
    cycle_after(stage, DAY - 1)
    assert stage.find(machine).status is Status.stopped
    cycle_after(stage, 1)
    stage.settle()
    assert stage.find(machine).status is Status.terminated
    assert state(stage, team).step == "disks deleted"
    assert actions(stage, team) == [
        "deployment.stop-for-credits",
        "credits.announce-deletion",
        "deployment.delete-for-credits",
    ]
    stage.check()


def test_a_deposit_after_the_announcement_keeps_the_disks(stage: Stage) -> None:
    team, machine = nearly_dry(stage)
    cycle_after(stage, 60)
    stage.settle()
    cycle_after(stage, 6 * DAY)
    stage.grant(team.id, 50)
    cycle_after(stage, DAY)
    cycle_after(stage, 30 * DAY)
    stage.settle()
    assert stage.find(machine).status is Status.stopped
    assert actions(stage, team)[-1] == "credits.have-come-back"
    stage.check()


# Nothing for lack of money unless the balance, read again, is at or below zero.


def stopped_for_days(stage: Stage, days: int) -> tuple[Team, str]:
    team, machine = nearly_dry(stage)
    cycle_after(stage, 60)
    stage.settle()
    if days:
        cycle_after(stage, days * DAY)
    return team, machine


def just_dry(stage: Stage) -> tuple[Team, str]:
    """A team that has been charged its last, and nothing was done about it yet."""
    team, machine = nearly_dry(stage)
    stage.clock.pass_(60)
    stage.forebay.sightings.run()
    stage.forebay.cycle.deduct()
    assert stage.balance(team).balance_micros == 0
    return team, machine


def just_dry_with_a_charge(stage: Stage) -> tuple[Team, str]:
    team, machine = just_dry(stage)
    attempt(stage, team)
    return team, machine


@pytest.mark.parametrize("has_credits", [True, False])
@pytest.mark.parametrize(
    ("make", "step"),
    [
        (just_dry, credit_stops.wait_or_stop),
        (just_dry_with_a_charge, credit_stops.wait_or_stop),
        (lambda stage: stopped_for_days(stage, 6), credit_stops.delete_disks),
        (lambda stage: stopped_for_days(stage, 0), credit_stops.announce_deletion),
    ],
    ids=["stop", "wait", "delete", "announce"],
)
def test_a_deposit_between_finding_and_acting_stops_the_step(
    stage: Stage, make: Callable[[Stage], tuple[Team, str]], step: Callable[..., int], has_credits: bool
) -> None:
    team, machine = make(stage)
    if step is credit_stops.delete_disks:
        stage.clock.pass_(DAY)
    before, told = stage.find(machine), len(letters(stage))
    if has_credits:
        stage.grant(team.id, 50)
    with stage.database.begin() as connection:
        done = step(connection, team.id, RULES, now=stage.clock.now())
    if has_credits:
        assert (done, stage.find(machine), len(letters(stage))) == (0, before, told)
    else:
        assert (done, len(letters(stage))) == (1, told + 1)


def test_disks_alone_are_noted_only_without_credits(stage: Stage) -> None:
    team = stage.team(dollars=3)
    machine = stage.running(team)
    stage.stop(team, machine)
    stage.settle()
    cycle_after(stage, 300_000 - 60)
    stage.clock.pass_(60)
    stage.forebay.sightings.run()
    stage.forebay.cycle.deduct()
    stage.grant(team.id, 0.000001)
    with stage.database.begin() as connection:
        assert credit_stops.note_kept(connection, team.id, RULES, now=stage.clock.now()) == 0
    stage.forebay.cycle.run()
    assert state(stage, team).step == "low"


def test_machines_that_can_not_pause_are_named_in_the_mail_as_ended(database: Database) -> None:
    stage = Stage(database)
    stage.provider = MemoryProvider(stage.clock.now, can_pause=False)
    stage.restart()
    stage.forebay.catalogue.run()
    team, machine = nearly_dry(stage)
    cycle_after(stage, 60)
    stage.settle()
    assert stage.find(machine).status is Status.terminated
    assert actions(stage, team) == ["deployment.terminate-for-credits"]
    _, text = letters(stage)[-1]
    assert f"Terminated, because they can't be stopped:\n\n{stage.find(machine).name} ({machine})" in text
    assert f"https://cloud.example.org/api/teams/{team.id}/start-again" in text
    with stage.database.read() as connection:
        assert credit_control.dry_teams(connection) == []


def test_deposits_and_stops_at_once_leave_nothing_stopped_that_had_credits(stage: Stage) -> None:
    teams = [stage.team(dollars=3) for _ in range(4)]
    cases = [(team, stage.running(team)) for team in teams]
    stage.clock.pass_(3000)
    stage.forebay.sightings.run()
    stage.forebay.cycle.deduct()
    start = threading.Barrier(2)

    def stop_all() -> None:
        start.wait()
        for team, _ in cases:
            with stage.database.begin() as connection:
                credit_stops.wait_or_stop(connection, team.id, RULES, now=stage.clock.now())

    def pay_all() -> None:
        start.wait()
        for team, _ in reversed(cases):
            stage.grant(team.id, 50)

    threads = [threading.Thread(target=work) for work in (stop_all, pay_all)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stage.settle()
    for team, machine in cases:
        is_stopped = stage.find(machine).status is Status.stopped
        assert is_stopped == ("deployment.stop-for-credits" in actions(stage, team))
    stage.check()
