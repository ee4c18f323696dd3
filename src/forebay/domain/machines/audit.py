"""The audit of everything: the books (`domain/money/audit.py`), and what was done to machines because of them.

What was stopped, terminated or deleted for lack of credits left a row in the activity with the balance that was read in
that transaction and the entry of the books that says so: both must be there, agree, and be at or below zero. While a
team has no credits now, its machines may be charged by the cycles of the wait for a top-up and by the one that stops
them; another is let pass, for the stop that came too late for it. Cycles are counted, not seconds: an hour in which
Forebay did not run is an hour of debt, and nobody's mistake. Debts that were paid by now are not looked at.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines.credit_stops import NO_CREDITS
from forebay.domain.machines.discounts import NOTICE_DAYS
from forebay.domain.money import audit as books
from forebay.domain.money import ledger
from forebay.domain.money.audit import Check, Violation
from forebay.domain.money.audit_books import moment, stream
from forebay.storage.tables import activity, deployments, entries, price_notices, segments, volumes

FOR_CREDITS = (
    "deployment.stop-for-credits",
    "deployment.terminate-for-credits",
    "deployment.delete-for-credits",
    "volume.delete-for-credits",
)
PROVED = (*FOR_CREDITS, "credits.wait-for-top-up", "credits.keep-disks", "credits.announce-deletion")
"""Steps that are taken only at a balance at or below zero, which they keep."""
LATE_CYCLES = 2

LATE_CHARGES = f"""
    SELECT dry.team_id, dry.since, dry.allowed_until, COUNT(DISTINCT usage_lines.cycle_id) AS late_cycles
    FROM (
        SELECT
            accounts.team_id, transfers.created_at AS since,
            CASE
                WHEN low_balances.waiting_until > transfers.created_at THEN low_balances.waiting_until
                ELSE transfers.created_at
            END AS allowed_until
        FROM accounts
        JOIN entries ON entries.account_id = accounts.id AND entries.version = 1 + COALESCE(
            (
                SELECT earlier.version FROM entries AS earlier
                WHERE earlier.account_id = accounts.id AND earlier.balance_after_micros > 0
                ORDER BY earlier.version DESC LIMIT 1
            ),
            0
        )
        JOIN transfers ON transfers.id = entries.transfer_id
        LEFT JOIN low_balances ON low_balances.team_id = accounts.team_id
        WHERE accounts.team_id IS NOT NULL AND accounts.balance_micros <= 0
    ) AS dry
    JOIN usage_lines ON usage_lines.team_id = dry.team_id AND usage_lines.to_at > dry.allowed_until
    JOIN segments ON segments.id = usage_lines.segment_id AND segments.resource_type = 'compute'
    JOIN cycles ON cycles.id = usage_lines.cycle_id AND cycles.started_at > dry.allowed_until
    GROUP BY dry.team_id, dry.since, dry.allowed_until
    HAVING COUNT(DISTINCT usage_lines.cycle_id) > {LATE_CYCLES}
    ORDER BY dry.team_id
