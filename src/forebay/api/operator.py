"""`/api/operator`: what the people who run the platform see and do, signed in. Looking is recorded too."""

from typing import Annotated

import msgspec

from forebay.api import activity, operator_shapes
from forebay.api.activity import Activities
from forebay.api.call import Call
from forebay.api.envelope import iso_at
from forebay.api.operator_shapes import (
    AccountsAsking,
    Alert,
    Alerts,
    Because,
    Decision,
    End,
    Grant,
    Granted,
    Search,
    Success,
    TeamInFull,
    TeamSearch,
    TeamsOfPlatform,
    Users,
)
from forebay.api.route import Needs, route
from forebay.domain.machines import alerts
from forebay.domain.machines import operators as machine_operators
from forebay.domain.machines import teams as machine_teams
from forebay.domain.money import grants
from forebay.domain.money.amounts import from_dollars, to_dollars
from forebay.domain.money.transfers import Transfer
from forebay.domain.people import activity_log, members, operators
from forebay.errors import BadRequest, NotFound
from forebay.ids import is_id

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=320)]


class OfTeam(activity.Page):
    """Which rows, of everybody or of one team."""

    team_id: activity.Text | None = None
    who: Name | None = None
    """By people with this address; where there is none, with this in address or name."""
    team: Name | None = None
    """In teams with this slug; where there is none, with this in slug or name."""


def look(call: Call, kind: str, object_id: str | None = None, team_id: str | None = None) -> None:
    """Record that an operator looked at something."""
    operators.look(call.connection, call.caller, kind, object_id, now=call.now, team_id=team_id)


@route("GET", "/api/operator/users", needs=Needs.operator, query=Search, answers=Users, writes=True)
def users(call: Call, query: Search) -> Users:
    """Accounts, newest first, also deleted ones."""
    look(call, "accounts")
    return listed_users(call, query.search, None, query.page, query.limit)


@route("GET", "/api/operator/api-access", needs=Needs.operator, query=AccountsAsking, answers=Users, writes=True)
def api_access(call: Call, query: AccountsAsking) -> Users:
    """Accounts by where they stand on the API whitelist; `status=requested` are those that wait."""
    look(call, "accounts")
    return listed_users(call, None, query.status, query.page, query.limit)


