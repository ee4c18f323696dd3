"""What people and programs come in with: sessions, keys, passkeys, second factors, and the steps of a sign-in."""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata, one_of
from forebay.storage.types import ID, Document, Timestamp

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("user_agent", sa.String(300), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False, server_default="program", comment="what holds the token"),
    sa.Column("methods", sa.String(80), nullable=False, server_default="password", comment="`password+totp`, …"),
    sa.Column("authenticated_at", Timestamp, comment="the last time the person proved who they are; null: created_at"),
    sa.Column("last_seen_at", Timestamp),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("secret_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("first_characters", sa.String(32), nullable=False),
    sa.Column("last_characters", sa.String(4), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("expires_at", Timestamp),
    sa.Column("revoked_at", Timestamp),
    sa.Column("last_used_at", Timestamp),
    sa.Column("last_used_from", sa.String(64)),
    sa.Column("current_team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("may_touch_money", sa.Boolean, nullable=False, default=False),
    sa.Column("team_ids", Document, comment="narrowed to these teams; null: all of its owner's"),
    sa.Column("permissions", Document, comment="narrowed to these permissions; null: all of its owner's role"),
    sa.Column("replaced_by", ID, comment="the key that came in its place when it was rotated"),
)

mail_tokens = sa.Table(
    "mail_tokens",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("purpose", sa.String(20), nullable=False),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("email_key", sa.String(320), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Column("used_at", Timestamp),
    sa.Column("used_from", sa.String(64), comment="the address; its network is one that the person is known from"),
    one_of("purpose", "verify", "reset"),
)

email_changes = sa.Table(
    "email_changes",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("old_email_key", sa.String(320), nullable=False),
    sa.Column("new_email", sa.String(320), nullable=False),
    sa.Column("new_email_key", sa.String(320), nullable=False),
    sa.Column("old_token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("new_token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("old_proved_at", Timestamp),
    sa.Column("new_proved_at", Timestamp),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Column("closed_at", Timestamp, comment="carried out, given up or replaced"),
)

passkeys = sa.Table(
    "passkeys",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("credential_id", sa.String(1400), nullable=False, unique=True, comment="base64url"),
    sa.Column("public_key", sa.Text, nullable=False, comment="COSE, base64url"),
    sa.Column("sign_count", sa.BigInteger, nullable=False),
    sa.Column("transports", Document, nullable=False),
    sa.Column("is_backed_up", sa.Boolean, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("last_used_at", Timestamp),
)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("code_hash", sa.String(64), primary_key=True),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("used_at", Timestamp),
)

identities = sa.Table(
    "identities",
    metadata,
    sa.Column("provider", sa.String(40), primary_key=True, comment="its name in the settings"),
    sa.Column("subject", sa.String(255), primary_key=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("email", sa.String(320), nullable=False, comment="as the provider said it when they were connected"),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("last_used_at", Timestamp),
)

sign_in_steps = sa.Table(
    "sign_in_steps",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("purpose", sa.String(20), nullable=False),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("code_hash", sa.String(64), unique=True, comment="of the code that a person compares, for the CLI"),
    sa.Column("user_id", ID, sa.ForeignKey("users.id"), comment="null: not known yet"),
    sa.Column("document", Document, nullable=False, comment="a challenge, a state, a verifier: what the end needs"),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False, index=True),
    sa.Column("used_at", Timestamp),
    one_of("purpose", "second-factor", "passkey", "new-passkey", "oidc", "cli"),
)

sign_in_failures = sa.Table(
    "sign_in_failures",
    metadata,
    sa.Column("subject", sa.String(64), primary_key=True, comment="a hash: of an account and a network, or of one"),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", Timestamp, nullable=False, index=True),
    sa.Column("wait_until", Timestamp, nullable=False),
)
