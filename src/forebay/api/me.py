"""`/api/me`: the account behind the key or session."""

from typing import Literal

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire
from forebay.api.route import Needs, route
from forebay.domain.people import accounts
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class Me(Wire):
    """An account."""

    id: str
    name: str
    email: str
    is_operator: bool
    api_access: Literal["none", "requested", "approved", "refused"]
    current_team_id: str | None
    """Of the key, or of the person for a session."""


class CurrentTeam(Input):
    """The team to look at."""

    team_id: str


class CurrentTeamSet(Wire):
    """It is the current one now."""

    current_team_id: str


@route("GET", "/api/me", needs=Needs.account, answers=Me, is_inline=True)
def show(call: Call) -> Me:
    """Who I am."""
    caller = call.caller
    return Me(
        id=caller.user_id,
        name=caller.name,
        email=caller.email,
        is_operator=caller.is_operator,
        api_access=caller.api_access,  # type: ignore[arg-type]
        current_team_id=caller.current_team_id,
    )


@route(
    "PUT",
    "/api/me/current-team",
    needs=Permission.see,
    target=Target.team,
    target_from="body:teamId",
    body=CurrentTeam,
    answers=CurrentTeamSet,
)
def set_current_team(call: Call, body: CurrentTeam) -> CurrentTeamSet:
    """Look at another team from now on.

    A key's current team is chosen when it is made, and not moved by this.
    """
    call.demand_session()
    accounts.set_current_team(call.connection, call.caller.user_id, call.team.team_id)
    return CurrentTeamSet(current_team_id=call.team.team_id)
