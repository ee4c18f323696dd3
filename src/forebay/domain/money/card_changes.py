"""What people do with their team's cards: each act checks, changes, and writes the row of the activity.

The worker does what the payment processor is to know; whoever calls nudges `cards` and, where a card may let auto
top-up go on, `auto-top-ups`.
"""

from datetime import datetime

from sqlalchemy import Connection

from forebay.domain.money import auto_top_ups, card_set_ups, cards
from forebay.domain.money.card_set_ups import SetUp
from forebay.domain.money.cards import Card
from forebay.domain.people import activity
from forebay.domain.people.access import TeamContext
from forebay.errors import Conflict

NOT_SET_UP = (
    "Cards are not set up in this cloud. Whoever runs it can set FOREBAY_STRIPE_SECRET_KEY; until then an operator can "
    "grant credits."
)


class PaymentsNotSetUp(Conflict):
    """This cloud takes no cards."""

    code = "PAYMENTS_NOT_SET_UP"


def demand_payments(*, takes_cards: bool) -> None:
    """Raise PaymentsNotSetUp where no cards can be charged."""
    if not takes_cards:
        raise PaymentsNotSetUp(
            NOT_SET_UP,
            details={"setting": "FOREBAY_STRIPE_SECRET_KEY", "whoCanDoIt": ["operator"]},
        )


def begin(connection: Connection, context: TeamContext, *, payment_method_id: str | None, now: datetime) -> SetUp:
    """Ask for a card to be saved; without its id on a page of the processor. Raises TooManySetUps."""
    set_up = card_set_ups.begin(
        connection,
        context.team_id,
        payment_method_id=payment_method_id,
        requested_by=context.caller.user_id,
        now=now,
    )
    note(connection, context, "card.set-up", set_up.id, now=now)
    return set_up


def make_default(connection: Connection, context: TeamContext, card_id: str, *, now: datetime) -> Card:
    """Charge this card from now on, unless another is named. Raises NotFound."""
    card = cards.make_default(connection, context.team_id, card_id)
    note(connection, context, "card.make-default", card_id, now=now, lastFour=card.last_four)
    auto_top_ups.resume_by_card(connection, context.team_id, by=context.caller.user_id, now=now)
    return card


def delete(connection: Connection, context: TeamContext, card_id: str, *, now: datetime) -> Card:
    """Charge it no more from this moment on. Raises NotFound, CardInUse."""
    card = cards.delete(connection, context.team_id, card_id, now=now)
    note(connection, context, "card.delete", card_id, now=now, lastFour=card.last_four)
    return card


def note(
    connection: Connection, context: TeamContext, action: str, object_id: str, *, now: datetime, **details: str
) -> None:
    """A row in the team's activity."""
    activity.record(
        connection,
        context.caller,
        action,
        now=now,
        team_id=context.team_id,
        object_type="card",
        object_id=object_id,
        details=details,
    )
