"""The end of a team: only when nothing runs, no disk is left and nothing is owed, and never without a word about money.

A deleted team stays as a row, with its books, its activity and its slug: what was written down never points to another
team. What remains of its credits has been moved before, or is given up in so many words: by naming the exact amount.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import launch_templates, off_boarding, ssh_keys
from forebay.domain.money import ledger
from forebay.domain.money import teams as money_teams
from forebay.domain.money.amounts import from_dollars, in_words, to_dollars
from forebay.domain.people import activity, mails, members, operators, webhooks
from forebay.domain.people import teams as people_teams
from forebay.domain.people.access import Caller, TeamContext
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, Forbidden, NotFound
from forebay.storage import tables
from forebay.storage.rows import values_of
from forebay.storage.tables import deployments, invitations, memberships, teams, volumes


class TeamInUse(Conflict):
    """Something of the team still runs, is stored, or is owed."""

    code = "TEAM_IN_USE"

    def __init__(self, found: Sequence["Remains"]) -> None:
        names = ", ".join(each.name for each in found)
        super().__init__(
            f"{names} can't be deleted yet: first terminate and delete what is left, pay what is owed, wait for "
            "payments.",
            details={"teams": [each.in_the_way() for each in found]},
        )


class CreditsRemain(Conflict):
    """There are credits, and nobody has said that they are given up."""

    code = "CREDITS_REMAIN"

    def __init__(self, amount_micros: int) -> None:
        amount = in_words(amount_micros)
        super().__init__(
            f"There are ${amount} of credits left. Move them to another team, or give them up by sending "
            f'giveUpCredits: "{amount}".',
            details={"credits": amount},
        )


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A machine or a volume that the provider has not confirmed to be gone."""

    id: str
    name: str
    status: str


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """What there still is of a team."""

    team_id: str
    name: str
    machines: Sequence[Left]
    volumes: Sequence[Left]
    balance_micros: int
    held_micros: int
    payments_under_way: int

    @property
    def is_in_use(self) -> bool:
        """Whether it can't be deleted now, whatever is said about its credits."""
        return (
            bool(self.machines or self.volumes or self.held_micros or self.payments_under_way)
            or self.balance_micros < 0
        )

    def in_the_way(self) -> dict[str, Any]:
        """What keeps the team from being deleted, for whoever wants that."""
        return {
            "id": self.team_id,
            "name": self.name,
            "deployments": [msgspec.structs.asdict(machine) for machine in self.machines],
            "volumes": [msgspec.structs.asdict(volume) for volume in self.volumes],
            "owed": to_dollars(max(0, -self.balance_micros)),
            "held": to_dollars(self.held_micros),
            "paymentsUnderWay": self.payments_under_way,
        }


def remains(connection: Connection, team_id: str) -> Remains:
    """What there still is of the team, with its account locked: nothing can be launched until the transaction ends."""
    ledger.lock(connection, team_id)
    name = connection.execute(sa.select(teams.c.name).where(teams.c.id == team_id)).scalar_one()
    machines = connection.execute(
        sa.select(deployments.c.id, deployments.c.name, deployments.c.status)
        .where(deployments.c.team_id == team_id, deployments.c.gone_at.is_(None))
        .order_by(deployments.c.id)
    )
    stored = connection.execute(
        sa.select(volumes.c.id, volumes.c.name, volumes.c.state.label("status"))
        .where(volumes.c.team_id == team_id, volumes.c.gone_at.is_(None))
        .order_by(volumes.c.id)
    )
    balance = ledger.balance(connection, team_id)
    return Remains(
        team_id=team_id,
        name=name,
        machines=values_of(Left, machines),
        volumes=values_of(Left, stored),
        balance_micros=balance.balance_micros,
        held_micros=balance.held_micros,
        payments_under_way=money_teams.payments_under_way(connection, team_id),
    )


def delete(connection: Connection, context: TeamContext, *, give_up: str | None, now: datetime) -> None:
    """Delete the team. `give_up` is the amount of credits that is given up, in dollars, exactly what there is.

    Raises Forbidden, TeamInUse, CreditsRemain, BadRequest for another amount than there is.
    """
    context = people_teams.alone(connection, context, Permission.manage_team)
    refuse_frozen_team(connection, context.team_id)
    found = remains(connection, context.team_id)
    check([found], give_up)
    end(connection, context.caller, found, now=now)


def delete_frozen(
    connection: Connection, caller: Caller, team_id: str, *, give_up: str | None, reason: str, now: datetime
) -> None:
    """An operator deletes a team that is frozen, under the same conditions.

    Raises NotFound, Conflict for one that is not frozen, and what `delete` raises.
    """
    people_teams.lock(connection, team_id)
    row = connection.execute(
        sa.select(teams.c.frozen_at).where(teams.c.id == team_id, teams.c.deleted_at.is_(None))
    ).first()
    if row is None:
        raise NotFound("Team")
    if row.frozen_at is None:
        raise Conflict("Operators delete a team only when it is frozen.", code="NOT_FROZEN")
    found = remains(connection, team_id)
    check([found], give_up)
    end(connection, caller, found, now=now, reason=reason)


def refuse_frozen_team(connection: Connection, team_id: str) -> None:
    """Raise Forbidden for a team that an operator has frozen: it is not for its owner to end it."""
    row = connection.execute(sa.select(teams.c.name, teams.c.frozen_at).where(teams.c.id == team_id)).one()
    if row.frozen_at is not None:
        raise Forbidden(f"{row.name} is frozen: it can't be deleted. The operator can say why.", code="TEAM_FROZEN")


