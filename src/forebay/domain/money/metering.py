"""Metering: segments of use, and what they are charged.

A segment is one resource at one price for one team. What it has cost by some second is `charge_micros` from its own
start; a charge is that, less what was charged before, so the sum is the same however the time is cut. Usage lines tile
a segment from its start to `charged_through`, each belongs to the transfer that paid it, and all three are written in
one transaction.

Nothing is charged beyond the second in which the provider was last seen to run it (`sighted_at`), except by `end`,
which is told when the use ended. A segment never ends before what it has been charged for: no charge is undone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import holds, ledger
from forebay.domain.money.amounts import SECONDS_PER_HOUR, charge_micros
from forebay.domain.money.cycles import (
    Deduction,
    close_cycle,
    deduct,
    open_cycle,
    teams_to_charge,
    usage_postings,
)
from forebay.domain.money.digests import seal
from forebay.ids import new_id
from forebay.storage.database import whole_seconds
from forebay.storage.tables import accounts, segments, usage_lines

__all__ = ["Deduction", "close_cycle", "deduct", "open_cycle", "teams_to_charge"]

ResourceType = Literal["compute", "storage"]

SEALED = ("id", "team_id", "resource_type", "resource_id", "rate_micros", "started_at")
"""What never changes in a segment, and is under its seal from the start."""
SEALED_AT_END = (*SEALED, "ended_at", "charged_through", "charged_micros", "sighted_at")

SIGHTED = 500
"""How many resources one statement marks as sighted."""


class Charge(msgspec.Struct, frozen=True):
    """The last charge of a segment; without a transfer where nothing was due."""

    segment_id: str
    from_at: datetime
    to_at: datetime
    amount_micros: int
    transfer_id: str | None


class Cost(msgspec.Struct, frozen=True):
    """What a resource has been charged, and what it is costing now (rate 0, no start: nothing is running)."""

    charged_micros: int
    ended_micros: int
    rate_micros: int
    started_at: datetime | None
    charged_through: datetime | None

    def accrued_micros(self, now: datetime) -> int:
        """What it has cost to this second."""
        return accrued_micros(self.ended_micros, self.rate_micros, self.started_at, now)


def start(
    connection: Connection,
    *,
    team_id: str,
    resource_type: ResourceType,
    resource_id: str,
    rate_micros: int,
    at: datetime,
) -> str:
    """Start a segment and return its id. IntegrityError where one of the same resource and type is open."""
    ledger.lock(connection, team_id)
    connection.execute(
        sa.update(accounts)
        .where(accounts.c.team_id == team_id)
        .values(segments_started=accounts.c.segments_started + 1)
    )
    row = {
        "id": new_id(at),
        "team_id": team_id,
        "resource_type": resource_type,
        "resource_id": resource_id,
        "rate_micros": rate_micros,
        "started_at": whole_seconds(at),
    }
    connection.execute(
        sa.insert(segments).values(
            **row,
            charged_through=row["started_at"],
            charged_micros=0,
            sighted_at=row["started_at"],
            seal=seal(row, SEALED),
        )
    )
    return str(row["id"])


def end(
    connection: Connection,
    *,
    resource_id: str,
    resource_type: ResourceType,
    at: datetime,
    now: datetime | None = None,
) -> Charge | None:
    """End the open segment at `at`, or where it has been charged to if that is later, and make its last charge.

    The charge uses the machine's hold up; releasing the rest is the caller's. None where no segment is open. `now`
    dates the transfer where the end lies in the past; without it, it is `at`.
    """
    team_id = connection.execute(open_segment(resource_id, resource_type, segments.c.team_id)).scalar()
    if team_id is None:
        return None
    ledger.lock(connection, team_id)
    statement = open_segment(resource_id, resource_type, *segments.c).with_for_update()
    found = connection.execute(statement).mappings().first()
    if found is None:
        return None
    to_at = max(whole_seconds(at), found["charged_through"])
    seconds = int((to_at - found["started_at"]).total_seconds())
    total_micros = charge_micros(found["rate_micros"], seconds)
    amount_micros = total_micros - found["charged_micros"]
    charge = Charge(
        found["id"],
        found["charged_through"],
        to_at,
        amount_micros,
        pay_last(connection, found, amount_micros, now=now or at),
    )
    if charge.to_at > charge.from_at:
        connection.execute(
            sa.insert(usage_lines).values(**msgspec.structs.asdict(charge), team_id=found["team_id"], cycle_id=None)
        )
    ended = {
        **found,
        "ended_at": to_at,
        "charged_through": to_at,
        "charged_micros": total_micros,
        "sighted_at": max(to_at, found["sighted_at"]),
    }
    ended["seal"] = seal(ended, SEALED_AT_END)
    connection.execute(sa.update(segments).where(segments.c.id == found["id"]).values(ended))
    return charge


def pay_last(connection: Connection, segment: sa.RowMapping, amount_micros: int, *, now: datetime) -> str | None:
    """Post the last charge of a segment and use the hold up; the transfer's id, or None where nothing is due."""
    if amount_micros == 0:
        return None
    team_id, is_compute = segment["team_id"], segment["resource_type"] == "compute"
    transfer = ledger.post(
        connection,
        team_id=team_id,
        kind=ledger.USAGE,
        key=f"segment-end:{segment['id']}",
        postings=usage_postings(
            team_id,
            compute_micros=amount_micros if is_compute else 0,
            storage_micros=0 if is_compute else amount_micros,
        ),
        now=now,
    )
    if is_compute:
        holds.use_up(connection, segment["resource_id"], amount_micros)
    return transfer.id


