"""Host keys: a machine's own, as it reported them when SSH first answered."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back. Machines that run report theirs at their next start."""
    op.add_column("deployments", sa.Column("host_keys", sa.Text(), nullable=False, server_default="[]"))
