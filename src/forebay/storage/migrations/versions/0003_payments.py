"""Payments: cards, attempts to charge them, what came of those, events of the processor, auto top-up policies."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back."""
    op.create_table(
        "event_polls",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("read_through", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_event_polls")),
    )
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=120), nullable=False),
        sa.Column("object_id", sa.String(length=255), nullable=False),
        sa.Column("related_id", sa.String(length=255), nullable=True),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("handled_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=200), nullable=True),
        sa.CheckConstraint("source IN ('webhook', 'poll')", name=op.f("ck_webhook_events_source")),
        sa.CheckConstraint("handled_at IS NULL OR due_at IS NULL", name=op.f("ck_webhook_events_handled")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
    )
    with op.batch_alter_table("webhook_events", schema=None) as batch_op:
        batch_op.create_index(
            "ix_webhook_events_due",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index("ix_webhook_events_occurred_at", ["occurred_at"], unique=False)

    op.create_table(
        "cards",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("payment_method_id", sa.String(length=255), nullable=False),
        sa.Column("brand", sa.String(length=40), nullable=False),
        sa.Column("last_four", sa.String(length=4), nullable=False),
        sa.Column("expiry_month", sa.Integer(), nullable=False),
        sa.Column("expiry_year", sa.Integer(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=24), nullable=True),
        sa.Column("expiry_mailed_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("forgotten_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("deleted_at IS NULL OR NOT is_default", name=op.f("ck_cards_deleted")),
        sa.CheckConstraint("forgotten_at IS NULL OR deleted_at IS NOT NULL", name=op.f("ck_cards_forgotten")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_cards_created_by")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_cards_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cards")),
        sa.UniqueConstraint("payment_method_id", name=op.f("uq_cards_payment_method_id")),
    )
    with op.batch_alter_table("cards", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_cards_team_id"), ["team_id"], unique=False)
        batch_op.create_index(
            "ix_cards_to_forget",
            ["deleted_at"],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NOT NULL AND forgotten_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NOT NULL AND forgotten_at IS NULL"),
        )
        batch_op.create_index(
            "uq_cards_default",
            ["team_id"],
            unique=True,
            sqlite_where=sa.text("is_default"),
            postgresql_where=sa.text("is_default"),
        )

    op.create_table(
        "customers",
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("customer_id", sa.String(length=255), nullable=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(customer_id IS NULL) = (made_at IS NULL)", name=op.f("ck_customers_made")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_customers_team_id")),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_customers")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_customers_customer_id")),
    )
    op.create_table(
        "auto_top_ups",
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("threshold_micros", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("max_charge_micros", sa.BigInteger(), nullable=False),
        sa.Column("month_ceiling_micros", sa.BigInteger(), nullable=True),
        sa.Column("day_ceiling_charges", sa.Integer(), nullable=True),
        sa.Column("card_id", sa.String(length=24), nullable=True),
        sa.Column("consent_text", sa.Text(), nullable=False),
        sa.Column("consented_by", sa.String(length=24), nullable=False),
        sa.Column("consented_at", sa.BigInteger(), nullable=False),
        sa.Column("failures_in_a_row", sa.Integer(), nullable=False),
        sa.Column("stopped_at", sa.BigInteger(), nullable=True),
        sa.Column("stopped_reason", sa.String(length=60), nullable=True),
        sa.Column("last_claimed_at", sa.BigInteger(), nullable=True),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("too_little_mailed_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(stopped_at IS NULL) = (stopped_reason IS NULL)", name=op.f("ck_auto_top_ups_stopped")),
        sa.CheckConstraint("amount_micros BETWEEN 1 AND 1000000000000000", name=op.f("ck_auto_top_ups_amount")),
        sa.CheckConstraint(
            "day_ceiling_charges IS NULL OR day_ceiling_charges > 0", name=op.f("ck_auto_top_ups_day_ceiling")
        ),
        sa.CheckConstraint("failures_in_a_row >= 0", name=op.f("ck_auto_top_ups_failures")),
        sa.CheckConstraint(
            "max_charge_micros BETWEEN amount_micros AND 1000000000000000", name=op.f("ck_auto_top_ups_max_charge")
        ),
        sa.CheckConstraint(
            "month_ceiling_micros IS NULL OR month_ceiling_micros > 0", name=op.f("ck_auto_top_ups_month_ceiling")
        ),
        sa.CheckConstraint("threshold_micros BETWEEN 1 AND 1000000000000000", name=op.f("ck_auto_top_ups_threshold")),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("fk_auto_top_ups_card_id")),
        sa.ForeignKeyConstraint(["consented_by"], ["users.id"], name=op.f("fk_auto_top_ups_consented_by")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_auto_top_ups_team_id")),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_auto_top_ups")),
    )
    with op.batch_alter_table("auto_top_ups", schema=None) as batch_op:
        batch_op.create_index(
            "ix_auto_top_ups_on",
            ["team_id"],
            unique=False,
            sqlite_where=sa.text("is_on AND stopped_at IS NULL"),
            postgresql_where=sa.text("is_on AND stopped_at IS NULL"),
        )

    op.create_table(
        "card_set_ups",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("path", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("payment_method_id", sa.String(length=255), nullable=True),
        sa.Column("page_id", sa.String(length=255), nullable=True),
        sa.Column("page_url", sa.String(length=2000), nullable=True),
        sa.Column("card_id", sa.String(length=24), nullable=True),
        sa.Column("error_code", sa.String(length=60), nullable=True),
        sa.Column("requested_by", sa.String(length=24), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.CheckConstraint("(closed_at IS NULL) = (state IN ('claimed', 'open'))", name=op.f("ck_card_set_ups_closed")),
        sa.CheckConstraint("path IN ('page', 'given')", name=op.f("ck_card_set_ups_path")),
        sa.CheckConstraint(
            "state IN ('claimed', 'open', 'saved', 'refused', 'expired')", name=op.f("ck_card_set_ups_state")
        ),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("fk_card_set_ups_card_id")),
        sa.ForeignKeyConstraint(["requested_by"], ["users.id"], name=op.f("fk_card_set_ups_requested_by")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_card_set_ups_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_set_ups")),
        sa.UniqueConstraint("page_id", name=op.f("uq_card_set_ups_page_id")),
    )
    with op.batch_alter_table("card_set_ups", schema=None) as batch_op:
        batch_op.create_index(
            "ix_card_set_ups_due",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index(batch_op.f("ix_card_set_ups_team_id"), ["team_id"], unique=False)

    op.create_table(
        "payment_attempts",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("path", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("card_id", sa.String(length=24), nullable=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=80), nullable=False),
        sa.Column("client_key", sa.String(length=255), nullable=True),
        sa.Column("payment_intent_id", sa.String(length=255), nullable=True),
        sa.Column("page_id", sa.String(length=255), nullable=True),
        sa.Column("page_url", sa.String(length=2000), nullable=True),
        sa.Column("error_code", sa.String(length=60), nullable=True),
        sa.Column("requested_by", sa.String(length=24), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (state IN ('claimed', 'created', 'unknown', 'canceling'))",
            name=op.f("ck_payment_attempts_closed"),
        ),
        sa.CheckConstraint("path IN ('manual', 'auto', 'checkout')", name=op.f("ck_payment_attempts_path")),
        sa.CheckConstraint(
            "state <> 'succeeded' OR payment_intent_id IS NOT NULL", name=op.f("ck_payment_attempts_succeeded")
        ),
        sa.CheckConstraint(
            "state IN ('claimed', 'created', 'unknown', 'canceling', 'succeeded', 'declined', 'authentication_required', 'canceled')",
            name=op.f("ck_payment_attempts_state"),
        ),
        sa.CheckConstraint("amount_micros BETWEEN 1 AND 1000000000000000", name=op.f("ck_payment_attempts_amount")),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("fk_payment_attempts_card_id")),
        sa.ForeignKeyConstraint(["requested_by"], ["users.id"], name=op.f("fk_payment_attempts_requested_by")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_payment_attempts_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_attempts")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_payment_attempts_idempotency_key")),
        sa.UniqueConstraint("page_id", name=op.f("uq_payment_attempts_page_id")),
        sa.UniqueConstraint("payment_intent_id", name=op.f("uq_payment_attempts_payment_intent_id")),
        sa.UniqueConstraint("team_id", "client_key", name=op.f("uq_payment_attempts_team_id_client_key")),
    )
    with op.batch_alter_table("payment_attempts", schema=None) as batch_op:
        batch_op.create_index(
            "ix_payment_attempts_due",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index("ix_payment_attempts_team_id_created_at", ["team_id", "created_at"], unique=False)
        batch_op.create_index(
            "uq_payment_attempts_open",
            ["team_id"],
            unique=True,
            sqlite_where=sa.text("closed_at IS NULL AND path <> 'checkout'"),
            postgresql_where=sa.text("closed_at IS NULL AND path <> 'checkout'"),
        )

    op.create_table(
        "payments",
        sa.Column("payment_intent_id", sa.String(length=255), nullable=False),
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("attempt_id", sa.String(length=24), nullable=False),
        sa.Column("card_words", sa.String(length=60), nullable=False),
        sa.Column("credited_micros", sa.BigInteger(), nullable=False),
        sa.Column("refunded_micros", sa.BigInteger(), nullable=False),
        sa.Column("disputed_micros", sa.BigInteger(), nullable=False),
        sa.Column("taken_back_micros", sa.BigInteger(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("credited_micros BETWEEN 1 AND 1000000000000000", name=op.f("ck_payments_credited")),
        sa.CheckConstraint("refunded_micros >= 0 AND disputed_micros >= 0", name=op.f("ck_payments_totals")),
        sa.CheckConstraint("taken_back_micros BETWEEN 0 AND credited_micros", name=op.f("ck_payments_taken_back")),
        sa.ForeignKeyConstraint(["attempt_id"], ["payment_attempts.id"], name=op.f("fk_payments_attempt_id")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_payments_team_id")),
        sa.PrimaryKeyConstraint("payment_intent_id", name=op.f("pk_payments")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_payments_attempt_id")),
    )
    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.create_index("ix_payments_team_id_created_at", ["team_id", "created_at"], unique=False)
