"""How a team stands: what it has, what is held, what it burns, and how long that lasts."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger, metering
from forebay.domain.money.amounts import SECONDS_PER_HOUR, to_the_cent
from forebay.errors import NotFound
from forebay.storage.prepared import Prepared
from forebay.storage.tables import accounts, holds, memberships, segments, teams

MINUTE, HOUR, DAY = 60, SECONDS_PER_HOUR, 86400


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """A team's credits and what becomes of them if nothing changes."""

    balance_micros: int
    held_micros: int
    burn_micros_per_hour: int

    @property
    def available_micros(self) -> int:
        """What a launch may count on."""
        return self.balance_micros - self.held_micros

    @property
    def runway_seconds(self) -> int | None:
        """How long the balance lasts; None when nothing burns."""
        return metering.runway_seconds(self.balance_micros, self.burn_micros_per_hour)

    @property
    def runway(self) -> str:
        """The same in words."""
        if self.runway_seconds is None:
            return "Nothing that costs is running."
        if self.balance_micros <= 0:
            return "The credits are used up."
        burn = f"{to_the_cent(self.burn_micros_per_hour)} an hour"
        return f"The credits last {lasting(self.runway_seconds)} at {burn}."


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A team that a person belongs to, as what, and how it stands."""

    team_id: str
    slug: str
    name: str
    role: str
    outlook: Outlook


held = (
    sa.select(sa.func.sum(holds.c.remaining_micros))
    .where(holds.c.team_id == teams.c.id, holds.c.released_at.is_(None))
    .scalar_subquery()
)
burn = (
    sa.select(sa.func.sum(segments.c.rate_micros))
    .where(segments.c.team_id == teams.c.id, segments.c.ended_at.is_(None))
    .scalar_subquery()
)
STANDINGS = Prepared(
    sa.select(teams.c.id, teams.c.slug, teams.c.name, memberships.c.role, accounts.c.balance_micros, held, burn)
    .join(memberships, memberships.c.team_id == teams.c.id)
    .outerjoin(accounts, accounts.c.team_id == teams.c.id)
    .where(memberships.c.user_id == sa.bindparam("user_id", type_=sa.String()), teams.c.deleted_at.is_(None))
    .order_by(teams.c.id)
)


def of_person(connection: Connection, user_id: str) -> list[Standing]:
    """How all teams of a person stand, oldest first. One query, because every page of theirs shows it."""
    return [
        Standing(
            team_id=team_id,
            slug=slug,
            name=name,
            role=role,
            outlook=Outlook(
                balance_micros=int(balance_micros or 0),
                held_micros=int(held_micros or 0),
                burn_micros_per_hour=int(burn_micros or 0),
            ),
        )
        for team_id, slug, name, role, balance_micros, held_micros, burn_micros in STANDINGS(
            connection, user_id=user_id
        )
    ]


BURNS = (
    sa.select(segments.c.team_id, sa.func.sum(segments.c.rate_micros))
    .where(segments.c.team_id.in_(sa.bindparam("team_ids", expanding=True)), segments.c.ended_at.is_(None))
    .group_by(segments.c.team_id)
)


def outlooks(connection: Connection, team_ids: Sequence[str]) -> dict[str, Outlook]:
    """How several teams stand, by team id; those without an account are left out."""
    rows = connection.execute(BURNS, {"team_ids": team_ids}).all()
    burns = {team_id: int(rate_micros) for team_id, rate_micros in rows}
    return {
        team_id: Outlook(
            balance_micros=found.balance_micros,
            held_micros=found.held_micros,
            burn_micros_per_hour=burns.get(team_id, 0),
        )
        for team_id, found in ledger.balances(connection, team_ids).items()
    }


def outlook(connection: Connection, team_id: str) -> Outlook:
    """How a team stands. Raises NotFound for one without an account."""
    found = outlooks(connection, [team_id])
    if team_id not in found:
        raise NotFound("Account")
    return found[team_id]


def lasting(seconds: int) -> str:
    """A stretch of time as people say it, rounded down: 59 minutes, about 3 hours, about 12 days."""
    if seconds < MINUTE:
        return "less than a minute"
    if seconds < HOUR:
        return counted(seconds // MINUTE, "minute")
    if seconds < 2 * DAY:
        return f"about {counted(seconds // HOUR, 'hour')}"
    return f"about {counted(seconds // DAY, 'day')}"


def counted(number: int, noun: str) -> str:
    """1 minute, 2 minutes."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
