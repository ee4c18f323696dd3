"""Orders: what a person asks for, and everything that may stand against it.

There is one list of checks. A launch stops at the first that says no, under locks (`launches.py`); a preview goes
through all of them and locks nothing (`previews.py`). No check has an effect.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import budgets, offers, prices, schedules, ssh_keys, volume_attachments, volumes
from forebay.domain.machines.budgets import BudgetExceeded
from forebay.domain.machines.deployments import Limits, check_labels, check_name, hold_micros, refuse_frozen
from forebay.domain.machines.offers import Offer
from forebay.domain.machines.prices import Price
from forebay.domain.machines.schedules import Terms
from forebay.domain.money import holds, ledger
from forebay.domain.money.amounts import charge_micros
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission, who_has
from forebay.errors import BadRequest, ForebayError, NotFound, RateLimitExceeded
from forebay.storage.tables import deployments, launch_templates, users

WINDOW_SECONDS = 900
"""Creations are counted over this window."""
MOST_PORTS = 16
"""That one machine can expose beside SSH's."""
SSH_PORT = 22


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
    ports: Sequence[int] = ()
    volume_ids: tuple[str, ...] = ()
    """Each once."""
    terms: Terms = Terms()
    """How it is to end."""
    template_id: str | None = None
    """The team's template that it was made from: that it was used is remembered, nothing of it is filled in."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An order, who gives it and when, and the offer that it names, if there is one."""

    context: TeamContext
    order: Order
    offer: Offer | None
    price: Price | None
    """What the offer costs the team now."""
    limits: Limits
    now: datetime

    @property
    def hold_micros(self) -> int:
        """What a launch of the offer must have available, and holds; 0 without an offer."""
        if self.offer is None or self.price is None:
            return 0
        return hold_micros(self.price.rate_micros, self.offer.minimum_runtime_minutes, self.limits.minimum_micros)


def wish(connection: Connection, context: TeamContext, order: Order, limits: Limits, *, now: datetime) -> Wish:
    """The order with what it names."""
    offer = offers.find(connection, order.offer_id)
    price = None
    if offer is not None:
        price = prices.price_for(connection, context.team_id, offer, order.instance_type, now=now)
    return Wish(context=context, order=order, offer=offer, price=price, limits=limits, now=now)


def lock(connection: Connection, wish: Wish) -> None:
    """Keep all that the checks look at as it is until the transaction ends. Always in this order.

    The person's row is locked as strongly as others' references to it allow: launches of one person count one after
    another. The key can't be deleted meanwhile, so that a deletion knows of the machine.
    """
    person = sa.select(users.c.id).where(users.c.id == wish.context.caller.user_id)
    connection.execute(person.with_for_update(key_share=True)).all()
    if wish.order.ssh_key_id is not None:
        with suppress(NotFound):
            ssh_keys.get(connection, wish.context.team_id, wish.order.ssh_key_id, is_for_launch=True)
    volume_attachments.lock_for_launch(connection, wish.context.team_id, wish.order.volume_ids)
    ledger.lock(connection, wish.context.team_id)
    if wish.offer is not None:
        offers.lock(connection, wish.offer)


# The checks.


def check_permission(connection: Connection, wish: Wish) -> None:
    """Raise Forbidden for who may not launch here."""
    wish.context.demand(Permission.launch)


def check_freeze(connection: Connection, wish: Wish) -> None:
    """Raise Forbidden for a team that the operator has frozen."""
    refuse_frozen(wish.context)


def check_words(connection: Connection, wish: Wish) -> None:
    """Raise BadRequest for a name that can't be used."""
    if wish.order.name is not None:
        check_name(wish.order.name)


def check_tags(connection: Connection, wish: Wish) -> None:
    """Raise BadRequest for labels that can't be used."""
    check_labels(wish.order.labels)


def check_ports(connection: Connection, wish: Wish) -> None:
    """Raise BadRequest for ports that can't be exposed, and for too many of them."""
    ports = wish.order.ports
    reason = ""
    if len(ports) > MOST_PORTS:
        reason = f"at most {MOST_PORTS}"
    elif len(set(ports)) < len(ports):
        reason = f"each once: {next(port for port in ports if ports.count(port) > 1)} is there twice"
    elif SSH_PORT in ports:
        reason = f"{SSH_PORT} is SSH's, which is always reached"
    elif strange := [port for port in ports if not 1 <= port <= 65535]:
        reason = f"1 to 65535, and not {strange[0]}"
    if reason:
        raise BadRequest(f"The ports are not usable: {reason}.", details={"ports": reason})


def check_offer(connection: Connection, wish: Wish) -> None:
    """Raise BadRequest unless all fields come from one offer; it names those that don't."""
    order, offer = wish.order, wish.offer
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
    if order.ports and not offer.supports_ports:
        wrong["ports"] = "this offer can't expose ports"
    if wrong:
        raise BadRequest("All fields must come from one offer.", code="OFFER_MISMATCH", details=wrong)


def check_end(connection: Connection, wish: Wish) -> None:
    """Raise BadRequest for an end that can't be brought about like that."""
    offer, price = wish.offer, wish.price
    if offer is None or price is None:
        return
    least = charge_micros(price.rate_micros, offer.minimum_runtime_minutes * 60)
    schedules.check(wish.order.terms, supports_pause=offer.supports_pause, least_micros=least, now=wish.now)