def open_segment(resource_id: str, resource_type: str, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """The open segment of a resource."""
    return sa.select(*columns).where(
        segments.c.resource_id == resource_id,
        segments.c.resource_type == resource_type,
        segments.c.ended_at.is_(None),
    )


def sight(connection: Connection, resource_ids: Sequence[str], *, at: datetime) -> None:
    """The provider reported at `at` that these run or exist: their open segments may be charged up to then.

    It waits for nobody: a segment that is being charged or ended at this moment is left for the next sighting.
    """
    moment = whole_seconds(at)
    for first in range(0, len(resource_ids), SIGHTED):
        unsighted = (
            sa.select(segments.c.id)
            .where(
                segments.c.resource_id.in_(resource_ids[first : first + SIGHTED]),
                segments.c.ended_at.is_(None),
                segments.c.sighted_at < moment,
            )
            .with_for_update(skip_locked=True)
        )
        found = connection.execute(unsighted).scalars().all()
        if found:
            connection.execute(sa.update(segments).where(segments.c.id.in_(found)).values(sighted_at=moment))


def costs(connection: Connection, resource_ids: Sequence[str]) -> dict[str, Cost]:
    """What each of these resources costs, machine and disk together; those without any segment are left out."""
    is_open = segments.c.ended_at.is_(None)
    charged = segments.c.charged_micros
    statement = (
        sa.select(
            segments.c.resource_id,
            sa.func.sum(charged),
            sa.func.sum(sa.case((is_open, 0), else_=charged)),
            sa.func.sum(sa.case((is_open, segments.c.rate_micros), else_=0)),
            sa.func.max(sa.case((is_open, segments.c.started_at))),
            sa.func.max(sa.case((charged > 0, segments.c.charged_through))),
        )
        .where(segments.c.resource_id.in_(resource_ids))
        .group_by(segments.c.resource_id)
    )
    return {
        row[0]: Cost(int(row[1]), int(row[2]), int(row[3]), row[4], row[5]) for row in connection.execute(statement)
    }


def accrued_micros(ended_micros: int, rate_micros: int, started_at: datetime | None, now: datetime) -> int:
    """What a resource has cost to this second: its ended segments' charges and its open segment's, if one is open."""
    if started_at is None:
        return ended_micros
    seconds = int((whole_seconds(now) - started_at).total_seconds())
    return ended_micros + charge_micros(rate_micros, max(0, seconds))


def burn_micros_per_hour(connection: Connection, team_id: str) -> int:
    """What everything the team has running costs an hour."""
    rates = sa.select(sa.func.coalesce(sa.func.sum(segments.c.rate_micros), 0)).where(
        segments.c.team_id == team_id, segments.c.ended_at.is_(None)
    )
    return int(connection.execute(rates).scalar_one())


def runway_seconds(balance_micros: int, burn_micros_per_hour: int) -> int | None:
    """How long the balance lasts at this burn; 0 when it is gone, None when nothing burns."""
    if burn_micros_per_hour == 0:
        return None
    return max(0, balance_micros) * SECONDS_PER_HOUR // burn_micros_per_hour
