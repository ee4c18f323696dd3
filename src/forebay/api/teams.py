"""`/api/teams`: the teams that a key or session reaches."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import Needs, route
from forebay.domain.machines import teams as machine_teams
from forebay.domain.money.teams import create_own
from forebay.domain.people import teams
from forebay.domain.people.access import Target
from forebay.domain.people.roles import SENTENCES, MemberMode, Permission, who_has
from forebay.errors import BadRequest, NotFound

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=320)]
ModeName = Literal["deploy-only", "read-only"]


class Team(Wire):
    """A team, and my role in it."""

    id: str
    name: str
    slug: str
    role: Literal["owner", "admin", "member"]
    member_mode: ModeName
    is_current_team: bool
    created_at: str


class Teams(Wire):
    """All of them, oldest first."""

    teams: list[Team]


class NewTeam(Input):
    """A team that I will own."""

    name: Name
    member_mode: ModeName = "deploy-only"


class GivenUp(Input):
    """What is said about credits that are left."""

    give_up_credits: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    """Exactly the amount that there is, in dollars, like 12.50. Without it only a team without credits is deleted."""


class Deleted(Wire):
    """It is no more."""

    success: bool


class ChangedTeam(Input):
    """What is to be otherwise; the slug stays."""

    name: Name | None = None
    member_mode: ModeName | None = None


class Allowance(Wire):
    """A permission, and how far mine goes: for everything, for what I started myself, or not at all."""

    permission: str
    means: str
    reach: Literal["all", "own", "none"]
    who_has_it: list[str]


class MyPermissions(Wire):
    """What I may do in a team with the credential I ask with."""

    role: Literal["owner", "admin", "member"]
    member_mode: ModeName
    is_api_key: bool
    """A key never has more than its owner, and never all of it."""
    permissions: list[Allowance]


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
    return shown(call, team_id)


def shown(call: Call, team_id: str) -> Team:
    """A team of mine as it is now. Raises NotFound."""
    for team in teams.of_user(call.connection, call.caller.user_id):
        if team.id == team_id:
            return to_wire(call, team)
    raise NotFound("Team")


@route("POST", "/api/teams", needs=Needs.session, body=NewTeam, answers=Team, status=201)
def create(call: Call, body: NewTeam) -> Team:
    """Make a team: whoever makes it owns it."""
    team_id = create_own(
        call.connection, call.caller, name=body.name, member_mode=MemberMode(body.member_mode), now=call.now
    )
    return shown(call, team_id)


@route(
    "PATCH",
    "/api/teams/{team_id}",
    needs=Permission.manage_team,
    target=Target.team,
    target_from="path:team_id",
    body=ChangedTeam,
    answers=Team,
)
def change(call: Call, team_id: str, body: ChangedTeam) -> Team:
    """Rename the team, or say what its members may do.

    The mode holds for all members from this moment on; changing it needs a recent sign-in.
    """
    if body.name is None and body.member_mode is None:
        raise BadRequest("Nothing is to be changed.", details={"name": "or memberMode: one of them at least"})
    if body.member_mode is not None:
        call.demand_recent()
        teams.set_member_mode(call.connection, call.team, MemberMode(body.member_mode), now=call.now)
    if body.name is not None:
        teams.rename(call.connection, call.team, body.name, now=call.now)
    return shown(call, team_id)


@route(
    "DELETE",
    "/api/teams/{team_id}",
    needs=Permission.manage_team,
    target=Target.team,
    target_from="path:team_id",
    query=GivenUp,
    answers=Deleted,
    raises=(409,),
    is_recent=True,
)
def delete(call: Call, team_id: str, query: GivenUp) -> Deleted:
    """Delete the team: for everybody in it, and for good.

    409 `TEAM_IN_USE` with what is in the way while a machine or disk is left or anything is owed; 409 `CREDITS_REMAIN`
    with the amount while there are credits that nobody has given up.
    """
    machine_teams.delete(call.connection, call.team, give_up=query.give_up_credits, now=call.now)
    call.nudge("cards")
    call.nudge("mails")
    return Deleted(success=True)


@route(
    "GET",
    "/api/teams/{team_id}/permissions",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    answers=MyPermissions,
)
def permissions(call: Call, team_id: str) -> MyPermissions:
    """What I may do here, and who may do the rest."""
    team = call.team
    return MyPermissions(
        role=team.role.value,
        member_mode=team.member_mode.value,
        is_api_key=call.caller.api_key_id is not None,
        permissions=[
            Allowance(
                permission=permission.value,
                means=SENTENCES[permission],
                reach="none" if (reach := team.reach(permission)) is None else reach.value,
                who_has_it=who_has(permission),
            )
            for permission in Permission
        ],
    )
