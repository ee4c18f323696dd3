"""Terminals: a shell in a machine for whoever may operate it, and that somebody had one.

What is typed and what is shown is nobody's but theirs: the activity says who, into which machine, from where and for
how long.
"""

from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from forebay.domain.machines import deployments
from forebay.domain.machines.deployments import Deployment
from forebay.domain.people import activity
from forebay.domain.people.access import Caller, TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import Conflict


class NotRunning(Conflict):
    """There is a terminal only in what runs."""

    code = "NOT_RUNNING"

    def __init__(self) -> None:
        super().__init__("The machine does not run.")


class Shell(Protocol):
    """A terminal that is open. Every method may take its time; all but `close` wait for the machine."""

    def read(self, timeout_seconds: float | None = None) -> bytes | None:
        """What is shown next; b"" once it is over; None if nothing came in time."""

    def write(self, typed: bytes) -> None:
        """What was typed."""

    def resize(self, columns: int, rows: int) -> None:
        """How large it is shown. What can't be told changes nothing."""

    def close(self) -> None:
        """Hang up: the shell ends. May be called again."""


class Shells(Protocol):
    """Who opens them."""

    def reason_against(self, provider: str) -> str:
        """Why this server opens none in the provider's machines, as a sentence; empty if it does."""

    def open(self, provider: str, deployment_id: str, columns: int, rows: int) -> Shell:
        """A terminal of root's. Raises NotRunning, `looks.Unreadable`."""


def enter(connection: Connection, context: TeamContext, deployment_id: str) -> Deployment:
    """The machine, for whoever may have a terminal in it now. Raises NotFound, Forbidden, NotRunning."""
    found = deployments.find(connection, deployment_id, context.team_id)
    context.demand(Permission.operate, created_by=found.created_by)
    if found.status != "running":
        raise NotRunning
    return found


def record_opened(connection: Connection, context: TeamContext, machine: Deployment, *, now: datetime) -> None:
    """Somebody gets a terminal. Written before it is opened."""
    note(connection, context.caller, "terminal.open", machine, {"name": machine.name}, now=now)


def record_closed(
    connection: Connection, caller: Caller, machine: Deployment, *, opened_at: datetime, why: str, now: datetime
) -> None:
    """It is over, whether or not the person still belongs to the team."""
    seconds = max(0, int((now - opened_at).total_seconds()))
    note(connection, caller, "terminal.close", machine, {"name": machine.name, "seconds": seconds, "why": why}, now=now)


def note(
    connection: Connection,
    caller: Caller,
    action: str,
    machine: Deployment,
    details: dict[str, str | int],
    *,
    now: datetime,
) -> None:
    """A row about the machine."""
    activity.record(
        connection,
        caller,
        action,
        now=now,
        team_id=machine.team_id,
        object_type="deployment",
        object_id=machine.id,
        details=details,
    )
