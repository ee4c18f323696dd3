"""A stage where every text that somebody can fill in, and somebody else may see, is an attack on whoever looks.

`FILLED_IN` names each column of the tables that holds such text, by who fills it in; `NO_TEXT` names the others and
says why they are none. A test holds both to the tables, so that a new column has to be in one of them. What is written
is worse than what gets past the checks at the doors: pages must not rely on those.
"""

import re
import sqlite3
from typing import Any

import msgspec
import sqlalchemy as sa

from forebay.storage.tables import metadata
from forebay.storage.types import ID, Document
from tests.web.stage import Stage

PAYLOADS = (
    "<img src=x evil onerror=window.evil=1>",
    '"><svg evil onload=window.evil=1>',
    "' evil autofocus onfocus=window.evil=1 x='",
    "javascript:window.evil=1//",
    "</title></textarea></select><script evil>window.evil=1</script>",
    "{{7357*3}}${7357*3}{%x%}{}{0}%s",
    "&lt;img src=x evil onerror=window.evil=1&gt;&#60;x-evil evil&#62;",
    "=HYPERLINK(0)",
    "--><x-evil evil>]]>",
    "\u202eevil\u2066\u200b\ufeff\u00a0",
    "x\r\nset-cookie: evil=1\r\n\r\n<x-evil evil>",
    "\x00\x07\x1b[201~\x7f\x9b",
    "@x",
    "W" * 5000,
)
MARK = "evil"
"""The attribute, and the property of the window, by which one knows that one of them came to life."""

FILLED_IN = {
    "whoever asks, signed in or not": """
        activity: address
        api_keys: last_used_from
        mail_tokens: used_from
        mails: recipient
        sessions: address user_agent
        users: email name
    """,
    "people of a team": """
        activity: details
        api_keys: name
        budgets: subject
        deployments: cloud_init labels name ssh_key_fingerprint ssh_key_name
        email_changes: new_email
        invitations: email
        launch_templates: cloud_init gpu_type labels machine_name name operating_system
        mails: subject
        notifications: details lines title
        passkeys: name transports
        payment_attempts: client_key
        ssh_keys: fingerprint name public_key
        teams: name
        volume_attachments: name
        volumes: name
        webhook_deliveries: body
        webhooks: name
    """,
    "a provider of machines": """
        activity: object_id
        alerts: subject text
        deployment_events: message
        deployments: error gpu_model gpu_type host_keys ip_address operating_system region ssh_user
        offer_terms: problem
        offers: description found gpu_model gpu_type interconnect_description interconnect_type name os_options region
        orphans: instance_id state team_id
        provider_states: findings last_error
        volume_regions: name region
        volumes: error region
    """,
    "the payment processor": """
        auto_top_ups: consent_text
        card_set_ups: error_code
        cards: brand last_four payment_method_id
        payment_attempts: error_code payment_intent_id
        payments: card_words payment_intent_id
        webhook_events: object_id outcome related_id type
    """,
    "operators of the platform": """
        deployments: offer_id reclaim_reason
        discounts: gpu_type reason
        offer_terms: terms
        offers: id
        price_changes: offer_id reason said_by
        restrictions: reason
        teams: frozen_reason
        transfers: reason
        users: api_access_reason
    """,
    "a sign-in provider": """
        identities: email subject
    """,
    "whom we call: mail servers, webhooks": """
        mails: error
        webhook_attempts: reason
        webhooks: disabled_reason
    """,
}
"""Text by whoever fills it in: a table a line, and its columns. What is written there is an attack."""

NO_TEXT = {
    "written by us, from words of the program": """
        accounts: id
        activity: action object_type
        budgets: month
        counters: name
        cloud: local_host
        deployment_events: kind
        event_polls: name
        leases: name
        notification_choices: kind
        notifications: kind page
        sign_in_steps: document
        auto_top_ups: stopped_reason
        sessions: methods kind
        teams: slug
        transfers: kind
        webhook_deliveries: kind
        weekly_reports: week
    """,
    "a secret, a hash or a seal": """
        accounts: last_hash
        api_keys: first_characters last_characters secret_hash
        card_set_ups: lease_token
        cloud: key_check
        deployments: lease_token
        email_changes: old_token_hash new_token_hash
        holds: seal
        idempotency_keys: request_hash claim
        invitations: token_hash
        leases: token
        mail_tokens: token_hash
        passkeys: credential_id public_key
        payment_attempts: idempotency_key lease_token
        recovery_codes: code_hash
        segments: seal
        sessions: token_hash
        sign_in_failures: subject
        sign_in_steps: token_hash code_hash
        transfers: hash previous_hash idempotency_key
        users: password_hash totp_secret
        volumes: lease_token
        webhooks: sealed_url sealed_secret former_secret
    """,
    "a name in the settings, which the program knows": """
        deployments: provider
        identities: provider
        offers: provider
        orphans: provider
        provider_states: name
        restrictions: subject
        volume_regions: id provider
        volumes: provider
    """,
    "ids and words that the program compares": """
        api_keys: permissions team_ids
        budgets: shares
        launch_templates: auto_stop_action instance_type name_key ports volume_ids
        deployments: auto_stop_action instance_type port_forwards ports
        pools: id
        price_notices: offer_id
        webhooks: kinds
    """,
    "kept for whoever sent it, shown to nobody": """
        card_set_ups: page_id page_url payment_method_id
        customers: customer_id request
        email_changes: old_email_key new_email_key
        idempotency_keys: key method path
        invitations: email_key
        mail_tokens: email_key
        mails: html kind text
        payment_attempts: page_id page_url request
        sent_links: email_key purpose
        sign_up_invitations: email_key
        users: email_key
        webhook_events: id
    """,
}
"""The other text, and why nobody attacks by it. Ids of ours and words that the database checks count among them."""


