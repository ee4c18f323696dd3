"""Cards, the attempts to charge them, what came of those, what the processor told us, and the auto top-up policies.

Money moves in the ledger alone: a row of `payments` says what the ledger was told of one payment of the processor, and
an attempt says what was asked for and how far it got. One attempt a team is open at a time, whichever path began it; a
page of the processor that waits for a person (`checkout`) takes no such slot.
"""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata, one_of
from forebay.storage.tables.money import AMOUNT_BOUND
from forebay.storage.types import ID, MICROS, Document, Timestamp

REMOTE_ID = sa.String(255)
"""What the processor calls a thing."""

customers = sa.Table(
    "customers",
    metadata,
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), primary_key=True),
    sa.Column("customer_id", REMOTE_ID, unique=True, comment="null: claimed, not known to be made"),
    sa.Column("request", Document, nullable=False, comment="frozen: every retry says the same"),
    sa.Column("claimed_at", Timestamp, nullable=False),
    sa.Column("made_at", Timestamp),
    sa.CheckConstraint("(customer_id IS NULL) = (made_at IS NULL)", name="made"),
)

cards = sa.Table(
    "cards",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False, index=True),
    sa.Column("payment_method_id", REMOTE_ID, nullable=False, unique=True),
    sa.Column("brand", sa.String(40), nullable=False),
    sa.Column("last_four", sa.String(4), nullable=False),
    sa.Column("expiry_month", sa.Integer, nullable=False),
    sa.Column("expiry_year", sa.Integer, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("created_by", ID, sa.ForeignKey("users.id")),
    sa.Column("expiry_mailed_at", Timestamp),
    sa.Column("deleted_at", Timestamp),
    sa.Column("forgotten_at", Timestamp, comment="the processor has let go of it too"),
    sa.CheckConstraint("deleted_at IS NULL OR NOT is_default", name="deleted"),
    sa.CheckConstraint("forgotten_at IS NULL OR deleted_at IS NOT NULL", name="forgotten"),
    sa.Index(
        "uq_cards_default",
        "team_id",
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    ),
    sa.Index(
        "ix_cards_to_forget",
        "deleted_at",
        sqlite_where=sa.text("deleted_at IS NOT NULL AND forgotten_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL AND forgotten_at IS NULL"),
    ),
)

