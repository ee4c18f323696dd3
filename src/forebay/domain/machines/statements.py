"""Statements: a team's credits over one month, from the balance it began with to the one it ended with.

A month is a stretch of the team's chain of transfers: those written before it began are behind it, those written before
it ended are in it, in UTC. So one month's closing balance is the next one's opening balance, both stand in the ledger,
and what lies between adds up. Use counts in the month in which it was charged, which is that of the minute it was used
in, or the next; for use by the second there is `usage`.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger, transactions
from forebay.domain.money.transactions import Transaction
from forebay.errors import NotFound
from forebay.storage.tables import accounts, deployments, entries, segments, teams, transfers, usage_lines, volumes

MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class Month(msgspec.Struct, frozen=True):
    """A month in UTC."""

    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @property
    def from_at(self) -> datetime:
        """Its first second."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def to_at(self) -> datetime:
        """The first second of the next."""
        return self.following.from_at

    @property
    def following(self) -> "Month":
        """The next one."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)


class Sum(msgspec.Struct, frozen=True):
    """What one kind of transactions came to."""

    kind: str
    amount_micros: int

    @property
    def words(self) -> str:
        """The kind in words."""
        return transactions.words(self.kind)


class Spent(msgspec.Struct, frozen=True):
    """What a machine or a disk was charged in the month."""

    resource_id: str
    name: str | None
    resource_type: str
    amount_micros: int


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A month: the opening balance, what was added and taken, and the closing balance."""

    team_id: str
    team_name: str
    month: Month
    is_complete: bool
    """The month is over; otherwise it is what there was until now."""
    opening_micros: int
    closing_micros: int
    sums: Sequence[Sum]
    """By kind; with the opening balance they make the closing one."""
    transactions: Sequence[Transaction]
    """All but use, oldest first."""
    spent: Sequence[Spent]
    """What use is made of, the dearest first."""


def months(connection: Connection, team_id: str, *, now: datetime) -> list[Month]:
    """The months that there are statements of, newest first: from the team's first to the present one."""
    [created_at] = connection.execute(sa.select(teams.c.created_at).where(teams.c.id == team_id)).one()
    found = [month_of(created_at)]
    while found[-1].to_at <= now:
        found.append(found[-1].following)
    return found[::-1]


def month_of(moment: datetime) -> Month:
    """The month that a moment lies in."""
    moment = moment.astimezone(UTC)
    return Month(moment.year, moment.month)


def statement(connection: Connection, team_id: str, text: str, *, now: datetime) -> Statement:
    """The statement of a month, written as in `2026-11`. Raises NotFound where there is none."""
    found = MONTH.fullmatch(text)
    month = None if found is None else Month(int(found[1]), int(found[2]))
    if month is None or month not in months(connection, team_id, now=now):
        raise NotFound("Statement")
    # What was read of the chain stands: nothing that is written meanwhile comes between.
    head, team_name = connection.execute(
        sa.select(accounts.c.version, teams.c.name)
        .join(teams, teams.c.id == accounts.c.team_id)
        .where(accounts.c.team_id == team_id)
    ).one()
    first, last = (written_before(connection, team_id, at, head) for at in (month.from_at, month.to_at))
    opening_micros, closing_micros = (balance_at(connection, team_id, place) for place in (first, last))
    others = transactions.between(connection, team_id, first, last, except_kind=ledger.USAGE)
    return Statement(
        team_id=team_id,
        team_name=team_name,
        month=month,
        is_complete=month.to_at <= now,
        opening_micros=opening_micros,
        closing_micros=closing_micros,
        sums=sums(others, closing_micros - opening_micros, has_use=last - first > len(others)),
        transactions=others,
        spent=spent(connection, team_id, first, last),
    )


def written_before(connection: Connection, team_id: str, at: datetime, head: int) -> int:
    """The place in the chain, up to `head`, of the last transfer written before this moment; 0: there is none."""
    # By the index of moments, which has the places with them; SQLite would go down the chain from its head.
    last = sa.select(sa.func.max(transfers.c.sequence + 0)).where(
        transfers.c.team_id == team_id, transfers.c.created_at < at, transfers.c.sequence + 0 <= head
    )
    return int(connection.execute(last).scalar() or 0)


def balance_at(connection: Connection, team_id: str, sequence: int) -> int:
    """The balance after the transfer at this place; 0 before the first."""
    if sequence == 0:
        return 0
    own = sa.select(entries.c.balance_after_micros).where(
        entries.c.account_id == ledger.account_id(team_id), entries.c.version == sequence
    )
    return int(connection.execute(own).scalar_one())


def sums(others: Sequence[Transaction], change_micros: int, *, has_use: bool) -> list[Sum]:
    """What each kind of transfers came to: gains, then losses, then use, which is the rest of the change.

    Each balance of the chain is the one before and the amount between them, so the rest is what all charges came to.
    """
    found: dict[str, int] = {}
    for each in others:
        found[each.kind] = found.get(each.kind, 0) + each.amount_micros
    shown = [Sum(kind, amount_micros) for kind, amount_micros in found.items()]
    shown = sorted(shown, key=lambda each: (each.amount_micros < 0, each.words))
    return [*shown, Sum(ledger.USAGE, change_micros - sum(found.values()))] if has_use else shown


def spent(connection: Connection, team_id: str, first: int, last: int) -> list[Spent]:
    """What each machine and disk was charged by transfers beyond `first` up to `last`."""
    of_segment = (
        sa.select(usage_lines.c.segment_id, sa.func.sum(usage_lines.c.amount_micros).label("amount_micros"))
        .join(transfers, transfers.c.id == usage_lines.c.transfer_id)
        .where(transfers.c.team_id == team_id, transfers.c.sequence > first, transfers.c.sequence <= last)
        .group_by(usage_lines.c.segment_id)
        .subquery("of_segment")
    )
    statement = (
        sa.select(
            segments.c.resource_id,
            sa.func.max(sa.func.coalesce(volumes.c.name, deployments.c.name)),
            segments.c.resource_type,
            sa.func.sum(of_segment.c.amount_micros),
        )
        .select_from(of_segment.join(segments, segments.c.id == of_segment.c.segment_id))
        .outerjoin(deployments, deployments.c.id == segments.c.resource_id)
        .outerjoin(volumes, volumes.c.id == segments.c.resource_id)
        .group_by(segments.c.resource_id, segments.c.resource_type)
    )
    found = [Spent(each[0], each[1], each[2], int(each[3])) for each in connection.execute(statement)]
    return sorted(found, key=lambda each: (-each.amount_micros, each.resource_id, each.resource_type))
