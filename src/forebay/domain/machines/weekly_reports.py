"""The weekly report: what a team spent in the week that is over, by person, and which of its machines are idle.

Weeks begin on Mondays, in UTC; a report is due on Monday morning, and is written once for each team and week, in the
one transaction that says so: whatever is cut off, nobody gets it twice. A cloud that was down then sends it up to three
days later. Figures are those of `usage.py`; a machine is idle since it was last seen in use (`idleness.py`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import usage
from forebay.domain.machines.usage import By, Use
from forebay.domain.money.amounts import as_dollars, to_dollars
from forebay.domain.people import notifications
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.notification_kinds import Kind
from forebay.domain.people.notifications import KEEPERS, SETTINGS_PAGE
from forebay.storage.database import upsert_insert
from forebay.storage.tables import cycles, deployments, segments, teams, weekly_reports

WEEK = timedelta(days=7)
DUE = timedelta(hours=8)
"""After the week is over."""
LATEST = timedelta(days=3)
IDLE = timedelta(hours=12)
"""A machine that was not in use for less may just have its night."""
HOURS = 168
MOST_LINES = 50


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that runs and is not in use."""

    id: str
    name: str
    idle_since: datetime
    rate_micros: int
    saves_micros: int
    """A week, if it is stopped; where it can't be stopped, terminated."""
    is_stoppable: bool


class Week(msgspec.Struct, frozen=True):
    """A week that is over, up to a moment that isn't part of it."""

    begins_at: datetime
    ends_at: datetime

    @property
    def key(self) -> str:
        """The Monday it began on."""
        return f"{self.begins_at:%Y-%m-%d}"


