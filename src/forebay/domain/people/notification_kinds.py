"""What there is to be told of: the one list that the switches of people, the webhooks of teams and the manual go by."""

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What has happened, as it stands on the wire."""

    deployment_running = "deployment.running"
    deployment_failed = "deployment.failed"
    deployment_reclaimed = "deployment.reclaimed"
    deployment_stopped = "deployment.stopped"
    deployment_idle = "deployment.idle"
    balance_low = "balance.low"
    budget_reached = "budget.reached"
    charge_made = "charge.made"
    charge_declined = "charge.declined"
    auto_top_up_stopped = "auto-top-up.stopped"
    auto_top_up_too_little = "auto-top-up.too-little"
    card_expiring = "card.expiring"
    limit_met = "limit.met"
    offer_in_stock = "offer.in-stock"
    report_weekly = "report.weekly"
    webhook_disabled = "webhook.disabled"
    account_changed = "account.changed"


class Meaning(msgspec.Struct, frozen=True):
    """What a kind stands for."""

    says: str
    goes_to: str
    """Who is mailed."""
    is_required: bool = False
    """It can't be switched off: it tells who answers for it what becomes of their money, or of their account."""
    is_for_webhooks: bool = True


STARTER = "whoever started the machine"
KEEPERS = "owners and admins of the team"

MEANINGS: dict[Kind, Meaning] = {
    Kind.deployment_running: Meaning("A machine runs: SSH answers.", STARTER),
    Kind.deployment_failed: Meaning("A machine could not be launched or started.", STARTER),
    Kind.deployment_reclaimed: Meaning("The provider has taken a machine back, or lost it.", STARTER),
    Kind.deployment_stopped: Meaning(
        "Forebay stopped or terminated a machine: no credits, a budget used up, idle for too long, its time was over.",
        STARTER,
    ),
    Kind.deployment_idle: Meaning("A machine is idle and is about to be stopped.", STARTER),
    Kind.balance_low: Meaning(
        "The credits run low or are gone: what will be stopped, what was, when disks go.", KEEPERS, is_required=True
    ),
    Kind.budget_reached: Meaning(
        "A budget was used up to a share that is told of, or machines were stopped for one, or are about to be.",
        "owners and admins of the team, and whoever's spending it is",
    ),
    Kind.charge_made: Meaning("A payment was made: the receipt.", "whoever paid, or owners and admins"),
    Kind.charge_declined: Meaning("A charge came to nothing, and why.", "whoever asked for it, or owners and admins"),
    Kind.auto_top_up_stopped: Meaning(
        "Auto top-up has stopped, or wants somebody to confirm a payment.", KEEPERS, is_required=True
    ),
    Kind.auto_top_up_too_little: Meaning("Auto top-up can't keep up with what the team spends.", KEEPERS),
    Kind.card_expiring: Meaning("A saved card is about to expire.", KEEPERS, is_required=True),
    Kind.limit_met: Meaning(
        "A limit was met: the most that a machine may cost, a ceiling of auto top-up.",
        "whoever started the machine, or owners and admins",
    ),
    Kind.offer_in_stock: Meaning("A watched offer is in stock again.", "whoever watches it"),
    Kind.report_weekly: Meaning("On Mondays: what the week cost by person, and which machines were idle.", KEEPERS),
    Kind.webhook_disabled: Meaning(
        "A webhook of the team was disabled because nothing got through.", KEEPERS, is_for_webhooks=False
    ),
    Kind.account_changed: Meaning(
        "What was done with your account, your ways to sign in, your keys and your teams.",
        "you",
        is_required=True,
        is_for_webhooks=False,
    ),
}

FOR_WEBHOOKS = tuple(kind for kind in Kind if MEANINGS[kind].is_for_webhooks)
