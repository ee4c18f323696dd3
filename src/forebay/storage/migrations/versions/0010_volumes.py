"""Volumes: where they can be kept, which there are, and which machines they are on."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back."""
    op.create_table(
        "volume_regions",
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("region", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("nanos_per_gb", sa.BigInteger(), nullable=False),
        sa.Column("min_size_gb", sa.Integer(), nullable=False),
        sa.Column("max_size_gb", sa.Integer(), nullable=False),
        sa.Column("total_gb", sa.Integer(), nullable=False),
        sa.Column("can_grow", sa.Boolean(), nullable=False),
        sa.Column("can_share", sa.Boolean(), nullable=False),
        sa.Column("is_listed", sa.Boolean(), nullable=False),
        sa.CheckConstraint("nanos_per_gb BETWEEN 0 AND 1000000000000", name=op.f("ck_volume_regions_price_bound")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volume_regions")),
    )
    op.create_table(
        "volumes",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("team_id", sa.String(length=24), nullable=False),
        sa.Column("created_by", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("region", sa.String(length=60), nullable=False),
        sa.Column("region_id", sa.String(length=120), nullable=False),
        sa.Column("size_gb", sa.Integer(), nullable=False),
        sa.Column("made_gb", sa.Integer(), nullable=False),
        sa.Column("nanos_per_gb", sa.BigInteger(), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('creating', 'available', 'deleting', 'deleted', 'failed')", name=op.f("ck_volumes_state")
        ),
        sa.CheckConstraint("size_gb BETWEEN 1 AND 1000000", name=op.f("ck_volumes_size_bound")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_volumes_created_by_users")),
        sa.ForeignKeyConstraint(["region_id"], ["volume_regions.id"], name=op.f("fk_volumes_region_id_volume_regions")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_volumes_team_id_teams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volumes")),
    )
    op.create_index("ix_volumes_team_id_id", "volumes", ["team_id", "id"], unique=False)
    partial_index("uq_volumes_name", "volumes", ["team_id", "name"], "ended_at IS NULL", unique=True)
    partial_index("ix_volumes_due", "volumes", ["due_at"], "due_at IS NOT NULL")
    partial_index("ix_volumes_taking", "volumes", ["region_id"], "gone_at IS NULL")
    op.create_table(
        "volume_attachments",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("volume_id", sa.String(length=24), nullable=False),
        sa.Column("deployment_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('attaching', 'attached', 'detaching', 'detached')", name=op.f("ck_volume_attachments_state")
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_volume_attachments_deployment_id_deployments")
        ),
        sa.ForeignKeyConstraint(["volume_id"], ["volumes.id"], name=op.f("fk_volume_attachments_volume_id_volumes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volume_attachments")),
    )
    is_open = "state <> 'detached'"
    partial_index(
        "uq_volume_attachments_open", "volume_attachments", ["volume_id", "deployment_id"], is_open, unique=True
    )
    partial_index("uq_volume_attachments_place", "volume_attachments", ["deployment_id", "name"], is_open, unique=True)


def partial_index(name: str, table: str, columns: list[str], which: str, *, unique: bool = False) -> None:
    """An index of some rows."""
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(which), postgresql_where=sa.text(which))
