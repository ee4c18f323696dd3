"""Auto top-up of a team, in dollars; how it stands is part of the team's billing (`billing.show`)."""

import msgspec

from forebay.client.request import Answer, Request, given
from forebay.client.top_ups import TopUp


class Consent(Answer):
    """What was agreed to, word for word."""

    text: str
    user_id: str
    at: str


class AutoTopUp(Answer):
    """Terms and state. What isn't set is None."""

    state: str
    """`enough`: it waits for a balance below the threshold; `charge`: it charges now; else why it doesn't."""
    says: str
    """The same in words, and what to do about it."""
    is_on: bool
    threshold: float | None = None
    amount: float | None = None
    max_charge_amount: float | None = None
    month_ceiling: float | None = None
    day_ceiling: int | None = None
    card_id: str | None = None
    """None: the default card of the moment."""
    charged_card_id: str | None = None
    consent: Consent | None = None
    next_attempt_at: str | None = None
    last_attempt_at: str | None = None
    last_attempts: list[TopUp] = msgspec.field(default_factory=list)
    """The newest five, newest first."""
    failures_in_a_row: int = 0
    stopped_at: str | None = None
    stopped_code: str | None = None
    stopped_because: str | None = None
    charged_this_month: float = 0
    charges_today: int = 0
    meaning: str | None = None
    """What the terms come to at the team's burn."""
    warning: str | None = None
    """What a day can cost."""
    most_a_day: float | None = None


def put(
    team_id: str,
    *,
    is_on: bool = True,
    threshold: float | None = None,
    amount: float | None = None,
    max_charge_amount: float | None = None,
    month_ceiling: float | None = None,
    day_ceiling: int | None = None,
    card_id: str | None = None,
    agree: bool = False,
) -> Request[AutoTopUp]:
    """Set all terms, or turn it off. Without `agree` it is refused with the text to agree to, `CONSENT_NEEDED`."""
    body = given(
        isOn=is_on,
        threshold=threshold,
        amount=amount,
        maxChargeAmount=max_charge_amount,
        monthCeiling=month_ceiling,
        dayCeiling=day_ceiling,
        cardId=card_id,
        agree=agree,
    )
    return Request(
        method="PUT", path="/api/teams/{team_id}/auto-top-up", at={"team_id": team_id}, body=body, answers=AutoTopUp
    )


def try_again(team_id: str) -> Request[AutoTopUp]:
    """Let it go on after it has stopped."""
    return Request(
        method="POST",
        path="/api/teams/{team_id}/auto-top-up/try-again",
        at={"team_id": team_id},
        answers=AutoTopUp,
    )
