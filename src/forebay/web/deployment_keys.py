"""The keys on a machine, as they are found there, and choosing which of the team's open it."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import deployment_keys, deployments
from forebay.domain.machines.deployment_keys import Record, State
from forebay.domain.machines.deployments import Deployment
from forebay.domain.machines.looks import FoundKey, Unreadable
from forebay.errors import BadRequest, Conflict, ForebayError
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.deployments import HERE, id_of
from forebay.web.frame import Page, go
from forebay.web.visits import Visit

TONES = {
    State.installed: "good",
    State.pending: "calm",
    State.missing: "warn",
    State.leaving: "warn",
    State.kept_out: "idle",
    State.unknown: "bad",
    State.unread: "idle",
}
WORDS = {State.kept_out: "kept out", State.unread: "not read"}
CHOSEN = "key-"
"""How the name of a key's box in the form begins."""


class DeploymentKeyPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """Both. Whose machine it is, the domain looks for itself."""
        page, path = self.dashboard.page, f"{HERE}/ssh-keys"
        return [page("GET", path, self.show, is_slow=True), page("POST", path, self.change, is_slow=True)]

    def show(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What the machine says beside what the books say. The machine is asked while no connection is held."""
        with self.dashboard.read() as connection:
            machine = deployments.find(connection, id_of(visit), visit.context.team_id)
            record = deployment_keys.read(connection, machine)
        found, reason = self.look(machine, record)
        shown = deployment_keys.compare(record, found)
        with self.dashboard.read() as connection:
            return self.dashboard.show(
                visit,
                connection,
                "deployment_keys.html",
                error=error,
                machine=machine,
                keys=[(key, WORDS.get(key.state, str(key.state)), TONES[key.state]) for key in shown],
                reason=reason,
                record=record,
                chosen={key.id for key in record.kept if not key.is_removed},
                of_machine=[key for key in record.kept if not key.is_removed],
                of_team=list(record.of_team.values()),
            )

    def look(self, machine: Deployment, record: Record) -> tuple[list[FoundKey] | None, str]:
        """The keys that are there, or why that isn't known."""
        if not record.may_exist:
            return None, "The machine has ended."
        try:
            found = self.frame.looks.keys(machine.provider, machine.id)
        except Unreadable as unreadable:
            return None, unreadable.sentence
        return (None, "The machine isn't there yet.") if found is None else (list(found), "")

    def change(self, visit: Visit) -> Page:
        """Have these keys, and no others, open it."""
        wanted = [name.removeprefix(CHOSEN) for name in visit.form if name.startswith(CHOSEN)]
        try:
            with self.dashboard.begin(visit) as connection:
                deployment_keys.change(
                    connection, visit.context, id_of(visit), [key for key in wanted if is_id(key)], now=visit.now
                )
        except (BadRequest, Conflict) as error:
            return self.show(visit, error)
        self.frame.nudge("ssh-keys")
        self.frame.say(visit, "The machine is being told; within a minute these keys open it, and no others.")
        return go(f"/t/{visit.context.slug}/deployments/{id_of(visit)}/ssh-keys")
