"""What the server keeps for its own work.

Its identity, counters, leases, answers to retried requests, mails, alerts.
"""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata, one_of
from forebay.storage.types import ID, Timestamp

cloud = sa.Table(
    "cloud",
    metadata,
    sa.Column("id", ID, primary_key=True, comment="marks the instances of this cloud at its providers"),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("local_host", sa.String(200), comment="where the local machines run; one host for a cloud"),
    sa.Column("key_check", sa.String(64), nullable=False, comment="tells a wrong secret key from the right one"),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(120), primary_key=True),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("user_id", ID, primary_key=True),
    sa.Column("method", sa.String(10), primary_key=True),
    sa.Column("path", sa.String(300), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("request_hash", sa.String(64), nullable=False),
    sa.Column("claim", sa.String(32), comment="the attempt that is under way"),
    sa.Column("claimed_until", Timestamp),
    sa.Column("status", sa.Integer, comment="null: under way"),
    sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", Timestamp, nullable=False, index=True),
)

mails = sa.Table(
    "mails",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("recipient", sa.String(320), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("text", sa.Text, nullable=False, comment="blanked once sent: it may hold a link that opens a door"),
    sa.Column("html", sa.Text, comment="the same for mail programs that show it; blanked too"),
    sa.Column("kind", sa.String(40), comment="of the notification, where its recipient may do without it"),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("due_at", Timestamp),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("sent_at", Timestamp),
    sa.Column("error", sa.String(500)),
    sa.Index(
        "ix_mails_due",
        "due_at",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("subject", sa.String(120), nullable=False),
    sa.Column("text", sa.String(500), nullable=False),
    sa.Column("raised_at", Timestamp, nullable=False),
    sa.Column("seen_at", Timestamp, nullable=False),
    sa.Column("cleared_at", Timestamp),
    one_of("kind", "clock", "orphan", "provider", "mail", "money"),
    sa.Index(
        "uq_alerts_open",
        "kind",
        "subject",
        unique=True,
        sqlite_where=sa.text("cleared_at IS NULL"),
        postgresql_where=sa.text("cleared_at IS NULL"),
    ),
)