def listed_users(call: Call, search: str | None, status: str | None, page: int, limit: int) -> Users:
    """A page of accounts."""
    found, total = operators.listed(call.connection, search=search, api_access=status, page=page, limit=limit)
    return Users(
        users=[operator_shapes.user(each) for each in found],
        total=total,
        page=page,
        limit=limit,
        total_pages=-(-total // limit),
    )


@route(
    "POST", "/api/operator/api-access/{user_id}", needs=Needs.operator, body=Decision, answers=Success, is_recent=True
)
def decide(call: Call, user_id: str, body: Decision) -> Success:
    """Approve or refuse API access; the account is told by mail, with the reason.

    Keys of an account that had it are suspended by a refusal, and work again once it is approved.
    """
    operators.decide_api_access(
        call.connection, call.caller, known(user_id, "Account"), body.decision, reason=body.reason.strip(), now=call.now
    )
    call.nudge("mails")
    return Success(success=True)


@route("GET", "/api/operator/teams", needs=Needs.operator, query=TeamSearch, answers=TeamsOfPlatform, writes=True)
def teams(call: Call, query: TeamSearch) -> TeamsOfPlatform:
    """Teams with their balances, newest first, also deleted ones."""
    look(call, "teams")
    found, total = machine_operators.listed(
        call.connection, search=query.search, is_frozen=query.is_frozen, page=query.page, limit=query.limit
    )
    return TeamsOfPlatform(
        teams=[operator_shapes.team(each) for each in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


@route("GET", "/api/operator/teams/{team_id}", needs=Needs.operator, answers=TeamInFull, writes=True)
def team(call: Call, team_id: str) -> TeamInFull:
    """A team, and who belongs to it."""
    found = operator_shapes.team(machine_operators.find(call.connection, known(team_id, "Team")))
    look(call, "team", team_id, team_id=team_id)
    people, _ = members.listed(call.connection, team_id, page=1, limit=100)
    return TeamInFull(**msgspec.structs.asdict(found), people=[operator_shapes.member(each) for each in people])


@route(
    "POST",
    "/api/operator/teams/{team_id}/grants",
    needs=Needs.operator,
    body=Grant,
    answers=Granted,
    status=201,
    is_recent=True,
)
def grant(call: Call, team_id: str, body: Grant) -> Granted:
    """Give credits to a team. At most $1,000,000 at once."""
    try:
        amount_micros = from_dollars(body.amount)
    except ValueError as reason:
        raise BadRequest("This is not an amount of money.", details={"amount": str(reason)}) from None
    team = known(team_id, "Team")
    return granted(grants.give(call.connection, call.caller, team, amount_micros, reason=body.reason, now=call.now))


@route(
    "POST",
    "/api/operator/teams/{team_id}/grants/{transfer_id}/take-back",
    needs=Needs.operator,
    body=Because,
    answers=Granted,
    is_recent=True,
)
def take_back(call: Call, team_id: str, transfer_id: str, body: Because) -> Granted:
    """Take a grant back, whole and once. The balance may go below zero by it."""
    return granted(
        grants.take_back(
            call.connection,
            call.caller,
            known(transfer_id, "Grant"),
            reason=body.reason,
            now=call.now,
            team_id=known(team_id, "Team"),
        )
    )


def granted(transfer: Transfer) -> Granted:
    """A transfer as operators see it."""
    return Granted(
        transfer_id=transfer.id,
        team_id=transfer.team_id,
        amount=to_dollars(transfer.amount_micros),
        balance=to_dollars(transfer.balance_after_micros),
    )


@route(
    "POST", "/api/operator/teams/{team_id}/freeze", needs=Needs.operator, body=Because, answers=Success, is_recent=True
)
def freeze(call: Call, team_id: str, body: Because) -> Success:
    """Freeze a team: it can launch, start and grow nothing. What runs, runs on; its owners are told why."""
    machine_teams.freeze(call.connection, call.caller, known(team_id, "Team"), reason=body.reason, now=call.now)
    call.nudge("mails")
    return Success(success=True)


@route(
    "POST",
    "/api/operator/teams/{team_id}/unfreeze",
    needs=Needs.operator,
    body=Because,
    answers=Success,
    is_recent=True,
)
def unfreeze(call: Call, team_id: str, body: Because) -> Success:
    """Lift the freeze of a team."""
    machine_teams.unfreeze(call.connection, call.caller, known(team_id, "Team"), reason=body.reason, now=call.now)
    call.nudge("mails")
    return Success(success=True)


@route(
    "DELETE",
    "/api/operator/teams/{team_id}",
    needs=Needs.operator,
    body=End,
    answers=Success,
    raises=(409,),
    is_recent=True,
)
def delete_team(call: Call, team_id: str, body: End) -> Success:
    """Delete a team that is frozen, under the same conditions as its owner could otherwise."""
    machine_teams.delete_frozen(
        call.connection,
        call.caller,
        known(team_id, "Team"),
        give_up=body.give_up_credits,
        reason=body.reason,
        now=call.now,
    )
    call.nudge("mails")
    return Success(success=True)


@route(
    "POST",
    "/api/operator/deployments/{deployment_id}/terminate",
    needs=Needs.operator,
    body=Because,
    answers=Success,
    is_recent=True,
)
def terminate(call: Call, deployment_id: str, body: Because) -> Success:
    """End anybody's deployment, also within its minimum runtime. Its team sees the reason."""
    deployment = known(deployment_id, "Deployment")
    machine_operators.terminate(call.connection, call.caller, deployment, reason=body.reason, now=call.now)
    call.nudge("deployments")
    call.nudge("mails")
    return Success(success=True)


@route("GET", "/api/operator/activity", needs=Needs.operator, query=OfTeam, answers=Activities, writes=True)
def all_activity(call: Call, query: OfTeam) -> Activities:
    """What was done and what was tried in vain, by everybody, newest first.

    People and teams by their ids, or by what they are called.
    """
    found = activity_log.of_everybody(
        call.connection,
        activity.filter_of(query),
        team_id=query.team_id,
        who=query.who,
        team=query.team,
        page=query.page,
        limit=query.limit,
    )
    team_id = query.team_id if query.team_id is not None and is_id(query.team_id) else None
    look(call, "activity", team_id=team_id)
    return activity.paged(found, query)


@route("GET", "/api/operator/alerts", needs=Needs.operator, answers=Alerts, writes=True)
def open_alerts(call: Call) -> Alerts:
    """What an operator must look at."""
    look(call, "alerts")
    return Alerts(
        alerts=[
            Alert(
                kind=each.kind,
                subject=each.subject,
                text=each.text,
                raised_at=iso_at(each.raised_at),
                seen_at=iso_at(each.seen_at),
            )
            for each in alerts.open_ones(call.connection)
        ]
    )


def known(text: str, noun: str) -> str:
    """The id, if it is one. Raises NotFound: what is no id can't exist."""
    if not is_id(text):
        raise NotFound(noun)
    return text
