"""Deposits: credits that somebody buys now, by a saved card or on a page of the processor.

Bounds and presets are the product's. The client key makes a double click, or a retry after a lost answer, one payment.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from forebay.domain.money import cards, ledger, payment_attempts
from forebay.domain.money.amounts import MICROS_PER_CENT, MICROS_PER_DOLLAR, as_dollars, in_words
from forebay.domain.money.cards import Card
from forebay.domain.money.payment_attempts import Attempt, Path
from forebay.domain.people import activity
from forebay.domain.people.access import TeamContext
from forebay.errors import BadRequest, Conflict

PRESETS = tuple(dollars * MICROS_PER_DOLLAR for dollars in (50, 100, 200, 500, 1000, 5000))
LEAST_MICROS = 15 * MICROS_PER_DOLLAR
MOST_MICROS = 5000 * MICROS_PER_DOLLAR


class AmountNotPossible(BadRequest):
    """Out of bounds, or no whole number of cents."""

    code = "AMOUNT_NOT_POSSIBLE"


class NoCard(BadRequest):
    """No card was named, and the team has no default one."""

    code = "NO_CARD"


class ClientKeyReused(Conflict):
    """The key belongs to another wish."""

    code = "CLIENT_KEY_REUSED"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for."""

    amount_micros: int
    client_key: str
    is_page: bool = False
    """Whether they pay on a page of the processor."""
    card_id: str | None = None
    """Which card; none: the default one."""


def check_amount(amount_micros: int, *, field: str = "amount") -> None:
    """Raise AmountNotPossible unless a card may be charged so much."""
    if not LEAST_MICROS <= amount_micros <= MOST_MICROS:
        bounds = f"from {as_dollars(LEAST_MICROS)} to {as_dollars(MOST_MICROS)}"
        raise AmountNotPossible(f"The amount must be {bounds}.", details={field: bounds})
    if amount_micros % MICROS_PER_CENT:
        raise AmountNotPossible("The amount must be in whole cents.", details={field: "whole cents"})


def request(amount_micros: int, *, card: Card | None, marks: Mapping[str, str]) -> dict[str, Any]:
    """What the processor will be asked for, frozen with the claim."""
    return {
        "amountMicros": amount_micros,
        "paymentMethodId": card.payment_method_id if card else None,
        "description": f"{in_words(amount_micros)} credits",
        "marks": dict(marks),
    }


def ask(connection: Connection, context: TeamContext, wish: Wish, *, now: datetime) -> Attempt:
    """Begin a payment, or return the one that this client key began. Then nudge `payments`.

    Raises AmountNotPossible, NoCard, NotFound for a card that isn't the team's, ClientKeyReused, PaymentUnderWay.
    """
    check_amount(wish.amount_micros)
    # Two clicks come at the same moment: the second one must see the first.
    ledger.lock(connection, context.team_id)
    known = payment_attempts.by_client_key(connection, context.team_id, wish.client_key)
    if known is not None:
        return same(known, wish)
    card = None if wish.is_page else card_of(connection, context.team_id, wish.card_id)
    attempt = payment_attempts.claim(
        connection,
        team_id=context.team_id,
        path=Path.checkout if wish.is_page else Path.manual,
        amount_micros=wish.amount_micros,
        card_id=card.id if card else None,
        request=request(wish.amount_micros, card=card, marks={"forebay_team": context.team_id}),
        client_key=wish.client_key,
        requested_by=context.caller.user_id,
        now=now,
    )
    activity.record(
        connection,
        context.caller,
        "top-up.ask",
        now=now,
        team_id=context.team_id,
        object_type="top-up",
        object_id=attempt.id,
        details={"amountMicros": wish.amount_micros, "path": attempt.path.value},
    )
    return attempt


def card_of(connection: Connection, team_id: str, card_id: str | None) -> Card:
    """The card that was named, or the default one. Raises NotFound, NoCard."""
    if card_id is not None:
        return cards.get(connection, team_id, card_id)
    found = cards.default(connection, team_id)
    if found is None:
        raise NoCard(
            "The team has no default card: name one, save one, or pay on a page.", details={"cardId": "required"}
        )
    return found


def same(known: Attempt, wish: Wish) -> Attempt:
    """The attempt that the key began, if it is what is wished now. Raises ClientKeyReused."""
    is_page = known.path is Path.checkout
    is_card = wish.card_id in (None, known.card_id)
    if (known.amount_micros, is_page) != (wish.amount_micros, wish.is_page) or not is_card:
        raise ClientKeyReused(
            "This client key began another payment: use a new one for each.", details={"topUpId": known.id}
        )
    return known
