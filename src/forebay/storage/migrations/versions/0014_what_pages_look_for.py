"""Ways to what pages look for in large teams: what is there among all that was, and what one person did."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back."""
    for table in ("deployments", "volumes"):
        there = sa.text("gone_at IS NULL")
        op.create_index(f"ix_{table}_there", table, ["team_id", "id"], sqlite_where=there, postgresql_where=there)
    is_open = sa.text("closed_at IS NULL")
    op.create_index(
        "ix_payment_attempts_open", "payment_attempts", ["team_id"], sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_index("ix_activity_team_id_user_id_id", "activity", ["team_id", "user_id", "id"])
