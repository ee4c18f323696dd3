"""The team's templates: the list, saving what the launch form holds or a machine was launched with, and their care."""

from collections.abc import Sequence
from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import blueprints, deployments, launch_templates, template_standings
from forebay.domain.machines.blueprints import Blueprint
from forebay.domain.machines.catalogue import Listing
from forebay.domain.machines.launch_templates import LaunchTemplate, TemplateExists
from forebay.domain.people import accounts
from forebay.domain.people.roles import Permission
from forebay.errors import ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard, beside
from forebay.web.frame import Page, go
from forebay.web.launch_forms import OTHER_KEY, given_of, order_of
from forebay.web.launches import LaunchPages
from forebay.web.visits import Visit

MANAGE = Permission.manage_templates
IN_FORM = {"name": "templateName", "deploymentName": "name"}
"""How fields of a template are called in the launch form, where the machine has a name too."""


def with_standings(connection: Connection, visit: Visit, every: Sequence[Listing] | None = None) -> dict[str, Any]:
    """The team's templates and how they stand, for the list of them; `every`: all offers, if they are known."""
    team_id = visit.context.team_id
    found = launch_templates.listed(connection, team_id)
    standings = template_standings.of(connection, team_id, found, now=visit.now, every=every)
    return {
        "templates": list(zip(found, standings, strict=True)),
        "makers": accounts.names_of(connection, {each.created_by for each in found}),
    }


