"""What people and teams are told: what is to be handed on, to whom by mail and by webhook, and what came of it."""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata, one_of
from forebay.storage.types import ID, Document, Timestamp

notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", ID, primary_key=True, comment="of the event, wherever it is told"),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), comment="null: it concerns one person alone"),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("at", Timestamp, nullable=False, index=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), comment="who is mailed; null: who looks after the team"),
    sa.Column("title", sa.String(300), nullable=False),
    sa.Column("lines", Document, nullable=False),
    sa.Column("page", sa.String(200), nullable=False, comment="where to look, on this cloud"),
    sa.Column("details", Document, nullable=False, comment="the facts, with the names of the wire"),
    sa.Column("is_mailed", sa.Boolean, nullable=False, comment="its mails were written with it, or none are wanted"),
    sa.Column("due_at", Timestamp, comment="null: handed on"),
    sa.Index(
        "ix_notifications_due",
        "due_at",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
)

notification_choices = sa.Table(
    "notification_choices",
    metadata,
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("kind", sa.String(40), primary_key=True),
    sa.Column("is_on", sa.Boolean, nullable=False),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("sealed_url", sa.Text, nullable=False, comment="sealed: the address of a chat's hook is a secret itself"),
    sa.Column("kinds", Document, comment="null: all, also those to come"),
    sa.Column("sealed_secret", sa.String(300), nullable=False),
    sa.Column("former_secret", sa.String(300), comment="sealed; signs beside the present one for a while"),
    sa.Column("former_until", Timestamp),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("created_by", ID, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("failing_since", Timestamp, comment="the first failure since something got through"),
    sa.Column("disabled_at", Timestamp),
    sa.Column("disabled_reason", sa.String(200)),
    sa.Index("ix_webhooks_team_id_id", "team_id", "id"),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("webhook_id", ID, sa.ForeignKey("webhooks.id"), nullable=False),
    sa.Column("event_id", ID, nullable=False, comment="the same at every webhook and in every attempt"),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("body", sa.Text, nullable=False, comment="frozen: every attempt says the same"),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("due_at", Timestamp, comment="null: it has ended"),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("ended_at", Timestamp, index=True),
    one_of("state", "pending", "delivered", "failed", "canceled"),
    sa.UniqueConstraint("webhook_id", "event_id"),
    sa.Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
    sa.Index(
        "ix_webhook_deliveries_due",
        "webhook_id",
        "due_at",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
)

webhook_attempts = sa.Table(
    "webhook_attempts",
    metadata,
    sa.Column("delivery_id", ID, sa.ForeignKey("webhook_deliveries.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", Timestamp, nullable=False),
    sa.Column("status_code", sa.Integer),
    sa.Column("reason", sa.String(200), comment="null: under way, or its outcome was never recorded"),
    sa.Column("milliseconds", sa.Integer),
)

stock_watches = sa.Table(
    "stock_watches",
    metadata,
    sa.Column("offer_id", sa.String(100), sa.ForeignKey("offers.id"), primary_key=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), primary_key=True, index=True),
    sa.Column("for_team", ID, primary_key=True, comment="whose webhooks are told; empty: the person alone"),
    sa.Column("is_lasting", sa.Boolean, nullable=False, comment="it does not end when it has been told once"),
    sa.Column("is_out", sa.Boolean, nullable=False, comment="there was no stock when it was last looked at"),
    sa.Column("told_at", Timestamp),
    sa.Column("created_at", Timestamp, nullable=False),
)

weekly_reports = sa.Table(
    "weekly_reports",
    metadata,
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), primary_key=True),
    sa.Column("week", sa.String(10), primary_key=True, comment="the Monday it began on"),
    sa.Column("at", Timestamp, nullable=False),
)
