"""How templates stand at this moment: what each would cost the team, whether it is in stock, what of it is gone.

What a template names and is not so any more is told in words, by the field of a launch that it concerns. Nobody is kept
from looking at one for that, and a launch has its own checks.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import blueprints, catalogue, volume_attachments
from forebay.domain.machines.blueprints import Blueprint
from forebay.domain.machines.catalogue import Listing
from forebay.domain.machines.offers import SPOT, Offer
from forebay.domain.machines.orders import Order
from forebay.domain.machines.prices import Price
from forebay.domain.machines.volumes import COLUMNS as VOLUME_COLUMNS
from forebay.domain.machines.volumes import Volume, to_volume
from forebay.storage.tables import deployments, ssh_keys, volume_regions, volumes
from forebay.storage.tables import volume_attachments as attachments

MOST_SIMILAR = 8


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A blueprint, and how it is with what it names."""

    blueprint: Blueprint
    offer: Offer | None
    """None: it is not on the list any more."""
    price: Price | None
    free: int
    """Machines of it that could be launched now."""
    problems: Mapping[str, str]
    """What is gone or taken, a sentence by the field of a launch: `offerId`, `sshKeyId`, `volumeIds` and so on."""
    lost_volume_ids: Sequence[str]
    """Those of its volumes that a launch would be refused for."""


def of(
    connection: Connection,
    team_id: str,
    found: Sequence[Blueprint],
    *,
    now: datetime,
    every: Sequence[Listing] | None = None,
) -> list[Standing]:
    """How each of these stands, in a handful of queries. `every`: all offers, where they are known."""
    if not found:
        return []
    every = catalogue.listings(connection, team_id, now) if every is None else every
    known = {listing.offer.id: listing for listing in every}
    lost_keys = deleted_keys(connection, team_id, {each.ssh_key_id for each in found if each.ssh_key_id})
    volume_ids = {volume_id for each in found for volume_id in each.volume_ids}
    there, taken = volumes_of(connection, team_id, volume_ids), taken_volumes(connection, volume_ids)
    standings = []
    for each in found:
        listing = known.get(each.offer_id)
        offer = None if listing is None else listing.offer
        wrong = volume_problems(each, offer, there, taken)
        problems = offer_problems(each, offer)
        if each.ssh_key_id in lost_keys:
            problems["sshKeyId"] = f"The key {lost_keys[each.ssh_key_id]} was deleted from the team."
        if wrong:
            problems["volumeIds"] = " ".join(wrong.values())
        standings.append(
            Standing(
                blueprint=each,
                offer=offer,
                price=None if listing is None else price_as(listing, each.instance_type),
                free=0 if listing is None else listing.free,
                problems=problems,
                lost_volume_ids=list(wrong),
            )
        )
    return standings


def price_as(listing: Listing, instance_type: str) -> Price:
    """What a machine of this type costs; where it isn't offered as that any more, what it costs otherwise."""
    return listing.spot_price if instance_type == SPOT and listing.spot_price is not None else listing.price


def one(connection: Connection, team_id: str, blueprint: Blueprint, *, now: datetime) -> Standing:
    """How one stands."""
    [found] = of(connection, team_id, [blueprint], now=now)
    return found


def offer_problems(blueprint: Blueprint, offer: Offer | None) -> dict[str, str]:
    """What the offer has no more of what was asked of it."""
    if offer is None:
        return {"offerId": f"The offer {blueprint.offer_id} is not on the list any more: choose another one."}
    problems = {}
    if not offer.is_offered_as(blueprint.instance_type):
        kind = blueprint.instance_type.capitalize()
        problems["instanceType"] = f"{kind} machines are not offered here any more."
    if blueprint.region != offer.region:
        problems["region"] = f"It was in {blueprint.region}; the offer is in {offer.region} now."
    if blueprint.operating_system not in offer.os_options:
        problems["operatingSystem"] = f"{blueprint.operating_system} is not offered here any more."
    if blueprint.cloud_init is not None and not offer.supports_cloud_init:
        problems["cloudInit"] = "This offer does not support cloud-init."
    if blueprint.ports and not offer.supports_ports:
        problems["ports"] = "This offer can't expose ports."
    if blueprint.auto_stop_minutes and blueprint.auto_stop_action != "terminate" and not offer.supports_pause:
        problems["autoStopAction"] = "This offer can't be stopped, only terminated."
    return problems


