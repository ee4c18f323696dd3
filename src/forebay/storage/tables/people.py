"""Who there is, what they belong to, who was invited, and what they did."""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata, one_of
from forebay.storage.types import ID, Document, Timestamp

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("email", sa.String(320), nullable=False, comment="as its owner writes it"),
    sa.Column("email_key", sa.String(320), nullable=False, unique=True, comment="folded, for comparing"),
    sa.Column("name", sa.String(120), nullable=False),
    sa.Column("password_hash", sa.String(200)),
    sa.Column("verified_at", Timestamp),
    sa.Column("is_operator", sa.Boolean, nullable=False, default=False),
    sa.Column("current_team_id", ID),
    sa.Column("api_access", sa.String(20), nullable=False, default="none"),
    sa.Column("api_access_reason", sa.String(500)),
    sa.Column("api_access_at", Timestamp),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("totp_secret", sa.String(200), comment="sealed under the secret key"),
    sa.Column("totp_confirmed_at", Timestamp, comment="null: not in use yet"),
    sa.Column("totp_last_step", sa.BigInteger, comment="the last 30 seconds whose code was used: none is good twice"),
    sa.Column("deleted_at", Timestamp, comment="name and address are gone then; what was done stays"),
    one_of("api_access", "none", "requested", "approved", "refused"),
)

teams = sa.Table(
    "teams",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True, comment="providers derive networks and uids from it"),
    sa.Column("slug", sa.String(60), nullable=False, unique=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("member_mode", sa.String(20), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("created_by", ID, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("frozen_at", Timestamp),
    sa.Column("frozen_reason", sa.String(500)),
    sa.Column("ran_dry_at", Timestamp, comment="since when there is no credit left"),
    sa.Column("deleted_at", Timestamp),
    one_of("member_mode", "deploy-only", "read-only"),
)

memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), primary_key=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), primary_key=True, index=True),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("joined_at", Timestamp, nullable=False),
    one_of("role", "owner", "admin", "member"),
)

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("email_key", sa.String(320), nullable=False, index=True),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("state", sa.String(12), nullable=False, comment="what expired is pending until somebody closes it"),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("invited_by", ID, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("sent_at", Timestamp, nullable=False, comment="the present link"),
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Column("closed_at", Timestamp),
    sa.Column("closed_by", ID, sa.ForeignKey("users.id")),
    one_of("role", "owner", "admin", "member"),
    one_of("state", "pending", "accepted", "declined", "revoked", "expired"),
    sa.Index("ix_invitations_team_id_id", "team_id", "id"),
    sa.Index(
        "uq_invitations_pending",
        "team_id",
        "email_key",
        unique=True,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    ),
)

sent_links = sa.Table(
    "sent_links",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("purpose", sa.String(20), nullable=False),
    sa.Column("team_id", ID, comment="null: asked for by whoever gave the address"),
    sa.Column("email_key", sa.String(320), nullable=False),
    sa.Column("at", Timestamp, nullable=False, index=True),
    sa.Index("ix_sent_links_email_key_at", "email_key", "at"),
    sa.Index("ix_sent_links_team_id_at", "team_id", "at"),
)

sign_up_invitations = sa.Table(
    "sign_up_invitations",
    metadata,
    sa.Column("email_key", sa.String(320), primary_key=True),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False),
)

activity = sa.Table(
    "activity",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, comment="null: of the platform or of an account"),
    sa.Column("at", Timestamp, nullable=False),
    sa.Column("action", sa.String(60), nullable=False),
    sa.Column("outcome", sa.String(10), nullable=False, default="done"),
    sa.Column("user_id", ID, comment="null: Forebay itself"),
    sa.Column("api_key_id", ID),
    sa.Column("address", sa.String(64)),
    sa.Column("object_type", sa.String(40)),
    sa.Column("object_id", sa.String(80)),
    sa.Column("details", Document),
    sa.Index("ix_activity_team_id_id", "team_id", "id"),
    sa.Index("ix_activity_user_id_id", "user_id", "id"),
    sa.Index("ix_activity_team_id_user_id_id", "team_id", "user_id", "id"),
    sa.Index("ix_activity_team_id_action_id", "team_id", "action", "id"),
    sa.Index("ix_activity_team_id_object_id_id", "team_id", "object_id", "id"),
    one_of("outcome", "done", "denied"),
)
