"""Receipts: one mail for each payment, to whoever asked for it, or to all who look after the team's money."""

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money.amounts import as_dollars, in_words, to_dollars
from forebay.domain.money.payment_attempts import Attempt, Path
from forebay.domain.people import mails, notifications
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.notification_kinds import Kind
from forebay.domain.people.notifications import Recipient
from forebay.domain.people.roles import Role
from forebay.storage.tables import memberships, teams, users

if TYPE_CHECKING:
    from forebay.domain.money.payments import Payment

KEEPERS = (Role.owner, Role.admin)
"""Who looks after a team's money."""


class Seller(msgspec.Struct, frozen=True):
    """Who sells the credits."""

    name: str = ""
    vat_number: str = ""

    def lines(self) -> list[str]:
        """As it stands on a receipt."""
        found = [self.name] if self.name else []
        return [*found, f"VAT number {self.vat_number}"] if self.vat_number else found


def send(connection: Connection, attempt: Attempt, payment: "Payment", seller: Seller, *, now: datetime) -> None:
    """Write the mails, to those who want them, and the event for webhooks."""
    team_name = connection.execute(sa.select(teams.c.name).where(teams.c.id == payment.team_id)).scalar_one()
    for each in notifications.who_wants(connection, Kind.charge_made, recipients(connection, attempt)):
        found = letter(attempt, payment, seller, team_name=team_name, name=each.name)
        mails.send(connection, each.email, found, kind=Kind.charge_made, now=now)
    dollars = as_dollars(payment.credited_micros)
    notifications.tell(
        connection,
        Kind.charge_made,
        f"{plain(team_name)}: {dollars} of credits were paid",
        [f"By {payment.card_words}." if payment.card_words else "They are on the balance."],
        team_id=payment.team_id,
        details={
            "topUpId": attempt.id,
            "path": attempt.path.value,
            "amount": to_dollars(payment.credited_micros),
            "requestedBy": attempt.requested_by,
        },
        is_mailed=True,
        now=now,
    )


def recipients(connection: Connection, attempt: Attempt) -> list[Recipient]:
    """Who asked, if they are still in the team, or else owners and admins."""
    mine = sa.select(users.c.email, users.c.name, users.c.id, memberships.c.role).join(
        memberships, memberships.c.user_id == users.c.id
    )
    rows = connection.execute(
        mine.where(memberships.c.team_id == attempt.team_id, users.c.verified_at.is_not(None)).order_by(users.c.id)
    ).all()
    asked = [row for row in rows if row.id == attempt.requested_by and attempt.path is not Path.auto]
    return [Recipient(row.id, row.email, row.name) for row in asked or [row for row in rows if row.role in KEEPERS]]


def letter(attempt: Attempt, payment: "Payment", seller: Seller, *, team_name: str, name: str) -> Letter:
    """What the mail says."""
    dollars = as_dollars(payment.credited_micros)
    facts = [
        f"Receipt number: {payment.attempt_id}",
        f"Date: {payment.created_at:%Y-%m-%d %H:%M} UTC",
        f"Team: {plain(team_name)}",
        f"For: {in_words(payment.credited_micros)} credits",
        f"Paid: {dollars}{f' by {payment.card_words}' if payment.card_words else ''}",
        *(f"Sold by: {line}" if place == 0 else line for place, line in enumerate(seller.lines())),
    ]
    why = "an automatic top-up was made" if attempt.path is Path.auto else "thank you: the payment was made"
    return Letter(
        subject=f"Receipt: {dollars} of credits for {plain(team_name)}",
        name=plain(name),
        paragraphs=[f"{why}, and the credits are on the team's balance.", "\n".join(facts)],
        after=["Credits never expire, and belong to the team."],
    )
