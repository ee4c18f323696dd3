"""Low balance: who is told that the credits run out, whether a top-up is waited for, and how a team stands.

A team is told once a dip at each of two marks of its runway; a dip ends when the runway is above the mark again. At
zero the machines' side takes its steps (`domain/machines/credit_stops.py`) and notes here how far it has got; all of
that is forgotten when there is credit again. Each step asks for the balance again in its own transaction, under the
lock of the account: `dry` is what it found.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import auto_top_up_terms, auto_top_ups, ledger, low_balance_letters, outlook
from forebay.domain.money.amounts import to_dollars
from forebay.domain.money.low_balance_letters import About, LetterTo, moment
from forebay.domain.people import activity, notifications
from forebay.domain.people.notification_kinds import Kind
from forebay.domain.people.roles import Role
from forebay.storage.database import upsert_insert
from forebay.storage.tables import accounts, low_balances, payment_attempts, segments, teams

TOLD = (Role.owner, Role.admin)
"""Who gets the mails."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What this cloud does about a low balance, and the address that links in mails lead to."""

    early_hours: int = 24
    late_hours: int = 1
    wait_seconds: int = 600
    grace_days: int = 7
    public_url: str = ""

    def notice(self) -> timedelta:
        """How long before the disks are deleted the team is told: a day, if they are kept so long."""
        return timedelta(days=min(1, self.grace_days))


class Decided(Protocol):
    """The settings that are rules of this room."""

    @property
    def low_balance_early_hours(self) -> int: ...

    @property
    def low_balance_late_hours(self) -> int: ...

    @property
    def top_up_wait_seconds(self) -> int: ...

    @property
    def disk_grace_days(self) -> int: ...


def rules_of(settings: Decided, public_url: str) -> Rules:
    """The rules as the settings have them."""
    return Rules(
        early_hours=settings.low_balance_early_hours,
        late_hours=settings.low_balance_late_hours,
        wait_seconds=settings.top_up_wait_seconds,
        grace_days=settings.disk_grace_days,
        public_url=public_url,
    )


class Dry(msgspec.Struct, frozen=True):
    """A balance at or below zero, as it was read under the lock, and the entry of the books that says so."""

    balance_micros: int
    version: int

    def proof(self) -> dict[str, int]:
        """What the activity keeps of it, for the audit."""
        return {"balance_micros": self.balance_micros, "account_version": self.version}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a team has got. None: not so far."""

    early_told_at: datetime | None = None
    late_told_at: datetime | None = None
    waiting_since: datetime | None = None
    waiting_until: datetime | None = None
    disks_kept_since: datetime | None = None
    deletion_told_at: datetime | None = None
    disks_deleted_at: datetime | None = None

    def deletion_at(self, rules: Rules) -> datetime | None:
        """When the disks may be deleted: after their days, and not before a day's notice."""
        if self.disks_kept_since is None:
            return None
        due = self.disks_kept_since + timedelta(days=rules.grace_days)
        return due if self.deletion_told_at is None else max(due, self.deletion_told_at + rules.notice())


def progress(connection: Connection, team_id: str) -> Progress:
    """How far the team has got."""
    columns = [low_balances.c[name] for name in Progress.__struct_fields__]
    row = connection.execute(sa.select(*columns).where(low_balances.c.team_id == team_id)).first()
    return Progress() if row is None else Progress(**row._mapping)


def note(connection: Connection, team_id: str, **values: datetime | None) -> None:
    """Write how far the team has got."""
    statement = upsert_insert(connection, low_balances).values(team_id=team_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["team_id"], set_=values))


def forget(connection: Connection, team_id: str) -> None:
    """There is credit again: the next time begins from the beginning."""
    connection.execute(
        sa.update(low_balances)
        .where(low_balances.c.team_id == team_id)
        .values(
            waiting_since=None,
            waiting_until=None,
            disks_kept_since=None,
            deletion_told_at=None,
            disks_deleted_at=None,
        )
    )


