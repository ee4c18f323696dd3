"""Launches that a team saves to launch them again."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back."""
    op.create_table(
        "launch_templates",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("name_key", sa.String(length=200), nullable=False),
        sa.Column("created_by", sa.String(length=24), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("offer_id", sa.String(length=100), nullable=False),
        sa.Column("instance_type", sa.String(length=20), nullable=False),
        sa.Column("region", sa.String(length=60), nullable=False),
        sa.Column("operating_system", sa.String(length=120), nullable=False),
        sa.Column("gpu_type", sa.String(length=60), nullable=False),
        sa.Column("gpu_count", sa.Integer(), nullable=False),
        sa.Column("ssh_key_id", sa.String(length=24), nullable=True),
        sa.Column("machine_name", sa.String(length=60), nullable=True),
        sa.Column("cloud_init", sa.Text(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("ports", sa.Text(), nullable=False),
        sa.Column("volume_ids", sa.Text(), nullable=False),
        sa.Column("terminate_after_minutes", sa.Integer(), nullable=True),
        sa.Column("max_cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("auto_stop_minutes", sa.Integer(), nullable=True),
        sa.Column("auto_stop_action", sa.String(length=12), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_launch_templates_created_by")),
        sa.ForeignKeyConstraint(["ssh_key_id"], ["ssh_keys.id"], name=op.f("fk_launch_templates_ssh_key_id")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_launch_templates_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_launch_templates")),
        sa.UniqueConstraint("team_id", "name_key", name=op.f("uq_launch_templates_team_id_name_key")),
    )