card_set_ups = sa.Table(
    "card_set_ups",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False, index=True),
    sa.Column("path", sa.String(12), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("payment_method_id", REMOTE_ID, comment="as it was given"),
    sa.Column("page_id", REMOTE_ID, unique=True),
    sa.Column("page_url", sa.String(2000)),
    sa.Column("card_id", ID, sa.ForeignKey("cards.id")),
    sa.Column("error_code", sa.String(60)),
    sa.Column("requested_by", ID, sa.ForeignKey("users.id")),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("closed_at", Timestamp),
    sa.Column("due_at", Timestamp),
    sa.Column("lease_token", sa.String(32)),
    one_of("path", "page", "given"),
    one_of("state", "claimed", "open", "saved", "refused", "expired"),
    sa.CheckConstraint("(closed_at IS NULL) = (state IN ('claimed', 'open'))", name="closed"),
    sa.Index(
        "ix_card_set_ups_due",
        "due_at",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
)

payment_attempts = sa.Table(
    "payment_attempts",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("path", sa.String(12), nullable=False),
    sa.Column("state", sa.String(24), nullable=False),
    sa.Column("amount_micros", MICROS, nullable=False),
    sa.Column("card_id", ID, sa.ForeignKey("cards.id")),
    sa.Column("request", Document, nullable=False, comment="frozen: every retry says the same"),
    sa.Column("idempotency_key", sa.String(80), nullable=False, unique=True, comment="what the processor knows it by"),
    sa.Column("client_key", sa.String(255), comment="what whoever asked knows it by"),
    sa.Column("payment_intent_id", REMOTE_ID, unique=True),
    sa.Column("page_id", REMOTE_ID, unique=True),
    sa.Column("page_url", sa.String(2000)),
    sa.Column("error_code", sa.String(60)),
    sa.Column("requested_by", ID, sa.ForeignKey("users.id"), comment="null: Forebay itself"),
    sa.Column("created_at", Timestamp, nullable=False, comment="the claim"),
    sa.Column("closed_at", Timestamp),
    sa.Column("due_at", Timestamp),
    sa.Column("tries", sa.Integer, nullable=False, default=0, comment="rounds without a certain outcome"),
    sa.Column("lease_token", sa.String(32)),
    one_of("path", "manual", "auto", "checkout"),
    one_of(
        "state",
        "claimed",
        "created",
        "unknown",
        "canceling",
        "succeeded",
        "declined",
        "authentication_required",
        "canceled",
    ),
    sa.CheckConstraint(
        "(closed_at IS NULL) = (state IN ('claimed', 'created', 'unknown', 'canceling'))", name="closed"
    ),
    sa.CheckConstraint(f"amount_micros BETWEEN 1 AND {AMOUNT_BOUND}", name="amount"),
    sa.CheckConstraint("state <> 'succeeded' OR payment_intent_id IS NOT NULL", name="succeeded"),
    sa.UniqueConstraint("team_id", "client_key"),
    sa.Index("ix_payment_attempts_team_id_created_at", "team_id", "created_at"),
    sa.Index(
        "ix_payment_attempts_open",
        "team_id",
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    ),
    sa.Index(
        "uq_payment_attempts_open",
        "team_id",
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL AND path <> 'checkout'"),
        postgresql_where=sa.text("closed_at IS NULL AND path <> 'checkout'"),
    ),
    sa.Index(
        "ix_payment_attempts_due",
        "due_at",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
)

payments = sa.Table(
    "payments",
    metadata,
    sa.Column("payment_intent_id", REMOTE_ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("attempt_id", ID, sa.ForeignKey("payment_attempts.id"), nullable=False, unique=True),
    sa.Column("card_words", sa.String(60), nullable=False, comment="for the receipt: visa ending in 4242"),
    sa.Column("credited_micros", MICROS, nullable=False),
    sa.Column("refunded_micros", MICROS, nullable=False, comment="at the processor, in all"),
    sa.Column("disputed_micros", MICROS, nullable=False, comment="withdrawn at the processor now"),
    sa.Column("taken_back_micros", MICROS, nullable=False, comment="of the credits, less what was given back"),
    sa.Column("changes", sa.Integer, nullable=False, comment="how often credits were taken or given back"),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.CheckConstraint(f"credited_micros BETWEEN 1 AND {AMOUNT_BOUND}", name="credited"),
    sa.CheckConstraint("taken_back_micros BETWEEN 0 AND credited_micros", name="taken_back"),
    sa.CheckConstraint("refunded_micros >= 0 AND disputed_micros >= 0", name="totals"),
    sa.Index("ix_payments_team_id_created_at", "team_id", "created_at"),
)

webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("id", REMOTE_ID, primary_key=True),
    sa.Column("type", sa.String(120), nullable=False),
    sa.Column("object_id", REMOTE_ID, nullable=False),
    sa.Column("related_id", REMOTE_ID, comment="the payment that the object belongs to, where the event says so"),
    sa.Column("source", sa.String(12), nullable=False),
    sa.Column("occurred_at", Timestamp, nullable=False),
    sa.Column("received_at", Timestamp, nullable=False),
    sa.Column("handled_at", Timestamp),
    sa.Column("due_at", Timestamp),
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("outcome", sa.String(200)),
    one_of("source", "webhook", "poll"),
    sa.CheckConstraint("handled_at IS NULL OR due_at IS NULL", name="handled"),
    sa.Index("ix_webhook_events_occurred_at", "occurred_at"),
    sa.Index(
        "ix_webhook_events_due",
        "due_at",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
)

event_polls = sa.Table(
    "event_polls",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("read_through", Timestamp, nullable=False, comment="events up to here are on record"),
)

auto_top_ups = sa.Table(
    "auto_top_ups",
    metadata,
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), primary_key=True),
    sa.Column("is_on", sa.Boolean, nullable=False),
    sa.Column("threshold_micros", MICROS, nullable=False),
    sa.Column("amount_micros", MICROS, nullable=False),
    sa.Column("max_charge_micros", MICROS, nullable=False, comment="the most that one charge may be"),
    sa.Column("month_ceiling_micros", MICROS, comment="null: none"),
    sa.Column("day_ceiling_charges", sa.Integer, comment="null: none"),
    sa.Column("card_id", ID, sa.ForeignKey("cards.id"), comment="null: the default card"),
    sa.Column("consent_text", sa.Text, nullable=False, comment="what the person agreed to, word for word"),
    sa.Column("consented_by", ID, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("consented_at", Timestamp, nullable=False),
    sa.Column("failures_in_a_row", sa.Integer, nullable=False, default=0),
    sa.Column("stopped_at", Timestamp),
    sa.Column("stopped_reason", sa.String(60), comment="a code; null while it is not stopped"),
    sa.Column("last_claimed_at", Timestamp),
    sa.Column("next_attempt_at", Timestamp, comment="no attempt before; null: whenever one is needed"),
    sa.Column("too_little_mailed_at", Timestamp),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.CheckConstraint(f"threshold_micros BETWEEN 1 AND {AMOUNT_BOUND}", name="threshold"),
    sa.CheckConstraint(f"amount_micros BETWEEN 1 AND {AMOUNT_BOUND}", name="amount"),
    sa.CheckConstraint(f"max_charge_micros BETWEEN amount_micros AND {AMOUNT_BOUND}", name="max_charge"),
    sa.CheckConstraint("month_ceiling_micros IS NULL OR month_ceiling_micros > 0", name="month_ceiling"),
    sa.CheckConstraint("day_ceiling_charges IS NULL OR day_ceiling_charges > 0", name="day_ceiling"),
    sa.CheckConstraint("(stopped_at IS NULL) = (stopped_reason IS NULL)", name="stopped"),
    sa.CheckConstraint("failures_in_a_row >= 0", name="failures"),
    sa.Index(
        "ix_auto_top_ups_on",
        "team_id",
        sqlite_where=sa.text("is_on AND stopped_at IS NULL"),
        postgresql_where=sa.text("is_on AND stopped_at IS NULL"),
    ),
)
