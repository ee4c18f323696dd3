"""How far a team with too little credit has got: what it was told, how long a top-up is waited for, since when disks
are kept.

What the runway mails say counts until the runway is above their mark again, the rest until there is credit again.
"""

import sqlalchemy as sa

from forebay.storage.tables.base import metadata
from forebay.storage.types import ID, Timestamp

low_balances = sa.Table(
    "low_balances",
    metadata,
    sa.Column("team_id", ID, sa.ForeignKey("teams.id"), primary_key=True),
    sa.Column("early_told_at", Timestamp, comment="the runway was found at or below the early mark"),
    sa.Column("late_told_at", Timestamp, comment="the runway was found at or below the late mark"),
    sa.Column("waiting_since", Timestamp, comment="machines run on without credit, for a top-up that is to come"),
    sa.Column("waiting_until", Timestamp),
    sa.Column("disks_kept_since", Timestamp, comment="nothing runs any more; the days of grace count from here"),
    sa.Column("deletion_told_at", Timestamp, comment="the mail that the disks will be deleted"),
    sa.Column("disks_deleted_at", Timestamp),
    sa.CheckConstraint("(waiting_since IS NULL) = (waiting_until IS NULL)", name="waiting"),
)