def creations_left(connection: Connection, wish: Wish) -> tuple[int, int]:
    """How many more the person may create now, and in how many seconds one more than that."""
    recent = connection.execute(
        sa.select(deployments.c.created_at)
        .where(
            deployments.c.created_by == wish.context.caller.user_id,
            deployments.c.created_at > wish.now - timedelta(seconds=WINDOW_SECONDS),
        )
        .order_by(deployments.c.created_at.desc())
        .limit(wish.limits.creations)
    ).all()
    oldest = recent[-1].created_at if recent else wish.now
    left = wish.limits.creations - len(recent)
    return left, max(1, WINDOW_SECONDS - int((wish.now - oldest).total_seconds()))


def check_rate(connection: Connection, wish: Wish) -> None:
    """Raise RateLimitExceeded for who has created as many within the window as one may."""
    left, seconds = creations_left(connection, wish)
    if left <= 0:
        raise RateLimitExceeded(seconds)


def check_key(connection: Connection, wish: Wish) -> None:
    """Raise BadRequest unless there is exactly one key: one of the team's, or a public key that OpenSSH takes."""
    order = wish.order
    if (order.ssh_key_id is None) == (order.ssh_public_key is None):
        reason = "give exactly one of sshKeyId and ssh_public_key"
        raise BadRequest("Exactly one SSH key is needed.", details={"sshKeyId": reason, "ssh_public_key": reason})
    if order.ssh_key_id is not None:
        try:
            ssh_keys.get(connection, wish.context.team_id, order.ssh_key_id)
        except NotFound:
            raise BadRequest(
                "The SSH key does not exist in this team.",
                code="UNKNOWN_SSH_KEY",
                details={"sshKeyId": "not a key of the team"},
            ) from None
        return
    try:
        ssh_keys.parse(order.ssh_public_key or "")
    except BadRequest as refusal:
        reason = refusal.details.get("publicKey", refusal.sentence)
        raise BadRequest(refusal.sentence, code=refusal.code, details={"ssh_public_key": reason}) from None


def check_template(connection: Connection, wish: Wish) -> None:
    """Raise BadRequest for a template that isn't the team's."""
    template_id = wish.order.template_id
    mine = sa.select(launch_templates.c.id).where(
        launch_templates.c.id == template_id, launch_templates.c.team_id == wish.context.team_id
    )
    if template_id is not None and connection.execute(mine).first() is None:
        raise BadRequest(
            "The template does not exist in this team.",
            code="UNKNOWN_TEMPLATE",
            details={"templateId": "not a template of the team"},
        )


def check_volumes(connection: Connection, wish: Wish) -> None:
    """Raise NotFound for a volume that isn't the team's, Conflict for one that the machine can't come up with."""
    names: set[str] = set()
    for volume_id in wish.order.volume_ids:
        volume = volumes.find(connection, volume_id, wish.context.team_id)
        if wish.offer is not None:
            volume_attachments.refuse_unfit(connection, volume, wish.offer.provider, wish.offer.region)
        volume_attachments.refuse_taken(connection, volume)
        names.add(volume.name)
    if len(names) > volume_attachments.MOST_ON_A_MACHINE:
        most = f"{volume_attachments.MOST_ON_A_MACHINE} at most"
        raise BadRequest("A machine can't have so many volumes.", details={"volumeIds": most})


def check_credits(connection: Connection, wish: Wish) -> None:
    """Raise InsufficientBalance unless what is to be held is available."""
    if wish.offer is not None:
        holds.refuse_unavailable(connection, wish.context.team_id, wish.hold_micros)


def check_budgets(connection: Connection, wish: Wish) -> None:
    """Raise BudgetExceeded where a budget that blocks leaves less than what is to be held."""
    if wish.offer is not None:
        origin = budgets.origin_of(connection, wish.context, wish.order.labels)
        budgets.refuse(connection, wish.context.team_id, origin, wish.hold_micros, now=wish.now)


def check_stock(connection: Connection, wish: Wish) -> None:
    """Raise OutOfStock unless one more fits."""
    if wish.offer is not None:
        offers.refuse_full(connection, wish.offer)


WHO_ASKS = who_has(Permission.launch)
OPERATOR = ["operator"]

CHECKS: tuple[tuple[Callable[[Connection, Wish], None], list[str]], ...] = (
    (check_permission, WHO_ASKS),
    (check_freeze, OPERATOR),
    (check_words, WHO_ASKS),
    (check_tags, WHO_ASKS),
    (check_ports, WHO_ASKS),
    (check_offer, WHO_ASKS),
    (check_end, WHO_ASKS),
    (check_template, WHO_ASKS),
    (check_rate, []),
    (check_key, who_has(Permission.manage_ssh_keys)),
    (check_volumes, who_has(Permission.manage_volumes)),
    (check_credits, who_has(Permission.manage_billing)),
    (check_budgets, who_has(Permission.set_budgets)),
    (check_stock, OPERATOR),
)
"""Each check, and who can do something about its no: standings in the team, or the operator; nobody: time alone."""


def refuse(connection: Connection, wish: Wish) -> None:
    """Raise the first refusal there is."""
    for check, _ in CHECKS:
        check(connection, wish)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a launch would be refused now. `details` as in the refusal itself."""

    code: str
    sentence: str
    details: Mapping[str, Any]
    who_can: list[str]
    """Who can do something about it: standings in the team, or `operator`; empty: nobody but time."""


def refusals(connection: Connection, wish: Wish) -> list[Refusal]:
    """Every refusal there is, in the order in which a launch would come upon them."""
    found = []
    for check, who_can in CHECKS:
        try:
            check(connection, wish)
        except BudgetExceeded as error:
            found.append(refusal(error, error.who_can))
        except ForebayError as error:
            found.append(refusal(error, who_can))
    return found


def refusal(error: ForebayError, who_can: list[str]) -> Refusal:
    """What a refusal says, as a value."""
    return Refusal(code=error.code, sentence=error.sentence, details=error.details, who_can=who_can)
