"""The team's machines: the list, and the page of each with all that can be done to it."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import cost_history, deployments, events, overview, schedules, volume_attachments
from forebay.domain.machines.deployments import Deployment, Limits
from forebay.domain.people import accounts
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web import terms
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.machines import Machine, machine
from forebay.web.visits import Visit

MOST_ROWS = 50
EVENTS = 50
FILTERS = {
    "active": "Active",
    "": "All",
    "inactive": "Ended",
    "deploying": "Deploying",
    "running": "Running",
    "stopped": "Stopped",
    "failed": "Failed",
}
HERE = "/deployments/{deployment_id}"


class DeploymentPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them. Whose machine it is, the functions look for themselves."""
        page = self.dashboard.page
        return [
            page("GET", "/deployments", self.show_all),
            page("GET", HERE, self.show),
            page("GET", f"{HERE}/rename", self.ask_name),
            page("POST", f"{HERE}/rename", self.rename),
            page("GET", f"{HERE}/ends", self.ask_ends),
            page("POST", f"{HERE}/ends", self.set_ends),
            page("POST", f"{HERE}/start", self.start),
            page("GET", f"{HERE}/stop", self.ask_to_stop),
            page("POST", f"{HERE}/stop", self.stop),
            page("GET", f"{HERE}/terminate", self.ask_to_terminate),
            page("POST", f"{HERE}/terminate", self.terminate),
        ]

    def show_all(self, visit: Visit) -> Page:
        """The list, newest first; without a wish those that have not ended."""
        status, whose = visit.query.get("status", "active"), visit.query.get("whose", "")
        if status not in FILTERS:
            raise BadRequest(
                "There is no such state.", details={"status": f"one of {', '.join(filter(None, FILTERS))}"}
            )
        before = visit.query.get("before", "")
        user_id = visit.person.user_id if whose == "mine" else None
        with self.dashboard.read() as connection:
            rows = overview.older(
                connection,
                visit.context.team_id,
                status=status or None,
                user_id=user_id,
                before=before if is_id(before) else "",
                most=MOST_ROWS + 1,
            )
            shown = [machine(row, int(visit.now.timestamp())) for row in rows[:MOST_ROWS]]
            return self.dashboard.show(
                visit,
                connection,
                "deployments.html",
                machines=shown,
                people=accounts.names_of(connection, {each.created_by for each in shown}),
                status=status,
                whose=whose,
                filters=FILTERS,
                is_first=not before,
                older=shown[-1].id if len(rows) > MOST_ROWS else "",
            )

    def show(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """One machine."""
        with self.dashboard.read() as connection:
            found, kept = self.find(connection, visit)
            happened, _ = events.of_deployment(connection, found.id, page=1, limit=EVENTS)
            return self.dashboard.show(
                visit,
                connection,
                "deployment.html",
                error=error,
                machine=found,
                kept=kept,
                runtime=deployments.runtime(kept, visit.now),
                starter=accounts.names_of(connection, {found.created_by}).get(found.created_by, "somebody"),
                happened=happened,
                storage_micros=kept.storage_rate_micros,
                volumes=volume_attachments.of_machine(connection, found.id),
                history=cost_history.history(connection, found.id, now=visit.now),
            )

    def find(self, connection: Connection, visit: Visit) -> tuple[Machine, Deployment]:
        """The machine of the address, as it is shown and as it is kept. Raises NotFound."""
        deployment_id = visit.parameters["deployment_id"]
        row = overview.one(connection, deployment_id) if is_id(deployment_id) else None
        if row is None:
            raise NotFound("Deployment")
        return (
            machine(row, int(visit.now.timestamp())),
            deployments.find(connection, deployment_id, visit.context.team_id),
        )

    def ask(self, visit: Visit, template: str, error: ForebayError | None = None, **values: Any) -> Page:
        """A question before something is done to the machine, for whoever may do it."""
        with self.dashboard.read() as connection:
            found, kept = self.find(connection, visit)
            visit.context.demand(Permission.operate, created_by=found.created_by)
            values = {"machine": found, "kept": kept, "runtime": deployments.runtime(kept, visit.now), **values}
            values["starter"] = accounts.names_of(connection, {found.created_by}).get(found.created_by, "somebody")
            values["word"] = found.name if self.is_anothers(visit, found) else ""
            return self.dashboard.show(visit, connection, template, error=error, **values)

    def is_anothers(self, visit: Visit, found: Machine) -> bool:
        """Whether somebody else's work is on the machine: then its name is asked for."""
        return found.created_by != visit.person.user_id

    def back(self, visit: Visit, said: str) -> Page:
        """To the page of the machine, which says what was done; the worker brings it about."""
        self.frame.nudge("deployments")
        self.frame.say(visit, said)
        return go(f"/t/{visit.context.slug}/deployments/{visit.parameters['deployment_id']}")

    # What can be done.

    def ask_name(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What the machine is to be called."""
        return self.ask(visit, "deployment_rename.html", error, name=visit.form.get("name"))

    def rename(self, visit: Visit) -> Page:
        """Give it another name."""
        name = visit.form.get("name", "")
        try:
            with self.dashboard.begin(visit) as connection:
                deployments.update(connection, visit.context, id_of(visit), name=name, labels=None, now=visit.now)
        except BadRequest as error:
            return self.ask_name(visit, error)
        return self.back(visit, "The machine has its new name.")

    def ask_ends(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """When it is to end by itself."""
        with self.dashboard.read() as connection:
            _, kept = self.find(connection, visit)
        given = {**terms.written(kept), **visit.form}
        return self.ask(visit, "deployment_ends.html", error, given=given, actions=terms.ACTIONS)

    def set_ends(self, visit: Visit) -> Page:
        """Decide it, or take it back."""
        try:
            given = terms.given(visit.form)
            with self.dashboard.begin(visit) as connection:
                schedules.set_terms(connection, visit.context, id_of(visit), given, now=visit.now)
        except ForebayError as error:
            if error.status in (401, 403, 404):
                raise
            return self.ask_ends(visit, error)
        self.frame.nudge("planned-ends")
        return self.back(visit, "It is kept when the machine is to end.")

    def start(self, visit: Visit) -> Page:
        """Start it again, with the disk it had."""
        settings = self.frame.settings
        limits = Limits(minimum_micros=settings.minimum_launch_micros, creations=settings.rate_limit_creations)
        try:
            with self.dashboard.begin(visit) as connection:
                deployments.start(connection, visit.context, id_of(visit), limits, now=visit.now)
        except ForebayError as error:
            return self.again(visit, error)
        return self.back(visit, "The machine starts. SSH answers within seconds.")

    def ask_to_stop(self, visit: Visit) -> Page:
        """What goes on costing."""
        return self.ask(visit, "deployment_stop.html")

    def stop(self, visit: Visit) -> Page:
        """Stop it; its disk stays."""
        try:
            with self.dashboard.begin(visit) as connection:
                deployments.stop(connection, visit.context, id_of(visit), now=visit.now)
        except ForebayError as error:
            return self.again(visit, error)
        return self.back(visit, "The machine stops. Its disk stays, and costs a little.")

    def ask_to_terminate(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What will be lost."""
        return self.ask(visit, "deployment_terminate.html", error)

    def terminate(self, visit: Visit) -> Page:
        """End it for good."""
        with self.dashboard.read() as connection:
            found, _ = self.find(connection, visit)
        typed = visit.form.get("confirm", "").strip()
        if visit.context.reach(Permission.operate) and self.is_anothers(visit, found) and typed != found.name:
            # Whoever may not do it at all is told so, whatever they typed.
            visit.context.demand(Permission.operate, created_by=found.created_by)
            sentence = f"{found.name} was not terminated: that is not its name."
            return self.ask_to_terminate(visit, BadRequest(sentence, details={"confirm": "that is not its name"}))
        try:
            with self.dashboard.begin(visit) as connection:
                deployments.terminate(connection, visit.context, found.id, now=visit.now)
        except ForebayError as error:
            return self.again(visit, error)
        return self.back(visit, "The machine is terminated. It costs nothing from this second on.")

    def again(self, visit: Visit, error: ForebayError) -> Page:
        """The page of the machine with what went wrong; what the person may not do is said on a page of its own."""
        if error.status in (401, 403, 404):
            raise error
        return self.show(visit, error)


def id_of(visit: Visit) -> str:
    """The machine of the address. Raises NotFound for what is no id."""
    found = visit.parameters["deployment_id"]
    if not is_id(found):
        raise NotFound("Deployment")
    return found
