"""A stage that takes cards and has a row of everything: invitations, discounts, orphans, payments, passkeys, mails."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines import alerts, orphans, restrictions
from forebay.domain.people import accounts
from forebay.storage.tables import (
    auto_top_ups,
    budgets,
    deployments,
    discounts,
    email_changes,
    identities,
    launch_templates,
    mail_tokens,
    mails,
    offer_terms,
    passkeys,
    payment_attempts,
    payments,
    price_changes,
    provider_states,
    teams,
    webhook_attempts,
    webhook_deliveries,
    webhook_events,
)
from forebay.storage.tables import webhooks as hooks
from tests.api.cloud import ABSENT, DOLLAR, Cloud
from tests.api.shop import KEY
from tests.api.wire import Loop
from tests.web.browser import give_password
from tests.web.stage import Stage

FINDING = {"name": "disk", "is_ok": False, "is_required": True, "found": "full", "remedy": "a larger one"}
CORP = {"name": "corp", "label": "Corp", "issuer": "https://corp.test", "clientId": "x", "clientSecret": "y"}


@contextmanager
def furnished(folder: Path, template: Path, loop: Loop) -> Iterator[Stage]:
    """The stage, on SQLite, until the end of the block."""
    url = f"sqlite:///{shutil.copy(template, folder / 'forebay.db')}"
    stage = Stage(Cloud(folder, url, loop, **KEY, oidc_providers=json.dumps([CORP])))
    furnish(stage)
    try:
        yield stage
    finally:
        stage.cloud.close()


def furnish(stage: Stage) -> None:
    """Add a row of each kind that a stage has not."""
    cloud, lab = stage.cloud, f"/api/teams/{stage.lab}"
    owner = cloud.session(stage.olga.id)
    for email in ("nils@example.org", "nora@example.org"):
        cloud.post(f"{lab}/invitations", owner, {"email": email, "role": "member"}).ok(201)
    cloud.post("/api/auth/cli", None, {"name": "forebay on laptop"}).ok()
    config = {"packages": ["git"], "runcmd": ["echo hello"], "writeFiles": [{"path": "/motd", "content": "hello"}]}
    stage.machines["equipped"] = stage.launch(stage.adam, "rtx-2", "equipped", cloudInit=config, ports=[8888])
    give_password(cloud, stage.olga)
    with cloud.database.begin() as connection:
        people(connection, stage)
        money(connection, stage)
        operations(connection, stage)
        webhooks(connection, stage)


def add(connection: Connection, table: sa.Table, **values: Any) -> None:
    connection.execute(sa.insert(table).values(**values))


def people(connection: Connection, stage: Stage) -> None:
    """Ways in, and what is on its way by mail."""
    now = stage.cloud.clock.now()
    accounts.set_api_access(connection, stage.rita.id, "requested", reason=None, now=now)
    for person in (stage.olga, stage.otto):
        key = {"credential_id": person.id, "public_key": "x", "sign_count": 0, "transports": ["usb"]}
        add(connection, passkeys, id=ids.new_id(now), user_id=person.id, name="a key", is_backed_up=False,
            created_at=now, **key)  # fmt: skip
        add(connection, identities, provider="corp", subject=person.id, user_id=person.id, email=person.email,
            created_at=now)  # fmt: skip
        add(connection, email_changes, id=ids.new_id(now), user_id=person.id, old_email_key=person.email,
            new_email="new@example.org", new_email_key=f"{person.id}@example.org", old_token_hash=f"old{person.id}",
            new_token_hash=f"new{person.id}", created_at=now, expires_at=now.replace(year=2099))  # fmt: skip
    add(connection, mail_tokens, id=ids.new_id(now), user_id=stage.mia.id, purpose="verify", token_hash="x",
        email_key=stage.mia.email, created_at=now, expires_at=now, used_from="192.0.2.1")  # fmt: skip
    add(connection, mails, id=ids.new_id(now), recipient="nils@example.org", subject="Hello", text="", created_at=now,
        attempts=20, error="no such mailbox")  # fmt: skip


def money(connection: Connection, stage: Stage) -> None:
    """A payment that came, one whose end nobody knows, and auto top-up."""
    now = stage.cloud.clock.now()
    card = stage.money["card_id"]
    for state, path, closed in (("succeeded", "auto", now), ("unknown", "manual", None), ("declined", "manual", now)):
        add(connection, payment_attempts, id=(made := ids.new_id(now)), team_id=stage.lab, path=path, state=state,
            amount_micros=20 * DOLLAR, card_id=card, request={"amount": 20}, idempotency_key=made, client_key=made,
            payment_intent_id=f"pi_{made}", error_code="card_declined" if state == "declined" else None,
            requested_by=stage.olga.id, created_at=now, closed_at=closed, tries=1)  # fmt: skip
        if state == "succeeded":
            add(connection, payments, payment_intent_id=f"pi_{made}", team_id=stage.lab, attempt_id=made,
                card_words="visa ending in 4242", credited_micros=20 * DOLLAR, refunded_micros=0, disputed_micros=0,
                taken_back_micros=0, changes=0, created_at=now)  # fmt: skip
    add(connection, auto_top_ups, team_id=stage.lab, is_on=True, threshold_micros=10 * DOLLAR,
        amount_micros=20 * DOLLAR, max_charge_micros=20 * DOLLAR, card_id=card, consent_text="I agree.",
        consented_by=stage.olga.id, consented_at=now, failures_in_a_row=0, updated_at=now)  # fmt: skip
    add(connection, discounts, id=ids.new_id(now), team_id=stage.lab, basis_points=500, offer_id="memory-h100-1",
        starts_at=now, reason="a friend", created_at=now)  # fmt: skip
    add(connection, discounts, id=ids.new_id(now), team_id=stage.lab, basis_points=400, gpu_type="L40S",
        starts_at=now, reason="a friend", created_at=now)  # fmt: skip
    add(connection, budgets, id=ids.new_id(now), team_id=stage.lab, scope="label", subject="project=vision",
        amount_micros=1000 * DOLLAR, shares=[50, 80], at_limit="notify", created_by=stage.olga.id, created_at=now,
        changed_at=now, month="2026-01", told_share=0)  # fmt: skip
    add(connection, webhook_events, id="evt_x", type="charge.refunded", object_id="ch_x", source="webhook",
        occurred_at=now, received_at=now, outcome="of no attempt of ours", related_id="pi_x")  # fmt: skip


def operations(connection: Connection, stage: Stage) -> None:
    """What operators have said, and what is wrong."""
    now = stage.cloud.clock.now()
    orphans.note(connection, "memory", {ABSENT: ("", "running")}, now=now)
    for kind in ("money", "provider", "mail"):
        alerts.raise_(connection, kind, "something", "Something is wrong.", now=now)
    restrictions.put(connection, "maintenance", "region", "paris", most=None, until_at=None, reason="disks", now=now)
    add(connection, offer_terms, offer_id="memory-h100-1", source="api", terms={"name": "H100", "price": "2.49"},
        changed_at=now)  # fmt: skip
    add(connection, price_changes, id=ids.new_id(now), offer_id="memory-h100-1", kind="machine", from_micros=2_490_000,
        to_micros=2_000_000, announced_at=now, launches_at=now, running_at=now, source="api", user_id=stage.otto.id,
        said_by="otto", reason="a sale")  # fmt: skip
    connection.execute(
        sa.update(provider_states).values(
            is_reachable=False, last_error="no answer", last_error_at=now, findings=[FINDING], findings_at=now
        )
    )
    add(connection, launch_templates, id=ids.new_id(now), team_id=stage.lab, name="training", name_key="training",
        created_by=stage.olga.id, created_at=now, changed_at=now, offer_id="memory-l40s-1", instance_type="DEDICATED",
        region="helsinki", operating_system="Debian 12", gpu_type="L40S", gpu_count=1, ssh_key_id=stage.key,
        machine_name="train-{n}", cloud_init={"runcmd": ["echo hello"]}, labels={"project": "vision"}, ports=[],
        volume_ids=[])  # fmt: skip
    frozen = {"frozen_at": now, "frozen_reason": "an unpaid bill"}
    connection.execute(sa.update(teams).where(teams.c.id == stage.fresh).values(**frozen))
    taken = {"reclaim_at": now.replace(year=2099), "reclaim_reason": "wanted back"}
    found = sa.update(deployments).where(deployments.c.id == stage.machines["equipped"])
    connection.execute(found.values(**taken, instance_type="SPOT"))
    key = {"type": "ssh-ed25519", "fingerprint": "SHA256:x", "public_key": "ssh-ed25519 AAAA"}
    connection.execute(sa.update(deployments).values(host_keys=[key]))


def webhooks(connection: Connection, stage: Stage) -> None:
    """A delivery that failed, after which no more are tried."""
    now = stage.cloud.clock.now()
    add(connection, webhook_deliveries, id=(made := ids.new_id(now)), webhook_id=stage.webhook, event_id=made,
        kind="limit.met", body="{}", state="failed", created_at=now, ended_at=now, attempts=1)  # fmt: skip
    add(connection, webhook_attempts, delivery_id=made, number=1, at=now, status_code=500, reason="it answered 500",
        milliseconds=12)  # fmt: skip
    disabled = {"disabled_at": now, "disabled_reason": "nothing got through"}
    connection.execute(sa.update(hooks).where(hooks.c.id == stage.webhook).values(**disabled))