"""  # noqa: S608 - made of constants


def stops_have_a_cause(connection: Connection) -> Iterator[str]:
    """Each step for lack of credits was taken at a balance at or below zero, by the books themselves."""
    steps = sa.select(activity.c.id, activity.c.team_id, activity.c.action, activity.c.details)
    for row in stream(connection, steps.where(activity.c.action.in_(PROVED)).order_by(activity.c.id)):
        # Of the time before balances were kept with these steps there is nothing to check.
        if row.details is None:
            continue
        balance_micros, version = row.details.get("balance_micros"), row.details.get("account_version")
        step = f"the step {row.action} of team {row.team_id} (activity {row.id})"
        if not isinstance(balance_micros, int) or not isinstance(version, int):
            yield f"{step} says no balance that it was taken at"
        elif balance_micros > 0:
            yield f"{step} was taken at a balance of {balance_micros}"
        elif balance_micros != (balance_after(connection, row.team_id, version) if version else 0):
            yield f"{step} was taken at a balance of {balance_micros}, which the books don't have as entry {version}"


def balance_after(connection: Connection, team_id: str, version: int) -> int | None:
    """What an entry of a team left; None if there is no such entry."""
    found: int | None = connection.execute(
        sa.select(entries.c.balance_after_micros).where(
            entries.c.account_id == ledger.account_id(team_id), entries.c.version == version
        )
    ).scalar()
    return found


def ends_are_recorded(connection: Connection) -> Iterator[str]:
    """No machine and no volume says that it was ended for lack of credits without the step that did it."""
    for noun, table, state in (
        ("machine", deployments, deployments.c.status),
        ("volume", volumes, volumes.c.state),
    ):
        step = sa.exists().where(
            activity.c.team_id == table.c.team_id,
            activity.c.object_id == table.c.id,
            activity.c.action.in_(FOR_CREDITS),
        )
        unexplained = sa.select(table.c.id, state.label("state")).where(table.c.error == NO_CREDITS, ~step)
        for row in stream(connection, unexplained.order_by(table.c.id)):
            yield f"{noun} {row.id} is {row.state} for lack of credits, and nothing in the activity says who found that"


VOLUMES_AND_SEGMENTS = """
    SELECT volumes.id, volumes.state, volumes.made_gb, volumes.nanos_per_gb, volumes.team_id,
        segments.rate_micros, segments.team_id AS segment_team_id
    FROM volumes LEFT JOIN segments
        ON segments.resource_id = volumes.id AND segments.ended_at IS NULL
    WHERE (volumes.state = 'available') <> (segments.id IS NOT NULL)
        OR segments.rate_micros <> (volumes.made_gb * volumes.nanos_per_gb + 500) / 1000
        OR segments.team_id <> volumes.team_id OR segments.resource_type <> 'storage'
    ORDER BY volumes.id
"""


def volumes_are_paid_for(connection: Connection) -> Iterator[str]:
    """A volume that is there is being charged, at the price of its size, to its team; any other isn't."""
    for row in stream(connection, VOLUMES_AND_SEGMENTS):
        if row.rate_micros is None:
            yield f"volume {row.id} is {row.state}, and nothing is charged for it"
        elif row.state != "available":
            yield f"volume {row.id} is {row.state}, and is charged for"
        else:
            yield (
                f"volume {row.id} of team {row.team_id} has {row.made_gb} GB, and is charged at {row.rate_micros} "
                f"an hour to team {row.segment_team_id}"
            )


def debts_are_bounded(connection: Connection) -> Iterator[str]:
    """No machine of a team without credits runs on beyond the wait for a top-up and the cycle that stops it."""
    for row in stream(connection, LATE_CHARGES):
        yield (
            f"team {row.team_id} has had no credits since {moment(row.since)}, "
            f"and {row.late_cycles} cycles after {moment(row.allowed_until)} charged machines that should have stopped"
        )


def prices_are_explained(connection: Connection) -> Iterator[str]:
    """What is metered is what the machine is said to pay, and no rise came before its seven days' notice was over."""
    rate = sa.case(
        (segments.c.resource_type == "compute", deployments.c.rate_micros), else_=deployments.c.storage_rate_micros
    )
    metered = (
        sa.select(segments.c.resource_id, segments.c.rate_micros, rate.label("said"))
        .join(deployments, deployments.c.id == segments.c.resource_id)
        .where(segments.c.ended_at.is_(None), segments.c.rate_micros != rate)
    )
    for row in stream(connection, metered.order_by(segments.c.resource_id)):
        yield f"machine {row.resource_id} is metered at {row.rate_micros} an hour, and is said to pay {row.said}"
    least = NOTICE_DAYS * 86400
    early = sa.select(price_notices.c.deployment_id, price_notices.c.change_id).where(
        ~price_notices.c.is_cut,
        sa.type_coerce(price_notices.c.effective_at, sa.BigInteger)
        < sa.type_coerce(price_notices.c.told_at, sa.BigInteger) + least,
    )
    for row in stream(connection, early.order_by(price_notices.c.deployment_id)):
        yield f"machine {row.deployment_id} is raised by {row.change_id} before {NOTICE_DAYS} days of notice"


CHECKS: tuple[tuple[str, Check], ...] = (
    *books.CHECKS,
    ("stops", stops_have_a_cause),
    ("ends", ends_are_recorded),
    ("debts", debts_are_bounded),
    ("prices", prices_are_explained),
    ("volumes", volumes_are_paid_for),
)


def run(connection: Connection, *, most: int = 20) -> list[Violation]:
    """All that is wrong in the books and in what was done because of them; see `domain/money/audit.py`."""
    return books.run(connection, most=most, checks=CHECKS)
