"""Teams with an account in the ledger: none is ever made without the other."""

from datetime import datetime

from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.domain.people import activity, teams
from forebay.domain.people.access import Caller
from forebay.domain.people.roles import MemberMode


def create(
    connection: Connection,
    *,
    name: str,
    owner_id: str,
    now: datetime,
    member_mode: MemberMode = MemberMode.deploy_only,
    slug: str | None = None,
) -> str:
    """Make a team that `owner_id` owns, with an empty account; its id."""
    team_id = teams.create(
        connection, name=name, owner_id=owner_id, now=now, member_mode=member_mode, slug=slug or name
    )
    ledger.open_account(connection, team_id)
    return team_id


def create_own(connection: Connection, caller: Caller, *, name: str, member_mode: MemberMode, now: datetime) -> str:
    """Make a team for whoever asks; its id. Raises BadRequest for its name, Conflict for one team too many."""
    name = teams.check_name(name)
    teams.refuse_too_many(connection, caller.user_id)
    team_id = create(connection, name=name, owner_id=caller.user_id, now=now, member_mode=member_mode)
    activity.record(
        connection,
        caller,
        "team.create",
        now=now,
        team_id=team_id,
        object_type="team",
        object_id=team_id,
        details={"name": name, "memberMode": str(member_mode)},
    )
    return team_id
