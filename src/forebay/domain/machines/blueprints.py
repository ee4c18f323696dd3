"""Blueprints: what is kept of a launch, to ask for it again.

Taken of an order, or of a machine that there was, and made into an order again at the moment of the next launch. What
can be said of it beforehand is checked by the checks of a launch itself (`orders.py`), never by others.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import deployments, offers, orders, ssh_keys, volume_attachments, volumes
from forebay.domain.machines.deployments import Limits
from forebay.domain.machines.offers import Offer
from forebay.domain.machines.orders import Order, Wish
from forebay.domain.machines.schedules import Action, Terms
from forebay.domain.people.access import TeamContext
from forebay.errors import BadRequest, NotFound
from forebay.storage.tables import deployments as machines
from forebay.storage.tables import volume_attachments as attachments

MOST_MINUTES = 525_600
"""A year: the latest planned end that there can be."""
NUMBER, DATE = "{n}", "{date}"
"""What is filled in to the names of machines: the next number, and the day in UTC."""
MOST_NAME = 60
"""Of a machine, with both filled in."""
NO_LIMITS = Limits(minimum_micros=0, creations=0)
"""None of the checks here looks at them."""


class Blueprint(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a launch."""

    offer_id: str
    instance_type: str = ""
    region: str = ""
    operating_system: str = ""
    """These three empty: as the offer has it."""
    gpu_type: str = ""
    gpu_count: int = 0
    """What to look for where the offer is gone."""
    ssh_key_id: str | None = None
    """None: it is chosen at each launch. A key that was sent for one machine alone is not kept."""
    machine_name: str | None = None
    """May hold `{n}` and `{date}`."""
    cloud_init: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = {}
    ports: Sequence[int] = ()
    volume_ids: Sequence[str] = ()
    """Each once."""
    terminate_after_minutes: int | None = None
    """After the launch."""
    max_cost_micros: int | None = None
    auto_stop_minutes: int | None = None
    auto_stop_action: Action | None = None