class LaunchTemplatePages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard, launches: LaunchPages) -> None:
        self.dashboard, self.frame, self.launches = dashboard, dashboard.frame, launches

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.dashboard.page
        return [
            page("GET", "/deploy/templates", self.show_all),
            page("POST", "/deploy/templates", self.save, needs=MANAGE),
            page("GET", "/deploy/templates/new", self.ask, needs=MANAGE),
            page("POST", "/deploy/templates/new", self.save_machine, needs=MANAGE),
            page("GET", "/deploy/templates/{template_id}/rename", self.ask_to_rename, needs=MANAGE),
            page("POST", "/deploy/templates/{template_id}/rename", self.rename, needs=MANAGE),
            page("GET", "/deploy/templates/{template_id}/delete", self.ask_to_delete, needs=MANAGE),
            page("POST", "/deploy/templates/{template_id}/delete", self.delete, needs=MANAGE),
        ]

    def show_all(self, visit: Visit) -> Page:
        """The list: everybody in the team may look."""
        with self.dashboard.read() as connection:
            return self.dashboard.show(visit, connection, "launch_templates.html", **with_standings(connection, visit))

    def save(self, visit: Visit) -> Page:
        """Save what the launch form holds, as a new template or in the place of one, and stay in the form."""
        visit.context.demand(Permission.launch)
        given, replaced = given_of(visit), visit.form.get("replace", "")[:24]
        try:
            with self.dashboard.begin(visit) as connection:
                order = order_of(connection, visit.context.team_id, given)
                blueprint = blueprints.of_order(order, now=visit.now)
                made = self.put(connection, visit, given["templateName"], blueprint, replaced)
        except TemplateExists as twin:
            return self.offer_twin(visit, twin)
        except ForebayError as error:
            if error.status in (401, 403):
                raise
            return self.launches.ask(visit, beside(error, IN_FORM))
        words = f"{made.name} is {'replaced' if replaced else 'saved: the team finds it on Deploy'}."
        if given["sshKeyId"] == OTHER_KEY:
            words += " The key for this machine alone is not kept in it."
        return self.launches.ask(visit, changes={"templateId": made.id, "templateName": ""}, template_said=words)

    def put(
        self, connection: Connection, visit: Visit, name: str, blueprint: Blueprint, replaced: str
    ) -> LaunchTemplate:
        """Make a new template, or give one another blueprint. Raises as the domain does."""
        context, now = visit.context, visit.now
        if not replaced:
            return launch_templates.create(connection, context, name, blueprint, now=now)
        changes = {each: getattr(blueprint, each) for each in Blueprint.__struct_fields__}
        return launch_templates.change(connection, context, replaced, changes=changes, now=now)

    def offer_twin(self, visit: Visit, twin: TemplateExists) -> Page:
        """The form again: another name is needed, or the template that has this one is replaced."""
        reason = f"{twin.sentence} Choose another name, or replace it."
        error = beside(twin, {})
        error.details = {"templateName": reason}
        with self.dashboard.read() as connection:
            found = launch_templates.find(connection, visit.context.team_id, str(twin.details["id"]))
        return self.launches.ask(visit, error, replaceable=found)

    # A machine.

    def ask(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Under which name a machine is saved."""
        machine_id = visit.form.get("from") or visit.query.get("from", "")
        if not is_id(machine_id):
            raise NotFound("Deployment")
        with self.dashboard.read() as connection:
            machine = deployments.find(connection, machine_id, visit.context.team_id)
            name = visit.form.get("name", machine.name)[:200]
            return self.dashboard.show(
                visit, connection, "launch_template_new.html", error=error, machine=machine, name=name
            )

    def save_machine(self, visit: Visit) -> Page:
        """Save it as it was launched."""
        machine_id = visit.form.get("from", "")
        if not is_id(machine_id):
            raise NotFound("Deployment")
        try:
            with self.dashboard.begin(visit) as connection:
                found = blueprints.of_deployment(connection, visit.context.team_id, machine_id)
                name = visit.form.get("name", "")
                made = launch_templates.create(connection, visit.context, name, found, like=found, now=visit.now)
        except ForebayError as error:
            if error.status in (401, 403, 404):
                raise
            return self.ask(visit, named(error))
        self.frame.say(visit, f"{made.name} is saved. It can be launched from here, by everybody who may launch.")
        return self.back(visit)

    # One.

    def find(self, connection: Connection, visit: Visit) -> LaunchTemplate:
        """The template of the address, for who may change it. Raises NotFound, Forbidden."""
        found = launch_templates.find(connection, visit.context.team_id, visit.parameters["template_id"])
        visit.context.demand(MANAGE, created_by=found.created_by)
        return found

    def ask_to_rename(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What it is to be called."""
        with self.dashboard.read() as connection:
            found = self.find(connection, visit)
            name = visit.form.get("name", found.name)[:200]
            return self.dashboard.show(
                visit, connection, "launch_template_rename.html", error=error, saved=found, name=name
            )

    def rename(self, visit: Visit) -> Page:
        """Rename it."""
        try:
            with self.dashboard.begin(visit) as connection:
                found = self.find(connection, visit)
                name = visit.form.get("name", "")
                changed = launch_templates.change(connection, visit.context, found.id, name=name, now=visit.now)
        except ForebayError as error:
            if error.status in (401, 403, 404):
                raise
            return self.ask_to_rename(visit, named(error))
        self.frame.say(visit, f"{changed.name} is renamed.")
        return self.back(visit)

    def ask_to_delete(self, visit: Visit) -> Page:
        """Whether that is meant."""
        with self.dashboard.read() as connection:
            found = self.find(connection, visit)
            return self.dashboard.show(visit, connection, "launch_template_delete.html", saved=found)

    def delete(self, visit: Visit) -> Page:
        """Delete it."""
        with self.dashboard.begin(visit) as connection:
            found = self.find(connection, visit)
            launch_templates.delete(connection, visit.context, found.id, now=visit.now)
        self.frame.say(visit, f"{found.name} is deleted.")
        return self.back(visit)

    def back(self, visit: Visit) -> Page:
        """To the list."""
        return go(f"/t/{visit.context.slug}/deploy/templates")


def named(error: ForebayError) -> ForebayError:
    """A refusal that stands beside the name, where it is the name that is taken."""
    if isinstance(error, TemplateExists):
        error.details = {"name": f"{error.sentence} Choose another name."}
    return error
