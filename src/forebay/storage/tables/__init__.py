"""The tables, in the wings of the domain: people, money, machines, and what the worker needs for itself."""

from forebay.storage.tables.base import metadata
from forebay.storage.tables.budgets import budgets
from forebay.storage.tables.launch_templates import launch_templates
from forebay.storage.tables.low_balance import low_balances
from forebay.storage.tables.machines import (
    deployment_events,
    deployment_ssh_keys,
    deployments,
    offers,
    pools,
    ssh_keys,
)
from forebay.storage.tables.money import accounts, cycles, entries, holds, segments, transfers, usage_lines
from forebay.storage.tables.notifications import (
    notification_choices,
    notifications,
    stock_watches,
    webhook_attempts,
    webhook_deliveries,
    webhooks,
    weekly_reports,
)
from forebay.storage.tables.operators import (
    discounts,
    offer_terms,
    orphans,
    price_changes,
    price_notices,
    provider_states,
    restrictions,
)
from forebay.storage.tables.payments import (
    auto_top_ups,
    card_set_ups,
    cards,
    customers,
    event_polls,
    payment_attempts,
    payments,
    webhook_events,
)
from forebay.storage.tables.people import (
    activity,
    invitations,
    memberships,
    sent_links,
    sign_up_invitations,
    teams,
    users,
)
from forebay.storage.tables.sign_in import (
    api_keys,
    email_changes,
    identities,
    mail_tokens,
    passkeys,
    recovery_codes,
    sessions,
    sign_in_failures,
    sign_in_steps,
)
from forebay.storage.tables.volumes import volume_attachments, volume_regions, volumes
from forebay.storage.tables.work import alerts, cloud, counters, idempotency_keys, leases, mails

APPEND_ONLY = ("transfers", "entries", "usage_lines", "activity")
"""Tables whose rows triggers protect from UPDATE and DELETE."""

__all__ = [
    "APPEND_ONLY",
    "accounts",
    "activity",
    "alerts",
    "api_keys",
    "auto_top_ups",
    "budgets",
    "card_set_ups",
    "cards",
    "cloud",
    "counters",
    "customers",
    "cycles",
    "deployment_events",
    "deployment_ssh_keys",
    "deployments",
    "discounts",
    "email_changes",
    "entries",
    "event_polls",
    "holds",
    "idempotency_keys",
    "identities",
    "invitations",
    "launch_templates",
    "leases",
    "low_balances",
    "mail_tokens",
    "mails",
    "memberships",
    "metadata",
    "notification_choices",
    "notifications",
    "offer_terms",
    "offers",
    "orphans",
    "passkeys",
    "payment_attempts",
    "payments",
    "pools",
    "price_changes",
    "price_notices",
    "provider_states",
    "recovery_codes",
    "restrictions",
    "segments",
    "sent_links",
    "sessions",
    "sign_in_failures",
    "sign_in_steps",
    "sign_up_invitations",
    "ssh_keys",
    "stock_watches",
    "teams",
    "transfers",
    "usage_lines",
    "users",
    "volume_attachments",
    "volume_regions",
    "volumes",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_events",
    "webhooks",
    "weekly_reports",
]
