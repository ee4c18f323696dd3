"""What of a team may have changed: marks that are others after a change, made by the database of what is there now.

A look takes a few index searches and one text for each topic, which costs as much for a team that had ten thousand
machines as for one that had none: what is gone is not looked at. Two looks with the same marks mean that nothing
changed between them that pages show, and no change is missed, whatever the order in which transactions end: marks are
made of what is there, not of times or of the newest few.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.storage.functions import joined
from forebay.storage.prepared import Prepared
from forebay.storage.tables import (
    accounts,
    activity,
    card_set_ups,
    deployments,
    holds,
    payment_attempts,
    segments,
    volume_attachments,
    volumes,
)

Marks = dict[str, Any]
LAST = 4
RECENT = timedelta(hours=1)
"""How much later than their moment rows of the activity are written, at the very most."""
BETWEEN = "\x1f"
"""Between two columns: a character that no name has."""

team_id = sa.bindparam("team_id", type_=sa.String())


def text_of(columns: Sequence[sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
    """SQL: a row as one text."""
    found: sa.ColumnElement[str] = sa.literal_column("''", sa.Text())
    for column in columns:
        found = found + sa.func.coalesce(sa.cast(column, sa.Text()), "") + BETWEEN
    return found


def listed(rows: sa.Select[*tuple[Any, ...]]) -> sa.ScalarSelect[str]:
    """SQL: rows of one text each as one text."""
    texts = rows.subquery()
    return sa.select(joined(texts.c.text)).scalar_subquery()


machine, volume, attachment = deployments.c, volumes.c, volume_attachments.c
machines = (
    sa.select(
        text_of(
            [
                machine.id, machine.status, machine.desired, machine.name, machine.ip_address, machine.ssh_port,
                machine.error, machine.labels, machine.rate_micros, machine.reclaim_at, machine.terminate_at,
                machine.max_cost_micros, machine.ends_at, machine.auto_stop_minutes, machine.auto_stop_action,
                machine.keys_version, machine.keys_due_at,
            ]
        ).label("text")
    )
    .where(machine.team_id == team_id, machine.gone_at.is_(None))
    .order_by(machine.id)
)  # fmt: skip
stored = (
    sa.select(
        text_of(
            [
                volume.id, volume.name, volume.state, volume.size_gb, volume.made_gb, volume.error, volume.ended_at,
                attachment.id, attachment.state,
            ]
        ).label("text")
    )
    .select_from(
        volumes.outerjoin(
            volume_attachments,
            sa.and_(attachment.volume_id == volume.id, attachment.state != sa.literal_column("'detached'")),
        )
    )
    .where(volume.team_id == team_id, volume.gone_at.is_(None))
    .order_by(volume.id, attachment.id)
)  # fmt: skip


def payments_of(table: sa.Table) -> tuple[sa.ScalarSelect[str], sa.ScalarSelect[str]]:
    """SQL: what is open, and the last few: whatever closes leaves the first."""
    columns, mine = table.c, table.c.team_id == team_id
    row = text_of([columns.id, columns.state, columns.page_url]).label("text")
    is_open = sa.select(row).where(mine, columns.closed_at.is_(None)).order_by(columns.id)
    return listed(is_open), listed(sa.select(row).where(mine).order_by(columns.created_at.desc()).limit(LAST))


done = sa.select(sa.func.count()).select_from(activity)
LOOK = Prepared(
    sa.select(
        listed(machines),
        listed(stored),
        sa.select(text_of([accounts.c.balance_micros])).where(accounts.c.team_id == team_id).scalar_subquery(),
        sa.select(sa.func.sum(holds.c.remaining_micros))
        .where(holds.c.team_id == team_id, holds.c.released_at.is_(None))
        .scalar_subquery(),
        sa.select(sa.func.sum(segments.c.rate_micros))
        .where(segments.c.team_id == team_id, segments.c.ended_at.is_(None))
        .scalar_subquery(),
        *payments_of(payment_attempts),
        *payments_of(card_set_ups),
        done.where(
            activity.c.team_id == team_id, activity.c.id >= sa.bindparam("since", type_=sa.String())
        ).scalar_subquery(),
    )
)


def marks(connection: Connection, team: str, *, now: datetime) -> Marks:
    """For each topic something that is another after a change. One query.

    The activity is counted from a full hour on, so once an hour it looks as if something had been added.
    """
    since = now.replace(minute=0, second=0, microsecond=0) - RECENT
    [row] = LOOK(connection, team_id=team, since=ids.first_of(since))
    (there, kept, *money), payments, count = row[:5], row[5:9], row[9]
    return {
        "deployments": there,
        "volumes": kept,
        "money": tuple(money),
        "payments": payments,
        "activity": (since, count),
    }
