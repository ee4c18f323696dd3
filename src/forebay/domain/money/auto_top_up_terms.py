"""What people decide about auto top-up: its terms, what they agree to word for word, and what it means in words."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import auto_top_ups, deposits, ledger
from forebay.domain.money.amounts import MICROS_PER_CENT, MICROS_PER_DOLLAR, SECONDS_PER_HOUR, as_dollars, to_the_cent
from forebay.domain.money.auto_top_ups import COOLDOWN, MOST_A_DAY, Decision, Policy, Reason, Standing
from forebay.domain.money.cards import Card
from forebay.domain.money.declines import sentence
from forebay.domain.money.deposits import AmountNotPossible
from forebay.domain.money.low_balance_letters import dollars, moment
from forebay.domain.money.outlook import counted, lasting
from forebay.domain.people import activity
from forebay.domain.people.access import TeamContext
from forebay.errors import BadRequest, Conflict
from forebay.storage import tables
from forebay.storage.database import upsert_insert

LEAST_THRESHOLD_MICROS = 5 * MICROS_PER_DOLLAR
MOST_THRESHOLD_MICROS = 500 * MICROS_PER_DOLLAR


class ConsentNeeded(BadRequest):
    """Nobody has agreed to these terms; `details` has the text that is to be agreed to."""

    code = "CONSENT_NEEDED"


class AutoTopUpOff(Conflict):
    """There is nothing to try again."""

    code = "AUTO_TOP_UP_OFF"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for."""

    threshold_micros: int
    amount_micros: int
    max_charge_micros: int
    month_ceiling_micros: int | None = None
    day_ceiling_charges: int | None = None
    card_id: str | None = None

    def keeps_up_with(self, burn_micros_per_hour: int) -> bool:
        """Whether a charge every cooldown pays for this burn."""
        return auto_top_ups.keeps_up(self.max_charge_micros, burn_micros_per_hour)


def check(terms: Terms) -> None:
    """Raise AmountNotPossible unless a policy may say so."""
    if (
        not LEAST_THRESHOLD_MICROS <= terms.threshold_micros <= MOST_THRESHOLD_MICROS
        or terms.threshold_micros % MICROS_PER_CENT
    ):
        bounds = f"from {as_dollars(LEAST_THRESHOLD_MICROS)} to {as_dollars(MOST_THRESHOLD_MICROS)}, in whole cents"
        raise AmountNotPossible(f"The threshold must be {bounds}.", details={"threshold": bounds})
    deposits.check_amount(terms.amount_micros)
    deposits.check_amount(terms.max_charge_micros, field="maxChargeAmount")
    if terms.max_charge_micros < terms.amount_micros:
        raise AmountNotPossible(
            "The most that one charge may be can't be less than the amount.",
            details={"maxChargeAmount": "not less than amount"},
        )
    month = terms.month_ceiling_micros
    if month is not None and (month < terms.amount_micros or month % MICROS_PER_CENT):
        raise AmountNotPossible(
            "The ceiling of a month can't be less than the amount, and is in whole cents.",
            details={"monthCeiling": "not less than amount, in whole cents"},
        )


def consent(terms: Terms, card: Card, team_name: str) -> str:
    """What is agreed to, word for word."""
    whose = f"the {card.words}" if terms.card_id else f"the team's default card, now the {card.words}"
    ceilings = []
    if terms.month_ceiling_micros is not None:
        ceilings.append(f"at most {dollars(terms.month_ceiling_micros)} in a calendar month")
    if terms.day_ceiling_charges is not None:
        ceilings.append(f"at most {counted(terms.day_ceiling_charges, 'charge')} a day")
    return "; ".join(
        [
            f"I agree that Forebay charges {whose}, without asking again, whenever the balance of {team_name} is below "
            f"{dollars(terms.threshold_micros)}: {dollars(terms.amount_micros)}, or the smallest multiple of it that "
            f"lifts the balance to that, at most {dollars(terms.max_charge_micros)} at once",
            "not more often than every 5 minutes",
            *ceilings,
            "until somebody of the team turns it off.",
        ]
    )


def put(
    connection: Connection,
    context: TeamContext,
    terms: Terms,
    *,
    is_agreed: bool,
    now: datetime,
    agreed_text: str | None = None,
) -> None:
    """Turn it on with these terms, or change them. What failed before counts no more. Then nudge `auto-top-ups`.

    Where the text is known that somebody has read, it must be that of these terms.

    Raises AmountNotPossible, NoCard, NotFound for a card that isn't the team's, ConsentNeeded.
    """
    check(terms)
    ledger.lock(connection, context.team_id)
    card = deposits.card_of(connection, context.team_id, terms.card_id)
    text = consent(terms, card, context.team_name)
    if not is_agreed or agreed_text not in (None, text):
        raise ConsentNeeded("Somebody must agree to this text: send agree true.", details={"consentText": text})
    values = {
        **msgspec.structs.asdict(terms),
        "is_on": True,
        "consent_text": text,
        "consented_by": context.caller.user_id,
        "consented_at": now,
        "failures_in_a_row": 0,
        "stopped_at": None,
        "stopped_reason": None,
        "next_attempt_at": None,
        "too_little_mailed_at": None,
        "updated_at": now,
    }
    statement = upsert_insert(connection, tables.auto_top_ups).values(team_id=context.team_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["team_id"], set_=values))
    note(connection, context, "set", now=now, **msgspec.structs.asdict(terms))