def check(found: Sequence[Remains], give_up: str | None) -> None:
    """Raise TeamInUse, CreditsRemain or BadRequest unless these teams can be deleted now."""
    in_use = [each for each in found if each.is_in_use]
    if in_use:
        raise TeamInUse(in_use)
    total_micros = sum(each.balance_micros for each in found)
    if give_up is None:
        if total_micros > 0:
            raise CreditsRemain(total_micros)
        return
    try:
        is_all = from_dollars(give_up) == total_micros
    except ValueError:
        is_all = False
    if not is_all:
        reason = f"must be exactly what there is: {in_words(total_micros)}"
        raise BadRequest("This is not the amount of credits that there is.", details={"giveUpCredits": reason})


def end(connection: Connection, caller: Caller, found: Remains, *, now: datetime, reason: str = "") -> None:
    """The end of a team that was found to be empty, under the locks of its memberships and its account."""
    team_id = found.team_id
    if found.balance_micros > 0:
        ledger.give_up(
            connection, team_id=team_id, amount_micros=found.balance_micros, created_by=caller.user_id, now=now
        )
    connection.execute(sa.update(teams).where(teams.c.id == team_id).values(deleted_at=now))
    money_teams.close(connection, team_id, now=now)
    ssh_keys.delete_all(connection, team_id, sa.true(), now=now)
    launch_templates.remove_all(connection, team_id)
    webhooks.remove(connection, tables.webhooks.c.team_id == team_id)
    connection.execute(sa.delete(tables.stock_watches).where(tables.stock_watches.c.for_team == team_id))
    off_boarding.revoke_keys(connection, team_id, None, now=now)
    connection.execute(
        sa.update(invitations)
        .where(invitations.c.team_id == team_id, invitations.c.state == "pending")
        .values(state="revoked", closed_at=now, closed_by=caller.user_id)
    )
    belonged = members.listed(connection, team_id, page=1, limit=10_000)[0]
    connection.execute(sa.delete(memberships).where(memberships.c.team_id == team_id))
    for member in belonged:
        people_teams.move_on(connection, team_id, member.user_id)
        if member.user_id != caller.user_id:
            tell(connection, found.name, member.name, member.email, reason, now=now)
    details = {"name": found.name, "members": len(belonged), "credits_given_up_micros": found.balance_micros}
    activity.record(
        connection,
        caller,
        "team.delete",
        now=now,
        team_id=team_id,
        object_type="team",
        object_id=team_id,
        details=details | ({"reason": reason} if reason else {}),
    )


def tell(connection: Connection, team: str, name: str, email: str, reason: str, *, now: datetime) -> None:
    """A mail to whoever belonged to the team."""
    sentence = f"The team {plain(team)} was deleted"
    why = [f"The operator's reason: {reason}"] if reason else []
    letter = Letter(
        subject=sentence,
        name=plain(name),
        paragraphs=[f"{sentence}. Nothing of it is left to use, and nothing costs anything any more.", *why],
    )
    mails.send(connection, email, letter, now=now)


def freeze(
    connection: Connection, caller: Caller | None, team_id: str, *, reason: str, now: datetime, by: str | None = None
) -> None:
    """From now on the team can launch, start and grow nothing; what runs, runs on. Raises NotFound, Conflict."""
    changed = connection.execute(
        sa.update(teams)
        .where(teams.c.id == team_id, teams.c.deleted_at.is_(None), teams.c.frozen_at.is_(None))
        .values(frozen_at=now, frozen_reason=reason)
    )
    refuse_unchanged(connection, team_id, changed.rowcount, "The team is frozen already.")
    sentence = "An operator has frozen the team: nothing can be launched or started until that is lifted."
    note(connection, caller, "team.freeze", team_id, sentence, reason, now=now, by=by)


def unfreeze(
    connection: Connection, caller: Caller | None, team_id: str, *, reason: str, now: datetime, by: str | None = None
) -> None:
    """Lift the freeze. Raises NotFound, Conflict."""
    changed = connection.execute(
        sa.update(teams)
        .where(teams.c.id == team_id, teams.c.deleted_at.is_(None), teams.c.frozen_at.is_not(None))
        .values(frozen_at=None, frozen_reason=None)
    )
    refuse_unchanged(connection, team_id, changed.rowcount, "The team isn't frozen.")
    note(
        connection,
        caller,
        "team.unfreeze",
        team_id,
        "An operator has lifted the team's freeze.",
        reason,
        now=now,
        by=by,
    )


def refuse_unchanged(connection: Connection, team_id: str, count: int, sentence: str) -> None:
    """Raise Conflict where nothing was to be changed, NotFound where there is no such team."""
    if count:
        return
    is_there = sa.select(teams.c.id).where(teams.c.id == team_id, teams.c.deleted_at.is_(None))
    if connection.execute(is_there).first() is None:
        raise NotFound("Team")
    raise Conflict(sentence)


def note(
    connection: Connection,
    caller: Caller | None,
    action: str,
    team_id: str,
    sentence: str,
    reason: str,
    *,
    now: datetime,
    by: str | None,
) -> None:
    """A row in the team's activity, and a mail to its owners."""
    operators.record(
        connection, caller, action, "team", team_id, now=now, team_id=team_id, by=by, details={"reason": reason}
    )
    rows = connection.execute(
        sa.select(tables.users.c.name, tables.users.c.email, teams.c.name.label("team_name"))
        .select_from(memberships)
        .join(tables.users, tables.users.c.id == memberships.c.user_id)
        .join(teams, teams.c.id == memberships.c.team_id)
        .where(memberships.c.team_id == team_id, memberships.c.role == "owner")
    )
    for row in rows.all():
        verb = "frozen" if action == "team.freeze" else "not frozen any more"
        letter = Letter(
            subject=f"{plain(row.team_name)} is {verb}",
            name=plain(row.name),
            paragraphs=[sentence, f"The reason: {reason}"],
        )
        mails.send(connection, row.email, letter, now=now)