def deleted_keys(connection: Connection, team_id: str, key_ids: set[str]) -> dict[str | None, str]:
    """The names of those keys that the team has no more, by their ids."""
    if not key_ids:
        return {}
    which = ssh_keys.c.id.in_(sorted(key_ids))
    mine = sa.select(ssh_keys.c.id, ssh_keys.c.name).where(ssh_keys.c.team_id == team_id, which)
    return {row.id: row.name for row in connection.execute(mine.where(ssh_keys.c.deleted_at.is_not(None)))}


def volumes_of(connection: Connection, team_id: str, volume_ids: set[str]) -> dict[str, Volume]:
    """These volumes of the team, also those that are gone."""
    if not volume_ids:
        return {}
    mine = sa.select(*VOLUME_COLUMNS).where(volumes.c.team_id == team_id, volumes.c.id.in_(sorted(volume_ids)))
    return {row.id: to_volume(row) for row in connection.execute(mine)}


def taken_volumes(connection: Connection, volume_ids: set[str]) -> dict[str, str]:
    """The names of the machines that have those of these volumes that can be on one alone, by the volume's id."""
    if not volume_ids:
        return {}
    on = (
        attachments.join(deployments, deployments.c.id == attachments.c.deployment_id)
        .join(volumes, volumes.c.id == attachments.c.volume_id)
        .join(volume_regions, volume_regions.c.id == volumes.c.region_id)
    )
    rows = connection.execute(
        sa.select(attachments.c.volume_id, deployments.c.name)
        .select_from(on)
        .where(volumes.c.id.in_(sorted(volume_ids)), volume_attachments.IS_OPEN, sa.not_(volume_regions.c.can_share))
    )
    return {row.volume_id: row.name for row in rows}


def volume_problems(
    blueprint: Blueprint, offer: Offer | None, there: Mapping[str, Volume], taken: Mapping[str, str]
) -> dict[str, str]:
    """Why a machine couldn't come up with those of its volumes that it couldn't, a sentence each, by their ids."""
    problems = {}
    for volume_id in blueprint.volume_ids:
        volume = there.get(volume_id)
        if volume is None or volume.ended_at is not None:
            problems[volume_id] = f"The volume {volume_id if volume is None else volume.name} was deleted."
        elif offer is not None and (volume.provider, volume.region) != (offer.provider, offer.region):
            problems[volume_id] = f"The volume {volume.name} is in {volume.region} of {volume.provider}."
        elif volume_id in taken:
            problems[volume_id] = f"The volume {volume.name} is attached to {taken[volume_id]} now."
    return problems


def next_order(connection: Connection, team_id: str, standing: Standing, *, now: datetime) -> Order:
    """The order that launches it now, its machine's name filled in; as it stands, whatever a launch will say to it."""
    order = blueprints.order_of(standing.blueprint, standing.offer, now=now)
    return msgspec.structs.replace(order, name=blueprints.filled_name(connection, team_id, order.name, now=now))


def similar(connection: Connection, team_id: str, gpu_type: str, gpu_count: int, *, now: datetime) -> list[Listing]:
    """Offers in the place of one that is gone: in stock first, then of the same GPU and count, then the cheapest."""
    found = catalogue.listings(connection, team_id, now)
    return sorted(
        found,
        key=lambda listing: (
            listing.free == 0,
            listing.offer.gpu_type != gpu_type,
            listing.offer.gpu_count != gpu_count,
            listing.price.rate_micros,
        ),
    )[:MOST_SIMILAR]
