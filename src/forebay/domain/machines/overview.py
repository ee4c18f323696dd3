"""Deployments with what they cost: the queries behind every list and page of them, prepared because people poll."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines.deployments import ACTIVE, Status
from forebay.domain.money.amounts import charge_micros
from forebay.storage.functions import joined
from forebay.storage.prepared import Prepared
from forebay.storage.tables import deployments, segments, volume_attachments

OWN = [
    "id",
    "team_id",
    "created_by",
    "name",
    "status",
    "provider",
    "offer_id",
    "instance_type",
    "region",
    "operating_system",
    "gpu_type",
    "gpu_model",
    "gpu_count",
    "vcpus",
    "memory_gb",
    "storage_gb",
    "rate_micros",
    "list_rate_micros",
    "discount_basis_points",
    "ssh_key_id",
    "is_ssh_key_temporary",
    "ssh_key_name",
    "ssh_key_fingerprint",
    "labels",
    "ip_address",
    "ssh_user",
    "ssh_port",
    "port_forwards",
    "error",
    "created_at",
    "started_at",
    "stopped_at",
    "host_keys",
    "ports",
    "terminate_at",
    "max_cost_micros",
    "auto_stop_minutes",
    "auto_stop_action",
]
"""The deployment's columns in the order of a row; after them come its volumes, and the five of COSTS."""

open_segment = segments.alias("open_segment")
charged = (
    sa.select(sa.func.sum(segments.c.charged_micros))
    .where(segments.c.resource_id == deployments.c.id)
    .scalar_subquery()
)
charged_through = (
    sa.select(sa.func.max(segments.c.charged_through))
    .where(segments.c.resource_id == deployments.c.id, segments.c.charged_through > segments.c.started_at)
    .scalar_subquery()
)
states: list[sa.ColumnElement[str]] = [sa.literal_column(f"'{state}'") for state in ("attaching", "attached")]
has_volume = sa.and_(
    volume_attachments.c.deployment_id == deployments.c.id,
    volume_attachments.c.state.in_(states),
    # Said once more as the index has it, which SQLite does not find otherwise.
    volume_attachments.c.state != sa.literal_column("'detached'"),
)
volume_ids = sa.select(joined(volume_attachments.c.volume_id)).where(has_volume).scalar_subquery()
COSTS = (
    charged.label("charged_micros"),
    charged_through.label("charged_through"),
    open_segment.c.rate_micros.label("open_rate_micros"),
    open_segment.c.started_at.label("open_started_at"),
    open_segment.c.charged_micros.label("open_charged_micros"),
)
BASE = sa.select(*(deployments.c[name] for name in OWN), volume_ids.label("volume_ids"), *COSTS).select_from(
    deployments.outerjoin(
        open_segment,
        sa.and_(open_segment.c.resource_id == deployments.c.id, open_segment.c.ended_at.is_(None)),
    )
)
of_team = BASE.where(deployments.c.team_id == sa.bindparam("team_id", type_=sa.String())).order_by(
    deployments.c.id.desc()
)
limited = of_team.limit(sa.bindparam("most", type_=sa.Integer()))
by_user = sa.or_(
    sa.bindparam("user_id", type_=sa.String()) == sa.literal_column("''"),
    deployments.c.created_by == sa.bindparam("user_id", type_=sa.String()),
)
BY_ID = Prepared(BASE.where(deployments.c.id == sa.bindparam("id", type_=sa.String())))
ALL = Prepared(limited)
words: dict[Status, sa.ColumnElement[Any]] = {status: sa.literal_column(f"'{status}'") for status in Status}
FILTERED = {
    None: Prepared(limited.where(by_user)),
    # What is active is not gone, and what is not gone has an index of its own.
    "active": Prepared(
        limited.where(
            by_user, deployments.c.gone_at.is_(None), deployments.c.status.in_([words[status] for status in ACTIVE])
        )
    ),
    "inactive": Prepared(limited.where(by_user, deployments.c.status.not_in([words[status] for status in ACTIVE]))),
} | {status.value: Prepared(limited.where(by_user, deployments.c.status == words[status])) for status in Status}
is_older = deployments.c.id < sa.bindparam("before", type_=sa.String())
PAGED = {status: Prepared(prepared.statement.where(is_older)) for status, prepared in FILTERED.items()}


def listed(
    connection: Connection, team_id: str, *, status: str | None = None, user_id: str | None = None, most: int
) -> Sequence[tuple[Any, ...]]:
    """Rows of the team's deployments, newest first, `most` at most."""
    if status is None and user_id is None:
        return ALL(connection, team_id=team_id, most=most)
    return FILTERED[status](connection, team_id=team_id, user_id=user_id or "", most=most)


def older(
    connection: Connection, team_id: str, *, status: str | None, user_id: str | None, before: str, most: int
) -> Sequence[tuple[Any, ...]]:
    """Rows of deployments that were made before the one with this id, newest first; empty: from the newest on."""
    return PAGED[status](connection, team_id=team_id, user_id=user_id or "", before=before or "g", most=most)


def one(connection: Connection, deployment_id: str) -> tuple[Any, ...] | None:
    """The row of one deployment."""
    rows = BY_ID(connection, id=deployment_id)
    return rows[0] if rows else None


def accrued_micros(
    charged_micros: int,
    open_rate_micros: int | None,
    open_started_at: int | None,
    open_charged_micros: int | None,
    now: int,
) -> int:
    """What has been charged, and what the open segment owes beyond it to this second."""
    if open_rate_micros is None or open_started_at is None:
        return charged_micros
    due = charge_micros(open_rate_micros, max(0, now - open_started_at)) - (open_charged_micros or 0)
    return charged_micros + max(0, due)
