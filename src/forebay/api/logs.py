"""`/api/deployments/{id}/logs`: what a machine writes."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call, Services
from forebay.api.envelope import Input, Wire
from forebay.api.route import route
from forebay.domain.machines import deployments, events
from forebay.domain.machines.deployments import Deployment
from forebay.domain.machines.looks import LogKind, LogPart
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission

MOST_BYTES = 256 * 1024
"""Of one answer."""
LINES = 200


class WhichLog(Input):
    """Which log, and from where on."""

    kind: Literal["console", "cloud-init"] = "console"
    tail: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    """So many lines of its end, 200 if nothing is said; with `cursor` of what is new, all if nothing is said."""
    cursor: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    """Where the last answer ended: only what came after it is wanted."""


class Log(Wire):
    """A piece of a log: whole lines."""

    kind: Literal["console", "cloud-init"]
    text: str
    cursor: str
    """To be sent along to get what comes next."""
    is_cut: bool
    """Whether something is missing before `text`."""
    is_over: bool
    """Whether nothing will be added any more."""


class Asked(msgspec.Struct, frozen=True):
    """Which log of which machine, before it is asked."""

    deployment: Deployment
    kept: str
    """What is on record of cloud-init's log."""
    query: WhichLog


def last_lines(text: str, count: int | None) -> str:
    """The end of a text."""
    return text if count is None else "".join(text.splitlines(keepends=True)[-count:])


def look(services: Services, asked: Asked) -> Log:
    """Ask the machine; what has ended has left cloud-init's log on record."""
    machine, query = asked.deployment, asked.query
    kind, cursor = LogKind(query.kind), query.cursor or ""
    is_there = machine.gone_at is None and machine.status in deployments.ACTIVE
    found = None
    if is_there:
        found = services.looks.log(machine.provider, machine.id, kind, after=cursor, most_bytes=MOST_BYTES)
    if found is None:
        found = LogPart(text="" if cursor else asked.kept, cursor=cursor or ("kept" if asked.kept else ""))
    text = last_lines(found.text, query.tail or (None if cursor else LINES))
    is_over = not is_there or (kind is LogKind.cloud_init and not machine.is_cloud_init_pending)
    is_cut = found.is_cut or len(text) < len(found.text)
    return Log(kind=query.kind, text=text, cursor=found.cursor, is_cut=is_cut, is_over=is_over)


@route(
    "GET",
    "/api/deployments/{deployment_id}/logs",
    needs=Permission.see,
    target=Target.deployment,
    target_from="path:deployment_id",
    query=WhichLog,
    answers=Log,
    finish=look,
)
def show(call: Call, deployment_id: str, query: WhichLog) -> Asked:
    """The end of a machine's console or of cloud-init's log, and what has come since a cursor.

    Without one the last 200 lines. 503 while the machine can't be asked.
    """
    deployment = deployments.find(call.connection, deployment_id, call.team.team_id)
    call.team.demand(Permission.operate, created_by=deployment.created_by)
    kept = events.cloud_init_log(call.connection, deployment_id) if query.kind == "cloud-init" else ""
    return Asked(deployment, kept, query)
