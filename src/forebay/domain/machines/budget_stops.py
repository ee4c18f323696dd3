"""What follows when budgets are spent: each share is told once a month, and machines of one that stops are stopped.

A budget that stops gives a notice first. Then machines are stopped that keep their disk, each once its minimum runtime
is over; one that would lose its disk runs on, and people are told which. Nothing is ever deleted for a budget. What was
told is written with the letter, under the lock of the team's account, so that it is told once, whoever looks.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import announcements, budget_figures, budget_letters, budgets, deployments
from forebay.domain.machines.budget_letters import About
from forebay.domain.machines.budgets import Standing
from forebay.domain.machines.deployments import Deployment, Status
from forebay.domain.money import budgets as kept
from forebay.domain.money import ledger
from forebay.domain.money.amounts import to_dollars
from forebay.domain.money.budgets import AtLimit, month_of
from forebay.domain.money.low_balance_letters import LetterTo
from forebay.domain.people import activity, notifications
from forebay.domain.people.notification_kinds import Kind
from forebay.storage.tables import accounts, teams
from forebay.storage.tables import budgets as rows
from forebay.storage.tables import deployments as machines

LATE_DAYS = 3
"""For so long into a month what is charged for the one before is looked at: the last minutes of a month are charged in
the next one, and so is all that ran while nobody was there to charge."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What this cloud does, and the address that links in mails lead to."""

    notice_seconds: int = 600
    public_url: str = ""


class Decided(Protocol):
    """The settings that are rules of this room."""

    @property
    def budget_notice_seconds(self) -> int: ...


class Done(msgspec.Struct, frozen=True):
    """What one look came to."""

    told: int = 0
    stopped: int = 0


def rules_of(settings: Decided, public_url: str) -> Rules:
    """The rules as the settings have them."""
    return Rules(notice_seconds=settings.budget_notice_seconds, public_url=public_url)


class Seen(msgspec.Struct, frozen=True):
    """What a look hangs on that can be read in no time. Where it is as it was, the budgets are too."""

    account_version: int
    """Every charge moves it."""
    changed_at: datetime
    how_many: int
    next_stop_at: datetime | None


def to_look_at(connection: Connection, *, after: str = "", limit: int = 100) -> dict[str, Seen]:
    """Teams beyond `after` with budgets, in the order of their ids."""
    found = (
        sa.select(
            rows.c.team_id,
            accounts.c.version,
            sa.func.max(rows.c.changed_at).label("changed_at"),
            sa.func.count().label("how_many"),
            sa.func.min(rows.c.stops_at).label("next_stop_at"),
        )
        .join(accounts, accounts.c.team_id == rows.c.team_id)
        .where(rows.c.team_id > after)
        .group_by(rows.c.team_id, accounts.c.version)
        .order_by(rows.c.team_id)
        .limit(limit)
    )
    return {
        row.team_id: Seen(row.version, row.changed_at, row.how_many, row.next_stop_at)
        for row in connection.execute(found)
    }


def has_to_tell(standing: Standing) -> bool:
    """Whether a share is reached that was not told of, or its machines are to be stopped and nobody knows yet."""
    budget = standing.budget
    is_stopping = budget.at_limit is AtLimit.stop and standing.is_used_up
    return budget.reached(standing.spent_micros) > budget.told_share or (is_stopping and budget.stops_at is None)


def untold(connection: Connection, team_id: str, *, now: datetime) -> list[Standing]:
    """How budgets stood in the month before of which a share was reached that wasn't told: by charges that came when
    it was over. Of one that has told something in this month already, nobody knows any more."""
    month = month_of(now)
    if now - month.start_at >= timedelta(days=LATE_DAYS):
        return []
    before = month_of(month.start_at - timedelta(days=1))
    wanted = [
        each
        for each in kept.of_team(connection, team_id)
        if each.month < month.key and each.created_at < month.start_at
    ]
    found = budgets.stand(connection, team_id, wanted, now=now, month=before)
    return [each for each in found if each.budget.reached(each.spent_micros) > each.budget.told_share]


def has_to_stop(standing: Standing, *, now: datetime) -> bool:
    """Whether its notice is over."""
    budget = standing.budget
    is_over = budget.stops_at is not None and budget.stops_at <= now
    return budget.at_limit is AtLimit.stop and standing.is_used_up and is_over


def has_news(connection: Connection, team_id: str, *, now: datetime) -> bool:
    """Whether `look` has anything to do for the team, without writing or locking anything."""
    if untold(connection, team_id, now=now):
        return True
    found = budgets.standings(connection, team_id, now=now)
    if any(has_to_tell(standing) for standing in found):
        return True
    if not any(has_to_stop(standing, now=now) for standing in found):
        return False
    running = sa.select(machines.c.id).where(machines.c.team_id == team_id, machines.c.status == Status.running)
    return connection.execute(running.where(machines.c.gone_at.is_(None)).limit(1)).first() is not None


