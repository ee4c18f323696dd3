"""The switchboard: what happened is told once, and goes by mail to people and by webhook to programs, as they chose.

Whoever makes something happen writes a notification in the transaction of what it tells (`tell`); the worker hands it
on afterwards, with all mails and deliveries in one transaction (`hand_on`), so that it is handed on once. Letters that
say more than a notification can are written at once (`mail_team`), by the same switches. The id of a notification is
that of its event, wherever and however often it arrives.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import activity, mails, webhook_deliveries
from forebay.domain.people.access import Caller
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.notification_kinds import MEANINGS, Kind
from forebay.domain.people.roles import Role
from forebay.domain.people.webhook_messages import Event
from forebay.errors import BadRequest
from forebay.storage.database import upsert_insert
from forebay.storage.tables import memberships, notification_choices, notifications, teams, users

KEPT_DAYS = 30
PUT_OFF_SECONDS = 300
SETTINGS_PAGE = "/account/notifications"
KEEPERS = (Role.owner, Role.admin)
"""Who looks after a team."""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened and is to be handed on."""

    id: str
    team_id: str | None
    kind: Kind
    at: datetime
    user_id: str | None
    title: str
    lines: list[str]
    page: str
    details: dict[str, Any]
    is_mailed: bool


COLUMNS = [notifications.c[name] for name in Notification.__struct_fields__]


def tell(
    connection: Connection,
    kind: Kind,
    title: str,
    lines: Sequence[str],
    *,
    now: datetime,
    team_id: str | None,
    user_id: str | None = None,
    details: Mapping[str, Any] | None = None,
    page: str = "/",
    is_mailed: bool = False,
) -> str:
    """Write what happened, to be handed on once the transaction is committed; the id. Then nudge `notifications`.

    Mailed is `user_id`, or without one whoever looks after the team; nobody if `is_mailed`. `title` and `lines` are for
    people, `details` for programs.
    """
    notification_id = ids.new_id(now)
    connection.execute(
        sa.insert(notifications).values(
            id=notification_id,
            team_id=team_id,
            kind=kind.value,
            at=now,
            user_id=user_id,
            title=title[:300],
            lines=list(lines),
            page=page,
            details=dict(details or {}),
            is_mailed=is_mailed,
            due_at=now,
        )
    )
    return notification_id


def mail_team(
    connection: Connection,
    kind: Kind,
    team_id: str,
    roles: Sequence[Role],
    letter_to: Callable[[str], Letter],
    *,
    details: Mapping[str, Any],
    now: datetime,
    also: str | None = None,
    page: str = "/",
) -> None:
    """A letter to each of a team who has one of the roles and wants the kind, and the event for webhooks.

    `also` is one more person, if they are in the team.
    """
    there = members(connection, team_id, roles)
    if also is not None and also not in {recipient.user_id for recipient in there}:
        there += person(connection, also, team_id)
    for recipient in who_wants(connection, kind, there):
        mails.send(connection, recipient.email, letter_to(recipient.name), now=now, kind=kind)
    letter = letter_to("")
    tell(
        connection,
        kind,
        letter.subject,
        letter.paragraphs[:1],
        team_id=team_id,
        details=details,
        page=page,
        is_mailed=True,
        now=now,
    )


# Who is mailed.


class Recipient(msgspec.Struct, frozen=True):
    """Somebody with a proved address."""

    user_id: str
    email: str
    name: str


def members(connection: Connection, team_id: str, roles: Sequence[Role]) -> list[Recipient]:
    """Who has one of these roles in the team."""
    rows = connection.execute(
        sa.select(users.c.id, users.c.email, users.c.name)
        .join(memberships, memberships.c.user_id == users.c.id)
        .where(
            memberships.c.team_id == team_id,
            memberships.c.role.in_([role.value for role in roles]),
            users.c.verified_at.is_not(None),
        )
        .order_by(users.c.id)
    )
    return [Recipient(row.id, row.email, row.name) for row in rows]


