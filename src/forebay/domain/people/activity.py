"""What was done, by whom, on what, when, from where, through which key: rows that are only ever added."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people.access import Caller
from forebay.storage.tables import activity

DENIED = "access.denied"


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """Refusals of one minute that differ in nothing."""

    at: datetime
    """The beginning of the minute."""
    team_id: str
    caller: Caller
    request: str
    """Method and path as declared, with its parameters' names."""
    permission: str
    """What was missing; empty for who is no member."""
    object_type: str | None
    object_id: str | None
    count: int


ROW = sa.insert(activity)


def record(
    connection: Connection,
    caller: Caller | None,
    action: str,
    *,
    now: datetime,
    team_id: str | None = None,
    object_type: str | None = None,
    object_id: str | None = None,
    details: Mapping[str, Any] | None = None,
    outcome: str = "done",
) -> None:
    """Add a row. `caller` None means Forebay itself; `action` is `<noun>.<verb>`; `details` holds no secrets."""
    row = {
        "id": ids.new_id(now),
        "team_id": team_id,
        "at": now,
        "action": action,
        "outcome": outcome,
        "user_id": caller.user_id if caller else None,
        "api_key_id": caller.api_key_id if caller else None,
        "address": caller.address if caller else None,
        "object_type": object_type,
        "object_id": object_id,
        "details": dict(details) if details else None,
    }
    connection.execute(ROW, row)


def record_denials(connection: Connection, denials: Sequence[Denial]) -> None:
    """A row for each."""
    for denial in denials:
        record(
            connection,
            denial.caller,
            DENIED,
            now=denial.at,
            team_id=denial.team_id,
            object_type=denial.object_type,
            object_id=denial.object_id,
            details={"request": denial.request, "permission": denial.permission, "count": denial.count},
            outcome="denied",
        )
