"""Launches: all that happens in the one transaction that accepts an order.

The credits are held, the capacity is reserved and the desired state is written; nothing of it without the rest. What
may stand against an order is in `orders.py`.
"""

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines import authorized_keys, launch_templates, orders, ssh_keys, volume_attachments, volumes
from forebay.domain.machines.deployments import Desired, Limits, Status, check_labels, check_name, record, slug
from forebay.domain.machines.events import note
from forebay.domain.machines.orders import Order, Wish
from forebay.domain.machines.ssh_keys import SshKey
from forebay.domain.money import holds
from forebay.domain.people import teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.storage.tables import deployments

TAKEN_OVER = (
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
)
"""What a deployment keeps of its offer, whatever becomes of that."""


def launch(connection: Connection, context: TeamContext, order: Order, limits: Limits, *, now: datetime) -> str:
    """Accept a deployment: check the order, hold the credits, reserve the capacity, write what is desired. Its id.

    Raises BadRequest, OutOfStock, InsufficientBalance, BudgetExceeded, RateLimitExceeded, Forbidden.
    """
    context = teams.hold(connection, context, Permission.launch)
    wish = orders.wish(connection, context, order, limits, now=now)
    orders.lock(connection, wish)
    orders.refuse(connection, wish)
    offer = wish.offer
    assert offer is not None, "an order without an offer is refused"
    assert wish.price is not None, "every offer has a price"
    deployment_id = ids.new_id(now)
    name = None if order.name is None else check_name(order.name)
    key = launch_key(connection, wish, name or deployment_id)
    holds.take(connection, team_id=context.team_id, resource_id=deployment_id, amount_micros=wish.hold_micros, now=now)
    connection.execute(
        sa.insert(deployments).values(
            id=deployment_id,
            team_id=context.team_id,
            created_by=context.caller.user_id,
            api_key_id=context.caller.api_key_id,
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
            labels=check_labels(order.labels),
            ports=list(order.ports),
            port_forwards=[],
            created_at=now,
            deploying_since=now,
            due_at=now,
            **{field: getattr(offer, field) for field in TAKEN_OVER},
            **msgspec.structs.asdict(wish.price),
            **order.terms.columns,
            ends_at=order.terms.terminate_at,
        )
    )
    by = context.caller.user_id
    authorized_keys.put_on(connection, deployment_id, [key.id], added_by=by, now=now, at_launch=True)
    for volume_id in order.volume_ids:
        volume = volumes.find(connection, volume_id, context.team_id)
        volume_attachments.add(connection, volume, deployment_id, now=now)
        volumes.record(connection, context, "attach", volume_id, now=now, details={"deployment_id": deployment_id})
    note(connection, deployment_id, "accepted", f"Launch of {offer.name} accepted.", now=now)
    details: dict[str, Any] = {"offer": offer.id, "held_micros": wish.hold_micros}
    if order.template_id is not None:
        details["template"] = launch_templates.note_use(connection, context.team_id, order.template_id, now=now)
    record(connection, context, "launch", deployment_id, now=now, details=details)
    return deployment_id


def launch_key(connection: Connection, wish: Wish, name: str) -> SshKey:
    """The key the machine will hold: one of the team's, or a temporary one made of the public key that was sent."""
    order, context = wish.order, wish.context
    if order.ssh_key_id is not None:
        return ssh_keys.get(connection, context.team_id, order.ssh_key_id)
    return ssh_keys.add(
        connection,
        team_id=context.team_id,
        name=f"temporary key of {name}"[:120],
        public_key=order.ssh_public_key or "",
        created_by=context.caller.user_id,
        now=wish.now,
        is_temporary=True,
    )
