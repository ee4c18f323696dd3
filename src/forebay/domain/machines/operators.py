"""What operators of the platform do about teams and their machines. All of it is recorded where the team sees it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import deployments as machines
from forebay.domain.machines.deployments import Status
from forebay.domain.money import ledger
from forebay.domain.money.ledger import Balance
from forebay.domain.people import mails, operators
from forebay.domain.people.access import Caller
from forebay.domain.people.letters import Letter, plain
from forebay.errors import CannotTerminate, NotFound
from forebay.storage.rows import values_of
from forebay.storage.tables import deployments, memberships, teams, users

NOTHING = Balance(0, 0)


class TeamRow(msgspec.Struct, frozen=True, kw_only=True):
    """A team's own columns, and how many belong to it and run in it."""

    id: str
    slug: str
    name: str
    created_at: datetime
    frozen_at: datetime | None
    frozen_reason: str | None
    ran_dry_at: datetime | None
    deleted_at: datetime | None
    members: int
    machines: int
    """Those that the provider has not confirmed to be gone."""


class Team(msgspec.Struct, frozen=True):
    """A team as operators see it."""

    row: TeamRow
    balance: Balance


belong = sa.select(sa.func.count()).where(memberships.c.team_id == teams.c.id).scalar_subquery()
run = sa.select(sa.func.count()).where(deployments.c.team_id == teams.c.id, deployments.c.gone_at.is_(None))
NEWEST_FIRST = sa.select(
    *(teams.c[name] for name in TeamRow.__struct_fields__ if name in teams.c),
    belong.label("members"),
    run.scalar_subquery().label("machines"),
).order_by(teams.c.id.desc())


def listed(
    connection: Connection,
    *,
    search: str | None = None,
    is_frozen: bool | None = None,
    team_id: str | None = None,
    page: int = 1,
    limit: int = 1,
) -> tuple[Sequence[Team], int]:
    """A page of teams, newest first, also deleted ones, and how many there are in all.

    `search` is an id, or part of a name or slug.
    """
    where: list[sa.ColumnElement[bool]] = [] if team_id is None else [teams.c.id == team_id]
    if search is not None:
        folded = search.strip().lower()
        where.append(
            sa.or_(
                teams.c.id == search,
                teams.c.slug.contains(folded, autoescape=True),
                sa.func.lower(teams.c.name).contains(folded, autoescape=True),
            )
        )
    if is_frozen is not None:
        where.append(teams.c.frozen_at.is_not(None) if is_frozen else teams.c.frozen_at.is_(None))
    total = connection.execute(sa.select(sa.func.count()).select_from(teams).where(*where)).scalar_one()
    rows = connection.execute(NEWEST_FIRST.where(*where).limit(limit).offset((page - 1) * limit))
    found = values_of(TeamRow, rows)
    balances = ledger.balances(connection, [row.id for row in found])
    return [Team(row, balances.get(row.id, NOTHING)) for row in found], int(total)


def find(connection: Connection, team_id: str) -> Team:
    """One team. Raises NotFound."""
    found, _ = listed(connection, team_id=team_id)
    if not found:
        raise NotFound("Team")
    return found[0]


def terminate(connection: Connection, caller: Caller, deployment_id: str, *, reason: str, now: datetime) -> None:
    """End anybody's deployment, also within its minimum runtime; it is charged to this second.

    Its team's owners and who started it are told why. Raises NotFound, CannotTerminate.
    """
    deployment = machines.lock(connection, deployment_id)
    if deployment.status not in machines.ACTIVE:
        raise CannotTerminate(deployment.status)
    message = f"Terminated by an operator of the platform: {reason}"
    machines.finish(connection, deployment, Status.terminated, message, now=now)
    operators.record(
        connection,
        caller,
        "deployment.terminate-by-operator",
        "deployment",
        deployment_id,
        now=now,
        team_id=deployment.team_id,
        details={"reason": reason},
    )
    rows = connection.execute(
        sa.select(users.c.name, users.c.email)
        .join(memberships, memberships.c.user_id == users.c.id)
        .where(
            memberships.c.team_id == deployment.team_id,
            sa.or_(memberships.c.role == "owner", memberships.c.user_id == deployment.created_by),
        )
    )
    for row in rows.all():
        letter = Letter(
            subject=f"An operator has terminated {plain(deployment.name)}",
            name=plain(row.name),
            paragraphs=[
                f"An operator of the platform has terminated the deployment {plain(deployment.name)}.",
                f"The reason: {reason}",
            ],
        )
        mails.send(connection, row.email, letter, now=now)
