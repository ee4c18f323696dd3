"""What operators of the platform do about people: who there is, and who may have API keys. All of it is recorded."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import accounts, activity, mails
from forebay.domain.people.access import Caller
from forebay.domain.people.accounts import email_key
from forebay.domain.people.letters import Letter, plain
from forebay.errors import BadRequest, NotFound
from forebay.storage.rows import values_of
from forebay.storage.tables import memberships, teams, users


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account as operators see it."""

    id: str
    name: str
    email: str
    verified_at: datetime | None
    is_operator: bool
    api_access: str
    api_access_reason: str | None
    api_access_at: datetime | None
    created_at: datetime
    deleted_at: datetime | None
    teams: int


def listed(
    connection: Connection, *, search: str | None, api_access: str | None, page: int, limit: int
) -> tuple[Sequence[User], int]:
    """A page of accounts, newest first, and how many there are in all.

    `search` is an id, or part of a name or address.
    """
    where: list[sa.ColumnElement[bool]] = []
    if search is not None:
        folded = email_key(search)
        where.append(
            sa.or_(
                users.c.id == search,
                users.c.email_key.contains(folded, autoescape=True),
                sa.func.lower(users.c.name).contains(folded, autoescape=True),
            )
        )
    if api_access is not None:
        where.append(users.c.api_access == api_access)
    total = connection.execute(sa.select(sa.func.count()).select_from(users).where(*where)).scalar_one()
    return seen(connection, where, limit=limit, offset=(page - 1) * limit), int(total)


def find(connection: Connection, user_id: str) -> User:
    """One account. Raises NotFound."""
    for each in seen(connection, [users.c.id == user_id], limit=1):
        return each
    raise NotFound("Account")


def seen(connection: Connection, where: Sequence[sa.ColumnElement[bool]], *, limit: int, offset: int = 0) -> list[User]:
    """Accounts as operators see them, newest first."""
    belongs = sa.select(sa.func.count()).select_from(memberships.join(teams, teams.c.id == memberships.c.team_id))
    belongs = belongs.where(memberships.c.user_id == users.c.id, teams.c.deleted_at.is_(None))
    own = [users.c[name] for name in User.__struct_fields__ if name != "teams"]
    rows = connection.execute(
        sa.select(*own, belongs.scalar_subquery().label("teams"))
        .where(*where)
        .order_by(users.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return values_of(User, rows)


def decide_api_access(
    connection: Connection,
    caller: Caller | None,
    user_id: str,
    state: str,
    *,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> None:
    """Approve or refuse API access, and tell the account by mail. What was so already stays without a word.

    A refusal needs a reason. Of an account that had it, the keys are suspended until it is approved again. `by` says
    who it was where there is no caller. Raises NotFound, BadRequest.
    """
    row = connection.execute(
        sa.select(users.c.api_access, users.c.api_access_reason)
        .where(users.c.id == user_id, users.c.deleted_at.is_(None))
        .with_for_update(key_share=True)
    ).first()
    account = accounts.by_id(connection, user_id)
    if row is None or account is None:
        raise NotFound("Account")
    if state == "refused" and not reason:
        raise BadRequest("A refusal needs a reason: the account is told.", details={"reason": "required"})
    if (row.api_access, row.api_access_reason or "") == (state, reason):
        return
    accounts.set_api_access(connection, user_id, state, reason=reason or None, now=now)
    why = [f"The reason: {reason}"] if reason else []
    what = {
        "approved": "Your API access was approved: you can make API keys now.",
        "refused": "Your API access was refused. Keys that you may have are suspended; you can ask again after a day.",
    }[state]
    letter = Letter(subject=f"API access {state}", name=plain(account.name), paragraphs=[what, *why])
    mails.send(connection, account.email, letter, now=now)
    record(connection, caller, f"api-access.{state}", "account", user_id, now=now, by=by, details={"reason": reason})


def look(
    connection: Connection,
    caller: Caller,
    kind: str,
    object_id: str | None,
    *,
    now: datetime,
    team_id: str | None = None,
) -> None:
    """Record that an operator looked at something that is not theirs."""
    record(connection, caller, "operator.look", kind, object_id, now=now, team_id=team_id)


def record(
    connection: Connection,
    caller: Caller | None,
    action: str,
    kind: str,
    object_id: str | None,
    *,
    now: datetime,
    team_id: str | None = None,
    by: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """A row in the activity; without a caller `by` says who it was as well as that is known."""
    found = {key: value for key, value in (details or {}).items() if value not in ("", None)}
    activity.record(
        connection,
        caller,
        action,
        now=now,
        team_id=team_id,
        object_type=kind,
        object_id=object_id,
        details=found | ({"by": by} if by else {}),
    )
