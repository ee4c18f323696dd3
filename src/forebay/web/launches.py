"""The form that launches a machine, with what it would cost, hold and leave beside it."""

from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import (
    blueprints,
    launch_templates,
    launches,
    offers,
    previews,
    ssh_keys,
    template_standings,
    volumes_seen,
)
from forebay.domain.machines.deployments import Limits
from forebay.domain.machines.offers import Offer
from forebay.domain.machines.orders import Order
from forebay.domain.machines.template_standings import Standing
from forebay.domain.machines.volumes import Volume
from forebay.domain.people.roles import Permission, who_has
from forebay.errors import BadRequest, Conflict, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web import budgets, equivalents, terms
from forebay.web.dashboard import Dashboard, beside
from forebay.web.frame import Page, go
from forebay.web.key_files import field_of, key_of
from forebay.web.launch_forms import OTHER_KEY, filled, given_of, moved, order_of
from forebay.web.once import FIELD, new_word, once
from forebay.web.visits import Visit

MOST_VOLUMES = 100
PRICED_WITHOUT = ("labels", "cloudInit", "ports", *terms.FIELDS)
"""What can be left out of a price, where it can't be read."""


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
            page("POST", "/deploy/keys", self.add_key, needs=Permission.manage_ssh_keys),
        ]

    def limits(self) -> Limits:
        """What a launch depends on."""
        settings = self.frame.settings
        return Limits(minimum_micros=settings.minimum_launch_micros, creations=settings.rate_limit_creations)

    def ask(
        self,
        visit: Visit,
        error: ForebayError | None = None,
        *,
        changes: dict[str, str] | None = None,
        **said: Any,
    ) -> Page:
        """The form as it is filled in so far, with `changes`, and what it would come to. Nothing is launched by it."""
        with self.dashboard.read() as connection:
            team_id = visit.context.team_id
            keys = ssh_keys.of_team(connection, team_id)
            given = given_of(visit) | (changes or {})
            remarks: dict[str, str] = {}
            before = None if visit.form else self.before(connection, visit)
            if before is not None:
                fields, remarks = filled(before, now=visit.now)
                given |= fields | {"templateId": visit.query.get("template", "")}
            if visit.form.get("choose"):
                given = moved(connection, given, visit.form["choose"][:100])
            if not given["sshKeyId"]:
                given["sshKeyId"] = keys[0].id if keys else OTHER_KEY
            offer = offers.find(connection, given["offerId"])
            if offer is None and not visit.form and before is None:
                self.frame.say(visit, "This offer is not on the list any more. Choose another one.")
                return go(f"/t/{visit.context.slug}/deploy")
            try:
                order = order_of(connection, team_id, given)
            except BadRequest as wrong:
                # What can't be read is said where it stands, and the price is that of the rest.
                error = error or (wrong if visit.form else None)
                order = order_of(connection, team_id, given | dict.fromkeys(PRICED_WITHOUT, ""))
            found = previews.preview(connection, visit.context, order, self.limits(), now=visit.now)
            return self.dashboard.show(
                visit,
                connection,
                "launch.html",
                error=error,
                given=given | {"offerId": order.offer_id, "operatingSystem": order.operating_system},
                order=order,
                offer=offer,
                remarks=remarks,
                key_choices=[
                    *((key.id, f"{key.name} ({key.fingerprint[7:17]}…)") for key in keys),
                    (OTHER_KEY, "another key, for this machine alone"),
                ],
                preview=found,
                budgets=[budgets.Line(each, visit) for each in found.budgets],
                volumes=self.volumes(connection, visit, offer),
                actions=terms.ACTIONS,
                other_key=OTHER_KEY,
                who_adds_keys=who_has(Permission.manage_ssh_keys),
                once=visit.form.get(FIELD) or new_word(),
                **self.by_program(connection, visit, order),
                **(self.by_template(connection, visit, order, offer, before) | said),
            )

    def before(self, connection: Connection, visit: Visit) -> Standing | None:
        """What the form begins with: an earlier machine of the team, or a template. Raises NotFound."""
        team_id, now = visit.context.team_id, visit.now
        again, template_id = visit.query.get("again"), visit.query.get("template")
        if again and not is_id(again):
            raise NotFound("Deployment")
        if again:
            found = blueprints.of_deployment(connection, team_id, again)
            # When it was to end was decided for that one machine.
            found = msgspec.structs.replace(found, terminate_after_minutes=None)
            return template_standings.one(connection, team_id, found, now=now)
        if template_id:
            template = launch_templates.find(connection, team_id, template_id[:24])
            return template_standings.one(connection, team_id, template, now=now)
        return None

    def by_template(
        self, connection: Connection, visit: Visit, order: Order, offer: Offer | None, before: Standing | None
    ) -> dict[str, Any]:
        """The template that the form is filled in from; in the place of an offer that is gone, others."""
        team_id, template = visit.context.team_id, None
        if order.template_id is not None:
            template = launch_templates.find(connection, team_id, order.template_id)
        like = template if before is None else before.blueprint
        gpu_type, gpu_count = ("", 0) if like is None else (like.gpu_type, like.gpu_count)
        others = [] if offer else template_standings.similar(connection, team_id, gpu_type, gpu_count, now=visit.now)
        return {"from_template": template, "replaceable": template, "others": others}

    def by_program(self, connection: Connection, visit: Visit, order: Order) -> dict[str, str]:
        """The same as commands and programs, with the name that the machine would get."""
        team_id, url = visit.context.team_id, self.frame.public_url
        named = self.named(connection, visit, order)
        return {
            "machine_name": named.name or "",
            "command": equivalents.command(named, team_id, url),
            "curl": equivalents.curl(named, team_id, url),
            "python": equivalents.python(named, team_id, url),
        }

    def named(self, connection: Connection, visit: Visit, order: Order) -> Order:
        """The order with its number and date filled in to the name."""
        name = blueprints.filled_name(connection, visit.context.team_id, order.name, now=visit.now)
        return msgspec.structs.replace(order, name=name)

    def volumes(self, connection: Connection, visit: Visit, offer: Offer | None) -> list[Volume]:
        """The team's volumes that the machine could have: those of its region."""
        if offer is None:
            return []
        found, _ = volumes_seen.of_team(connection, visit.context.team_id, status=None, page=1, limit=MOST_VOLUMES)
        mine = [seen.volume for seen in found if seen.volume.state in ("creating", "available")]
        return [each for each in mine if (each.provider, each.region) == (offer.provider, offer.region)]

    def launch(self, visit: Visit) -> Page:
        """Launch it, once, and go to its page."""
        given = given_of(visit)
        base = f"/t/{visit.context.slug}/deployments"

        def act() -> str:
            order = self.named(connection, visit, order_of(connection, visit.context.team_id, given))
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

    def add_key(self, visit: Visit) -> Page:
        """Add a key to the team, and choose it, without leaving the form."""
        visit.context.demand(Permission.launch)
        given = visit.form.get("newKeyName", "").strip()
        try:
            text = key_of(visit, "newKey", "newKeyFile")
            name = given or ssh_keys.parse(text)[2] or "key"
            with self.dashboard.begin(visit) as connection:
                key = ssh_keys.add_by(connection, visit.context, name=name[:120], public_key=text, now=visit.now)
            key_id, words = key.id, f"{key.name} is added to the team, and chosen."
        except Conflict as twin:
            if not twin.details.get("id"):
                return self.ask(visit, twin)
            key_id, words = str(twin.details["id"]), f"{twin.sentence} It is chosen."
        except ForebayError as error:
            if error.status in (401, 403, 404):
                raise
            names = {"publicKey": field_of(visit, "newKey", "newKeyFile"), "name": "newKeyName"}
            return self.ask(visit, beside(error, names))
        return self.ask(visit, changes={"sshKeyId": key_id, "newKey": "", "newKeyName": ""}, key_said=words)
