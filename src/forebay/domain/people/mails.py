"""Mails that are to be sent.

Written in the transaction of what they tell, sent afterwards by the worker, blanked then.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people.letters import Letter
from forebay.domain.people.notification_kinds import MEANINGS, Kind
from forebay.domain.people.roles import Role
from forebay.storage.tables import mails, memberships, users

MOST_ATTEMPTS = 20
SENDING_SECONDS = 120
"""A mail that was taken and not reported on for so long is taken again."""


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to one person."""

    id: str
    recipient: str
    subject: str
    text: str
    html: str | None = None
    kind: str | None = None
    """Set where its recipient may do without mails of this kind."""
    attempts: int = 0


def send(
    connection: Connection, recipient: str, letter: Letter, *, now: datetime, kind: Kind = Kind.account_changed
) -> None:
    """Write a letter that will be sent, as text and as HTML, once the transaction is committed."""
    queue(
        connection,
        recipient=recipient,
        subject=letter.subject,
        text=letter.text(),
        html=letter.html(),
        kind=None if MEANINGS[kind].is_required else kind.value,
        now=now,
    )


def queue(
    connection: Connection,
    *,
    recipient: str,
    subject: str,
    text: str,
    now: datetime,
    html: str | None = None,
    kind: str | None = None,
) -> None:
    """Write a mail that will be sent once the transaction is committed."""
    connection.execute(
        sa.insert(mails).values(
            id=ids.new_id(now),
            recipient=recipient,
            subject=subject[:300],
            text=text,
            html=html,
            kind=kind,
            created_at=now,
            due_at=now,
            attempts=0,
        )
    )


def send_to_team(
    connection: Connection,
    team_id: str,
    roles: Sequence[Role],
    letter_to: Callable[[str], Letter],
    *,
    now: datetime,
) -> None:
    """A letter to each of a team who has one of the roles and a verified address, by their name."""
    rows = connection.execute(
        sa.select(users.c.email, users.c.name)
        .join(memberships, memberships.c.user_id == users.c.id)
        .where(memberships.c.team_id == team_id, memberships.c.role.in_(roles), users.c.verified_at.is_not(None))
        .order_by(users.c.id)
    )
    for row in rows.all():
        send(connection, row.email, letter_to(row.name), now=now)


def take_due(connection: Connection, *, now: datetime, limit: int = 20) -> Sequence[Mail]:
    """Mails to send now; each is due again in two minutes unless its outcome is noted before."""
    due = (
        sa.select(mails.c.id)
        .where(mails.c.due_at <= now)
        .order_by(mails.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids_ = [row.id for row in connection.execute(due)]
    if not ids_:
        return []
    connection.execute(
        sa.update(mails)
        .where(mails.c.id.in_(ids_))
        .values(due_at=now + timedelta(seconds=SENDING_SECONDS), attempts=mails.c.attempts + 1)
    )
    columns = [mails.c[name] for name in Mail.__struct_fields__]
    return [Mail(**row._mapping) for row in connection.execute(sa.select(*columns).where(mails.c.id.in_(ids_)))]


def note_sent(connection: Connection, mail_id: str, *, now: datetime) -> None:
    """It went out; its text, which may hold a link that opens a door, is blanked."""
    connection.execute(
        sa.update(mails).where(mails.c.id == mail_id).values(sent_at=now, due_at=None, text="", html=None, error=None)
    )


def note_failure(connection: Connection, mail: Mail, reason: str, *, now: datetime) -> None:
    """It did not go out: again later, each time after twice as long, up to an hour; given up after 20 attempts."""
    later = None if mail.attempts >= MOST_ATTEMPTS else now + timedelta(seconds=min(3600, 15 * 2**mail.attempts))
    connection.execute(sa.update(mails).where(mails.c.id == mail.id).values(due_at=later, error=reason[:500]))


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether there is a mail to send, asked without writing."""
    return connection.execute(sa.select(mails.c.id).where(mails.c.due_at <= now).limit(1)).first() is not None
