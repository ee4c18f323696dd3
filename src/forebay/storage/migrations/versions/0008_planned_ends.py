"""Planned ends: when a machine is terminated, what it may cost at most, and how long it may be idle."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back. Machines that run have no such plan."""
    op.add_column("deployments", sa.Column("terminate_at", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("max_cost_micros", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("ends_at", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("auto_stop_minutes", sa.Integer(), nullable=True))
    op.add_column("deployments", sa.Column("auto_stop_action", sa.String(length=12), nullable=True))
    op.add_column("deployments", sa.Column("idle_since", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("idle_told_at", sa.BigInteger(), nullable=True))
    for name, column, where in (
        ("ends", "ends_at", "ends_at IS NOT NULL"),
        ("max_cost", "id", "max_cost_micros IS NOT NULL AND gone_at IS NULL"),
    ):
        op.create_index(
            f"ix_deployments_{name}",
            "deployments",
            [column],
            unique=False,
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )
