"""Low balance: how far a team has got with too little credit, and which machines were stopped for lack of it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back."""
    op.create_table(
        "low_balances",
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("early_told_at", sa.BigInteger(), nullable=True),
        sa.Column("late_told_at", sa.BigInteger(), nullable=True),
        sa.Column("waiting_since", sa.BigInteger(), nullable=True),
        sa.Column("waiting_until", sa.BigInteger(), nullable=True),
        sa.Column("disks_kept_since", sa.BigInteger(), nullable=True),
        sa.Column("deletion_told_at", sa.BigInteger(), nullable=True),
        sa.Column("disks_deleted_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(waiting_since IS NULL) = (waiting_until IS NULL)", name=op.f("ck_low_balances_waiting")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_low_balances_team_id_teams")),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_low_balances")),
    )
    op.add_column("deployments", sa.Column("stopped_for_credits_at", sa.BigInteger(), nullable=True))
    # Who had run dry by then was told so, and the days of their disks are counted already.
    op.execute(
        "INSERT INTO low_balances (team_id, disks_kept_since) "
        "SELECT id, ran_dry_at FROM teams WHERE ran_dry_at IS NOT NULL"
    )
    op.execute(
        "UPDATE deployments SET stopped_for_credits_at = stopped_at "
        "WHERE status = 'stopped' AND error = 'The team''s credits have run out.'"
    )
