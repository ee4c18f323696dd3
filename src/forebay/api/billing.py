"""`/api/teams/{id}/billing`: how the team stands, in figures and in words."""

from typing import Literal

from forebay.api.call import Call
from forebay.api.envelope import Wire
from forebay.api.route import route
from forebay.domain.money import outlook
from forebay.domain.money.amounts import to_dollars
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class Billing(Wire):
    """Amounts in dollars; a balance below zero is a debt."""

    team_id: str
    currency: Literal["USD"]
    balance: float
    held: float
    """Set aside for machines that were launched."""
    available: float
    """What a launch may count on: the balance less what is held."""
    burn_per_hour: float
    """What everything that runs costs an hour, disks included."""
    runway_seconds: int | None
    """How long the balance lasts at this burn; null when nothing burns."""
    runway: str
    """The same in words."""
    is_frozen: bool


@route(
    "GET",
    "/api/teams/{team_id}/billing",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    answers=Billing,
)
def show(call: Call, team_id: str) -> Billing:
    """How the team stands: balance, what is held and available, what it burns, and how long that lasts."""
    found = outlook.outlook(call.connection, team_id)
    return Billing(
        team_id=team_id,
        currency="USD",
        balance=to_dollars(found.balance_micros),
        held=to_dollars(found.held_micros),
        available=to_dollars(found.available_micros),
        burn_per_hour=to_dollars(found.burn_micros_per_hour),
        runway_seconds=found.runway_seconds,
        runway=found.runway,
        is_frozen=call.team.is_frozen,
    )
