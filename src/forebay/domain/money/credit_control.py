"""Credit control: which teams have run dry, since when, and whether one is frozen.

Money only says so; the machines' side stops them. Whatever stops something for lack of money asks `is_dry` again in the
transaction that stops it: credits may have come in.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.errors import Forbidden
from forebay.storage.tables import accounts, holds, low_balances, segments, teams


class Freezable(Protocol):
    """A row of `teams`, or what was made of one."""

    @property
    def frozen_at(self) -> datetime | None: ...

    @property
    def frozen_reason(self) -> str | None: ...


class Frozen(Forbidden):
    """The team may not launch, start or grow anything."""

    code = "TEAM_FROZEN"


def refuse_if_frozen(team: Freezable) -> None:
    """Raise Frozen for a team that is. Asked before launch, start and growth; a freeze stops nothing by itself."""
    if team.frozen_at is not None:
        reason = f": {team.frozen_reason}" if team.frozen_reason else ""
        raise Frozen(
            f"This team is frozen{reason}. It can't launch, start or grow anything until an operator lifts it."
        )


def is_dry(connection: Connection, team_id: str) -> bool:
    """Whether the team has no credit left, read under the lock of its account."""
    ledger.lock(connection, team_id)
    return ledger.balance(connection, team_id).balance_micros <= 0


def balance_micros(connection: Connection, team_id: str) -> int:
    """The team's balance."""
    return ledger.balance(connection, team_id).balance_micros


def dry_teams(connection: Connection, *, after: str = "", limit: int = 100) -> Sequence[str]:
    """The ids, in order, of teams beyond `after` without credit that have a machine running or being launched."""
    is_running = sa.exists().where(
        segments.c.team_id == accounts.c.team_id, segments.c.ended_at.is_(None), segments.c.resource_type == "compute"
    )
    is_launching = sa.exists().where(holds.c.team_id == accounts.c.team_id, holds.c.released_at.is_(None))
    return (
        connection.execute(
            sa.select(accounts.c.team_id)
            .where(accounts.c.balance_micros <= 0, accounts.c.team_id > after, sa.or_(is_running, is_launching))
            .order_by(accounts.c.team_id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def newly_dry_teams(connection: Connection, *, after: str = "", limit: int = 100) -> Sequence[str]:
    """The ids, in order, of teams beyond `after` without credit that have something that costs, and no mark of it yet.

    A disk alone is enough: the days that disks are kept without credit count from the mark, `disks_kept_since`.
    """
    something_open = sa.exists().where(segments.c.team_id == accounts.c.team_id, segments.c.ended_at.is_(None))
    return (
        connection.execute(
            sa.select(accounts.c.team_id)
            .outerjoin(low_balances, low_balances.c.team_id == accounts.c.team_id)
            .where(
                accounts.c.balance_micros <= 0,
                accounts.c.team_id > after,
                low_balances.c.disks_kept_since.is_(None),
                something_open,
            )
            .order_by(accounts.c.team_id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def mark_dry(connection: Connection, team_id: str, now: datetime) -> bool:
    """Note since when the team has no credit left. Whether that is news; False also where it has credit again."""
    if not is_dry(connection, team_id):
        return False
    marked = connection.execute(
        sa.update(teams).where(teams.c.id == team_id, teams.c.ran_dry_at.is_(None)).values(ran_dry_at=now)
    )
    return marked.rowcount == 1


def clear_dry(connection: Connection, team_id: str) -> bool:
    """Forget that the team had run dry, if it has credit again. Whether it did."""
    if is_dry(connection, team_id):
        return False
    cleared = connection.execute(
        sa.update(teams).where(teams.c.id == team_id, teams.c.ran_dry_at.is_not(None)).values(ran_dry_at=None)
    )
    return cleared.rowcount == 1


def teams_with_credit_again(connection: Connection, *, after: str = "", limit: int = 100) -> Sequence[str]:
    """The ids, in order, of teams beyond `after` that are marked as dry and have credit: for `clear_dry`."""
    return (
        connection.execute(
            sa.select(teams.c.id)
            .join(accounts, accounts.c.team_id == teams.c.id)
            .where(teams.c.ran_dry_at.is_not(None), accounts.c.balance_micros > 0, teams.c.id > after)
            .order_by(teams.c.id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def teams_past_grace(
    connection: Connection, *, now: datetime, days: int, after: str = "", limit: int = 100
) -> Sequence[str]:
    """The ids, in order, of teams beyond `after` without credit whose disks were kept for `days` and still cost."""
    something_open = sa.exists().where(segments.c.team_id == accounts.c.team_id, segments.c.ended_at.is_(None))
    return (
        connection.execute(
            sa.select(accounts.c.team_id)
            .join(low_balances, low_balances.c.team_id == accounts.c.team_id)
            .where(
                accounts.c.balance_micros <= 0,
                accounts.c.team_id > after,
                low_balances.c.disks_kept_since <= now - timedelta(days=days),
                something_open,
            )
            .order_by(accounts.c.team_id)
            .limit(limit)
        )
        .scalars()
        .all()
    )
