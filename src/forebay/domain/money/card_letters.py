"""Mails about a team's cards, to those who look after its money."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import cards
from forebay.domain.money.cards import Card
from forebay.domain.money.receipts import KEEPERS
from forebay.domain.people import notifications
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.notification_kinds import Kind
from forebay.storage.tables import teams


def tell_of_expiry(connection: Connection, card: Card, *, now: datetime) -> None:
    """Write the mails, once for each card."""
    if not cards.note_expiry_mailed(connection, card.id, now=now):
        return
    team_name = connection.execute(sa.select(teams.c.name).where(teams.c.id == card.team_id)).scalar_one()

    def letter_to(name: str) -> Letter:
        return expiry(card, team_name=plain(team_name), name=plain(name), now=now)

    details = {"cardId": card.id, "expiresAt": f"{card.expires_at:%Y-%m-%dT%H:%M:%SZ}"}
    notifications.mail_team(connection, Kind.card_expiring, card.team_id, KEEPERS, letter_to, details=details, now=now)


def expiry(card: Card, *, team_name: str, name: str, now: datetime) -> Letter:
    """What the mail says."""
    has_expired = card.expires_at <= now
    verb = "expired" if has_expired else "expires"
    month = f"{card.expiry_month:02}/{card.expiry_year}"
    default = (
        " It is the team's default card: nothing else is charged when nobody names another." if card.is_default else ""
    )
    return Letter(
        subject=f"The card of {team_name} {'has expired' if has_expired else 'is about to expire'}",
        name=name,
        paragraphs=[
            f"the {card.words} of {team_name} {verb} at the end of {month}.{default}",
            "Save a new card on the team's billing page, so that machines don't stop for lack of credits.",
        ],
    )
