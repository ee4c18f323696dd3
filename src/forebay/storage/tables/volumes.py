"""Volumes: where they can be kept, which there are, and which machines they are on."""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata, one_of
from forebay.storage.types import ID, Timestamp

volume_regions = sa.Table(
    "volume_regions",
    metadata,
    sa.Column("id", sa.String(120), primary_key=True, comment="`<provider>/<region>`"),
    sa.Column("provider", sa.String(40), nullable=False),
    sa.Column("region", sa.String(60), nullable=False),
    sa.Column("name", sa.String(120), nullable=False),
    sa.Column("nanos_per_gb", sa.BigInteger, nullable=False, comment="nano-dollars an hour"),
    sa.Column("min_size_gb", sa.Integer, nullable=False),
    sa.Column("max_size_gb", sa.Integer, nullable=False),
    sa.Column("total_gb", sa.Integer, nullable=False, comment="what all volumes there may come to"),
    sa.Column("can_grow", sa.Boolean, nullable=False),
    sa.Column("can_share", sa.Boolean, nullable=False, comment="a volume may be on several machines at once"),
    sa.Column("is_listed", sa.Boolean, nullable=False, comment="the provider still keeps volumes there"),
    sa.CheckConstraint("nanos_per_gb BETWEEN 0 AND 1000000000000", name="price_bound"),
)

volumes = sa.Table(
    "volumes",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("created_by", ID, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("api_key_id", ID, comment="of the key that made it; null: a person who was signed in"),
    sa.Column("name", sa.String(60), nullable=False),
    sa.Column("provider", sa.String(40), nullable=False),
    sa.Column("region", sa.String(60), nullable=False),
    sa.Column("region_id", sa.String(120), sa.ForeignKey("volume_regions.id"), nullable=False),
    sa.Column("size_gb", sa.Integer, nullable=False, comment="as it is wanted"),
    sa.Column(
        "made_gb", sa.Integer, nullable=False, comment="as the provider has it, and as it is charged; 0: not yet"
    ),
    sa.Column("nanos_per_gb", sa.BigInteger, nullable=False, comment="its price, which it keeps"),
    sa.Column("used_bytes", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("error", sa.String(500)),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp, comment="deletion was accepted, or it could not be made; the name is free"),
    sa.Column("gone_at", Timestamp, comment="the provider confirmed that nothing is left; the room is free"),
    sa.Column("due_at", Timestamp, comment="the reconciler looks at it then; null: all is as it should be"),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("lease_token", sa.String(32)),
    sa.Column("lease_until", Timestamp),
    one_of("state", "creating", "available", "deleting", "deleted", "failed"),
    sa.CheckConstraint("size_gb BETWEEN 1 AND 1000000", name="size_bound"),
    sa.Index("ix_volumes_team_id_id", "team_id", "id"),
    sa.Index(
        "ix_volumes_there",
        "team_id",
        "id",
        sqlite_where=sa.text("gone_at IS NULL"),
        postgresql_where=sa.text("gone_at IS NULL"),
    ),
    sa.Index(
        "uq_volumes_name",
        "team_id",
        "name",
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
    sa.Index(
        "ix_volumes_due",
        "due_at",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
    sa.Index(
        "ix_volumes_taking",
        "region_id",
        sqlite_where=sa.text("gone_at IS NULL"),
        postgresql_where=sa.text("gone_at IS NULL"),
    ),
)

volume_attachments = sa.Table(
    "volume_attachments",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("volume_id", ID, sa.ForeignKey("volumes.id"), nullable=False),
    sa.Column("deployment_id", ID, sa.ForeignKey("deployments.id"), nullable=False),
    sa.Column("name", sa.String(60), nullable=False, comment="below /mnt; a volume that is renamed keeps its place"),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("changed_at", Timestamp, nullable=False, comment="when the state was last changed"),
    one_of("state", "attaching", "attached", "detaching", "detached"),
    sa.Index(
        "uq_volume_attachments_open",
        "volume_id",
        "deployment_id",
        unique=True,
        sqlite_where=sa.text("state <> 'detached'"),
        postgresql_where=sa.text("state <> 'detached'"),
    ),
    sa.Index(
        "uq_volume_attachments_place",
        "deployment_id",
        "name",
        unique=True,
        sqlite_where=sa.text("state <> 'detached'"),
        postgresql_where=sa.text("state <> 'detached'"),
    ),
)
