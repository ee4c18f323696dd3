"""`/api/me`: the account behind the key or session, everything that is kept about it, and its end."""

from typing import Annotated, Any, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire
from forebay.api.route import Needs, route
from forebay.api.teams import Deleted
from forebay.domain.machines import accounts as machine_accounts
from forebay.domain.machines import exports
from forebay.domain.people import accounts, activity
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


class NewName(Input):
    """What I want to be called."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=240)]


class CurrentTeam(Input):
    """The team to look at."""

    team_id: str


class CurrentTeamSet(Wire):
    """It is the current one now."""

    current_team_id: str


class Export(Wire):
    """Everything that is kept about a person, never a secret. What was done is listed newest first."""

    account: dict[str, Any]
    teams: list[dict[str, Any]]
    sessions: list[dict[str, Any]]
    api_keys: list[dict[str, Any]]
    passkeys: list[dict[str, Any]]
    identities: list[dict[str, Any]]
    """Accounts elsewhere that can be signed in with."""
    ssh_keys: list[dict[str, Any]]
    deployments: list[dict[str, Any]]
    """Those they started."""
    volumes: list[dict[str, Any]]
    """Those they made."""
    launch_templates: list[dict[str, Any]]
    """Those they saved, without what happens on first boot."""
    budgets: list[dict[str, Any]]
    """Those they set, and those of their own spending and of their API keys."""
    invitations: list[dict[str, Any]]
    """Those they sent, and those sent to their address."""
    notification_choices: list[dict[str, Any]]
    """Kinds of mails that were switched."""
    stock_watches: list[dict[str, Any]]
    activity: list[dict[str, Any]]


class Farewell(Input):
    """The end of my account."""

    confirm: Annotated[str, msgspec.Meta(max_length=320)]
    """My address, to be sure."""
    give_up_credits: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    """Exactly what there is in all teams that end with the account, in dollars, like 12.50."""


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


@route("PATCH", "/api/me", needs=Needs.session, body=NewName, answers=Me)
def rename(call: Call, body: NewName) -> Me:
    """Change my name."""
    name = accounts.check_name(body.name)
    accounts.rename(call.connection, call.caller.user_id, name)
    note(call, "account.rename", "account", call.caller.user_id)
    me: Me = show(call)
    return msgspec.structs.replace(me, name=name)


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
    note(call, "account.set-current-team", "team", call.team.team_id)
    return CurrentTeamSet(current_team_id=call.team.team_id)


@route("GET", "/api/me/export", needs=Needs.session, is_recent=True, writes=True, answers=Export)
def export(call: Call) -> Export:
    """Everything that is kept about me, to take along."""
    found = exports.of_account(call.connection, call.caller.user_id)
    note(call, "account.export", "account", call.caller.user_id)
    return Export(**{kind: in_camels(value) for kind, value in found.items()})


def in_camels(value: Any) -> Any:
    """Rows with the names that the wire has."""
    if isinstance(value, list):
        return [in_camels(each) for each in value]
    return {camel(name): each for name, each in value.items()}


def camel(name: str) -> str:
    """The name in camel case."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


@route("DELETE", "/api/me", needs=Needs.session, is_recent=True, body=Farewell, answers=Deleted, raises=(409,))
def delete(call: Call, body: Farewell) -> Deleted:
    """Delete my account, and the teams that nobody else belongs to. Nothing brings it back.

    409 `LAST_OWNER` while others belong to a team that I alone own; 409 `TEAM_IN_USE` while a team that would end with
    the account has machines or owes something; 409 `CREDITS_REMAIN` while it has credits that I have not given up.
    """
    machine_accounts.delete(
        call.connection, call.caller, confirm=body.confirm, give_up=body.give_up_credits, now=call.now
    )
    for name in ("ssh-keys", "cards", "mails"):
        call.nudge(name)
    return Deleted(success=True)


def note(call: Call, action: str, kind: str, object_id: str) -> None:
    """A row in the activity of the account."""
    activity.record(call.connection, call.caller, action, now=call.now, object_type=kind, object_id=object_id)
