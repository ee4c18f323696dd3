"""Keys on machines, each with who put it there and whether it has come; ports; what offers can do with both."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward; there is no way back."""
    for name in ("supports_ports", "supports_live_keys", "supports_session_ends"):
        op.add_column("offers", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("deployments", sa.Column("ports", sa.Text(), nullable=False, server_default="[]"))
    op.create_table(
        "deployment_ssh_keys",
        sa.Column("deployment_id", sa.String(length=24), nullable=False),
        sa.Column("ssh_key_id", sa.String(length=24), nullable=False),
        sa.Column("added_by", sa.String(length=24), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("installed_at", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("off_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_deployment_ssh_keys_deployment_id_deployments")
        ),
        sa.ForeignKeyConstraint(
            ["ssh_key_id"], ["ssh_keys.id"], name=op.f("fk_deployment_ssh_keys_ssh_key_id_ssh_keys")
        ),
        sa.ForeignKeyConstraint(["added_by"], ["users.id"], name=op.f("fk_deployment_ssh_keys_added_by_users")),
        sa.PrimaryKeyConstraint("deployment_id", "ssh_key_id", name=op.f("pk_deployment_ssh_keys")),
    )
    op.create_index("ix_deployment_ssh_keys_ssh_key_id", "deployment_ssh_keys", ["ssh_key_id"])
    # Until now a machine had the key of its launch; one that was deleted is off it, unless it waits to be taken off.
    op.execute(
        "INSERT INTO deployment_ssh_keys "
        "(deployment_id, ssh_key_id, added_by, added_at, installed_at, removed_at, off_at) "
        "SELECT deployments.id, ssh_key_id, deployments.created_by, deployments.created_at, deployments.created_at, "
        "deleted_at, CASE WHEN keys_due_at IS NULL THEN deleted_at END "
        "FROM deployments JOIN ssh_keys ON ssh_keys.id = deployments.ssh_key_id"
    )
