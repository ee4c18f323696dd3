"""What a machine writes: the end of its console, and how cloud-init went."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import deployments, events
from forebay.domain.machines.looks import LogKind, Unreadable
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest
from forebay.web.dashboard import Dashboard
from forebay.web.deployments import HERE, id_of
from forebay.web.frame import Page
from forebay.web.visits import Visit

MOST_BYTES = 64 * 1024
KINDS = {LogKind.console: "Console", LogKind.cloud_init: "cloud-init"}


class LogPages:
    """The page of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """The one."""
        return [self.dashboard.page("GET", f"{HERE}/logs", self.show, is_slow=True)]

    def show(self, visit: Visit) -> Page:
        """The end of a log; of a machine that has ended what is on record. It is asked while no connection is held."""
        asked = visit.query.get("kind", LogKind.console)
        if asked not in set(KINDS):
            raise BadRequest("There is no such log.", details={"kind": f"one of {', '.join(KINDS)}"})
        kind = LogKind(asked)
        with self.dashboard.read() as connection:
            machine = deployments.find(connection, id_of(visit), visit.context.team_id)
            visit.context.demand(Permission.operate, created_by=machine.created_by)
            text = events.cloud_init_log(connection, machine.id) if kind is LogKind.cloud_init else ""
        reason = ""
        if machine.gone_at is None and machine.status in deployments.ACTIVE:
            try:
                found = self.frame.looks.log(machine.provider, machine.id, kind, after="", most_bytes=MOST_BYTES)
                text = text if found is None else found.text
            except Unreadable as unreadable:
                reason = unreadable.sentence
        with self.dashboard.read() as connection:
            return self.dashboard.show(
                visit,
                connection,
                "logs.html",
                machine=machine,
                kind=kind,
                kinds=KINDS.items(),
                text=text,
                reason=reason,
            )