def of_order(order: Order, *, now: datetime) -> Blueprint:
    """What is kept of an order: a moment at which it would be terminated as the time until then."""
    terms = order.terms
    after = None
    if terms.terminate_at is not None:
        after = max(1, -(-int((terms.terminate_at - now).total_seconds()) // 60))
    return Blueprint(
        offer_id=order.offer_id,
        instance_type=order.instance_type,
        region=order.region,
        operating_system=order.operating_system,
        gpu_type=order.gpu_type,
        gpu_count=order.gpu_count,
        ssh_key_id=order.ssh_key_id,
        machine_name=order.name,
        cloud_init=order.cloud_init,
        labels=order.labels,
        ports=order.ports,
        volume_ids=order.volume_ids,
        terminate_after_minutes=after,
        max_cost_micros=terms.max_cost_micros,
        auto_stop_minutes=terms.auto_stop_minutes,
        auto_stop_action=terms.auto_stop_action,
    )


def of_deployment(connection: Connection, team_id: str, deployment_id: str) -> Blueprint:
    """A machine of the team as it was asked for, with the volumes it has, or had to its end. Raises NotFound."""
    found = deployments.find(connection, deployment_id, team_id)
    more = connection.execute(
        sa.select(machines.c.labels, machines.c.ports).where(machines.c.id == deployment_id)
    ).one()
    on_it = sa.select(attachments.c.volume_id).where(attachments.c.deployment_id == deployment_id)
    if found.gone_at is None:
        on_it = on_it.where(volume_attachments.IS_OPEN)
    elif found.stopped_at is not None:
        on_it = on_it.where(attachments.c.changed_at >= found.stopped_at)
    after = None
    if found.terminate_at is not None:
        after = max(1, int((found.terminate_at - found.created_at).total_seconds()) // 60)
    return Blueprint(
        offer_id=found.offer_id,
        instance_type=found.instance_type,
        region=found.region,
        operating_system=found.operating_system,
        gpu_type=found.gpu_type,
        gpu_count=found.gpu_count,
        ssh_key_id=None if found.is_ssh_key_temporary else found.ssh_key_id,
        machine_name=found.name,
        cloud_init=found.cloud_init,
        labels=dict(more.labels or {}),
        ports=list(more.ports or ()),
        volume_ids=list(dict.fromkeys(connection.execute(on_it.order_by(attachments.c.id)).scalars())),
        terminate_after_minutes=after,
        max_cost_micros=found.max_cost_micros,
        auto_stop_minutes=found.auto_stop_minutes,
        auto_stop_action=found.auto_stop_action,  # type: ignore[arg-type]
    )


def changed(before: Blueprint, changes: Mapping[str, Any]) -> Blueprint:
    """With what is given. Where that is another offer, what hung on the one before is as the new one has it."""
    fresh: dict[str, Any] = {}
    if changes.get("offer_id", before.offer_id) != before.offer_id:
        fresh = {"instance_type": "", "region": "", "operating_system": ""}
    return msgspec.structs.replace(before, **(fresh | dict(changes)))


def fitted(connection: Connection, blueprint: Blueprint) -> Blueprint:
    """With what the offer decides, and where nothing is said with what it has first."""
    offer = offers.find(connection, blueprint.offer_id)
    if offer is None:
        return blueprint
    return msgspec.structs.replace(
        blueprint,
        instance_type=blueprint.instance_type or offer.instance_type,
        region=blueprint.region or offer.region,
        operating_system=blueprint.operating_system or offer.os_options[0],
        gpu_type=offer.gpu_type,
        gpu_count=offer.gpu_count,
    )


def order_of(blueprint: Blueprint, offer: Offer | None, *, now: datetime) -> Order:
    """The order that a blueprint makes at this moment, as it stands: what doesn't fit any more is refused at launch."""
    minutes = blueprint.terminate_after_minutes
    return Order(
        offer_id=blueprint.offer_id,
        provider="" if offer is None else offer.provider,
        gpu_type=blueprint.gpu_type if offer is None else offer.gpu_type,
        gpu_count=blueprint.gpu_count if offer is None else offer.gpu_count,
        region=blueprint.region,
        operating_system=blueprint.operating_system,
        instance_type=blueprint.instance_type,
        ssh_key_id=blueprint.ssh_key_id,
        name=blueprint.machine_name,
        cloud_init=blueprint.cloud_init,
        labels=blueprint.labels,
        ports=blueprint.ports,
        volume_ids=tuple(blueprint.volume_ids),
        terms=Terms(
            terminate_at=None if minutes is None else now + timedelta(minutes=minutes),
            max_cost_micros=blueprint.max_cost_micros,
            auto_stop_minutes=blueprint.auto_stop_minutes,
            auto_stop_action=blueprint.auto_stop_action,
        ),
    )


def columns_of(found: Blueprint) -> dict[str, Any]:
    """As it is kept."""
    values = msgspec.structs.asdict(found)
    plain = {"labels": dict(found.labels), "ports": list(found.ports), "volume_ids": list(found.volume_ids)}
    if found.cloud_init is not None:
        plain["cloud_init"] = dict(found.cloud_init)
    return values | plain


def without_lost_key(connection: Connection, team_id: str, blueprint: Blueprint) -> Blueprint:
    """Without its key, if the team has that no more."""
    try:
        ssh_keys.get(connection, team_id, blueprint.ssh_key_id or "")
    except NotFound:
        return msgspec.structs.replace(blueprint, ssh_key_id=None)
    return blueprint


# What is held against it.

OF_OFFER = ("offer_id", "instance_type", "region", "operating_system", "cloud_init", "ports")
OF_END = ("offer_id", "terminate_after_minutes", "max_cost_micros", "auto_stop_minutes", "auto_stop_action")


def check(
    connection: Connection, context: TeamContext, blueprint: Blueprint, before: Blueprint | None, *, now: datetime
) -> None:
    """Raise what a launch would raise, but for what hangs on the hour, the stock and the credits.

    What it has in common with what was there `before` is not questioned again. Raises BadRequest, and NotFound for a
    volume that isn't the team's. Errors of the machine's name are `deploymentName`'s.
    """

    had, asked = {} if before is None else columns_of(before), columns_of(blueprint)

    def is_kept(*names: str) -> bool:
        return before is not None and all(had[name] == asked[name] for name in names)

    offer = offers.find(connection, blueprint.offer_id)
    wish = orders.wish(connection, context, order_of(blueprint, offer, now=now), NO_LIMITS, now=now)
    check_machine_name(connection, wish)
    orders.check_tags(connection, wish)
    orders.check_ports(connection, wish)
    if not is_kept(*OF_OFFER):
        orders.check_offer(connection, wish)
    if not is_kept(*OF_END):
        orders.check_end(connection, wish)
    if blueprint.ssh_key_id is not None and not is_kept("ssh_key_id"):
        orders.check_key(connection, wish)
    if len(blueprint.volume_ids) > volume_attachments.MOST_ON_A_MACHINE:
        most = f"{volume_attachments.MOST_ON_A_MACHINE} at most"
        raise BadRequest("A machine can't have so many volumes.", details={"volumeIds": most})
    for volume_id in blueprint.volume_ids:
        if before is None or volume_id not in before.volume_ids:
            volumes.find(connection, volume_id, context.team_id)


def check_machine_name(connection: Connection, wish: Wish) -> None:
    """Raise BadRequest for a name that machines can't have, or that gets too long with what is filled in."""
    pattern = wish.order.name or ""
    try:
        orders.check_words(connection, wish)
    except BadRequest as error:
        raise BadRequest(error.sentence, details={"deploymentName": error.details["name"]}) from None
    longest = len(pattern.replace(DATE, "2000-01-01").replace(NUMBER, "9999"))
    if longest > MOST_NAME:
        reason = f"filled in it has {longest} characters, and {MOST_NAME} are the most"
        raise BadRequest("The name is not usable.", details={"deploymentName": reason})


def filled_name(connection: Connection, team_id: str, pattern: str | None, *, now: datetime) -> str | None:
    """The name for the next machine: `{n}` is one above the team's highest, `{date}` the day in UTC."""
    if pattern is None:
        return None
    pattern = pattern.replace(DATE, f"{now:%Y-%m-%d}")
    before, has_number, after = pattern.partition(NUMBER)
    if not has_number:
        return pattern
    after = after.replace(NUMBER, "")
    like = machines.c.name.startswith(before, autoescape=True)
    rows = connection.execute(sa.select(machines.c.name).where(machines.c.team_id == team_id, like))
    numbers = [name.removeprefix(before).removesuffix(after) for name in rows.scalars() if name.endswith(after)]
    highest = max((int(each) for each in numbers if each.isascii() and each.isdecimal() and len(each) < 7), default=0)
    return f"{before}{highest + 1}{after}"[:MOST_NAME]
