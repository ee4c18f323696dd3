"""`/api/teams/{id}/auto-top-up`: on what terms a card is charged by itself, and letting it go on after a stop.

How it stands is part of `GET …/billing`, and what both requests here answer with.
"""

from typing import Annotated, Any, Literal

import msgspec
from sqlalchemy import Connection

from forebay.api.call import Call
from forebay.api.cards import demand_payments
from forebay.api.envelope import Input, Wire, iso, iso_at
from forebay.api.route import route
from forebay.api.top_ups import TopUp, to_wire
from forebay.domain.money import auto_top_up_terms, auto_top_ups, declines, payment_attempts
from forebay.domain.money.amounts import from_dollars, to_dollars
from forebay.domain.money.auto_top_up_terms import Terms
from forebay.domain.money.auto_top_ups import Standing
from forebay.domain.money.deposits import AmountNotPossible
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest

LAST = 5


class NewTerms(Input):
    """On what terms, in dollars. To turn it off `isOn` false is enough."""

    is_on: bool = True
    threshold: float | None = None
    """Charge when the balance is below this: 5 to 500."""
    amount: float | None = None
    """How much: 15 to 5,000."""
    max_charge_amount: float | None = None
    """The most that one charge may be, where one amount doesn't lift the balance to the threshold; else one amount."""
    month_ceiling: float | None = None
    """The most in a calendar month, in UTC; null: none."""
    day_ceiling: Annotated[int, msgspec.Meta(ge=1, le=288)] | None = None
    """The most charges in a day, in UTC; null: none."""
    card_id: str | None = None
    """Which saved card; without it the default one of the moment."""
    agree: bool = False
    """A person agrees to the text that 400 `CONSENT_NEEDED` has in `details.consentText`."""


class Consent(Wire):
    """What was agreed to, word for word."""

    text: str
    user_id: str
    at: str


class AutoTopUp(Wire):
    """Auto top-up, in dollars. What isn't set is null."""

    state: Literal[
        "off",
        "stopped",
        "frozen",
        "no card",
        "under way",
        "enough",
        "month ceiling",
        "day ceiling",
        "declined",
        "cooldown",
        "charge",
    ]
    """`enough`: it waits for a balance below the threshold; `charge`: it charges now."""
    says: str
    """The same in words, and what to do about it."""
    is_on: bool
    threshold: float | None = None
    amount: float | None = None
    max_charge_amount: float | None = None
    month_ceiling: float | None = None
    day_ceiling: int | None = None
    card_id: str | None = None
    """Null: the default card of the moment."""
    charged_card_id: str | None = None
    """The card that would be charged now."""
    consent: Consent | None = None
    next_attempt_at: str | None = None
    """When an attempt is possible next, where that is a matter of time."""
    last_attempt_at: str | None = None
    last_attempts: list[TopUp] = msgspec.field(default_factory=list)
    """The newest five, newest first."""
    failures_in_a_row: int = 0
    stopped_at: str | None = None
    stopped_code: str | None = None
    stopped_because: str | None = None
    """The same in words."""
    charged_this_month: float = 0
    charges_today: int = 0
    meaning: str | None = None
    """What the terms come to at the team's burn."""
    warning: str | None = None
    """What a day can cost."""
    most_a_day: float | None = None


def shown(call: Call, team_id: str) -> AutoTopUp:
    """How it stands."""
    standing = auto_top_ups.stand(call.connection, team_id, now=call.now)
    if standing is None:
        return AutoTopUp(state="off", says="Auto top-up is off.", is_on=False)
    policy = standing.policy
    decision = auto_top_ups.decide(standing, now=call.now)
    return AutoTopUp(
        state=decision.reason.value,
        says=auto_top_up_terms.words(standing, decision),
        is_on=policy.is_on,
        threshold=to_dollars(policy.threshold_micros),
        amount=to_dollars(policy.amount_micros),
        max_charge_amount=to_dollars(policy.max_charge_micros),
        month_ceiling=None if policy.month_ceiling_micros is None else to_dollars(policy.month_ceiling_micros),
        day_ceiling=policy.day_ceiling_charges,
        card_id=policy.card_id,
        charged_card_id=standing.card.id if standing.card else None,
        consent=Consent(
            text=policy.consent_text,
            user_id=policy.consented_by,
            at=iso(int(policy.consented_at.timestamp())) or "",
        ),
        next_attempt_at=iso_at(decision.at),
        last_attempt_at=iso_at(policy.last_claimed_at),
        last_attempts=last_attempts(call.connection, team_id),
        failures_in_a_row=policy.failures_in_a_row,
        stopped_at=iso_at(policy.stopped_at),
        stopped_code=policy.stopped_reason,
        stopped_because=declines.sentence(policy.stopped_reason),
        **in_figures(standing),
    )


