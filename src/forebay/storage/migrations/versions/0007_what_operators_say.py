"""What operators say of offers and prices, discounts, what is held back; what providers were last seen to be.

What machines pay so far is their price without discount.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back."""
    op.create_table(
        "offer_terms",
        sa.Column("offer_id", sa.String(length=100), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("source IN ('file', 'api')", name=op.f("ck_offer_terms_source")),
        sa.PrimaryKeyConstraint("offer_id", "source", name=op.f("pk_offer_terms")),
    )
    op.create_table(
        "orphans",
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("instance_id", sa.String(length=80), nullable=False),
        sa.Column("team_id", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("end_asked_at", sa.BigInteger(), nullable=True),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("provider", "instance_id", name=op.f("pk_orphans")),
    )
    op.create_table(
        "price_changes",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("offer_id", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("from_micros", sa.BigInteger(), nullable=False),
        sa.Column("to_micros", sa.BigInteger(), nullable=False),
        sa.Column("announced_at", sa.BigInteger(), nullable=False),
        sa.Column("launches_at", sa.BigInteger(), nullable=False),
        sa.Column("running_at", sa.BigInteger(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=True),
        sa.Column("said_by", sa.String(length=120), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.CheckConstraint("kind IN ('machine', 'spot', 'disk')", name=op.f("ck_price_changes_kind")),
        sa.CheckConstraint("source IN ('provider', 'file', 'api')", name=op.f("ck_price_changes_source")),
        sa.CheckConstraint(
            "running_at >= launches_at AND launches_at >= announced_at", name=op.f("ck_price_changes_order")
        ),
        sa.CheckConstraint("to_micros BETWEEN 0 AND 20000000000", name=op.f("ck_price_changes_rate_bound")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_changes")),
    )
    op.create_index("ix_price_changes_offer_id_id", "price_changes", ["offer_id", "id"], unique=False)
    op.create_index(
        "ix_price_changes_open",
        "price_changes",
        ["launches_at"],
        unique=False,
        sqlite_where=sa.text("applied_at IS NULL AND cancelled_at IS NULL"),
        postgresql_where=sa.text("applied_at IS NULL AND cancelled_at IS NULL"),
    )
    op.create_table(
        "provider_states",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("is_reachable", sa.Boolean(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=True),
        sa.Column("instances", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.Column("last_error_at", sa.BigInteger(), nullable=True),
        sa.Column("takes_any_size", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=True),
        sa.Column("findings_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_provider_states")),
    )
    op.create_table(
        "restrictions",
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("scope", sa.String(length=10), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("most", sa.Integer(), nullable=True),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(kind = 'stock') = (most IS NOT NULL)", name=op.f("ck_restrictions_most")),
        sa.CheckConstraint("kind <> 'stock' OR scope IN ('offer', 'pool')", name=op.f("ck_restrictions_stock")),
        sa.CheckConstraint("kind IN ('stock', 'maintenance')", name=op.f("ck_restrictions_kind")),
        sa.CheckConstraint("scope IN ('offer', 'pool', 'region', 'provider')", name=op.f("ck_restrictions_scope")),
        sa.PrimaryKeyConstraint("kind", "scope", "subject", name=op.f("pk_restrictions")),
    )
    op.create_table(
        "discounts",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("basis_points", sa.Integer(), nullable=False),
        sa.Column("offer_id", sa.String(length=100), nullable=True),
        sa.Column("gpu_type", sa.String(length=60), nullable=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("basis_points BETWEEN 1 AND 10000", name=op.f("ck_discounts_basis_points")),
        sa.CheckConstraint("ends_at IS NULL OR ends_at >= starts_at", name=op.f("ck_discounts_span")),
        sa.CheckConstraint("offer_id IS NULL OR gpu_type IS NULL", name=op.f("ck_discounts_scope")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_discounts_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discounts")),
    )
    op.create_index("ix_discounts_team_id_id", "discounts", ["team_id", "id"], unique=False)
    op.create_table(
        "price_notices",
        sa.Column("deployment_id", sa.String(length=24), nullable=False),
        sa.Column("change_id", sa.String(length=24), nullable=False),
        sa.Column("offer_id", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("rate_micros", sa.BigInteger(), nullable=False),
        sa.Column("is_cut", sa.Boolean(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("effective_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('machine', 'spot', 'disk')", name=op.f("ck_price_notices_kind")),
        sa.ForeignKeyConstraint(["change_id"], ["price_changes.id"], name=op.f("fk_price_notices_change_id")),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"], name=op.f("fk_price_notices_deployment_id")),
        sa.PrimaryKeyConstraint("deployment_id", "change_id", name=op.f("pk_price_notices")),
    )
    op.create_index("ix_price_notices_change_id", "price_notices", ["change_id"], unique=False)
    op.create_index(
        "ix_price_notices_open",
        "price_notices",
        ["effective_at"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.add_column("deployments", sa.Column("list_rate_micros", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("deployments", sa.Column("discount_basis_points", sa.Integer(), server_default="0", nullable=False))
    op.add_column("deployments", sa.Column("reclaim_at", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("reclaim_reason", sa.String(length=500), nullable=True))
    op.add_column("deployments", sa.Column("warned_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_deployments_offer",
        "deployments",
        ["offer_id"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL"),
        postgresql_where=sa.text("gone_at IS NULL"),
    )
    op.create_index(
        "ix_deployments_reclaim",
        "deployments",
        ["reclaim_at"],
        unique=False,
        sqlite_where=sa.text("reclaim_at IS NOT NULL AND gone_at IS NULL"),
        postgresql_where=sa.text("reclaim_at IS NOT NULL AND gone_at IS NULL"),
    )
    op.add_column("offers", sa.Column("spot_rate_micros", sa.BigInteger(), nullable=True))
    op.add_column("offers", sa.Column("found", sa.Text(), nullable=True))
    op.execute("UPDATE deployments SET list_rate_micros = rate_micros")
