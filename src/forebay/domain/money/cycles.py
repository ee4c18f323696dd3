"""The deduction cycle: every so often, everything that runs is charged up to its last sighting.

Set-based: a handful of statements a chunk of teams, however much they run. A chunk is one transaction; run twice, or
after a crash, it is without effect, because the watermark moves with the charge and a team pays once a cycle. What
becomes due for a team that has paid waits for the next cycle.

Accounts are locked first, then segments, both in the order of their ids, as everything else in money does.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.domain.money.amounts import SECONDS_PER_HOUR
from forebay.ids import new_id
from forebay.storage.database import whole_seconds
from forebay.storage.prepared import PreparedValues
from forebay.storage.tables import cycles, holds, segments, transfers, usage_lines


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle, and what it has come to so far."""

    id: str
    started_at: datetime
    finished_at: datetime | None
    teams: int
    lines: int
    amount_micros: int


class Deduction(msgspec.Struct, frozen=True):
    """What one chunk of a cycle came to: the teams that paid, the usage lines written, the sum."""

    teams: int = 0
    lines: int = 0
    amount_micros: int = 0


def open_cycle(connection: Connection, *, now: datetime) -> str:
    """Begin a cycle and return its id."""
    cycle_id = new_id(now)
    connection.execute(sa.insert(cycles).values(id=cycle_id, started_at=whole_seconds(now)))
    return cycle_id


def close_cycle(connection: Connection, cycle_id: str, *, now: datetime) -> Deduction:
    """Mark a cycle as finished and return what all its chunks came to."""
    row = connection.execute(
        sa.update(cycles)
        .where(cycles.c.id == cycle_id)
        .values(finished_at=whole_seconds(now))
        .returning(cycles.c.teams, cycles.c.lines, cycles.c.amount_micros)
    ).one()
    return Deduction(*row)


def last(connection: Connection, *, is_finished: bool) -> Cycle | None:
    """The newest cycle that came to its end, or that was begun at all."""
    return next(iter((LAST_FINISHED if is_finished else LAST)(connection)), None)


NEWEST = sa.select(*(cycles.c[name] for name in Cycle.__struct_fields__)).order_by(cycles.c.id.desc()).limit(1)
LAST = PreparedValues(Cycle, NEWEST)
LAST_FINISHED = PreparedValues(Cycle, NEWEST.where(cycles.c.finished_at.is_not(None)))


def teams_to_charge(connection: Connection, *, now: datetime, after: str = "", limit: int = 1000) -> list[str]:
    """The ids, in order, of up to `limit` teams beyond `after` that have something to be charged for."""
    team_id = segments.c.team_id
    statement = sa.select(team_id).where(is_due(now), team_id > after).group_by(team_id).order_by(team_id).limit(limit)
    return list(connection.execute(statement).scalars())


def deduct(connection: Connection, *, cycle_id: str, team_ids: Sequence[str], now: datetime) -> Deduction:
    """Charge these teams for all they have running, each with one transfer (none where nothing is due).

    Usage lines are written also where the amount is zero, because they tile the time.
    """
    ledger.lock(connection, *team_ids)
    lock_segments(connection, sa.and_(segments.c.team_id.in_(team_ids), segments.c.ended_at.is_(None)))
    unpaid = still_to_pay(connection, cycle_id, team_ids)
    due = charges_due(unpaid, now)
    drafts = draft_transfers(connection, cycle_id, due)
    ledger.post_many(connection, drafts, now=now)
    lines = write_lines(connection, cycle_id, due)
    use_holds_up(connection, due)
    move_watermarks(connection, unpaid, now)
    deduction = Deduction(len(drafts), lines, -sum(draft.postings[0].amount_micros for draft in drafts))
    add_to_cycle(connection, cycle_id, deduction)
    return deduction


def horizon(now: datetime) -> sa.ColumnElement[int]:
    """SQL: how far a segment may be charged at `now`, in seconds since 1970."""
    moment = sa.literal(int(now.timestamp()), sa.BigInteger)
    sighted_at = sa.type_coerce(segments.c.sighted_at, sa.BigInteger)
    return sa.case((sighted_at < moment, sighted_at), else_=moment)


def is_due(now: datetime) -> sa.ColumnElement[bool]:
    """SQL: whether a segment may be charged further than it has been."""
    return sa.and_(
        segments.c.ended_at.is_(None), horizon(now) > sa.type_coerce(segments.c.charged_through, sa.BigInteger)
    )


def total_micros(now: datetime) -> sa.ColumnElement[int]:
    """SQL: `amounts.charge_micros` of a segment from its start to the horizon."""
    seconds = horizon(now) - sa.type_coerce(segments.c.started_at, sa.BigInteger)
    return segments.c.rate_micros * seconds // SECONDS_PER_HOUR