def person(connection: Connection, user_id: str, team_id: str | None) -> list[Recipient]:
    """The person, unless they have left the team since, or this cloud."""
    statement = sa.select(users.c.id, users.c.email, users.c.name).where(
        users.c.id == user_id, users.c.verified_at.is_not(None), users.c.deleted_at.is_(None)
    )
    if team_id is not None:
        statement = statement.join(memberships, memberships.c.user_id == users.c.id).where(
            memberships.c.team_id == team_id
        )
    return [Recipient(row.id, row.email, row.name) for row in connection.execute(statement)]


def who_wants(connection: Connection, kind: Kind, people: Sequence[Recipient]) -> list[Recipient]:
    """Those of them who have not switched the kind off."""
    if MEANINGS[kind].is_required or not people:
        return list(people)
    rows = connection.execute(
        sa.select(notification_choices.c.user_id).where(
            notification_choices.c.kind == kind.value,
            notification_choices.c.is_on.is_(sa.false()),
            notification_choices.c.user_id.in_([recipient.user_id for recipient in people]),
        )
    )
    unwilling = {row.user_id for row in rows}
    return [recipient for recipient in people if recipient.user_id not in unwilling]


def wants(connection: Connection, kind: Kind, user_id: str) -> bool:
    """Whether the person has not switched the kind off."""
    return bool(who_wants(connection, kind, [Recipient(user_id, "", "")]))


# Switches.


def choices(connection: Connection, user_id: str) -> dict[Kind, bool]:
    """Every kind, and whether the person is mailed."""
    rows = connection.execute(
        sa.select(notification_choices.c.kind, notification_choices.c.is_on).where(
            notification_choices.c.user_id == user_id
        )
    )
    chosen = {row.kind: bool(row.is_on) for row in rows}
    return {kind: MEANINGS[kind].is_required or chosen.get(kind.value, True) for kind in Kind}


def put(connection: Connection, caller: Caller, wanted: Mapping[Kind, bool], *, now: datetime) -> None:
    """Switch kinds of the caller's mails. Raises BadRequest, and changes nothing, for one that must stay on."""
    kept = {f"kinds.{kind}": "stays on" for kind, is_on in wanted.items() if MEANINGS[kind].is_required and not is_on}
    if kept:
        raise BadRequest(
            "Some of these can't be switched off: they tell what becomes of money, or of an account.",
            code="KIND_REQUIRED",
            details=kept,
        )
    changed = choose(connection, caller.user_id, wanted)
    activity.record(
        connection,
        caller,
        "account.choose-notifications",
        now=now,
        object_type="account",
        object_id=caller.user_id,
        details={kind.value: is_on for kind, is_on in changed.items()},
    )


def choose(connection: Connection, user_id: str, wanted: Mapping[Kind, bool]) -> dict[Kind, bool]:
    """Switch these kinds; those that changed. What is required must not be among those that are switched off."""
    before = choices(connection, user_id)
    changed = {kind: is_on for kind, is_on in wanted.items() if before[kind] is not is_on}
    for kind, is_on in changed.items():
        insert = upsert_insert(connection, notification_choices)
        insert = insert.values(user_id=user_id, kind=kind.value, is_on=is_on)
        connection.execute(insert.on_conflict_do_update(index_elements=["user_id", "kind"], set_={"is_on": is_on}))
    return changed