SAME = {
    **dict.fromkeys(
        (
            "deployments.offer_id",
            "discounts.offer_id",
            "launch_templates.offer_id",
            "offer_terms.offer_id",
            "price_changes.offer_id",
        ),
        "offers.id",
    ),
    **dict.fromkeys(
        ("deployments.region", "launch_templates.region", "volume_regions.region", "volumes.region"), "offers.region"
    ),
}
"""What names the same thing in several tables, and has to go on doing so."""
ONLY_WHERE_SET = {
    "discounts.offer_id", "discounts.gpu_type", "deployments.reclaim_reason", "webhooks.disabled_reason",
    "teams.frozen_reason", "payment_attempts.payment_intent_id",
}  # fmt: skip
"""Where nothing says something too."""


def length_of(column: sa.Column[Any]) -> int:
    return getattr(column.type, "length", None) or 4000


def columns_of(lists: dict[str, str]) -> dict[str, str]:
    """By `table.column` what the list says of it."""
    found: dict[str, str] = {}
    for said, text in lists.items():
        for line in text.split("\n"):
            table, _, columns = line.strip().partition(":")
            found |= {f"{table}.{column}": said for column in columns.split()}
    return found


def texts() -> dict[str, sa.Column[Any]]:
    """Every column that can hold text, but for ids of ours and for words that the database checks."""
    found = {}
    for table in metadata.sorted_tables:
        checks = [str(check.sqltext) for check in table.constraints if isinstance(check, sa.CheckConstraint)]
        for column in table.columns:
            is_word = any(check.startswith(f"{column.name} IN (") for check in checks)
            is_text = isinstance(column.type, sa.String | Document) and column.type is not ID
            if is_text and not is_word and not column.foreign_keys:
                found[f"{table.name}.{column.name}"] = column
    return found


def attack(number: int, turn: int, length: int) -> str:
    """Text of at most this length: payloads, another first at each turn, and the mark of the column."""
    first = (number + turn) % len(PAYLOADS)
    chosen = [*PAYLOADS[first:], *PAYLOADS[:first]]
    mark = f"c{number}c"
    head = f"{mark} {chosen[0][:2000]} " if turn == 0 else f"{chosen[0][:2000]} {mark} "
    return (head + " ".join(part[:40] for part in chosen[1:]))[:length]


def poisoned(value: Any, text: str, *, keys: bool = False) -> Any:
    """A document with the text in each of its texts."""
    if isinstance(value, dict):
        return {(text[:60] if keys else name): poisoned(each, text) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each, text) for each in value]
    return text if isinstance(value, str) else value


class Poison:
    """What is written over the rows of a stage on SQLite, behind the back of everything that would refuse it."""

    def __init__(self, stage: Stage) -> None:
        self.provider = stage.cloud.provider
        self.path = str(stage.cloud.database.reader.url.database)
        names = [*columns_of(FILLED_IN), *SAME]
        self.numbers = {name: names.index(SAME.get(name, name)) for name in names}

    def spread(self, turn: int) -> None:
        """Write all of it. Rows that nobody may change are changed as well."""
        with sqlite3.connect(self.path, timeout=10) as live:
            live.execute("pragma foreign_keys = off")
            guards = live.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
            for name, _ in guards:
                live.execute(f"drop trigger {name}")
            for name, column in texts().items():
                if name in self.numbers:
                    self.write(live, column, self.numbers[name], turn)
            for _, sql in guards:
                live.execute(sql)
        live.close()
        for name, machine in self.provider.machines.items():
            machine.console = machine.boot_log = attack(len(name), turn, 4000)

    def write(self, live: sqlite3.Connection, column: sa.Column[Any], number: int, turn: int) -> None:
        """One column of all rows. What has to be there once only keeps its end."""
        table, name = column.table.name, column.name
        text = attack(number, turn, length_of(column))
        if isinstance(column.type, Document):
            for row, value in live.execute(f"select rowid, {name} from {table} where {name} is not null").fetchall():
                written = msgspec.json.encode(poisoned(msgspec.json.decode(value), text[:255], keys=name == "labels"))
                live.execute(f"update {table} set {name} = ? where rowid = ?", (written.decode(), row))
            return
        full = f"{table}.{name}"
        where = f"where {name} is not null" if full in ONLY_WHERE_SET else ""
        if column.primary_key or full in SAME or full in SAME.values():
            alike = [other for other in (full, *SAME) if SAME.get(other, other) == SAME.get(full, full)]
            # It stands in addresses of pages, which are to be seen.
            room = min(length_of(texts()[other]) for other in alike) - 30
            live.execute(f"update {table} set {name} = ? || {name}", (re.sub("[\0/]", "", text[:room]),))
        elif is_unique(column):
            live.execute(f"update {table} set {name} = ? || rowid {where}", (text[: length_of(column) - 6],))
        else:
            live.execute(f"update {table} set {name} = ? {where}", (text,))


def is_unique(column: sa.Column[Any]) -> bool:
    """Whether no two rows may say the same there."""
    table = column.table
    indexes = [index.columns for index in table.indexes if index.unique]
    return any(
        column.name in found
        for found in [*indexes, *(one.columns for one in table.constraints if isinstance(one, sa.UniqueConstraint))]
    )