def look(connection: Connection, team_id: str, rules: Rules, *, now: datetime) -> Done:
    """Tell what is to be told of the team's budgets, and stop what is to be stopped."""
    # Machines before the account, as everywhere.
    running = deployments.dry_machines(connection, team_id)
    ledger.lock(connection, team_id)
    about = team_of(connection, team_id, rules)
    told = sum(tell_share(connection, about, standing, now=now) for standing in untold(connection, team_id, now=now))
    stopped: list[Deployment] = []
    for standing in budgets.standings(connection, team_id, now=now):
        if standing.budget.at_limit is AtLimit.stop and standing.is_used_up and standing.budget.stops_at is None:
            told += announce(connection, about, standing, running, rules, now=now)
        elif has_to_tell(standing):
            told += tell_share(connection, about, standing, now=now)
        if has_to_stop(standing, now=now):
            left = [machine for machine in running if machine not in stopped]
            stopped += stop(connection, about, standing, left, now=now)
    return Done(told, len(stopped))


def tell_share(connection: Connection, about: About, standing: Standing, *, now: datetime) -> int:
    """Tell the highest share that is reached; 1."""
    share = standing.budget.reached(standing.spent_micros)
    kept.note(connection, msgspec.structs.replace(standing.budget, told_share=share))
    tell(connection, about, standing, budget_letters.reached(about, standing, share, now=now), now=now, share=share)
    return 1


def announce(
    connection: Connection,
    about: About,
    standing: Standing,
    machines: Sequence[Deployment],
    rules: Rules,
    *,
    now: datetime,
) -> int:
    """Say that its machines will be stopped, when, and which; 1."""
    notice = timedelta(seconds=rules.notice_seconds)
    share = max(standing.budget.told_share, standing.budget.reached(standing.spent_micros))
    stops_at = now + notice
    kept.note(connection, msgspec.structs.replace(standing.budget, told_share=share, stops_at=stops_at))
    going, left = apart(of_budget(connection, standing, machines))
    letter = budget_letters.stopping(about, standing, names(going), names(left), stops_at=stops_at, notice=notice)
    until = f"{stops_at:%Y-%m-%dT%H:%M:%SZ}"
    tell(connection, about, standing, letter, now=now, share=share, stopsAt=until)
    return 1


def stop(
    connection: Connection, about: About, standing: Standing, machines: Sequence[Deployment], *, now: datetime
) -> list[Deployment]:
    """Stop those of its machines that keep their disk and have run as long as they must; which they were."""
    going, left = apart(of_budget(connection, standing, machines))
    due = [machine for machine in going if deployments.runtime(machine, now).remaining == 0]
    reason = f"{standing.called[0].upper()}{standing.called[1:]} is used up."
    for machine in due:
        deployments.halt(connection, machine, f"Stopped: {reason}", now=now, error=reason[:500])
        activity.record(
            connection,
            None,
            "deployment.stop-for-budget",
            now=now,
            team_id=machine.team_id,
            object_type="deployment",
            object_id=machine.id,
            details={"budget": standing.budget.id, "spent_micros": standing.spent_micros},
        )
        announcements.stopped(connection, machine, reason, cause="budget", is_terminated=False, now=now)
    if due:
        letter = budget_letters.were_stopped(about, standing, names(due), names(left))
        share = standing.budget.reached(standing.spent_micros)
        tell(connection, about, standing, letter, now=now, share=share, stopped=[machine.id for machine in due])
    return due


def of_budget(connection: Connection, standing: Standing, machines: Sequence[Deployment]) -> list[Deployment]:
    """Those of the machines that the budget is about."""
    origins = budget_figures.origins(connection, [machine.id for machine in machines])
    [subject] = budgets.latest_subjects(connection, [standing.budget]).values()
    return [machine for machine in machines if origins[machine.id].is_of(standing.budget.scope, subject)]


def apart(machines: Sequence[Deployment]) -> tuple[list[Deployment], list[Deployment]]:
    """Running machines that a stop would leave their disk, and those that would lose it. One that is on its way up
    costs nothing yet, and is dealt with when it runs."""
    running = [machine for machine in machines if machine.status is Status.running]
    return (
        [machine for machine in running if machine.supports_pause],
        [machine for machine in running if not machine.supports_pause],
    )


def names(machines: Sequence[Deployment]) -> list[str]:
    """The machines, one a line."""
    return [f"{machine.name} ({machine.id})" for machine in machines]


def team_of(connection: Connection, team_id: str, rules: Rules) -> About:
    """The team, for its letters."""
    row = connection.execute(sa.select(teams.c.name, teams.c.slug).where(teams.c.id == team_id)).one()
    return About(team_id=team_id, name=row.name, slug=row.slug, public_url=rules.public_url)


def tell(
    connection: Connection,
    about: About,
    standing: Standing,
    letter: LetterTo,
    *,
    now: datetime,
    share: int,
    **more: Any,
) -> None:
    """Owners, admins and whoever's spending it is by mail, the team's webhooks, and a row in its activity."""
    budget = standing.budget
    details = {
        "budget": {
            "id": budget.id,
            "scope": str(budget.scope),
            "key": budget.subject or None,
            "name": standing.name,
            "amount": to_dollars(budget.amount_micros),
            "atLimit": str(budget.at_limit),
        },
        "share": share,
        "month": standing.month.key,
        "spent": to_dollars(standing.spent_micros),
        **more,
    }
    notifications.mail_team(
        connection,
        Kind.budget_reached,
        about.team_id,
        notifications.KEEPERS,
        letter,
        details=details,
        also=standing.person,
        page=about.page,
        now=now,
    )
    kept.record(connection, None, "tell", budget, now=now, share=share, spent_micros=standing.spent_micros, **more)
