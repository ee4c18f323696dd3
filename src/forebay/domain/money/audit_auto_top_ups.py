"""The audit's part about auto top-up: its attempts are five minutes apart, and none follows the stop by itself.

Why it stopped is read from the attempts, and that somebody acted from the activity, which is only ever added to.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import Connection, select

from forebay.domain.money.audit_books import stream
from forebay.domain.money.auto_top_ups import COOLDOWN, DEAD, FAILURES, MOST_FAILURES
from forebay.domain.money.payment_attempts import Path, State
from forebay.storage.tables import activity, payment_attempts

ACTS = ("auto-top-up.set", "auto-top-up.try-again", "auto-top-up.resume")
"""What somebody does so that it goes on."""

ATTEMPTS = (
    select(
        payment_attempts.c.id,
        payment_attempts.c.team_id,
        payment_attempts.c.state,
        payment_attempts.c.error_code,
        payment_attempts.c.created_at,
        payment_attempts.c.closed_at,
    )
    .where(payment_attempts.c.path == Path.auto.value)
    .order_by(payment_attempts.c.team_id, payment_attempts.c.created_at, payment_attempts.c.id)
)


def attempts_keep_their_distance(connection: Connection) -> Iterator[str]:
    """Five minutes between the claims of a team, and nothing after the stop until somebody acted."""
    for team_id, found in groupby(stream(connection, ATTEMPTS), key=lambda row: row.team_id):
        attempts = list(found)
        for before, after in pairwise(attempts):
            apart = after.created_at - before.created_at
            if apart < COOLDOWN:
                seconds = int(apart / timedelta(seconds=1))
                yield f"payment attempt {after.id} of auto top-up came {seconds} seconds after {before.id}"
        if any(row.state in FAILURES for row in attempts):
            yield from after_the_stop(attempts, acts_of(connection, str(team_id)))


def acts_of(connection: Connection, team_id: str) -> Sequence[Any]:
    """What somebody of the team did so that it goes on."""
    mine = (activity.c.team_id == team_id, activity.c.action.in_(ACTS))
    return connection.execute(select(activity.c.id, activity.c.at).where(*mine)).all()


def after_the_stop(attempts: Sequence[Any], acts: Sequence[Any]) -> Iterator[str]:
    """The attempts of a team that were made although it had stopped, and nobody had acted since."""
    failures, is_stopped = 0, False
    failed: Any = None
    for row in attempts:
        if failed is not None and any(act.at <= row.created_at and is_later(act, failed) for act in acts):
            failures, is_stopped, failed = 0, False, None
        if is_stopped:
            yield f"payment attempt {row.id} of auto top-up was made after it had stopped, before somebody acted"
        if row.state in FAILURES:
            failures, failed = failures + 1, row
            is_stopped = is_stopped or row.error_code in DEAD or failures >= MOST_FAILURES
        elif row.state == State.succeeded:
            failures, is_stopped, failed = 0, False, None


def is_later(act: Any, failed: Any) -> bool:
    """Whether somebody acted after an attempt had failed. Within a second ids tell, if one process made both."""
    if act.at != failed.closed_at:
        return bool(act.at > failed.closed_at)
    return bool(act.id > failed.id or act.id[8:18] != failed.id[8:18])
