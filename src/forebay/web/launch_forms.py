"""What the launch form asks for: read into an order, and filled in again from a machine that there was or a template.

What a template names and isn't there any more is left out of the form, and said in words beside its field.
"""

import re
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from forebay.domain.machines import blueprints, launch_templates, offers
from forebay.domain.machines.orders import Order
from forebay.domain.machines.schedules import Terms
from forebay.domain.machines.template_standings import Standing
from forebay.errors import BadRequest, NotFound
from forebay.web import cloud_init, terms
from forebay.web.visits import Visit

OTHER_KEY = "another"
FIELDS = (
    "offerId",
    "instanceType",
    "operatingSystem",
    "sshKeyId",
    "ssh_public_key",
    "name",
    "labels",
    "cloudInit",
    "ports",
    *terms.FIELDS,
    "templateId",
    "templateName",
    "newKey",
    "newKeyName",
)
VOLUME = "volume-"
"""How the boxes of volumes are called, before their ids."""


def given_of(visit: Visit) -> dict[str, str]:
    """The form as it is filled in so far."""
    given = {name: (visit.form.get(name) or visit.query.get(name, ""))[:65_536] for name in FIELDS}
    return given | {name: "yes" for name in visit.form if name.startswith(VOLUME)}


def filled(standing: Standing, *, now: datetime) -> tuple[dict[str, str], dict[str, str]]:
    """The fields as a blueprint has them, and what is to be said beside those that it can't have any more."""
    blueprint, wrong = standing.blueprint, dict(standing.problems)
    order = blueprints.order_of(blueprint, standing.offer, now=now)
    given = {
        "offerId": blueprint.offer_id,
        "instanceType": blueprint.instance_type,
        "operatingSystem": blueprint.operating_system,
        "sshKeyId": blueprint.ssh_key_id or "",
        "name": blueprint.machine_name or "",
        "labels": "\n".join(f"{key}={value}" for key, value in blueprint.labels.items()),
        "ports": ", ".join(map(str, blueprint.ports)),
        "cloudInit": "" if blueprint.cloud_init is None else cloud_init.written(blueprint.cloud_init),
        **terms.written(order.terms),
    }
    given |= {f"{VOLUME}{each}": "yes" for each in blueprint.volume_ids if each not in standing.lost_volume_ids}
    for field in ("instanceType", "operatingSystem", "sshKeyId", "ports", "cloudInit"):
        if field in wrong:
            given[field] = ""
    if "autoStopAction" in wrong:
        given |= {"autoStopMinutes": "", "autoStopAction": ""}
    return given, {field: f"{words} {DONE.get(field, '')}".strip() for field, words in wrong.items()}


DONE = {
    "instanceType": "It is launched as the offer has it.",
    "operatingSystem": "Another one is chosen here.",
    "sshKeyId": "Choose the one that is to open it.",
    "volumeIds": "What can't be there is left out.",
    "cloudInit": "It is left out.",
    "ports": "They are left out.",
    "autoStopAction": "Auto-stop is left out.",
}
"""What became of a field that can't be as it was."""


def order_of(connection: Connection, team_id: str, given: dict[str, str]) -> Order:
    """What the form asks for. What the offer alone decides is taken from it. Raises BadRequest."""
    offer = offers.find(connection, given["offerId"])
    is_other = given["sshKeyId"] == OTHER_KEY
    order = Order(
        offer_id=given["offerId"],
        provider="",
        gpu_type="",
        gpu_count=0,
        region="",
        operating_system=given["operatingSystem"],
        instance_type=given["instanceType"],
        ssh_key_id=None if is_other else given["sshKeyId"],
        ssh_public_key=given["ssh_public_key"].strip() if is_other else None,
        name=given["name"].strip() or None,
        cloud_init=cloud_init.parse(given["cloudInit"]),
        labels=labels_of(given["labels"]),
        ports=ports_of(given["ports"]),
        volume_ids=tuple(name.removeprefix(VOLUME) for name in given if name.startswith(VOLUME)),
        terms=Terms(**terms.given(given)),
        template_id=known_template(connection, team_id, given["templateId"]),
    )
    if offer is None:
        return order
    return msgspec.structs.replace(
        order,
        provider=offer.provider,
        gpu_type=offer.gpu_type,
        gpu_count=offer.gpu_count,
        region=offer.region,
        operating_system=order.operating_system or offer.os_options[0],
        instance_type=order.instance_type or offer.instance_type,
    )


def known_template(connection: Connection, team_id: str, template_id: str) -> str | None:
    """The template that the form was filled in from, unless somebody has deleted it since: that stops no launch."""
    try:
        return launch_templates.find(connection, team_id, template_id).id if template_id else None
    except NotFound:
        return None


def moved(connection: Connection, given: dict[str, str], offer_id: str) -> dict[str, str]:
    """The form with another offer, and of what hung on the one before only what fits."""
    offer = offers.find(connection, offer_id)
    given = given | {"offerId": offer_id}
    if offer is not None and given["operatingSystem"] not in offer.os_options:
        given["operatingSystem"] = ""
    if offer is not None and not offer.is_offered_as(given["instanceType"]):
        given["instanceType"] = ""
    return given


def ports_of(text: str) -> list[int]:
    """Ports as people write them, with commas or spaces between. Raises BadRequest."""
    words = re.findall(r"[^\s,]+", text)
    if not all(word.isascii() and word.isdecimal() and len(word) < 6 for word in words):
        raise BadRequest("The ports are not usable.", details={"ports": "numbers, with commas between"})
    return [int(word) for word in words]


def labels_of(text: str) -> dict[str, str]:
    """Labels as people write them, `key=value`, each in a line or with commas between. Raises BadRequest."""
    found: dict[str, str] = {}
    for part in re.split(r"[\n,]", text):
        if part.strip():
            key, equals, value = part.strip().partition("=")
            if not equals or not key.strip():
                raise BadRequest(
                    "A label is not usable.", details={"labels": f"{part.strip()[:60]!r}: write key=value"}
                )
            found[key.strip()] = value.strip()
    return found