def in_figures(standing: Standing) -> dict[str, Any]:
    """What was charged, and what the terms come to."""
    policy = standing.policy
    return {
        "charged_this_month": to_dollars(standing.month_micros),
        "charges_today": standing.day_charges,
        "meaning": auto_top_up_terms.meaning(policy, standing.burn_micros_per_hour) if policy.is_on else None,
        "warning": auto_top_up_terms.warning(policy) if policy.is_on else None,
        "most_a_day": to_dollars(auto_top_up_terms.most_a_day_micros(policy)) if policy.is_on else None,
    }


def last_attempts(connection: Connection, team_id: str) -> list[TopUp]:
    """The newest charges of auto top-up."""
    found, _ = payment_attempts.of_team(connection, team_id, limit=LAST, path=payment_attempts.Path.auto)
    return [to_wire(attempt) for attempt in found]


@route(
    "PUT",
    "/api/teams/{team_id}/auto-top-up",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    body=NewTerms,
    answers=AutoTopUp,
    raises=(409,),
    is_recent=True,
)
def put(call: Call, team_id: str, body: NewTerms) -> AutoTopUp:
    """Turn auto top-up on, change its terms, or turn it off.

    A person agrees to a text that has the figures in it: without `agree` 400 `CONSENT_NEEDED` answers with that text.
    The answer says what it means at the team's burn, and what a day can cost. 400 `AMOUNT_NOT_POSSIBLE`, 400
    `NO_CARD`; `PAYMENTS_NOT_SET_UP` where this cloud takes no cards.
    """
    if not body.is_on:
        auto_top_up_terms.turn_off(call.connection, call.team, now=call.now)
        return shown(call, team_id)
    demand_payments(call)
    auto_top_up_terms.put(call.connection, call.team, terms_of(body), is_agreed=body.agree, now=call.now)
    call.nudge("auto-top-ups")
    return shown(call, team_id)


def terms_of(body: NewTerms) -> Terms:
    """The wish in micro-dollars. Raises BadRequest, AmountNotPossible."""
    missing = {name: "required" for name in ("threshold", "amount") if getattr(body, name) is None}
    if missing:
        raise BadRequest("To turn auto top-up on, say at what balance it charges, and how much.", details=missing)
    most = body.amount if body.max_charge_amount is None else body.max_charge_amount
    return Terms(
        threshold_micros=micros(body.threshold, "threshold"),
        amount_micros=micros(body.amount, "amount"),
        max_charge_micros=micros(most, "maxChargeAmount"),
        month_ceiling_micros=None if body.month_ceiling is None else micros(body.month_ceiling, "monthCeiling"),
        day_ceiling_charges=body.day_ceiling,
        card_id=body.card_id,
    )


def micros(dollars: float | None, field: str) -> int:
    """An amount of the wish. Raises AmountNotPossible."""
    try:
        return from_dollars(dollars or 0)
    except ValueError:
        raise AmountNotPossible("The amount must be in whole cents.", details={field: "whole cents"}) from None


@route(
    "POST",
    "/api/teams/{team_id}/auto-top-up/try-again",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    answers=AutoTopUp,
    raises=(409,),
    is_recent=True,
)
def try_again(call: Call, team_id: str) -> AutoTopUp:
    """Let auto top-up go on after it had stopped, or before the hour after a decline is over.

    Five minutes after the last attempt it charges, if the balance is below the threshold. 409 `AUTO_TOP_UP_OFF`.
    """
    auto_top_up_terms.try_again(call.connection, call.team, now=call.now)
    call.nudge("auto-top-ups")
    return shown(call, team_id)
