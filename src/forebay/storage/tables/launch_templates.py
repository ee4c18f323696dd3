"""Launches that a team has saved to launch them again."""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata
from forebay.storage.types import ID, MICROS, Document, Timestamp

launch_templates = sa.Table(
    "launch_templates",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("name", sa.String(60), nullable=False),
    sa.Column("name_key", sa.String(200), nullable=False, comment="the name as it is compared: without regard to case"),
    sa.Column("created_by", ID, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("changed_at", Timestamp, nullable=False),
    sa.Column("last_used_at", Timestamp, comment="a machine was last launched from it then"),
    sa.Column("offer_id", sa.String(100), nullable=False, comment="no reference: it outlives the offer"),
    sa.Column("instance_type", sa.String(20), nullable=False),
    sa.Column("region", sa.String(60), nullable=False),
    sa.Column("operating_system", sa.String(120), nullable=False),
    sa.Column("gpu_type", sa.String(60), nullable=False),
    sa.Column("gpu_count", sa.Integer, nullable=False),
    sa.Column("ssh_key_id", ID, sa.ForeignKey("ssh_keys.id"), comment="null: it is chosen at each launch"),
    sa.Column("machine_name", sa.String(60), comment="what its machines are called, with {n} and {date} to fill in"),
    sa.Column("cloud_init", Document),
    sa.Column("labels", Document, nullable=False),
    sa.Column("ports", Document, nullable=False),
    sa.Column("volume_ids", Document, nullable=False),
    sa.Column("terminate_after_minutes", sa.Integer),
    sa.Column("max_cost_micros", MICROS),
    sa.Column("auto_stop_minutes", sa.Integer),
    sa.Column("auto_stop_action", sa.String(12)),
    sa.UniqueConstraint("team_id", "name_key"),
)
