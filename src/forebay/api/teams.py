"""`/api/teams`: the teams that a key or session reaches."""

from typing import Literal

from forebay.api.call import Call
from forebay.api.envelope import Wire, iso
from forebay.api.route import Needs, route
from forebay.domain.people import teams
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import NotFound


class Team(Wire):
    """A team, and my role in it."""

    id: str
    name: str
    slug: str
    role: Literal["owner", "admin", "member"]
    member_mode: Literal["deploy-only", "read-only"]
    is_current_team: bool
    created_at: str


class Teams(Wire):
    """All of them, oldest first."""

    teams: list[Team]


def to_wire(call: Call, team: teams.Team) -> Team:
    """A team as clients see it."""
    return Team(
        id=team.id,
        name=team.name,
        slug=team.slug,
        role=team.role.value,
        member_mode=team.member_mode.value,
        is_current_team=team.id == call.caller.current_team_id,
        created_at=iso(int(team.created_at.timestamp())) or "",
    )


@route("GET", "/api/teams", needs=Needs.account, answers=Teams)
def list_all(call: Call) -> Teams:
    """The teams that this key or session reaches."""
    mine = teams.of_user(call.connection, call.caller.user_id)
    return Teams(teams=[to_wire(call, team) for team in mine if call.caller.reaches(team.id)])


@route(
    "GET",
    "/api/teams/{team_id}",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    answers=Team,
)
def show(call: Call, team_id: str) -> Team:
    """One team."""
    for team in teams.of_user(call.connection, call.caller.user_id):
        if team.id == team_id:
            return to_wire(call, team)
    raise NotFound("Team")