def charges_due(team_ids: Sequence[str], now: datetime) -> sa.Subquery:
    """SQL: a row for each usage line that these teams' segments are due."""
    return (
        sa.select(
            segments.c.id,
            segments.c.team_id,
            segments.c.resource_type,
            segments.c.resource_id,
            segments.c.charged_through.label("from_at"),
            horizon(now).label("to_at"),
            (total_micros(now) - segments.c.charged_micros).label("amount_micros"),
        )
        .where(segments.c.team_id.in_(team_ids), is_due(now))
        .subquery("due")
    )


def draft_transfers(connection: Connection, cycle_id: str, due: sa.Subquery) -> list[ledger.Draft]:
    """What each team is to pay, where that is more than nothing."""

    def sum_of(resource_type: str) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((due.c.resource_type == resource_type, due.c.amount_micros), else_=0))

    sums = sa.select(due.c.team_id, sum_of("compute"), sum_of("storage")).group_by(due.c.team_id)
    return [
        ledger.Draft(
            team_id=team_id,
            kind=ledger.USAGE,
            key=key_of(cycle_id, team_id),
            postings=usage_postings(team_id, compute_micros=int(compute), storage_micros=int(storage)),
        )
        for team_id, compute, storage in connection.execute(sums)
        if compute + storage > 0
    ]


def write_lines(connection: Connection, cycle_id: str, due: sa.Subquery) -> int:
    """Write the usage lines that are due, each with the transfer that paid it, and return how many."""
    key = sa.literal(key_of(cycle_id, ""), sa.Text) + due.c.team_id
    payment = due.outerjoin(transfers, sa.and_(due.c.amount_micros > 0, transfers.c.idempotency_key == key))
    rows = sa.select(
        due.c.id,
        due.c.from_at,
        due.c.to_at,
        due.c.team_id,
        due.c.amount_micros,
        sa.literal(cycle_id, sa.Text),
        transfers.c.id,
    ).select_from(payment)
    columns = ["segment_id", "from_at", "to_at", "team_id", "amount_micros", "cycle_id", "transfer_id"]
    insert = sa.insert(usage_lines).from_select(columns, rows)
    return connection.execute(insert, execution_options={"preserve_rowcount": True}).rowcount


def use_holds_up(connection: Connection, due: sa.Subquery) -> None:
    """Let the machines' charges use their holds up."""
    left = holds.c.remaining_micros - due.c.amount_micros
    connection.execute(
        sa.update(holds)
        .where(
            holds.c.resource_id == due.c.resource_id, holds.c.released_at.is_(None), due.c.resource_type == "compute"
        )
        .values(remaining_micros=sa.case((left > 0, left), else_=0))
    )


def move_watermarks(connection: Connection, team_ids: Sequence[str], now: datetime) -> None:
    """Note that everything due has been charged. The last step: after it nothing is due."""
    connection.execute(
        sa.update(segments)
        .where(segments.c.team_id.in_(team_ids), is_due(now))
        .values(charged_micros=total_micros(now), charged_through=horizon(now))
    )


def key_of(cycle_id: str, team_id: str) -> str:
    """The idempotency key of what a team pays in a cycle."""
    return f"cycle:{cycle_id}:{team_id}"


def usage_postings(team_id: str, *, compute_micros: int, storage_micros: int) -> list[ledger.Posting]:
    """What a team pays for use, first the team's side; each kind of revenue has an account of its own."""
    revenues = ((ledger.COMPUTE_REVENUE, compute_micros), (ledger.STORAGE_REVENUE, storage_micros))
    return [
        ledger.Posting(ledger.account_id(team_id), -compute_micros - storage_micros),
        *[ledger.Posting(account, amount_micros) for account, amount_micros in revenues if amount_micros > 0],
    ]


def still_to_pay(connection: Connection, cycle_id: str, team_ids: Sequence[str]) -> list[str]:
    """Those of the teams that have not paid in this cycle."""
    keys = [key_of(cycle_id, team_id) for team_id in team_ids]
    paid = set(
        connection.execute(sa.select(transfers.c.team_id).where(transfers.c.idempotency_key.in_(keys))).scalars()
    )
    return [team_id for team_id in team_ids if team_id not in paid]


def add_to_cycle(connection: Connection, cycle_id: str, deduction: Deduction) -> None:
    """Count a chunk in its cycle's row."""
    connection.execute(
        sa.update(cycles)
        .where(cycles.c.id == cycle_id)
        .values(
            teams=cycles.c.teams + deduction.teams,
            lines=cycles.c.lines + deduction.lines,
            amount_micros=cycles.c.amount_micros + deduction.amount_micros,
        )
    )


def lock_segments(connection: Connection, which: sa.ColumnElement[bool]) -> None:
    """Lock segments in the order of their ids until the transaction ends. SQLite's writer has the whole file."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(segments.c.id).where(which).order_by(segments.c.id).with_for_update()).all()
