"""The books: accounts, transfers and their entries, holds, segments and the usage lines that tile them.

`transfers`, `entries` and `usage_lines` are append-only by trigger. Every figure is an integer of micro-dollars. The
CHECKs keep each product and sum inside 64 bits, see `domain/money/amounts.py`. What a row of `segments` or `holds`
may never change is under its `seal`, and an account counts how many of them there were, so that a change made by hand
shows.
"""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata, one_of
from forebay.storage.types import ID, MICROS, Timestamp

AMOUNT_BOUND = 1_000_000_000_000_000
RATE_BOUND = 20_000_000_000
SPAN_BOUND = 315_360_000

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True, comment="`team:<id>`, or the name of a system account"),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), unique=True),
    sa.Column("balance_micros", MICROS, comment="team accounts only"),
    sa.Column("version", sa.BigInteger, comment="entries so far; team accounts only"),
    sa.Column("last_hash", sa.String(64), comment="head of the chain; team accounts only"),
    sa.Column("segments_started", sa.BigInteger, nullable=False, default=0, comment="how many there ever were"),
    sa.Column("holds_taken", sa.BigInteger, nullable=False, default=0, comment="how many there ever were"),
    one_of("kind", "team_credits", "clearing", "processor", "compute_revenue", "storage_revenue", "grants", "bad_debt"),
    sa.CheckConstraint(f"balance_micros BETWEEN -{AMOUNT_BOUND * 9} AND {AMOUNT_BOUND * 9}", name="balance_bound"),
)

transfers = sa.Table(
    "transfers",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("idempotency_key", sa.String(200), nullable=False, unique=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False, comment="place in the team's chain, from 1"),
    sa.Column("reverses", ID, sa.ForeignKey("transfers.id")),
    sa.Column("reason", sa.String(500), nullable=False, default=""),
    sa.Column("created_by", ID, comment="null: Forebay itself"),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.UniqueConstraint("team_id", "sequence"),
    sa.Index("ix_transfers_team_id_kind", "team_id", "kind", "sequence"),
    sa.Index("ix_transfers_team_id_created_at", "team_id", "created_at", "sequence"),
)

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("transfer_id", ID, sa.ForeignKey("transfers.id"), primary_key=True),
    sa.Column("account_id", sa.String(40), sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("amount_micros", MICROS, nullable=False),
    sa.Column("balance_after_micros", MICROS, comment="team accounts only"),
    sa.Column("version", sa.BigInteger, comment="team accounts only"),
    sa.CheckConstraint(f"amount_micros BETWEEN -{AMOUNT_BOUND} AND {AMOUNT_BOUND}", name="amount_bound"),
    sa.Index("uq_entries_account_id_version", "account_id", "version", unique=True),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("resource_id", ID, nullable=False, index=True),
    sa.Column("amount_micros", MICROS, nullable=False),
    sa.Column("remaining_micros", MICROS, nullable=False, comment="less what the machine has been charged since"),
    sa.Column("available_micros", MICROS, nullable=False, comment="what the team had available when it was taken"),
    sa.Column("account_version", sa.BigInteger, nullable=False, comment="of the team's account when it was taken"),
    sa.Column("charged_before_micros", MICROS, nullable=False, comment="what the machine had been charged by then"),
    sa.Column("charged_after_micros", MICROS, comment="the same when it was released"),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("released_at", Timestamp),
    sa.Column("seal", sa.String(64), nullable=False),
    sa.CheckConstraint("remaining_micros BETWEEN 0 AND amount_micros", name="remaining"),
    sa.CheckConstraint("amount_micros <= available_micros", name="available"),
    sa.CheckConstraint("(released_at IS NULL) = (charged_after_micros IS NULL)", name="released"),
    sa.Index(
        "ix_holds_open",
        "team_id",
        sqlite_where=sa.text("released_at IS NULL"),
        postgresql_where=sa.text("released_at IS NULL"),
    ),
    sa.Index(
        "uq_holds_open_resource",
        "resource_id",
        unique=True,
        sqlite_where=sa.text("released_at IS NULL"),
        postgresql_where=sa.text("released_at IS NULL"),
    ),
)

segments = sa.Table(
    "segments",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("resource_type", sa.String(20), nullable=False),
    sa.Column("resource_id", ID, nullable=False),
    sa.Column("rate_micros", MICROS, nullable=False),
    sa.Column("started_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp),
    sa.Column("charged_through", Timestamp, nullable=False),
    sa.Column("charged_micros", MICROS, nullable=False),
    sa.Column(
        "sighted_at", Timestamp, nullable=False, comment="the provider last reported it then; charged no further"
    ),
    sa.Column("seal", sa.String(64), nullable=False),
    one_of("resource_type", "compute", "storage"),
    sa.CheckConstraint(f"rate_micros BETWEEN 0 AND {RATE_BOUND}", name="rate_bound"),
    sa.CheckConstraint(f"charged_through - started_at BETWEEN 0 AND {SPAN_BOUND}", name="span_bound"),
    sa.CheckConstraint("ended_at IS NULL OR ended_at = charged_through", name="ended"),
    sa.CheckConstraint("charged_through <= sighted_at", name="sighted"),
    sa.Index("ix_segments_resource_id", "resource_id", "started_at"),
    # Nothing in it changes with a cycle: a charge touches no index.
    sa.Index("ix_segments_team_id_started_at", "team_id", "started_at", "ended_at"),
    sa.Index(
        "ix_segments_open",
        "team_id",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
    sa.Index(
        "uq_segments_open_resource",
        "resource_id",
        "resource_type",
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
)

cycles = sa.Table(
    "cycles",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("started_at", Timestamp, nullable=False),
    sa.Column("finished_at", Timestamp),
    sa.Column("teams", sa.Integer, nullable=False, default=0),
    sa.Column("lines", sa.Integer, nullable=False, default=0),
    sa.Column("amount_micros", MICROS, nullable=False, default=0),
)

usage_lines = sa.Table(
    "usage_lines",
    metadata,
    sa.Column("segment_id", ID, sa.ForeignKey("segments.id"), primary_key=True),
    sa.Column("from_at", Timestamp, primary_key=True),
    sa.Column("to_at", Timestamp, nullable=False),
    sa.Column("team_id", ID, nullable=False),
    sa.Column("amount_micros", MICROS, nullable=False),
    sa.Column("cycle_id", ID, comment="null: the last charge of a segment, made when it ended"),
    sa.Column("transfer_id", ID, sa.ForeignKey("transfers.id"), comment="null: nothing was due"),
    sa.CheckConstraint("to_at > from_at", name="span"),
    sa.CheckConstraint("amount_micros >= 0", name="amount"),
    sa.CheckConstraint("(amount_micros > 0) = (transfer_id IS NOT NULL)", name="paid"),
    sa.Index("ix_usage_lines_team_id_to_at", "team_id", "to_at"),
    sa.Index("ix_usage_lines_transfer_id", "transfer_id"),
)
