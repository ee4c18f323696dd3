"""Previews: what a launch would cost, hold and leave, and everything that would refuse it, without launching.

Nothing is written and nothing locked, so a preview is what is so at this moment, no promise.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from forebay.domain.machines import budgets, offers, orders, volumes
from forebay.domain.machines.budgets import Standing
from forebay.domain.machines.deployments import Limits
from forebay.domain.machines.offers import SPOT, Offer
from forebay.domain.machines.orders import Order, Refusal, Wish
from forebay.domain.machines.planned_ends import End, Plan, Reason
from forebay.domain.money import auto_top_ups, outlook
from forebay.domain.money.amounts import SECONDS_PER_HOUR, charge_micros, to_the_cent
from forebay.domain.money.auto_top_ups import COOLDOWN, Policy
from forebay.domain.money.budgets import AtLimit
from forebay.domain.money.metering import Cost
from forebay.domain.money.outlook import Outlook, counted, lasting
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission

SHORT_SECONDS = 86400
"""A runway that is worth a word."""


class Warning(msgspec.Struct, frozen=True):
    """What one may want to know before launching."""

    code: str
    sentence: str


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch would come to. Where the order names no offer, `offer` is None and it costs nothing."""

    offer: Offer | None
    in_stock: int
    rate_micros: int
    """Micro-dollars an hour, as this team pays them."""
    original_rate_micros: int
    """The same before any discount."""
    hold_micros: int
    minimum_micros: int
    """What the minimum runtime costs."""
    volumes_rate_micros: int
    """What the volumes that it is to have cost an hour, with this machine or without: it is in `before` already."""
    before: Outlook
    after: Outlook
    first_terminable_at: datetime | None
    """If it ran from this second on."""
    end: End | None
    """The end that the order plans, if it ran from this second on and all of the time."""
    warnings: list[Warning]
    refusals: list[Refusal]
    budgets: list[Standing]
    """Those that hold for it."""


def preview(connection: Connection, context: TeamContext, order: Order, limits: Limits, *, now: datetime) -> Preview:
    """What the launch would come to at this moment. Raises nothing that the launch would be refused for."""
    wish = orders.wish(connection, context, order, limits, now=now)
    offer, before = wish.offer, outlook.outlook(connection, context.team_id)
    rate = 0 if wish.price is None else wish.price.rate_micros
    minutes = 0 if offer is None else offer.minimum_runtime_minutes
    after = Outlook(
        balance_micros=before.balance_micros,
        held_micros=before.held_micros + wish.hold_micros,
        burn_micros_per_hour=before.burn_micros_per_hour + rate,
    )
    end = planned_end(wish)
    holding = budgets.holding(connection, context, order.labels, now=now)
    return Preview(
        offer=offer,
        in_stock=0 if offer is None else offers.in_stock(connection, offer),
        rate_micros=rate,
        original_rate_micros=0 if wish.price is None else wish.price.list_rate_micros,
        hold_micros=wish.hold_micros,
        minimum_micros=charge_micros(rate, minutes * 60),
        volumes_rate_micros=volumes.burn_micros(connection, context.team_id, order.volume_ids),
        before=before,
        after=after,
        first_terminable_at=None if offer is None else now + timedelta(minutes=minutes),
        end=end,
        warnings=[] if offer is None else list(warnings(connection, wish, offer, after, end, holding)),
        refusals=orders.refusals(connection, wish),
        budgets=holding,
    )


def planned_end(wish: Wish) -> End | None:
    """When the machine would end by the order's own terms, if it ran from now on."""
    if wish.offer is None or wish.price is None:
        return None
    rate_micros = wish.price.rate_micros
    cost = Cost(charged_micros=0, ended_micros=0, rate_micros=rate_micros, started_at=wish.now, charged_through=None)
    return Plan(
        terminate_at=wish.order.terms.terminate_at,
        max_cost_micros=wish.order.terms.max_cost_micros,
        earliest_at=wish.now + timedelta(minutes=wish.offer.minimum_runtime_minutes),
        cost=cost,
    ).end