def week_before(now: datetime) -> Week:
    """The last whole week."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    ends_at = midnight - timedelta(days=midnight.weekday())
    return Week(ends_at - WEEK, ends_at)


def is_time(week: Week, now: datetime) -> bool:
    """Whether its report may be sent now."""
    return week.ends_at + DUE <= now < week.ends_at + DUE + LATEST


def is_charged(connection: Connection, week: Week) -> bool:
    """Whether a whole deduction cycle lies behind the week: after an outage its last hours are still to be charged."""
    last = sa.select(cycles.c.started_at).where(cycles.c.finished_at.is_not(None)).order_by(cycles.c.id.desc()).limit(1)
    started_at = connection.execute(last).scalar()
    return started_at is not None and started_at >= week.ends_at


def due_teams(connection: Connection, week: Week, *, after: str = "", limit: int = 100) -> Sequence[str]:
    """The ids, in order, of teams beyond `after` that spent something in the week and have no report of it yet."""
    told = sa.exists().where(weekly_reports.c.team_id == segments.c.team_id, weekly_reports.c.week == week.key)
    found = (
        sa.select(segments.c.team_id)
        .join(teams, teams.c.id == segments.c.team_id)
        .where(
            segments.c.team_id > after,
            segments.c.started_at < week.ends_at,
            sa.or_(segments.c.ended_at.is_(None), segments.c.ended_at > week.begins_at),
            segments.c.charged_through > week.begins_at,
            teams.c.deleted_at.is_(None),
            sa.not_(told),
        )
        .distinct()
        .order_by(segments.c.team_id)
        .limit(limit)
    )
    return connection.execute(found).scalars().all()


def report(connection: Connection, team_id: str, week: Week, *, public_url: str, now: datetime) -> bool:
    """Write the mails and the event, unless it was done. Then nudge `mails` and `notifications`."""
    insert = upsert_insert(connection, weekly_reports).values(team_id=team_id, week=week.key, at=now)
    if connection.execute(insert.on_conflict_do_nothing()).rowcount == 0:
        return False
    people = usage.used(connection, team_id, By.member, from_at=week.begins_at, to_at=week.ends_at)
    before = usage.used(connection, team_id, By.member, from_at=week.begins_at - WEEK, to_at=week.begins_at)
    machines = idle_machines(connection, team_id, now=now)
    team = connection.execute(sa.select(teams.c.name, teams.c.slug).where(teams.c.id == team_id)).one()

    def letter_to(name: str) -> Letter:
        return Letter(
            subject=f"{plain(team.name)}: {dollars(total(people))} in the week of {day(week.begins_at)}",
            name=plain(name),
            paragraphs=[*spent(plain(team.name), week, people, total(before)), *idling(machines)],
            label="Open Forebay",
            link=f"{public_url}/t/{team.slug}",
            after=[
                "This mail is for owners and admins of the team. What you are mailed is your choice: "
                f"{public_url}{SETTINGS_PAGE}"
            ],
        )

    details = {
        "week": week.key,
        "cost": to_dollars(total(people)),
        "people": [{"userId": use.key, "name": use.name, "cost": to_dollars(use.cost_micros)} for use in people],
        "idle": [
            {
                "deploymentId": machine.id,
                "name": machine.name,
                "idleSince": f"{machine.idle_since:%Y-%m-%dT%H:%M:%SZ}",
                "hourlyRate": to_dollars(machine.rate_micros),
                "savesPerWeek": to_dollars(machine.saves_micros),
            }
            for machine in machines
        ],
    }
    notifications.mail_team(connection, Kind.report_weekly, team_id, KEEPERS, letter_to, details=details, now=now)
    return True


def idle_machines(connection: Connection, team_id: str, *, now: datetime) -> list[Idle]:
    """Those that run and were not in use for a while, what saves most first."""
    rows = connection.execute(
        sa.select(
            deployments.c.id,
            deployments.c.name,
            deployments.c.idle_since,
            deployments.c.rate_micros,
            deployments.c.storage_rate_micros,
            deployments.c.supports_pause,
        ).where(
            deployments.c.team_id == team_id,
            deployments.c.status == "running",
            deployments.c.gone_at.is_(None),
            deployments.c.idle_since <= now - IDLE,
        )
    )
    found = [
        Idle(
            id=row.id,
            name=row.name,
            idle_since=row.idle_since,
            rate_micros=row.rate_micros,
            saves_micros=HOURS * (row.rate_micros - (row.storage_rate_micros if row.supports_pause else 0)),
            is_stoppable=row.supports_pause,
        )
        for row in rows
    ]
    return sorted(found, key=lambda machine: (-machine.saves_micros, machine.id))


def total(uses: Sequence[Use]) -> int:
    """What they come to."""
    return sum(use.cost_micros for use in uses)


def spent(team: str, week: Week, people: Sequence[Use], before_micros: int) -> list[str]:
    """What the week cost, and by whom."""
    last = week.ends_at - timedelta(days=1)
    lines = [
        f"{plain(use.name) if use.name else 'disks of no machine'}: {dollars(use.cost_micros)}"
        f" (machines {dollars(use.compute_micros)}, disks {dollars(use.storage_micros)})"
        for use in people
    ]
    return [
        f"{team} spent {dollars(total(people))} from {day(week.begins_at)} to {day(last)} {last:%Y}; "
        f"the week before it was {dollars(before_micros)}. By who started the machines:",
        "\n".join(cut(lines)),
    ]


def idling(machines: Sequence[Idle]) -> list[str]:
    """Which machines nobody uses, and what it would save to stop them."""
    if not machines:
        return ["No machine is idle."]
    lines = [
        f"{plain(machine.name)} ({machine.id}): idle since {day(machine.idle_since)}, "
        f"{dollars(machine.rate_micros)} an hour; {'stopping' if machine.is_stoppable else 'terminating'} it saves "
        f"{dollars(machine.saves_micros)} a week"
        for machine in machines
    ]
    saves = dollars(sum(machine.saves_micros for machine in machines))
    return [
        "These machines run and are not in use:",
        "\n".join(cut(lines)),
        f"In all that is {saves} a week. A machine can stop by itself when it is idle: see autoStopMinutes.",
    ]


def cut(lines: Sequence[str]) -> list[str]:
    """As many as a person reads."""
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"and {more} more"] if more > 0 else [])]


def day(at: datetime) -> str:
    """A day as people read it."""
    return f"{at:%-d %B}"


def dollars(amount_micros: int) -> str:
    """To the cent; what is less than one exactly."""
    cents = (amount_micros + 5_000) // 10_000
    return as_dollars(cents * 10_000 if cents else amount_micros)