# Handing on.


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether there is one to hand on, asked without writing."""
    return (
        connection.execute(sa.select(notifications.c.id).where(notifications.c.due_at <= now).limit(1)).first()
        is not None
    )


def take_due(connection: Connection, *, now: datetime, limit: int = 100) -> list[Notification]:
    """Those to hand on now, oldest first, locked until the transaction ends."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(notifications.c.due_at <= now)
        .order_by(notifications.c.due_at, notifications.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    return [Notification(**(dict(row._mapping) | {"kind": Kind(row.kind)})) for row in rows]


def hand_on(connection: Connection, found: Notification, *, public_url: str, now: datetime) -> None:
    """Write the mails and the deliveries of one. Then nudge `mails` and `webhooks`."""
    if not found.is_mailed:
        for recipient in who_wants(connection, found.kind, recipients(connection, found)):
            letter = letter_of(found, recipient.name, public_url)
            mails.send(connection, recipient.email, letter, now=now, kind=found.kind)
    team = None if found.team_id is None else team_of(connection, found.team_id)
    if team is not None and MEANINGS[found.kind].is_for_webhooks:
        event = Event(
            id=found.id,
            type=found.kind.value,
            at=found.at,
            team={"id": team.id, "name": team.name, "slug": team.slug},
            title=found.title,
            lines=found.lines,
            url=f"{public_url}{found.page}",
            details=found.details,
        )
        webhook_deliveries.queue(connection, team.id, event, now=now)
    connection.execute(sa.update(notifications).where(notifications.c.id == found.id).values(due_at=None))


def put_off(connection: Connection, found: Notification, *, now: datetime) -> None:
    """It could not be handed on: later."""
    due_at = now + timedelta(seconds=PUT_OFF_SECONDS)
    connection.execute(sa.update(notifications).where(notifications.c.id == found.id).values(due_at=due_at))


def tell_nobody(connection: Connection, team_id: str) -> None:
    """What has happened in the team so far is no news: nobody is told of what hasn't been handed on."""
    connection.execute(
        sa.update(notifications)
        .where(notifications.c.team_id == team_id, notifications.c.due_at.is_not(None))
        .values(due_at=None)
    )


def recipients(connection: Connection, found: Notification) -> list[Recipient]:
    """Whom it is mailed to if they want it."""
    if found.user_id is not None:
        return person(connection, found.user_id, found.team_id)
    return [] if found.team_id is None else members(connection, found.team_id, KEEPERS)


def team_of(connection: Connection, team_id: str) -> Any:
    """The team's id, name and slug; None if it was deleted since."""
    return connection.execute(
        sa.select(teams.c.id, teams.c.name, teams.c.slug).where(teams.c.id == team_id, teams.c.deleted_at.is_(None))
    ).first()


def letter_of(found: Notification, name: str, public_url: str) -> Letter:
    """What a mail says of it."""
    meaning = MEANINGS[found.kind]
    why = f"This mail is for {meaning.goes_to}."
    return Letter(
        subject=found.title,
        name=plain(name),
        paragraphs=found.lines,
        label="Open Forebay",
        link=f"{public_url}{found.page}",
        after=[
            why if meaning.is_required else f"{why} What you are mailed is your choice: {public_url}{SETTINGS_PAGE}"
        ],
    )


def forget_old(connection: Connection, *, now: datetime) -> int:
    """Drop what was handed on long ago; how many."""
    old = sa.and_(notifications.c.at < now - timedelta(days=KEPT_DAYS), notifications.c.due_at.is_(None))
    return connection.execute(sa.delete(notifications).where(old)).rowcount


def disable_webhook(connection: Connection, webhook_id: str, reason: str, *, now: datetime) -> None:
    """Disable a webhook that nothing gets through to, and tell whoever looks after the team. Then nudge."""
    row = webhook_deliveries.disable(connection, webhook_id, reason, now=now)
    if row is None:
        return
    name = plain(row.name)
    tell(
        connection,
        Kind.webhook_disabled,
        f"The webhook {name} was disabled",
        [
            f"The webhook {name} was disabled, because {reason}.",
            "Nothing is sent there any more, and what waited was dropped. Once its address answers again, enable it:",
            f"forebay webhooks change {webhook_id} --enable --team {row.team_id}",
        ],
        team_id=row.team_id,
        details={"webhookId": webhook_id, "reason": reason},
        now=now,
    )
