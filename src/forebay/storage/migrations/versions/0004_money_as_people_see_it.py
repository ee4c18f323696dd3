"""Money as people see it: a team's use and transactions of any time are found by index, however long it has been here.

Usage is reckoned from segments, so there is nothing to fill in for those that exist.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back."""
    op.create_index("ix_segments_team_id_started_at", "segments", ["team_id", "started_at", "ended_at"], unique=False)
    op.create_index("ix_transfers_team_id_kind", "transfers", ["team_id", "kind", "sequence"], unique=False)
    op.create_index("ix_transfers_team_id_created_at", "transfers", ["team_id", "created_at", "sequence"], unique=False)
