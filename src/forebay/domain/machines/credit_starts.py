"""Starting again what was stopped when the credits ran out: all of it that the person may operate, as far as they last.

Nothing does this by itself, a deposit least of all: whoever pays decides what runs.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import deployments as one
from forebay.domain.machines import planned_ends
from forebay.domain.machines.budgets import BudgetExceeded
from forebay.domain.machines.deployments import COLUMNS, Deployment, Limits, Status, to_deployment
from forebay.domain.machines.planned_ends import CostMet
from forebay.domain.people import teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import Forbidden, ForebayError, InsufficientBalance
from forebay.storage.tables import deployments


class Refusal(msgspec.Struct, frozen=True):
    """A machine that stays stopped, and why."""

    deployment: Deployment
    code: str
    sentence: str


class Outcome(msgspec.Struct, frozen=True):
    """Which machines are starting, and which aren't."""

    started: Sequence[Deployment]
    refused: Sequence[Refusal]


def start_again(connection: Connection, context: TeamContext, limits: Limits, *, now: datetime) -> Outcome:
    """Start the team's machines that were stopped for lack of credits, the oldest first.

    One that the credits don't last for, or a budget doesn't allow, is passed over: a smaller one behind it may still
    start. Raises Forbidden for whoever may operate none, and for a frozen team.
    """
    context = teams.hold(connection, context, Permission.operate)
    one.refuse_frozen(context)
    started: list[Deployment] = []
    refused: list[Refusal] = []
    for machine in stopped_for_credits(connection, context.team_id):
        try:
            context.demand(Permission.operate, created_by=machine.created_by)
            # What was begun for a machine that can't be started after all is undone, and nothing else is.
            with connection.begin_nested():
                planned_ends.refuse_spent(connection, machine.id, machine.rate_micros, now=now)
                one.refuse_beyond_budgets(connection, machine, limits, now=now)
                one.resume(connection, machine, limits, f"Started again by {context.caller.name}.", now=now)
        except (Forbidden, InsufficientBalance, BudgetExceeded, CostMet) as refusal:
            refused.append(refuse(machine, refusal))
            continue
        one.record(connection, context, "start-again", machine.id, now=now)
        started.append(machine)
    return Outcome(started, refused)


def refuse(machine: Deployment, refusal: ForebayError) -> Refusal:
    """The refusal of one machine, for an answer that speaks of many."""
    return Refusal(machine, refusal.code, refusal.sentence)


def stopped_for_credits(connection: Connection, team_id: str) -> Sequence[Deployment]:
    """The team's machines that were stopped for lack of credits and are still stopped, oldest first, locked."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(
            deployments.c.team_id == team_id,
            deployments.c.gone_at.is_(None),
            deployments.c.status == Status.stopped,
            deployments.c.stopped_for_credits_at.is_not(None),
        )
        .order_by(deployments.c.id)
        .with_for_update()
    )
    return [to_deployment(row) for row in rows]
