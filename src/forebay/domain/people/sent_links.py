"""Links that were sent by mail, counted, so that nobody's mailbox is filled through us.

Counted is what is written, whether the address has an account or not.
"""

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people.accounts import email_key
from forebay.errors import RateLimitExceeded
from forebay.storage.tables import sent_links

WINDOW_SECONDS = 86_400
"""Mails are counted over this window."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Mails of one purpose in 24 hours."""

    address: int
    """To one address, from everywhere together."""
    team: int
    """From one team."""
    address_and_team: int
    """To one address from one team."""


def count(connection: Connection, purpose: str, email: str, limits: Limits, *, team_id: str, now: datetime) -> None:
    """Count a mail of a team that is about to be written. Raises RateLimitExceeded where there were enough."""
    to_address, of_team = sent_links.c.email_key == email_key(email), sent_links.c.team_id == team_id
    for limit, conditions in (
        (limits.address_and_team, [to_address, of_team]),
        (limits.address, [to_address]),
        (limits.team, [of_team]),
    ):
        recent = connection.execute(
            sa.select(sent_links.c.at)
            .where(
                sent_links.c.purpose == purpose, sent_links.c.at > now - timedelta(seconds=WINDOW_SECONDS), *conditions
            )
            .order_by(sent_links.c.at.desc())
            .limit(limit)
        ).all()
        if len(recent) >= limit:
            oldest = recent[-1].at if recent else now
            raise RateLimitExceeded(max(1, WINDOW_SECONDS - int((now - oldest).total_seconds())))
    connection.execute(
        sa.insert(sent_links).values(
            id=ids.new_id(now), purpose=purpose, team_id=team_id, email_key=email_key(email), at=now
        )
    )


def is_within(
    connection: Connection, purpose: str, email: str, *, limit: int, now: datetime, seconds: int = 3600
) -> bool:
    """Count a mail that anybody may ask for by giving the address: False, and not counted, where there were enough.

    The asker isn't told. Give links that are good for no shorter than `seconds`, so that one is always at hand.
    """
    recent = connection.execute(
        sa.select(sa.func.count())
        .select_from(sent_links)
        .where(
            sent_links.c.email_key == email_key(email),
            sent_links.c.purpose == purpose,
            sent_links.c.at > now - timedelta(seconds=seconds),
        )
    ).scalar_one()
    if recent >= limit:
        return False
    connection.execute(
        sa.insert(sent_links).values(
            id=ids.new_id(now), purpose=purpose, team_id=None, email_key=email_key(email), at=now
        )
    )
    return True


def forget_old(connection: Connection, *, now: datetime) -> int:
    """Drop what is not counted any more; how many."""
    old = now - timedelta(seconds=WINDOW_SECONDS)
    return int(connection.execute(sa.delete(sent_links).where(sent_links.c.at <= old)).rowcount)