def warnings(
    connection: Connection, wish: Wish, offer: Offer, after: Outlook, end: End | None, holding: Sequence[Standing]
) -> Iterator[Warning]:
    """Whatever is no refusal and still worth knowing."""
    if end is not None:
        why = "as planned" if end.reason is Reason.time else "when it has cost what it may"
        stretch = lasting(max(0, int((end.at - wish.now).total_seconds())))
        yield Warning("PLANNED_END", f"It is terminated after {stretch}, on {end.at:%Y-%m-%dT%H:%M:%SZ}, {why}.")
    if wish.order.instance_type == SPOT:
        yield Warning(
            "SPOT", "A spot machine can be reclaimed at any time after a short notice. Keep what matters elsewhere."
        )
    if offer.is_simulated:
        yield Warning("SIMULATED", "The GPUs of this offer are simulated: they compute nothing.")
    if not offer.supports_pause:
        yield Warning(
            "NO_PAUSE",
            "This offer can't be stopped, only terminated, and its disk goes with it; also when the credits run out.",
        )
    if offer.minimum_runtime_minutes:
        rate = offer.rate_micros if wish.price is None else wish.price.rate_micros
        least = to_the_cent(charge_micros(rate, offer.minimum_runtime_minutes * 60))
        minutes = counted(offer.minimum_runtime_minutes, "minute")
        yield Warning(
            "MINIMUM_RUNTIME", f"It can't be stopped or terminated in its first {minutes}, which cost {least}."
        )
    seconds = after.runway_seconds
    if seconds is not None and seconds <= SHORT_SECONDS and after.balance_micros > 0:
        yield Warning("SHORT_RUNWAY", f"With this machine the team's credits last {lasting(seconds)}.")
    yield from budget_warnings(wish, holding)
    left, wait = orders.creations_left(connection, wish)
    if left == 1:
        yield Warning("LAST_LAUNCH", f"After this you can't launch another one for {lasting(wait)}.")
    if wish.context.reach(Permission.manage_billing):
        yield from auto_top_up_warnings(connection, wish, after)


def budget_warnings(wish: Wish, holding: Sequence[Standing]) -> Iterator[Warning]:
    """Which budgets this machine would use up before the month is over, and what would happen then."""
    for standing in holding:
        burn = standing.figures.burn_micros_per_hour + (0 if wish.price is None else wish.price.rate_micros)
        seconds = 0 if burn == 0 else standing.remaining_micros * SECONDS_PER_HOUR // burn
        if burn == 0 or standing.is_used_up or wish.now + timedelta(seconds=seconds) >= standing.month.end_at:
            continue
        then = {
            AtLimit.notify: "Then it is told, and nothing else happens.",
            AtLimit.block: "Then nothing more can be launched or started, and what runs, runs on.",
            AtLimit.stop: "Then nothing more can be launched or started, and after a notice machines are stopped.",
        }
        left = f"{to_the_cent(standing.remaining_micros)} of {to_the_cent(standing.budget.amount_micros)}"
        yield Warning(
            "BUDGET_SHORT",
            f"With this machine {standing.called}, {left} left, lasts {lasting(seconds)}. "
            f"{then[standing.budget.at_limit]}",
        )


def auto_top_up_warnings(connection: Connection, wish: Wish, after: Outlook) -> Iterator[Warning]:
    """What auto top-up would do; for those alone who may see its terms."""
    standing = auto_top_ups.stand(connection, wish.context.team_id, now=wish.now)
    if standing is None or not standing.policy.is_on or after.burn_micros_per_hour == 0:
        return
    policy, burn = standing.policy, after.burn_micros_per_hour
    if policy.stopped_at is not None:
        yield Warning("AUTO_TOP_UP_STOPPED", "Auto top-up has stopped and charges nothing until somebody acts.")
        return
    if not policy.keeps_up_with(burn):
        yield Warning(
            "AUTO_TOP_UP_TOO_LITTLE",
            f"At {to_the_cent(burn)} an hour auto top-up can't keep up: it charges at most "
            f"{to_the_cent(policy.max_charge_micros)} every 5 minutes.",
        )
        return
    seconds = max(int(COOLDOWN.total_seconds()), policy.amount_micros * SECONDS_PER_HOUR // burn)
    every = lasting(seconds).removeprefix("about ").removeprefix("1 ")
    yield Warning(
        "AUTO_TOP_UP",
        f"With this machine the team burns {to_the_cent(burn)} an hour, and auto top-up would charge "
        f"{to_the_cent(policy.amount_micros)} about every {every}.",
    )
    yield from ceiling_warnings(policy, standing.month_micros, burn)


def ceiling_warnings(policy: Policy, month_micros: int, burn: int) -> Iterator[Warning]:
    """Whether a day at this burn comes up against a ceiling of auto top-up."""
    charges = -(-burn * 24 // policy.amount_micros)
    if policy.day_ceiling_charges is not None and charges > policy.day_ceiling_charges:
        yield Warning(
            "AUTO_TOP_UP_DAY_CEILING",
            f"A day at this burn takes {counted(charges, 'charge')} of auto top-up, "
            f"and its ceiling is {policy.day_ceiling_charges}.",
        )
    if policy.month_ceiling_micros is not None:
        left = max(0, policy.month_ceiling_micros - month_micros)
        if left < burn * 24:
            yield Warning(
                "AUTO_TOP_UP_MONTH_CEILING",
                f"Auto top-up may charge {to_the_cent(left)} more this month, "
                f"and a day costs {to_the_cent(burn * 24)}.",
            )
