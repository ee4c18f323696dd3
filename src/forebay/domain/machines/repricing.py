"""What running machines pay when prices or discounts change: the segment ends and the next begins at that second.

A machine keeps its price. It changes by a cut of its offer's price, at that second; by a rise that its team was told of
seven days before at the least; by a discount's first and last second. Every step is taken under the machine's lock and
depends on nothing but what is on record, so it can be cut off anywhere and repeated.

A machine that its provider can't report on is not raised until it is seen again, and is cut from its last sighting on:
what it did since is unknown.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import deployments as machines
from forebay.domain.machines import discounts as given_discounts
from forebay.domain.machines import planned_ends
from forebay.domain.machines.deployments import ACTIVE, UNSEEN_SECONDS, Deployment
from forebay.domain.machines.discounts import Discount
from forebay.domain.machines.events import note
from forebay.domain.machines.offers import SPOT
from forebay.domain.money import metering
from forebay.domain.money.amounts import discounted_micros
from forebay.domain.money.low_balance_letters import dollars
from forebay.domain.people import activity
from forebay.storage.tables import deployments, discounts, offers, price_notices, segments

is_active = sa.and_(deployments.c.gone_at.is_(None), deployments.c.status.in_(ACTIVE))
is_spot_of_other = sa.and_(deployments.c.instance_type == SPOT, offers.c.instance_type != SPOT)
price_now = sa.case((is_spot_of_other, offers.c.spot_rate_micros), else_=offers.c.rate_micros)
"""SQL: what the offer's list says for a machine; null where it isn't offered as SPOT any more."""


class Pay(msgspec.Struct, frozen=True):
    """What a machine pays; micro-dollars an hour."""

    list_rate_micros: int
    storage_rate_micros: int
    basis_points: int

    @property
    def rate_micros(self) -> int:
        """Of the running machine, less the discount."""
        return discounted_micros(self.list_rate_micros, self.basis_points)


class Turn(msgspec.Struct, frozen=True):
    """A rise that was announced, or a cut, of the machine's price or of its disk's."""

    at: datetime
    is_disk: bool
    rate_micros: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What decides what a machine pays. None: the offer says nothing of it any more."""

    list_now_micros: int | None
    storage_now_micros: int | None
    cuts: Sequence[Turn]
    rises: Sequence[Turn]
    discounts: Sequence[Discount]


class Step(msgspec.Struct, frozen=True):
    """From this second on it pays this."""

    at: datetime
    pay: Pay


def steps(pay: Pay, facts: Facts, offer_id: str, gpu_type: str, *, since: datetime, now: datetime) -> list[Step]:
    """What has become of a machine's price since `since`, up to which it has been charged; in the order of time.

    Whatever lies before that is made good from now on, not for the past.
    """
    boundaries = [at for each in facts.discounts for at in (each.starts_at, each.ends_at) if at is not None]
    moments = {each.at for each in (*facts.cuts, *facts.rises)} | set(boundaries)
    turns = [(turn, min) for turn in facts.cuts] + [(turn, max) for turn in facts.rises]
    turns.sort(key=lambda each: (each[0].at, each[1] is max))
    found: list[Step] = []
    rates = [pay.list_rate_micros, pay.storage_rate_micros]
    for at in [*sorted(at for at in moments if since <= at < now), now]:
        while turns and turns[0][0].at <= at:
            turn, choose = turns.pop(0)
            rates[turn.is_disk] = choose(rates[turn.is_disk], turn.rate_micros)
        if at == now:
            lists = (facts.list_now_micros, facts.storage_now_micros)
            rates = [rate if most is None else min(rate, most) for rate, most in zip(rates, lists, strict=True)]
        changed = Pay(rates[0], rates[1], given_discounts.best(facts.discounts, offer_id, gpu_type, at))
        if changed != pay:
            found.append(Step(at, changed))
            pay = changed
    return found


def to_reprice(connection: Connection, *, now: datetime, after: str = "", limit: int = 500) -> Sequence[str]:
    """Ids, in order, of machines beyond `after` that may pay something else by now than they are recorded to."""
    best = (
        sa.select(sa.func.max(discounts.c.basis_points))
        .where(
            discounts.c.team_id == deployments.c.team_id,
            discounts.c.starts_at <= now,
            sa.or_(discounts.c.ends_at.is_(None), discounts.c.ends_at > now),
            sa.or_(discounts.c.offer_id.is_(None), discounts.c.offer_id == deployments.c.offer_id),
            sa.or_(discounts.c.gpu_type.is_(None), discounts.c.gpu_type == deployments.c.gpu_type),
        )
        .scalar_subquery()
    )
    turned = sa.exists().where(
        price_notices.c.deployment_id == deployments.c.id,
        price_notices.c.closed_at.is_(None),
        price_notices.c.effective_at <= now,
    )
    between = sa.exists().where(
        segments.c.resource_id == deployments.c.id,
        segments.c.ended_at.is_(None),
        discounts.c.team_id == deployments.c.team_id,
        sa.or_(
            sa.and_(discounts.c.starts_at > segments.c.charged_through, discounts.c.starts_at <= now),
            sa.and_(discounts.c.ends_at > segments.c.charged_through, discounts.c.ends_at <= now),
        ),
    )
    found = connection.execute(
        sa.select(deployments.c.id)
        .select_from(deployments.outerjoin(offers, offers.c.id == deployments.c.offer_id))
        .where(
            is_active,
            deployments.c.id > after,
            sa.or_(
                deployments.c.list_rate_micros > price_now,
                deployments.c.storage_rate_micros > offers.c.storage_rate_micros,
                deployments.c.discount_basis_points != sa.func.coalesce(best, 0),
                turned,
                between,
            ),
        )
        .order_by(deployments.c.id)
        .limit(limit)
    )
    return [str(row.id) for row in found]


