"""Everything that is kept about one person, for that person: what they gave, what they made, what they did.

Never a secret: no password or its hash, no token, no key beyond the characters that its owner sees anyway.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people.accounts import email_key
from forebay.storage import tables
from forebay.storage.tables import activity, deployments, invitations, memberships, teams, users

MOST_ROWS = 50_000
"""Of one kind, the newest."""

ACCOUNT = ("id", "name", "email", "verified_at", "is_operator", "api_access", "api_access_reason", "created_at")
OF_PERSON: dict[str, tuple[sa.Table, tuple[str, ...]]] = {
    "sessions": (
        tables.sessions,
        ("id", "kind", "methods", "created_at", "last_seen_at", "expires_at", "ended_at", "address", "user_agent"),
    ),
    "api_keys": (
        tables.api_keys,
        (
            "id",
            "name",
            "first_characters",
            "last_characters",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "last_used_from",
            "current_team_id",
            "may_touch_money",
            "team_ids",
            "permissions",
        ),
    ),
    "passkeys": (tables.passkeys, ("id", "name", "created_at", "last_used_at")),
}
"""What has the person in `user_id` and an `id`, and the columns that are theirs to see."""


def of_account(connection: Connection, user_id: str) -> dict[str, Any]:
    """The export, by kind; names as in Python, times as moments."""
    columns = [users.c[name] for name in ACCOUNT]
    facts = users.c.password_hash.is_not(None).label("has_password"), users.c.totp_confirmed_at.label("totp_since")
    account = dict(connection.execute(sa.select(*columns, *facts).where(users.c.id == user_id)).one()._mapping)
    found: dict[str, Any] = {"account": account | {"has_password": bool(account["has_password"])}}
    for kind, (table, names) in OF_PERSON.items():
        found[kind] = listed(connection, table, names, table.c.user_id == user_id)
    found["identities"] = rows(
        connection,
        sa.select(*(tables.identities.c[name] for name in ("provider", "email", "created_at", "last_used_at"))).where(
            tables.identities.c.user_id == user_id
        ),
    )
    found["teams"] = rows(
        connection,
        sa.select(teams.c.id, teams.c.name, memberships.c.role, memberships.c.joined_at)
        .join(memberships, memberships.c.team_id == teams.c.id)
        .where(memberships.c.user_id == user_id, teams.c.deleted_at.is_(None))
        .order_by(teams.c.id),
    )
    keys = ("id", "team_id", "name", "public_key", "fingerprint", "is_temporary", "created_at", "deleted_at")
    found["ssh_keys"] = listed(connection, tables.ssh_keys, keys, tables.ssh_keys.c.created_by == user_id)
    machines = (
        "id", "team_id", "name", "status", "offer_id", "region", "operating_system", "labels", "created_at",
        "started_at", "stopped_at", "gone_at",
    )  # fmt: skip
    found["deployments"] = listed(connection, deployments, machines, deployments.c.created_by == user_id)
    stored = ("id", "team_id", "name", "state", "provider", "region", "size_gb", "created_at", "ended_at", "gone_at")
    found["volumes"] = listed(connection, tables.volumes, stored, tables.volumes.c.created_by == user_id)
    saved = ("id", "team_id", "name", "offer_id", "labels", "created_at", "changed_at", "last_used_at")
    templates = tables.launch_templates
    found["launch_templates"] = listed(connection, templates, saved, templates.c.created_by == user_id)
    limits = ("id", "team_id", "scope", "subject", "amount_micros", "shares", "at_limit", "created_at", "changed_at")
    theirs = sa.select(tables.api_keys.c.id).where(tables.api_keys.c.user_id == user_id)
    subject = tables.budgets.c.subject
    about = sa.or_(tables.budgets.c.created_by == user_id, subject == user_id, subject.in_(theirs))
    found["budgets"] = listed(connection, tables.budgets, limits, about)
    asked = ("id", "team_id", "email", "role", "state", "created_at", "sent_at", "expires_at", "closed_at")
    about_them = sa.or_(
        invitations.c.invited_by == user_id, invitations.c.email_key == email_key(str(account["email"]))
    )
    found["invitations"] = listed(connection, invitations, asked, about_them)
    chosen, watched = tables.notification_choices, tables.stock_watches
    found["notification_choices"] = rows(
        connection, sa.select(chosen.c.kind, chosen.c.is_on).where(chosen.c.user_id == user_id).order_by(chosen.c.kind)
    )
    found["stock_watches"] = rows(
        connection,
        sa.select(watched.c.offer_id, watched.c.for_team, watched.c.is_lasting, watched.c.created_at)
        .where(watched.c.user_id == user_id)
        .order_by(watched.c.created_at),
    )
    done = ("id", "at", "team_id", "action", "outcome", "object_type", "object_id", "api_key_id", "address", "details")
    found["activity"] = listed(connection, activity, done, activity.c.user_id == user_id)
    return found


def listed(
    connection: Connection, table: sa.Table, names: Sequence[str], which: sa.ColumnElement[bool]
) -> list[dict[str, Any]]:
    """These columns of a table's rows, newest first."""
    columns = [table.c[name] for name in names]
    return rows(connection, sa.select(*columns).where(which).order_by(table.c.id.desc()).limit(MOST_ROWS))


def rows(connection: Connection, statement: sa.Select[*tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    return [dict(row._mapping) for row in connection.execute(statement)]
