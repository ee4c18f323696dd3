"""`/api/balance`: the balances of all my teams, side by side."""

from typing import Literal

from forebay.api.call import Call
from forebay.api.envelope import Wire
from forebay.api.route import Needs, route
from forebay.domain.money import outlook
from forebay.domain.money.amounts import to_dollars
from forebay.domain.people import teams


class TeamBalance(Wire):
    """A team's credits in dollars; below zero is a debt."""

    team_id: str
    team_name: str
    balance: float
    is_current_team: bool
    role: Literal["owner", "admin", "member"]
    held: float
    """Set aside for machines that were launched; part of the balance."""
    available: float
    burn_per_hour: float
    runway_seconds: int | None
    """How long the balance lasts at this burn; null when nothing burns."""


class Balances(Wire):
    """All teams that this key or session reaches."""

    teams: list[TeamBalance]
    currency: Literal["USD"]


@route("GET", "/api/balance", needs=Needs.account, answers=Balances)
def show(call: Call) -> Balances:
    """The credits of each team."""
    mine = [team for team in teams.of_user(call.connection, call.caller.user_id) if call.caller.reaches(team.id)]
    found = outlook.outlooks(call.connection, [team.id for team in mine])
    return Balances(
        teams=[
            TeamBalance(
                team_id=team.id,
                team_name=team.name,
                balance=to_dollars(found[team.id].balance_micros),
                is_current_team=team.id == call.caller.current_team_id,
                role=team.role.value,
                held=to_dollars(found[team.id].held_micros),
                available=to_dollars(found[team.id].available_micros),
                burn_per_hour=to_dollars(found[team.id].burn_micros_per_hour),
                runway_seconds=found[team.id].runway_seconds,
            )
            for team in mine
        ],
        currency="USD",
    )