def reprice(connection: Connection, deployment_id: str, *, now: datetime) -> int:
    """Let a machine pay what it is to pay by now; how many steps that took."""
    machine = machines.lock(connection, deployment_id)
    if machine.status not in ACTIVE or machine.gone_at is not None:
        return 0
    row = connection.execute(
        sa.select(deployments.c.list_rate_micros, deployments.c.discount_basis_points).where(
            deployments.c.id == deployment_id
        )
    ).one()
    pay = Pay(row.list_rate_micros, machine.storage_rate_micros, row.discount_basis_points)
    metered = open_segment(connection, deployment_id)
    since = now if metered is None else metered.charged_through
    taken = 0
    for step in steps(pay, facts(connection, machine, now), machine.offer_id, machine.gpu_type, since=since, now=now):
        if not take(connection, machine, pay, step, now=now):
            return taken
        pay, taken = step.pay, taken + 1
    connection.execute(
        sa.update(price_notices)
        .where(
            price_notices.c.deployment_id == deployment_id,
            price_notices.c.closed_at.is_(None),
            price_notices.c.effective_at <= now,
        )
        .values(closed_at=now)
    )
    return taken


def facts(connection: Connection, machine: Deployment, now: datetime) -> Facts:
    """What is on record."""
    offer = connection.execute(
        sa.select(price_now.label("list_now"), offers.c.storage_rate_micros)
        .select_from(deployments.outerjoin(offers, offers.c.id == deployments.c.offer_id))
        .where(deployments.c.id == machine.id)
    ).one()
    told = connection.execute(
        sa.select(
            price_notices.c.effective_at, price_notices.c.kind, price_notices.c.rate_micros, price_notices.c.is_cut
        ).where(
            price_notices.c.deployment_id == machine.id,
            price_notices.c.closed_at.is_(None),
            price_notices.c.effective_at <= now,
        )
    ).all()
    due = [(Turn(row.effective_at, row.kind == "disk", row.rate_micros), row.is_cut) for row in told]
    return Facts(
        list_now_micros=offer.list_now,
        storage_now_micros=offer.storage_rate_micros,
        cuts=[change for change, is_cut in due if is_cut],
        rises=[change for change, is_cut in due if not is_cut],
        discounts=given_discounts.of_team(connection, machine.team_id),
    )


def open_segment(connection: Connection, deployment_id: str) -> Any:
    """What is metered of the machine now: itself, or its disk while it is stopped."""
    return connection.execute(
        sa.select(
            segments.c.resource_type, segments.c.rate_micros, segments.c.charged_through, segments.c.sighted_at
        ).where(segments.c.resource_id == deployment_id, segments.c.ended_at.is_(None))
    ).first()


def take(connection: Connection, machine: Deployment, before: Pay, step: Step, *, now: datetime) -> bool:
    """Take one step: the segment ends, the next one begins. False where it has to wait, or comes too late.

    A rise waits until the machine is seen again. A machine that was to end before that second ends as it is.
    """
    metered, at, pay = open_segment(connection, machine.id), step.at, step.pay
    if planned_ends.ended_by(connection, machine.id, at) < at:
        return False
    if metered is not None:
        rate_micros = pay.rate_micros if metered.resource_type == "compute" else pay.storage_rate_micros
        if at - metered.sighted_at > timedelta(seconds=UNSEEN_SECONDS):
            if rate_micros > metered.rate_micros:
                return False
            at = metered.sighted_at
        if rate_micros != metered.rate_micros:
            what: metering.ResourceType = metered.resource_type
            ended = metering.end(connection, resource_id=machine.id, resource_type=what, at=at, now=now)
            at = at if ended is None else ended.to_at
            metering.start(
                connection,
                team_id=machine.team_id,
                resource_type=what,
                resource_id=machine.id,
                rate_micros=rate_micros,
                at=at,
            )
            metering.sight(connection, [machine.id], at=metered.sighted_at)
    machines.change(
        connection,
        machine.id,
        rate_micros=pay.rate_micros,
        list_rate_micros=pay.list_rate_micros,
        discount_basis_points=pay.basis_points,
        storage_rate_micros=pay.storage_rate_micros,
    )
    planned_ends.reckon(connection, machine.id)
    tell(connection, machine, before, pay, at, now)
    return True


def tell(connection: Connection, machine: Deployment, before: Pay, pay: Pay, at: datetime, now: datetime) -> None:
    """An event of the machine and a row in its team's activity, by nobody but Forebay."""
    discount = f", {pay.basis_points / 100:g}% off the list" if pay.basis_points else ""
    parts = [f"{dollars(before.rate_micros)} → {dollars(pay.rate_micros)} an hour{discount}"]
    if before.storage_rate_micros != pay.storage_rate_micros:
        disk = f"{dollars(before.storage_rate_micros)} → {dollars(pay.storage_rate_micros)}"
        parts.append(f"its disk while it is stopped {disk} an hour")
    sentence = f"The price changed at {at:%-d %B %Y %H:%M:%S} UTC: {'; '.join(parts)}."
    note(connection, machine.id, "repriced", sentence, now=now)
    activity.record(
        connection,
        None,
        "deployment.reprice",
        now=now,
        team_id=machine.team_id,
        object_type="deployment",
        object_id=machine.id,
        details={
            "at": at.isoformat(),
            "rate_micros": [before.rate_micros, pay.rate_micros],
            "list_rate_micros": [before.list_rate_micros, pay.list_rate_micros],
            "discount_basis_points": [before.basis_points, pay.basis_points],
            "storage_rate_micros": [before.storage_rate_micros, pay.storage_rate_micros],
        },
    )