def dry(connection: Connection, team_id: str) -> Dry | None:
    """The balance, read under the lock of the account, if it is at or below zero; None where there is credit."""
    ledger.lock(connection, team_id)
    row = connection.execute(
        sa.select(accounts.c.balance_micros, accounts.c.version).where(accounts.c.team_id == team_id)
    ).one()
    return Dry(int(row.balance_micros), int(row.version)) if row.balance_micros <= 0 else None


# The runway.


def teams_to_look_at(connection: Connection, rules: Rules, *, after: str = "", limit: int = 1000) -> Sequence[str]:
    """The ids, in order, of teams beyond `after` whose runway crossed a mark, down or up, since they were told."""
    burning = (
        sa.select(segments.c.team_id, sa.func.sum(segments.c.rate_micros).label("burn"))
        .where(segments.c.ended_at.is_(None))
        .group_by(segments.c.team_id)
        .subquery()
    )
    burn = sa.func.coalesce(burning.c.burn, 0)

    def crossed(hours: int, told_at: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        is_below = sa.and_(burn > 0, accounts.c.balance_micros <= burn * hours)
        return sa.or_(sa.and_(is_below, told_at.is_(None)), sa.and_(sa.not_(is_below), told_at.is_not(None)))

    found = (
        sa.select(accounts.c.team_id)
        .select_from(accounts)
        .outerjoin(burning, burning.c.team_id == accounts.c.team_id)
        .outerjoin(low_balances, low_balances.c.team_id == accounts.c.team_id)
        .where(
            accounts.c.team_id > after,
            sa.or_(
                crossed(rules.early_hours, low_balances.c.early_told_at),
                crossed(rules.late_hours, low_balances.c.late_told_at),
            ),
        )
        .order_by(accounts.c.team_id)
        .limit(limit)
    )
    return connection.execute(found).scalars().all()


def tell_runway(connection: Connection, team_id: str, rules: Rules, *, now: datetime) -> int:
    """Tell a team how long its credits last, if that is news; 1 if it was told. At zero other mails say more."""
    ledger.lock(connection, team_id)
    stands, so_far = outlook.outlook(connection, team_id), progress(connection, team_id)
    burn = stands.burn_micros_per_hour
    news: list[int] = []
    values: dict[str, datetime | None] = {}
    marks = (
        ("early_told_at", rules.early_hours, so_far.early_told_at),
        ("late_told_at", rules.late_hours, so_far.late_told_at),
    )
    for name, hours, told_at in marks:
        is_below = burn > 0 and stands.balance_micros <= burn * hours
        if is_below and told_at is None:
            news.append(hours)
            values[name] = now
        elif not is_below and told_at is not None:
            values[name] = None
    if values:
        note(connection, team_id, **values)
    if not news or stands.balance_micros <= 0:
        return 0
    letter = low_balance_letters.runway(
        about(connection, team_id, rules),
        stands,
        top_up_words(connection, team_id, now=now),
        rules.wait_seconds,
        rules.grace_days,
        now=now,
    )
    tell(connection, team_id, "low", stands.balance_micros, letter, now=now)
    details = {"hours": min(news), "balance_micros": stands.balance_micros, "burn_micros_per_hour": burn}
    record(connection, team_id, "tell-runway", details, now=now)
    return 1


def top_up_words(connection: Connection, team_id: str, *, now: datetime) -> str:
    """What auto top-up is about to do, in a sentence."""
    standing = auto_top_ups.stand(connection, team_id, now=now)
    if standing is None:
        return "Auto top-up is off."
    return auto_top_up_terms.words(standing, auto_top_ups.decide(standing, now=now))


def tell(
    connection: Connection,
    team_id: str,
    step: str,
    balance_micros: int,
    letter: LetterTo,
    *,
    now: datetime,
    until: datetime | None = None,
) -> None:
    """Owners and admins by mail, and the team's webhooks, of one step; `until` is when the next one comes."""
    details = {"step": step, "balance": to_dollars(balance_micros)}
    if until is not None:
        details["until"] = f"{until:%Y-%m-%dT%H:%M:%SZ}"
    notifications.mail_team(connection, Kind.balance_low, team_id, TOLD, letter, details=details, now=now)


def about(connection: Connection, team_id: str, rules: Rules) -> About:
    """The team, for its letters."""
    name = connection.execute(sa.select(teams.c.name).where(teams.c.id == team_id)).scalar_one()
    return About(team_id=team_id, name=str(name), public_url=rules.public_url)


def record(connection: Connection, team_id: str, verb: str, details: dict[str, Any], *, now: datetime) -> None:
    """A row in the team's activity, by nobody but Forebay."""
    activity.record(
        connection,
        None,
        f"credits.{verb}",
        now=now,
        team_id=team_id,
        object_type="team",
        object_id=team_id,
        details=details,
    )


# The wait for a top-up.


def has_top_up_coming(connection: Connection, team_id: str, *, now: datetime) -> bool:
    """Whether a charge of a saved card is open, or auto top-up makes one now or as soon as its cooldown is over.

    One that waits longer, after a decline or because it has stopped, is none; nor is a page that waits for a person.
    """
    is_open = sa.select(payment_attempts.c.id).where(
        payment_attempts.c.team_id == team_id,
        payment_attempts.c.closed_at.is_(None),
        payment_attempts.c.path != "checkout",
    )
    if connection.execute(is_open).first() is not None:
        return True
    return auto_top_ups.is_coming(connection, team_id, now=now)


def waits(connection: Connection, team_id: str, rules: Rules, *, now: datetime) -> bool:
    """Whether machines run on, at a balance that is at or below zero, for a top-up that is to come.

    The wait begins with the first call that finds one coming. It ends after its time, or when none is coming any more,
    and there is no second one until there was credit again.
    """
    so_far = progress(connection, team_id)
    if so_far.disks_kept_since is not None or rules.wait_seconds == 0:
        return False
    is_over = so_far.waiting_until is not None and so_far.waiting_until <= now
    return not is_over and has_top_up_coming(connection, team_id, now=now)


# How a team stands.


Step = Literal["fine", "low", "empty", "waiting", "stopped", "disks deleted"]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How a team stands with its credits, and what comes next if nobody adds any."""

    step: Step
    debt_micros: int
    """How far the balance is below zero."""
    waiting_until: datetime | None = None
    """Machines run until then for a top-up that is to come."""
    stopped_at: datetime | None = None
    """Since when nothing runs for lack of credits."""
    disks_deleted_at: datetime | None = None
    """When the disks of stopped machines are deleted, or were."""
    sentence: str


def state(connection: Connection, team_id: str, rules: Rules, *, now: datetime) -> State:
    """How the team stands. Raises NotFound for a team without an account."""
    stands, so_far = outlook.outlook(connection, team_id), progress(connection, team_id)
    burn, debt = stands.burn_micros_per_hour, max(0, -stands.balance_micros)
    if stands.balance_micros > 0:
        if burn > 0 and stands.balance_micros <= burn * rules.early_hours:
            return State(step="low", debt_micros=0, sentence=stands.runway)
        return State(step="fine", debt_micros=0, sentence=stands.runway)
    if so_far.disks_deleted_at is not None and burn == 0:
        at = so_far.disks_deleted_at
        sentence = f"Disks and volumes were deleted on {moment(at)}. The next deposit pays the debt first."
        return State(
            step="disks deleted",
            debt_micros=debt,
            stopped_at=so_far.disks_kept_since,
            disks_deleted_at=at,
            sentence=sentence,
        )
    if so_far.disks_kept_since is not None:
        deletion_at = so_far.deletion_at(rules) if burn > 0 else None
        until = f" Disks and volumes are kept until {moment(deletion_at)} and go on costing." if deletion_at else ""
        return State(
            step="stopped",
            debt_micros=debt,
            stopped_at=so_far.disks_kept_since,
            disks_deleted_at=deletion_at,
            sentence=f"Nothing has run since {moment(so_far.disks_kept_since)} for lack of credits.{until}",
        )
    if so_far.waiting_until is not None:
        return State(
            step="waiting",
            debt_micros=debt,
            waiting_until=so_far.waiting_until,
            sentence=f"Machines run until {moment(so_far.waiting_until)} at most, waiting for a top-up.",
        )
    sentence = "The credits are used up: nothing can be launched or started" + (
        ", and what runs is about to be stopped." if burn > 0 else "."
    )
    return State(step="empty", debt_micros=debt, sentence=sentence)
