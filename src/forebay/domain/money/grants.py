"""Grants: credits that an operator gives a team, and takes back whole and once. Each is recorded with its reason."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.domain.money.amounts import MICROS_PER_DOLLAR
from forebay.domain.money.transfers import Transfer
from forebay.domain.people import operators
from forebay.domain.people.access import Caller
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.tables import teams, transfers

MOST_MICROS = 1_000_000 * MICROS_PER_DOLLAR
"""Of one grant: a slip of the finger must not make somebody rich."""
MOST_BALANCE_MICROS = 1_000_000_000 * MICROS_PER_DOLLAR
"""What a team may have after a grant."""


def give(
    connection: Connection,
    caller: Caller | None,
    team_id: str,
    amount_micros: int,
    *,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> Transfer:
    """Give a team credits. Raises NotFound, BadRequest for an amount that can't be given."""
    ledger.lock(connection, team_id)
    is_there = sa.select(teams.c.id).where(teams.c.id == team_id, teams.c.deleted_at.is_(None))
    if connection.execute(is_there).first() is None:
        raise NotFound("Team")
    if not 0 < amount_micros <= MOST_MICROS:
        raise BadRequest(
            "This amount can't be granted.", details={"amount": f"more than 0, at most {MOST_MICROS // 1_000_000}"}
        )
    if ledger.balance(connection, team_id).balance_micros + amount_micros > MOST_BALANCE_MICROS:
        raise BadRequest("The team has more than enough.", details={"amount": "too much for what the team has"})
    transfer = ledger.grant(
        connection,
        team_id=team_id,
        amount_micros=amount_micros,
        reason=reason,
        created_by=None if caller is None else caller.user_id,
        now=now,
    )
    details = {"amount_micros": amount_micros, "reason": reason}
    operators.record(
        connection, caller, "credits.grant", "transfer", transfer.id, now=now, team_id=team_id, by=by, details=details
    )
    return transfer


def take_back(
    connection: Connection,
    caller: Caller | None,
    transfer_id: str,
    *,
    reason: str,
    now: datetime,
    team_id: str | None = None,
    by: str | None = None,
) -> Transfer:
    """Take a grant back, even if that takes the balance below zero; the team must be the one that is named, if any.

    Raises NotFound, and Conflict if it was taken back already.
    """
    mine = sa.select(transfers.c.team_id).where(transfers.c.id == transfer_id, transfers.c.kind == ledger.GRANT)
    found = connection.execute(mine).scalar()
    if found is None or team_id not in (None, found):
        raise NotFound("Grant")
    ledger.lock(connection, found)
    if connection.execute(sa.select(transfers.c.id).where(transfers.c.reverses == transfer_id)).first() is not None:
        raise Conflict("This grant was taken back already.", code="TAKEN_BACK_ALREADY")
    is_there = sa.select(teams.c.id).where(teams.c.id == found, teams.c.deleted_at.is_(None))
    if connection.execute(is_there).first() is None:
        raise Conflict("The team was deleted: what it had left is given up already.", code="TEAM_DELETED")
    back = ledger.take_back(
        connection,
        transfer_id=transfer_id,
        created_by=None if caller is None else caller.user_id,
        reason=reason,
        now=now,
    )
    details = {"amount_micros": back.amount_micros, "grant": transfer_id, "reason": reason}
    operators.record(
        connection, caller, "credits.take-back", "transfer", back.id, now=now, team_id=found, by=by, details=details
    )
    return back
