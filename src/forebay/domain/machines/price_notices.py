"""Notices of a rise: who was told that a machine will cost more, of what, when, and from when on it will.

A machine that pays less than its offer's price, or than the one that waits for its date, is raised by a notice alone;
it names the second, seven days after the mail was written at the earliest. Notices and mails of a team are written in
one transaction, each once a machine and change.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines.discounts import NOTICE_DAYS, TOLD, day
from forebay.domain.machines.events import note
from forebay.domain.machines.repricing import is_active, is_spot_of_other
from forebay.domain.money.amounts import discounted_micros
from forebay.domain.money.low_balance_letters import dollars
from forebay.domain.people import mails
from forebay.domain.people.letters import Letter, plain
from forebay.storage.tables import deployments, memberships, offers, price_changes, price_notices, teams, users

MOST_MACHINES = 1000
"""A team is told of so many at once, and of the next ones in the next round."""


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that will cost more, and whose team doesn't know yet. Micro-dollars an hour, before discounts."""

    deployment_id: str
    name: str
    created_by: str
    kind: str
    from_micros: int
    to_micros: int
    basis_points: int
    change_id: str
    offer_id: str
    offer_name: str
    launches_at: datetime
    running_at: datetime


def untold_query() -> sa.Select[tuple[object, ...]]:
    """SQL: every machine and the change that will raise it, where no notice says so yet."""
    change, later, notice = price_changes.alias("change"), price_changes.alias("later"), price_notices.alias("notice")
    superseded = sa.exists().where(
        later.c.offer_id == change.c.offer_id,
        later.c.kind == change.c.kind,
        later.c.applied_at.is_not(None),
        later.c.id > change.c.id,
    )
    covered = sa.exists().where(
        notice.c.deployment_id == deployments.c.id,
        sa.or_(
            notice.c.change_id == change.c.id,
            sa.and_(
                notice.c.kind == change.c.kind,
                notice.c.closed_at.is_(None),
                ~notice.c.is_cut,
                notice.c.rate_micros >= change.c.to_micros,
            ),
        ),
    )
    paid = sa.case((change.c.kind == "disk", deployments.c.storage_rate_micros), else_=deployments.c.list_rate_micros)
    own_kind = sa.case((is_spot_of_other, "spot"), else_="machine")
    return (
        sa.select(
            deployments.c.team_id,
            deployments.c.id.label("deployment_id"),
            deployments.c.name,
            deployments.c.created_by,
            change.c.kind,
            paid.label("from_micros"),
            change.c.to_micros,
            deployments.c.discount_basis_points.label("basis_points"),
            change.c.id.label("change_id"),
            offers.c.id.label("offer_id"),
            offers.c.name.label("offer_name"),
            change.c.launches_at,
            change.c.running_at,
        )
        .select_from(
            change.join(offers, offers.c.id == change.c.offer_id).join(
                deployments, deployments.c.offer_id == change.c.offer_id
            )
        )
        .where(
            is_active,
            change.c.cancelled_at.is_(None),
            sa.or_(change.c.applied_at.is_(None), ~superseded),
            sa.or_(change.c.kind == "disk", change.c.kind == own_kind),
            paid < change.c.to_micros,
            ~covered,
        )
    )


def teams_to_tell(connection: Connection) -> Sequence[str]:
    """Ids of teams with machines that will cost more and that don't know it yet."""
    untold = untold_query().subquery()
    rows = connection.execute(sa.select(untold.c.team_id).distinct().order_by(untold.c.team_id))
    return [str(row.team_id) for row in rows]


def tell(connection: Connection, team_id: str, *, now: datetime) -> int:
    """Tell a team what will cost more, and from when; of how many machines."""
    connection.execute(sa.select(teams.c.id).where(teams.c.id == team_id).with_for_update()).all()
    rows = connection.execute(
        untold_query()
        .where(deployments.c.team_id == team_id)
        .order_by(deployments.c.id, sa.literal_column("change_id"))
        .limit(MOST_MACHINES)
    )
    untold = [Untold(**{name: row._mapping[name] for name in Untold.__struct_fields__}) for row in rows.all()]
    by_change: dict[str, list[Untold]] = {}
    for each in untold:
        by_change.setdefault(each.change_id, []).append(each)
    for those in by_change.values():
        announce(connection, team_id, those, now)
    return len(untold)


def announce(connection: Connection, team_id: str, those: Sequence[Untold], now: datetime) -> None:
    """Notices of one change to one team's machines, an event each, and a mail."""
    first = those[0]
    effective_at = max(first.running_at, now + timedelta(days=NOTICE_DAYS))
    connection.execute(
        sa.insert(price_notices),
        [
            {
                "deployment_id": each.deployment_id,
                "change_id": each.change_id,
                "offer_id": each.offer_id,
                "kind": each.kind,
                "rate_micros": each.to_micros,
                "is_cut": False,
                "told_at": now,
                "effective_at": effective_at,
            }
            for each in those
        ],
    )
    for each in those:
        sentence = f"From {day(effective_at)} {subject_of(each)} costs {dollars(each.to_micros)} an hour."
        note(connection, each.deployment_id, "price-rise-announced", sentence, now=now)
    letter(connection, team_id, those, effective_at, now)


def subject_of(each: Untold) -> str:
    """What costs more."""
    return "its disk, while it is stopped," if each.kind == "disk" else "it"


def letter(
    connection: Connection, team_id: str, those: Sequence[Untold], effective_at: datetime, now: datetime
) -> None:
    """The mail to owners, admins, and who started the machines."""
    first = those[0]
    what = "The disk of a stopped machine of the offer" if first.kind == "disk" else "The offer"
    lines = [f"{plain(each.name)} ({each.deployment_id}): {paid(each)} an hour" for each in those]
    paragraphs = [
        f"{what} {plain(first.offer_name)} ({first.offer_id}) will cost {dollars(first.to_micros)} an hour. New "
        f"launches pay that from {day(max(first.launches_at, now))}.",
        f"Machines that you have keep their price until {day(effective_at)}. From then on they pay the new one:",
        "\n".join(lines),
        "Nothing has to be done. What you stop or terminate before that day never costs more than now.",
    ]
    starters = {each.created_by for each in those}
    people = connection.execute(
        sa.select(users.c.email, users.c.name)
        .join(memberships, memberships.c.user_id == users.c.id)
        .where(
            memberships.c.team_id == team_id,
            sa.or_(memberships.c.role.in_(TOLD), memberships.c.user_id.in_(starters)),
            users.c.verified_at.is_not(None),
        )
        .order_by(users.c.id)
    )
    name = connection.execute(sa.select(teams.c.name).where(teams.c.id == team_id)).scalar_one()
    for person in people.all():
        mails.send(
            connection,
            person.email,
            Letter(
                subject=f"{plain(name)}: {plain(first.offer_name)} will cost more from {day(effective_at)}",
                name=plain(person.name),
                paragraphs=paragraphs,
            ),
            now=now,
        )


def paid(each: Untold) -> str:
    """What a machine pays now and then."""
    if each.kind == "disk" or not each.basis_points:
        return f"{dollars(each.from_micros)} now, {dollars(each.to_micros)} then"
    before, after = (discounted_micros(micros, each.basis_points) for micros in (each.from_micros, each.to_micros))
    return f"{dollars(before)} now, {dollars(after)} then, with your discount of {each.basis_points / 100:g}%"
