"""What was done, by whom, on what, when, from where, through which key: rows that are only ever added."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people.access import Caller
from forebay.storage.tables import activity


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
    connection.execute(
        sa.insert(activity).values(
            id=ids.new_id(now),
            team_id=team_id,
            at=now,
            action=action,
            outcome=outcome,
            user_id=caller.user_id if caller else None,
            api_key_id=caller.api_key_id if caller else None,
            address=caller.address if caller else None,
            object_type=object_type,
            object_id=object_id,
            details=dict(details) if details else None,
        )
    )
