"""Planned ends: the second in which a machine is terminated because somebody wanted it so, at a time or at a cost.

A cost comes true in a second that can be reckoned from the rate: the last one in which the machine has not cost more.
So it is kept as a time, `ends_at`, and reckoned anew whenever what it hangs on changes: a start, a stop, another wish,
another rate. No end comes before the minimum runtime is over, and nothing is charged beyond it, however late whoever
brings it about may come.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import metering
from forebay.domain.money.amounts import MAX_SPAN_SECONDS, SECONDS_PER_HOUR, as_dollars, charge_micros, to_dollars
from forebay.domain.money.metering import Cost
from forebay.errors import Conflict
from forebay.storage.tables import deployments

ACTIVE = ("deploying", "running", "stopped")
NOTHING = Cost(charged_micros=0, ended_micros=0, rate_micros=0, started_at=None, charged_through=None)


class Reason(StrEnum):
    """Which wish an end comes from."""

    time = "terminateAt"
    cost = "maxCost"


class End(msgspec.Struct, frozen=True):
    """When, and why."""

    at: datetime
    reason: Reason


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an end hangs on."""

    terminate_at: datetime | None
    max_cost_micros: int | None
    earliest_at: datetime | None
    """The end of the minimum runtime; None: there is none to wait for."""
    cost: Cost

    @property
    def end(self) -> End | None:
        """The end that comes first, if one can be foreseen."""
        ends = []
        if self.terminate_at is not None:
            ends.append(End(self.terminate_at, Reason.time))
        if self.max_cost_micros is not None:
            at = cost_reached_at(self.cost, self.max_cost_micros)
            if at is not None:
                ends.append(End(at, Reason.cost))
        if not ends:
            return None
        first = min(ends, key=lambda end: end.at)
        return End(max(first.at, self.earliest_at or first.at), first.reason)

    @property
    def ends_at(self) -> datetime | None:
        """When that is."""
        end = self.end
        return None if end is None else end.at


def cost_reached_at(cost: Cost, max_micros: int) -> datetime | None:
    """The last second in which it has cost no more than that; None where nothing costs, or not within ten years."""
    if cost.started_at is None or cost.rate_micros == 0:
        return None
    left_micros = max(0, max_micros - cost.ended_micros)
    # The charge is rounded down: it is over `left_micros` from the first second that costs a whole one more.
    seconds = ((left_micros + 1) * SECONDS_PER_HOUR - 1) // cost.rate_micros
    return None if seconds > MAX_SPAN_SECONDS else cost.started_at + timedelta(seconds=seconds)


COLUMNS = (
    deployments.c.id,
    deployments.c.status,
    deployments.c.started_at,
    deployments.c.minimum_runtime_minutes,
    deployments.c.terminate_at,
    deployments.c.max_cost_micros,
    deployments.c.ends_at,
)


def plans(connection: Connection, rows: Sequence[sa.Row[Any, Any, Any, Any, Any, Any, Any]]) -> dict[str, Plan]:
    """The plan of each deployment of which these are the COLUMNS."""
    costs = metering.costs(connection, [row.id for row in rows])
    return {
        row.id: Plan(
            terminate_at=row.terminate_at,
            max_cost_micros=row.max_cost_micros,
            earliest_at=earliest_end(row.status, row.started_at, row.minimum_runtime_minutes),
            cost=costs.get(row.id, NOTHING),
        )
        for row in rows
    }


def earliest_end(status: str, started_at: datetime | None, minimum_runtime_minutes: int) -> datetime | None:
    """When the minimum runtime is over; only a running machine has one."""
    if status != "running" or started_at is None:
        return None
    return started_at + timedelta(minutes=minimum_runtime_minutes)


def find(connection: Connection, deployment_id: str) -> Plan:
    """The plan of one deployment."""
    row = connection.execute(sa.select(*COLUMNS).where(deployments.c.id == deployment_id)).one()
    return plans(connection, [row])[deployment_id]


def reckon(connection: Connection, deployment_id: str) -> End | None:
    """Reckon anew when the deployment, which the caller has locked, ends by plan, and keep it."""
    end = find(connection, deployment_id).end
    keep(connection, deployment_id, None if end is None else end.at)
    return end


def keep(connection: Connection, deployment_id: str, ends_at: datetime | None) -> None:
    """Write when it ends by plan."""
    connection.execute(sa.update(deployments).where(deployments.c.id == deployment_id).values(ends_at=ends_at))


def ended_by(connection: Connection, deployment_id: str, at: datetime) -> datetime:
    """`at`, or its end by plan or because it is taken back, where that came before: beyond it nothing is charged."""
    ends = connection.execute(
        sa.select(deployments.c.ends_at, deployments.c.reclaim_at).where(deployments.c.id == deployment_id)
    ).one()
    first: datetime = min([at, *(end for end in ends if end is not None)])
    return first


def due(connection: Connection, *, now: datetime, limit: int = 100) -> Sequence[str]:
    """Deployments whose planned end has come, longest due first."""
    return (
        connection.execute(
            sa.select(deployments.c.id)
            .where(deployments.c.ends_at <= now)
            .order_by(deployments.c.ends_at, deployments.c.id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def mistaken(connection: Connection, *, after: str, limit: int = 500) -> tuple[Sequence[str], str | None]:
    """Of the deployments beyond `after` with a greatest cost those that end at another time than is kept.

    Their rate has changed, say. And where to go on; None: that was the last.
    """
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(deployments.c.max_cost_micros.is_not(None), deployments.c.gone_at.is_(None), deployments.c.id > after)
        .order_by(deployments.c.id)
        .limit(limit)
    ).all()
    found = plans(connection, rows)
    wrong = [row.id for row in rows if row.status in ACTIVE and found[row.id].ends_at != row.ends_at]
    return wrong, str(rows[-1].id) if len(rows) == limit else None


class CostMet(Conflict):
    """It has cost, or would cost before it can be ended again, what it may cost at most."""

    code = "MAX_COST_MET"


def refuse_spent(connection: Connection, deployment_id: str, rate_micros: int, *, now: datetime) -> None:
    """Raise CostMet for a stopped machine whose greatest cost leaves no room for a start at this rate."""
    row = connection.execute(sa.select(*COLUMNS).where(deployments.c.id == deployment_id)).one()
    if row.max_cost_micros is None:
        return
    spent = plans(connection, [row])[deployment_id].cost.accrued_micros(now)
    least = spent + charge_micros(rate_micros, max(1, row.minimum_runtime_minutes * 60))
    if least > row.max_cost_micros:
        raise CostMet(
            f"It may cost {as_dollars(row.max_cost_micros)} at most, and would have cost {as_dollars(least)} before it "
            "could be ended again. Raise maxCost first.",
            details={"maxCost": to_dollars(row.max_cost_micros), "accruedCost": to_dollars(spent)},
        )
