"""The tables, in the wings of the domain: people, money, machines, and what the worker needs for itself."""

from forebay.storage.tables.base import metadata
from forebay.storage.tables.machines import deployment_events, deployments, offers, pools, ssh_keys
from forebay.storage.tables.money import accounts, cycles, entries, holds, segments, transfers, usage_lines
from forebay.storage.tables.people import (
    activity,
    api_keys,
    mail_tokens,
    memberships,
    sessions,
    sign_up_invitations,
    teams,
    users,
)
from forebay.storage.tables.work import alerts, cloud, counters, idempotency_keys, leases, mails

APPEND_ONLY = ("transfers", "entries", "usage_lines", "activity")
"""Tables whose rows triggers protect from UPDATE and DELETE."""

__all__ = [
    "APPEND_ONLY",
    "accounts",
    "activity",
    "alerts",
    "api_keys",
    "cloud",
    "counters",
    "cycles",
    "deployment_events",
    "deployments",
    "entries",
    "holds",
    "idempotency_keys",
    "leases",
    "mail_tokens",
    "mails",
    "memberships",
    "metadata",
    "offers",
    "pools",
    "segments",
    "sessions",
    "sign_up_invitations",
    "ssh_keys",
    "teams",
    "transfers",
    "usage_lines",
    "users",
]
