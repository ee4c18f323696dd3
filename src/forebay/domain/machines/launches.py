"""Launches: what a person may ask for, and all that happens in the one transaction that accepts it.

The offer is checked, the credits are held, the capacity is reserved and the desired state is written; nothing of it
without the rest.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines import offers, prices, ssh_keys
from forebay.domain.machines.deployments import (
    Desired,
    Limits,
    Status,
    check_labels,
    check_name,
    hold_micros,
    record,
    refuse_frozen,
    slug,
)
from forebay.domain.machines.events import note
from forebay.domain.machines.offers import Offer
from forebay.domain.machines.ssh_keys import SshKey
from forebay.domain.money import holds
from forebay.domain.people import teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, NotFound, RateLimitExceeded
from forebay.storage.tables import deployments, users

WINDOW_SECONDS = 900
"""Creations are counted over this window."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for. Exactly one of the two key fields is set."""

    offer_id: str
    provider: str
    gpu_type: str
    gpu_count: int
    region: str
    operating_system: str
    instance_type: str
    ssh_key_id: str | None = None
    ssh_public_key: str | None = None
    name: str | None = None
    cloud_init: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = {}


def matching_offer(connection: Connection, order: Order) -> Offer:
    """The offer, if all fields of the order come from it. Raises BadRequest that names those that don't."""
    offer = offers.find(connection, order.offer_id)
    if offer is None:
        raise BadRequest(
            f"There is no offer {order.offer_id!r}.",
            code="UNKNOWN_OFFER",
            details={"offerId": "not on the list of offers"},
        )
    wrong = {
        field: f"must be {right!r} for this offer"
        for field, given, right in (
            ("provider", order.provider, offer.provider),
            ("gpuType", order.gpu_type, offer.gpu_type),
            ("gpuCount", order.gpu_count, offer.gpu_count),
            ("region", order.region, offer.region),
        )
        if given != right
    }
    if not offer.is_offered_as(order.instance_type):
        wrong["instanceType"] = f"must be {offer.instance_type!r} for this offer"
    if order.operating_system not in offer.os_options:
        wrong["operatingSystem"] = f"must be one of {', '.join(offer.os_options)}"
    if order.cloud_init is not None and not offer.supports_cloud_init:
        wrong["cloudInit"] = "this offer does not support cloud-init"
    if wrong:
        raise BadRequest("All fields must come from one offer.", code="OFFER_MISMATCH", details=wrong)
    return offer


def refuse_too_many(connection: Connection, user_id: str, limit: int, *, now: datetime) -> None:
    """Raise RateLimitExceeded if the user has created `limit` deployments within the last quarter of an hour.

    Launches of one user count one after another: their row is locked, as strongly as others' references to it allow.
    """
    connection.execute(sa.select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True)).all()
    recent = connection.execute(
        sa.select(deployments.c.created_at)
        .where(deployments.c.created_by == user_id, deployments.c.created_at > now - timedelta(seconds=WINDOW_SECONDS))
        .order_by(deployments.c.created_at.desc())
        .limit(limit)
    ).all()
    if len(recent) >= limit:
        oldest = recent[-1].created_at if recent else now
        raise RateLimitExceeded(max(1, WINDOW_SECONDS - int((now - oldest).total_seconds())))


def launch(connection: Connection, context: TeamContext, order: Order, limits: Limits, *, now: datetime) -> str:
    """Accept a deployment: check the offer, hold the credits, reserve the capacity, write what is desired. Its id.

    Raises BadRequest, OutOfStock, InsufficientBalance, RateLimitExceeded, Forbidden.
    """
    context = teams.hold(connection, context, Permission.launch)
    refuse_frozen(context)
    name = None if order.name is None else check_name(order.name)
    labels = check_labels(order.labels)
    offer = matching_offer(connection, order)
    refuse_too_many(connection, context.caller.user_id, limits.creations, now=now)
    deployment_id = ids.new_id(now)
    key = launch_key(connection, context, order, name or deployment_id, now=now)
    price = prices.price_for(connection, context.team_id, offer, order.instance_type, now=now)
    amount = hold_micros(price.rate_micros, offer.minimum_runtime_minutes, limits.minimum_micros)
    holds.take(connection, team_id=context.team_id, resource_id=deployment_id, amount_micros=amount, now=now)
    offers.reserve(connection, offer)
    taken_over = [
        "provider",
        "pool_id",
        "region",
        "gpu_type",
        "gpu_model",
        "gpu_count",
        "vcpus",
        "memory_gb",
        "storage_gb",
        "minimum_runtime_minutes",
        "supports_pause",
    ]
    connection.execute(
        sa.insert(deployments).values(
            id=deployment_id,
            team_id=context.team_id,
            created_by=context.caller.user_id,
            name=name or f"{slug(offer.gpu_type)}-{deployment_id[-6:]}",
            status=Status.deploying,
            desired=Desired.running,
            offer_id=offer.id,
            instance_type=order.instance_type,
            operating_system=order.operating_system,
            ssh_key_id=key.id,
            is_ssh_key_temporary=key.is_temporary,
            ssh_key_name=key.name,
            ssh_key_fingerprint=key.fingerprint,
            cloud_init=order.cloud_init,
            is_cloud_init_pending=order.cloud_init is not None,
            labels=labels,
            port_forwards=[],
            created_at=now,
            deploying_since=now,
            due_at=now,
            **{field: getattr(offer, field) for field in taken_over},
            **msgspec.structs.asdict(price),
        )
    )
    note(connection, deployment_id, "accepted", f"Launch of {offer.name} accepted.", now=now)
    record(connection, context, "launch", deployment_id, now=now, details={"offer": offer.id, "held_micros": amount})
    return deployment_id


def launch_key(connection: Connection, context: TeamContext, order: Order, name: str, *, now: datetime) -> SshKey:
    """The key the machine will hold: one of the team's, or a temporary one made of the public key that was sent."""
    if (order.ssh_key_id is None) == (order.ssh_public_key is None):
        reason = "give exactly one of sshKeyId and ssh_public_key"
        raise BadRequest("Exactly one SSH key is needed.", details={"sshKeyId": reason, "ssh_public_key": reason})
    if order.ssh_key_id is not None:
        try:
            return ssh_keys.get(connection, context.team_id, order.ssh_key_id, is_for_launch=True)
        except NotFound:
            raise BadRequest(
                "The SSH key does not exist in this team.",
                code="UNKNOWN_SSH_KEY",
                details={"sshKeyId": "not a key of the team"},
            ) from None
    try:
        return ssh_keys.add(
            connection,
            team_id=context.team_id,
            name=f"temporary key of {name}"[:120],
            public_key=order.ssh_public_key or "",
            created_by=context.caller.user_id,
            now=now,
            is_temporary=True,
        )
    except BadRequest as refusal:
        reason = refusal.details.get("publicKey", refusal.sentence)
        raise BadRequest(refusal.sentence, code=refusal.code, details={"ssh_public_key": reason}) from None
