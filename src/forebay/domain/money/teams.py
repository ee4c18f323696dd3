"""Teams with an account in the ledger: none is ever made without the other."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.domain.people import activity, teams
from forebay.domain.people.access import Caller
from forebay.domain.people.roles import MemberMode
from forebay.storage.tables import auto_top_ups, budgets, cards, payment_attempts


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


def payments_under_way(connection: Connection, team_id: str) -> int:
    """How many payments for the team have no certain outcome yet. Under the lock of its account none is added."""
    mine = payment_attempts.c.team_id == team_id, payment_attempts.c.closed_at.is_(None)
    return int(connection.execute(sa.select(sa.func.count()).select_from(payment_attempts).where(*mine)).scalar_one())


def close(connection: Connection, team_id: str, *, now: datetime) -> None:
    """The team comes to its end: nothing is charged for it any more, and no budget tells of it.

    Afterwards the caller wakes `cards`.
    """
    connection.execute(
        sa.update(auto_top_ups)
        .where(auto_top_ups.c.team_id == team_id, auto_top_ups.c.is_on)
        .values(is_on=False, updated_at=now)
    )
    connection.execute(sa.delete(budgets).where(budgets.c.team_id == team_id))
    connection.execute(
        sa.update(cards)
        .where(cards.c.team_id == team_id, cards.c.deleted_at.is_(None))
        .values(deleted_at=now, is_default=False)
    )


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
