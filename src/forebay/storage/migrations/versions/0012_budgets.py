"""Budgets, and through which API key machines were launched and volumes made."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back."""
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("scope", sa.String(length=12), nullable=False),
        sa.Column("subject", sa.String(length=320), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("shares", sa.Text(), nullable=False),
        sa.Column("at_limit", sa.String(length=12), nullable=False),
        sa.Column("created_by", sa.String(length=24), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("told_share", sa.Integer(), nullable=False),
        sa.Column("stops_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("scope IN ('team', 'member', 'apiKey', 'label')", name=op.f("ck_budgets_scope")),
        sa.CheckConstraint("at_limit IN ('notify', 'block', 'stop')", name=op.f("ck_budgets_at_limit")),
        sa.CheckConstraint("amount_micros BETWEEN 1 AND 1000000000000000", name=op.f("ck_budgets_amount_bound")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_budgets_team_id_teams")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_budgets_created_by_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        sa.UniqueConstraint("team_id", "scope", "subject", name=op.f("uq_budgets_team_id_scope_subject")),
    )
    for table in ("deployments", "volumes"):
        op.add_column(table, sa.Column("api_key_id", sa.String(length=24), nullable=True))
    # Who made it, and through which key, is on record since the first day.
    op.execute(
        "UPDATE deployments SET api_key_id = made.api_key_id FROM ("
        "SELECT object_id, max(api_key_id) AS api_key_id FROM activity "
        "WHERE action = 'deployment.launch' AND api_key_id IS NOT NULL GROUP BY object_id"
        ") AS made WHERE made.object_id = deployments.id"
    )
    op.execute(
        "UPDATE volumes SET api_key_id = made.api_key_id FROM ("
        "SELECT object_id, max(api_key_id) AS api_key_id FROM activity "
        "WHERE action = 'volume.create' AND api_key_id IS NOT NULL GROUP BY object_id"
        ") AS made WHERE made.object_id = volumes.id"
    )
