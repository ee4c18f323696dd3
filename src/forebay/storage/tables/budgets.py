"""Budgets: what a team, or a part of it, is to spend in a calendar month at most, and how far telling of it has got.

What it has spent is not kept: that is reckoned from the segments, as usage is. `month`, `told_share` and `stops_at` say
what was told and announced in which month; they count for nothing in any other.
"""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata, one_of
from forebay.storage.types import ID, MICROS, Document, Timestamp

budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("scope", sa.String(12), nullable=False),
    sa.Column(
        "subject", sa.String(320), nullable=False, comment="a person's id, a key's id, `key=value`; empty: all of it"
    ),
    sa.Column("amount_micros", MICROS, nullable=False, comment="for a calendar month, in UTC"),
    sa.Column("shares", Document, nullable=False, comment="percents of it that are told of"),
    sa.Column("at_limit", sa.String(12), nullable=False),
    sa.Column("created_by", ID, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("changed_at", Timestamp, nullable=False),
    sa.Column("month", sa.String(7), nullable=False, comment="the month that the rest is of: 2026-03"),
    sa.Column("told_share", sa.Integer, nullable=False, comment="the highest share that was told of; 0: none"),
    sa.Column("stops_at", Timestamp, comment="its machines are stopped from then on; null: not announced"),
    one_of("scope", "team", "member", "apiKey", "label"),
    one_of("at_limit", "notify", "block", "stop"),
    sa.CheckConstraint("amount_micros BETWEEN 1 AND 1000000000000000", name="amount_bound"),
    sa.UniqueConstraint("team_id", "scope", "subject"),
)
