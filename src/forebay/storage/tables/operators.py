"""What operators of the platform have said about offers: their terms, prices to come, discounts, what is held back.

And what providers were last seen to be: whether they answer, and what runs there that nobody asked for.
"""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata, one_of
from forebay.storage.types import ID, MICROS, Document, Timestamp

offer_terms = sa.Table(
    "offer_terms",
    metadata,
    sa.Column("offer_id", sa.String(100), primary_key=True),
    sa.Column("source", sa.String(10), primary_key=True),
    sa.Column("terms", Document, nullable=False, comment="what was said, and nothing else"),
    sa.Column("problem", sa.String(500), comment="why it can't be offered at the moment"),
    sa.Column("changed_at", Timestamp, nullable=False),
    one_of("source", "file", "api"),
)

price_changes = sa.Table(
    "price_changes",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("offer_id", sa.String(100), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("from_micros", MICROS, nullable=False),
    sa.Column("to_micros", MICROS, nullable=False),
    sa.Column("announced_at", Timestamp, nullable=False),
    sa.Column("launches_at", Timestamp, nullable=False, comment="new launches pay it from then, and a cut reaches all"),
    sa.Column("running_at", Timestamp, nullable=False, comment="machines of the day it was announced pay it from then"),
    sa.Column("applied_at", Timestamp, comment="it is the offer's price since"),
    sa.Column("cancelled_at", Timestamp, comment="another took its place before its date"),
    sa.Column("source", sa.String(10), nullable=False),
    sa.Column("user_id", ID, comment="null: nobody who was signed in"),
    sa.Column("said_by", sa.String(120)),
    sa.Column("reason", sa.String(500), nullable=False),
    one_of("kind", "machine", "spot", "disk"),
    one_of("source", "provider", "file", "api"),
    sa.CheckConstraint("to_micros BETWEEN 0 AND 20000000000", name="rate_bound"),
    sa.CheckConstraint("running_at >= launches_at AND launches_at >= announced_at", name="order"),
    sa.Index("ix_price_changes_offer_id_id", "offer_id", "id"),
    sa.Index(
        "ix_price_changes_open",
        "launches_at",
        sqlite_where=sa.text("applied_at IS NULL AND cancelled_at IS NULL"),
        postgresql_where=sa.text("applied_at IS NULL AND cancelled_at IS NULL"),
    ),
)

price_notices = sa.Table(
    "price_notices",
    metadata,
    sa.Column("deployment_id", ID, sa.ForeignKey("deployments.id"), primary_key=True),
    sa.Column("change_id", ID, sa.ForeignKey("price_changes.id"), primary_key=True),
    sa.Column("offer_id", sa.String(100), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("rate_micros", MICROS, nullable=False, comment="what was announced, or less where it was cut since"),
    sa.Column("is_cut", sa.Boolean, nullable=False, comment="nobody has to be told of a cut"),
    sa.Column("told_at", Timestamp, nullable=False),
    sa.Column("effective_at", Timestamp, nullable=False),
    sa.Column("closed_at", Timestamp, comment="it has come to pass, or there was nothing left to raise"),
    one_of("kind", "machine", "spot", "disk"),
    sa.Index(
        "ix_price_notices_open",
        "effective_at",
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    ),
    sa.Index("ix_price_notices_change_id", "change_id"),
)

discounts = sa.Table(
    "discounts",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), nullable=False),
    sa.Column("basis_points", sa.Integer, nullable=False, comment="hundredths of a percent"),
    sa.Column("offer_id", sa.String(100), comment="of this offer alone"),
    sa.Column("gpu_type", sa.String(60), comment="of this type of GPU alone"),
    sa.Column("starts_at", Timestamp, nullable=False),
    sa.Column("ends_at", Timestamp, comment="the first second without it; null: until it is ended"),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.CheckConstraint("basis_points BETWEEN 1 AND 10000", name="basis_points"),
    sa.CheckConstraint("ends_at IS NULL OR ends_at >= starts_at", name="span"),
    sa.CheckConstraint("offer_id IS NULL OR gpu_type IS NULL", name="scope"),
    sa.Index("ix_discounts_team_id_id", "team_id", "id"),
)

restrictions = sa.Table(
    "restrictions",
    metadata,
    sa.Column("kind", sa.String(12), primary_key=True),
    sa.Column("scope", sa.String(10), primary_key=True),
    sa.Column("subject", sa.String(120), primary_key=True),
    sa.Column("most", sa.Integer, comment="of stock: so many machines at once"),
    sa.Column("until_at", Timestamp, comment="of maintenance: when it is expected to be over; it ends by hand"),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("set_at", Timestamp, nullable=False),
    one_of("kind", "stock", "maintenance"),
    one_of("scope", "offer", "pool", "region", "provider"),
    sa.CheckConstraint("(kind = 'stock') = (most IS NOT NULL)", name="most"),
    sa.CheckConstraint("kind <> 'stock' OR scope IN ('offer', 'pool')", name="stock"),
)

provider_states = sa.Table(
    "provider_states",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("is_reachable", sa.Boolean, nullable=False),
    sa.Column("since", Timestamp, nullable=False, comment="it has been so since"),
    sa.Column("observed_at", Timestamp, comment="the last time that it said what runs"),
    sa.Column("instances", sa.Integer, nullable=False, server_default="0", comment="how many it named then"),
    sa.Column("last_error", sa.String(500)),
    sa.Column("last_error_at", Timestamp),
    sa.Column("takes_any_size", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("findings", Document, comment="what the doctor found"),
    sa.Column("findings_at", Timestamp),
)

orphans = sa.Table(
    "orphans",
    metadata,
    sa.Column("provider", sa.String(40), primary_key=True),
    sa.Column("instance_id", sa.String(80), primary_key=True, comment="the deployment's id that it carries"),
    sa.Column("team_id", sa.String(80), nullable=False, comment="the team's id that it carries, or nothing"),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("found_at", Timestamp, nullable=False),
    sa.Column("seen_at", Timestamp, nullable=False),
    sa.Column("end_asked_at", Timestamp, comment="an operator wants it ended"),
    sa.Column("gone_at", Timestamp, comment="it is not there any more"),
)