def turn_off(connection: Connection, context: TeamContext, *, now: datetime) -> None:
    """From now on nothing is charged by itself; a charge that is under way and not made yet is given up."""
    ledger.lock(connection, context.team_id)
    connection.execute(
        sa.update(tables.auto_top_ups)
        .where(tables.auto_top_ups.c.team_id == context.team_id)
        .values(is_on=False, stopped_at=None, stopped_reason=None, updated_at=now)
    )
    note(connection, context, "off", now=now)


def try_again(connection: Connection, context: TeamContext, *, now: datetime) -> None:
    """Go on where it had stopped, or waits after a decline. Then nudge `auto-top-ups`. Raises AutoTopUpOff."""
    ledger.lock(connection, context.team_id)
    policy = auto_top_ups.find(connection, context.team_id)
    if policy is None or not policy.is_on:
        raise AutoTopUpOff("Auto top-up is off. Turn it on first.")
    auto_top_ups.go_on(connection, context.team_id)
    note(connection, context, "try-again", now=now)


def note(connection: Connection, context: TeamContext, verb: str, *, now: datetime, **details: object) -> None:
    """A row in the team's activity."""
    activity.record(
        connection,
        context.caller,
        f"auto-top-up.{verb}",
        now=now,
        team_id=context.team_id,
        object_type="auto-top-up",
        object_id=context.team_id,
        details=details,
    )


# In words.


def words(standing: Standing, decision: Decision) -> str:
    """How it stands, and what to do about it."""
    policy, at = standing.policy, decision.at
    when = "" if at is None else moment(at)
    threshold = dollars(policy.threshold_micros)
    return {
        Reason.off: "Auto top-up is off.",
        Reason.stopped: (
            "Auto top-up has stopped and charges nothing until it is tried again. "
            f"{sentence(policy.stopped_reason) or ''}"
        ),
        Reason.frozen: "The team is frozen, and auto top-up charges nothing until an operator lifts that.",
        Reason.no_card: "Auto top-up is on, but there is no card to charge. Save one, or choose a default one.",
        Reason.under_way: "A payment of the team is under way.",
        Reason.enough: f"Auto top-up is on and charges once the balance is below {threshold}.",
        Reason.month_ceiling: (
            f"The ceiling of this month is reached: nothing is charged before {when}. Raise it, or add credits by hand."
        ),
        Reason.day_ceiling: (
            f"The ceiling of this day is reached: nothing is charged before {when}. Raise it, or add credits by hand."
        ),
        Reason.declined: (
            f"The last charge was declined; the next attempt is on {when}. Try again before that, or use another card."
        ),
        Reason.cooldown: f"The balance is below {threshold}; 5 minutes after the last attempt, on {when}, is the next.",
        Reason.charge: f"The balance is below {threshold}: {dollars(decision.amount_micros)} is charged now.",
    }[decision.reason]


def meaning(policy: Policy | Terms, burn_micros_per_hour: int) -> str:
    """What the terms come to at this burn."""
    burn = burn_micros_per_hour
    if burn <= 0:
        return "Nothing that costs is running: this charges only while the balance is below the threshold."
    if not policy.keeps_up_with(burn):
        return (
            f"At your current burn of {to_the_cent(burn)} an hour this can't keep up: at most "
            f"{dollars(policy.max_charge_micros)} is charged every 5 minutes. Raise the amount and the most that one "
            "charge may be."
        )
    seconds = max(int(COOLDOWN.total_seconds()), policy.amount_micros * SECONDS_PER_HOUR // burn)
    every = lasting(seconds).removeprefix("about ").removeprefix("1 ")
    return f"At your current burn of {to_the_cent(burn)} an hour this charges about every {every}."


def most_a_day_micros(policy: Policy | Terms) -> int:
    """What the worst day can cost."""
    charges = min(MOST_A_DAY, policy.day_ceiling_charges or MOST_A_DAY)
    most = charges * (policy.max_charge_micros // policy.amount_micros) * policy.amount_micros
    return most if policy.month_ceiling_micros is None else min(most, policy.month_ceiling_micros)


def warning(policy: Policy | Terms) -> str:
    """The same in words."""
    ceilings = policy.day_ceiling_charges is None and policy.month_ceiling_micros is None
    more = " Set a ceiling for a day or a month to bound that." if ceilings else ""
    return f"A day can cost up to {dollars(most_a_day_micros(policy))}, if that much is used up.{more}"
