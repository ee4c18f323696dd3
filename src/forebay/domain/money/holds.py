"""Holds: credits set aside when a machine is launched, so that ten launches can't count on the same dollars.

A hold is taken in the transaction that accepts the launch, under the lock of the team's account. The machine's own
compute charges use it up; what is left is released when the machine stops, fails or ends. At most one is open for a
machine. A hold's row says what was available when it was taken, and what the machine had been charged before and after,
so that `remaining` can be checked at any time.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.domain.money.digests import seal
from forebay.errors import InsufficientBalance
from forebay.ids import new_id
from forebay.storage.database import whole_seconds
from forebay.storage.tables import accounts, holds, segments

SEALED = (
    "id",
    "team_id",
    "resource_id",
    "amount_micros",
    "available_micros",
    "account_version",
    "charged_before_micros",
    "created_at",
)
"""What never changes in a hold, and is under its seal from the start."""
SEALED_AT_RELEASE = (*SEALED, "remaining_micros", "charged_after_micros", "released_at")


def require_available(connection: Connection, *, team_id: str, amount_micros: int) -> ledger.Balance:
    """Lock the team's account and raise InsufficientBalance unless so much is available. Sets nothing aside."""
    ledger.lock(connection, team_id)
    return refuse_unavailable(connection, team_id, amount_micros)


def refuse_unavailable(connection: Connection, team_id: str, amount_micros: int) -> ledger.Balance:
    """Raise InsufficientBalance unless so much is available at this moment; the caller may have the account's lock."""
    found = ledger.balance(connection, team_id)
    if found.available_micros < amount_micros:
        raise InsufficientBalance(needed_micros=amount_micros, available_micros=found.available_micros)
    return found


def take(connection: Connection, *, team_id: str, resource_id: str, amount_micros: int, now: datetime) -> str:
    """Set credits aside for a machine and return the hold's id.

    Raises InsufficientBalance, and IntegrityError where the machine has an open hold already.
    """
    found = require_available(connection, team_id=team_id, amount_micros=amount_micros)
    version = connection.execute(
        sa.update(accounts)
        .where(accounts.c.team_id == team_id)
        .values(holds_taken=accounts.c.holds_taken + 1)
        .returning(accounts.c.version)
    ).scalar_one()
    hold_id = new_id(now)
    row = {
        "id": hold_id,
        "team_id": team_id,
        "resource_id": resource_id,
        "amount_micros": amount_micros,
        "available_micros": found.available_micros,
        "account_version": version,
        "charged_before_micros": charged_micros(connection, resource_id),
        "created_at": whole_seconds(now),
    }
    connection.execute(sa.insert(holds).values(**row, remaining_micros=amount_micros, seal=seal(row, SEALED)))
    return hold_id


def release(connection: Connection, resource_id: str, *, now: datetime) -> int:
    """Give back what is left of the machine's open hold, in micro-dollars; 0 where there is none."""
    team_id = connection.execute(open_hold(resource_id, holds.c.team_id)).scalar()
    if team_id is None:
        return 0
    ledger.lock(connection, team_id)
    found = connection.execute(open_hold(resource_id, *holds.c)).mappings().first()
    if found is None:
        return 0
    ended = {
        **found,
        "released_at": whole_seconds(now),
        "charged_after_micros": charged_micros(connection, resource_id),
    }
    connection.execute(
        sa.update(holds)
        .where(holds.c.id == found["id"])
        .values(
            released_at=ended["released_at"],
            charged_after_micros=ended["charged_after_micros"],
            seal=seal(ended, SEALED_AT_RELEASE),
        )
    )
    return int(found["remaining_micros"])


def remaining(connection: Connection, resource_id: str) -> int:
    """What is left of the machine's open hold; 0 where there is none."""
    return int(connection.execute(open_hold(resource_id, holds.c.remaining_micros)).scalar() or 0)


def open_hold(resource_id: str, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """The machine's open hold."""
    return sa.select(*columns).where(holds.c.resource_id == resource_id, holds.c.released_at.is_(None))


def use_up(connection: Connection, resource_id: str, amount_micros: int) -> None:
    """Let a charge of so much use the machine's open hold up. The caller has the account's lock."""
    left = holds.c.remaining_micros
    connection.execute(
        sa.update(holds)
        .where(holds.c.resource_id == resource_id, holds.c.released_at.is_(None))
        .values(remaining_micros=sa.case((left > amount_micros, left - amount_micros), else_=0))
    )


def charged_micros(connection: Connection, resource_id: str) -> int:
    """What the machine itself (not its disk) has been charged in all its segments."""
    total = sa.select(sa.func.coalesce(sa.func.sum(segments.c.charged_micros), 0)).where(
        segments.c.resource_id == resource_id, segments.c.resource_type == "compute"
    )
    return int(connection.execute(total).scalar_one())
