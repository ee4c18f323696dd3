"""Teams: those I belong to, and what I may do there."""

from forebay.client.request import Answer, Request, given


class Team(Answer):
    """A team, and my role in it."""

    id: str
    name: str
    slug: str
    role: str
    """`owner`, `admin` or `member`."""
    member_mode: str
    """What members may do: `deploy-only` or `read-only`."""
    is_current_team: bool
    created_at: str


class Teams(Answer):
    """All of mine, oldest first."""

    teams: list[Team]


class Deleted(Answer):
    """It is gone."""

    success: bool


class Allowance(Answer):
    """One permission, and how far it goes for me: `all`, `own` or `none`."""

    permission: str
    means: str
    reach: str
    who_has_it: list[str]


class MyPermissions(Answer):
    """What I may do in a team."""

    role: str
    member_mode: str
    is_api_key: bool
    permissions: list[Allowance]


def listed() -> Request[Teams]:
    """The teams that this key or session reaches."""
    return Request(method="GET", path="/api/teams", answers=Teams)


def show(team_id: str) -> Request[Team]:
    """One team."""
    return Request(method="GET", path="/api/teams/{team_id}", at={"team_id": team_id}, answers=Team)


def create(name: str, *, member_mode: str | None = None) -> Request[Team]:
    """Make a team; I own it."""
    return Request(method="POST", path="/api/teams", body=given(name=name, memberMode=member_mode), answers=Team)


def change(team_id: str, *, name: str | None = None, member_mode: str | None = None) -> Request[Team]:
    """Rename a team, or say what its members may do."""
    body = given(name=name, memberMode=member_mode)
    return Request(method="PATCH", path="/api/teams/{team_id}", at={"team_id": team_id}, body=body, answers=Team)


def delete(team_id: str, *, give_up_credits: str | None = None) -> Request[Deleted]:
    """Delete a team in which nothing runs and that owes nothing; its credits are given up in so many words."""
    return Request(
        method="DELETE",
        path="/api/teams/{team_id}",
        at={"team_id": team_id},
        query=given(giveUpCredits=give_up_credits),
        answers=Deleted,
    )


def permissions(team_id: str) -> Request[MyPermissions]:
    """What I may do in a team."""
    return Request(
        method="GET", path="/api/teams/{team_id}/permissions", at={"team_id": team_id}, answers=MyPermissions
    )
