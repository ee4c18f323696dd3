"""The form that launches a machine, with what it would cost, hold and leave beside it."""

import re

import msgspec
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import deployments, launches, offers, previews, ssh_keys, volumes_seen
from forebay.domain.machines.deployments import Limits
from forebay.domain.machines.offers import Offer
from forebay.domain.machines.orders import Order
from forebay.domain.machines.schedules import Terms
from forebay.domain.machines.volumes import Volume
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web import budgets, cloud_init, equivalents, terms
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.once import FIELD, new_word, once
from forebay.web.visits import Visit

OTHER_KEY = "another"
MOST_VOLUMES = 100
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
)
VOLUME = "volume-"
"""How the boxes of volumes are called, before their ids."""


class LaunchPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.dashboard.page
        return [
            page("GET", "/deploy/new", self.ask, needs=Permission.launch),
            page("POST", "/deploy/preview", self.ask, needs=Permission.launch),
            page("POST", "/deploy/new", self.launch, needs=Permission.launch),
        ]

    def limits(self) -> Limits:
        """What a launch depends on."""
        settings = self.frame.settings
        return Limits(minimum_micros=settings.minimum_launch_micros, creations=settings.rate_limit_creations)

    def ask(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """The form as it is filled in so far, and what it would come to. Nothing is launched by it."""
        with self.dashboard.read() as connection:
            keys = ssh_keys.of_team(connection, visit.context.team_id)
            given = {name: (visit.form.get(name) or visit.query.get(name, ""))[:65_536] for name in FIELDS}
            given |= {name: "yes" for name in visit.form if name.startswith(VOLUME)}
            if not visit.form and visit.query.get("again"):
                given |= self.as_before(connection, visit, visit.query["again"])
            if not given["sshKeyId"]:
                given["sshKeyId"] = keys[0].id if keys else OTHER_KEY
            offer = offers.find(connection, given["offerId"])
            if offer is None and not visit.form:
                self.frame.say(visit, "This offer is not on the list any more. Choose another one.")
                return go(f"/t/{visit.context.slug}/deploy")
            try:
                order = self.order(connection, given)
            except BadRequest as wrong:
                # What can't be read is said where it stands, and the price is that of the rest.
                error = error or (wrong if visit.form else None)
                order = self.order(
                    connection, given | dict.fromkeys(("labels", "cloudInit", "ports", *terms.FIELDS), "")
                )
            found = previews.preview(connection, visit.context, order, self.limits(), now=visit.now)
            team_id, url = visit.context.team_id, self.frame.public_url
            return self.dashboard.show(
                visit,
                connection,
                "launch.html",
                error=error,
                given=given | {"offerId": order.offer_id, "operatingSystem": order.operating_system},
                order=order,
                offer=offer,
                key_choices=[
                    *((key.id, f"{key.name} ({key.fingerprint[7:17]}…)") for key in keys),
                    (OTHER_KEY, "another key, for this machine alone"),
                ],
                preview=found,
                budgets=[budgets.Line(each, visit) for each in found.budgets],
                volumes=self.volumes(connection, visit, offer),
                actions=terms.ACTIONS,
                other_key=OTHER_KEY,
                once=visit.form.get(FIELD) or new_word(),
                command=equivalents.command(order, team_id, url),
                curl=equivalents.curl(order, team_id, url),
                python=equivalents.python(order, team_id, url),
            )

    def volumes(self, connection: Connection, visit: Visit, offer: Offer | None) -> list[Volume]:
        """The team's volumes that the machine could have: those of its region."""
        if offer is None:
            return []
        found, _ = volumes_seen.of_team(connection, visit.context.team_id, status=None, page=1, limit=MOST_VOLUMES)
        mine = [seen.volume for seen in found if seen.volume.state in ("creating", "available")]
        return [each for each in mine if (each.provider, each.region) == (offer.provider, offer.region)]

    def as_before(self, connection: Connection, visit: Visit, deployment_id: str) -> dict[str, str]:
        """The form as it was for an earlier machine of the team. Raises NotFound."""
        if not is_id(deployment_id):
            raise NotFound("Deployment")
        found = deployments.find(connection, deployment_id, visit.context.team_id)
        labels = deployments.labels_of(connection, deployment_id)
        return {
            "offerId": found.offer_id,
            "instanceType": found.instance_type,
            "operatingSystem": found.operating_system,
            "sshKeyId": "" if found.is_ssh_key_temporary else found.ssh_key_id,
            "name": found.name,
            "labels": "\n".join(f"{key}={value}" for key, value in labels.items()),
            **terms.written(msgspec.structs.replace(found, terminate_at=None)),
            "cloudInit": "" if found.cloud_init is None else cloud_init.written(found.cloud_init),
        }

    def order(self, connection: Connection, given: dict[str, str]) -> Order:
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

    def launch(self, visit: Visit) -> Page:
        """Launch it, once, and go to its page."""
        given = {name: visit.form.get(name, "")[:65_536] for name in FIELDS}
        given |= {name: "yes" for name in visit.form if name.startswith(VOLUME)}
        base = f"/t/{visit.context.slug}/deployments"

        def act() -> str:
            order = self.order(connection, given)
            made = launches.launch(connection, visit.context, order, self.limits(), now=visit.now)
            return f"{base}/{made}"

        try:
            with self.dashboard.begin(visit) as connection:
                location = once(connection, visit, act)
        except ForebayError as error:
            if error.status in (401, 403, 404) and error.code != "TEAM_FROZEN":
                raise
            return self.ask(visit, error)
        self.frame.nudge("deployments")
        self.frame.say(visit, "The launch is accepted. The machine shows its SSH command here once it answers.")
        return go(location)


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
