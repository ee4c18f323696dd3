"""What is told of charges that were not made: declined ones, and those that a ceiling of auto top-up keeps back."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money.amounts import as_dollars, to_dollars
from forebay.domain.money.declines import sentence
from forebay.domain.money.payment_attempts import Attempt, Path
from forebay.domain.people import notifications
from forebay.domain.people.letters import plain
from forebay.domain.people.notification_kinds import Kind
from forebay.storage.tables import teams


def declined(connection: Connection, attempt: Attempt, code: str, *, now: datetime, is_mailed: bool) -> None:
    """A saved card was not charged. `is_mailed`: another letter says more. Then nudge `notifications`."""
    amount = as_dollars(attempt.amount_micros)
    is_auto = attempt.path is Path.auto
    what = f"An automatic top-up by {amount}" if is_auto else f"A payment of {amount}"
    again = ["Auto top-up tries again in an hour."] if is_auto else []
    notifications.tell(
        connection,
        Kind.charge_declined,
        f"{name_of(connection, attempt.team_id)}: a charge of {amount} was declined",
        [f"{what} was declined, and nothing was charged. {sentence(code or 'declined')}", *again],
        team_id=attempt.team_id,
        user_id=None if is_auto else attempt.requested_by,
        details={
            "topUpId": attempt.id,
            "path": attempt.path.value,
            "amount": to_dollars(attempt.amount_micros),
            "code": code or "declined",
            "requestedBy": attempt.requested_by,
        },
        is_mailed=is_mailed,
        now=now,
    )


def ceiling_met(connection: Connection, team_id: str, ceiling: str, until: datetime, *, now: datetime) -> None:
    """Auto top-up would charge, and a ceiling (`day` or `month`) keeps it back until then."""
    name = name_of(connection, team_id)
    notifications.tell(
        connection,
        Kind.limit_met,
        f"{name}: auto top-up has met its ceiling for the {ceiling}",
        [
            f"The balance of {name} is below its threshold, but auto top-up has charged as much as it may this "
            f"{ceiling}: nothing more is charged until {until:%-d %B %Y}.",
            "When the credits are used up, machines are stopped. Raise the ceiling, or add credits.",
        ],
        team_id=team_id,
        details={"limit": f"autoTopUp.{ceiling}Ceiling", "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"},
        now=now,
    )


def name_of(connection: Connection, team_id: str) -> str:
    """What the team is called, as it may stand in a mail."""
    return plain(connection.execute(sa.select(teams.c.name).where(teams.c.id == team_id)).scalar_one())
