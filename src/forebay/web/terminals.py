"""The terminal of a machine in the browser: its page, and the WebSocket that carries it.

A WebSocket is opened with the browser's cookies by whatever page asks for it, so it must say that it comes from ours.
Who may is looked up when it opens and every few seconds from then on, as everywhere: the session, the second factor,
the membership, the role, whose machine it is and that it runs.
"""

import asyncio
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import WebSocket
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from forebay.domain.machines import deployments, terminals
from forebay.domain.machines.deployments import Deployment
from forebay.domain.machines.terminals import Shells
from forebay.domain.people.roles import Permission
from forebay.errors import Forbidden, ForebayError, NotFound, Unavailable
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page
from forebay.web.terminal_lines import UNKNOWN, Bounds, End, Line, end_of, within
from forebay.web.visits import SignInFirst, Visit

HERE = "/deployments/{deployment_id}/terminal"
SOCKET = f"/t/{{slug:str}}{HERE.replace('}', ':str}')}/socket"
THREADS = 3
"""Of a terminal: one reads, one writes, and one closes."""
UNCHECKED_SECONDS = 30
"""How long a terminal goes on while the database is away."""
CLOSING_SECONDS = 5
MOST_REASON_BYTES = 123
"""Of the sentence that a WebSocket is closed with, as its standard has it."""
log = logging.getLogger("forebay.terminals")
AnySocket = WebSocket[Any, Any, State]


class NotOurs(Forbidden):
    """Another site asked for a terminal with this browser's cookies, or something that is no browser."""

    code = "FOREIGN_ORIGIN"

    def __init__(self) -> None:
        super().__init__("A terminal is opened from its page on this site only.")


class TerminalPages:
    """The terminals of one server."""

    def __init__(self, dashboard: Dashboard, shells: Shells, bounds: Bounds | None = None) -> None:
        self.dashboard, self.frame, self.shells = dashboard, dashboard.frame, shells
        self.bounds = bounds or Bounds()
        self.executor = ThreadPoolExecutor(THREADS * self.bounds.per_process, thread_name_prefix="forebay-terminal")
        self.open: Counter[str] = Counter()
        """How many each person has."""

    def handlers(self) -> list[HTTPRouteHandler | WebsocketRouteHandler]:
        """The page, and what it talks to."""

        async def endpoint(socket: AnySocket) -> None:
            await self.serve(socket)

        return [
            self.dashboard.page("GET", HERE, self.show),
            WebsocketRouteHandler(SOCKET, name="terminal")(endpoint),
        ]

    def close(self) -> None:
        """Wait for no machine."""
        self.executor.shutdown(wait=False, cancel_futures=True)

    def show(self, visit: Visit) -> Page:
        """The page; where there can be no terminal, it says why."""
        with self.dashboard.read() as connection:
            found = self.find(connection, visit)
            visit.context.demand(Permission.operate, created_by=found.created_by)
            reason = self.shells.reason_against(found.provider)
            return self.dashboard.show(visit, connection, "terminal.html", machine=found, reason=reason)

    def find(self, connection: Connection, visit: Visit) -> Deployment:
        """The machine of the address. Raises NotFound."""
        if not is_id(visit.parameters["deployment_id"]):
            raise NotFound("Deployment")
        return deployments.find(connection, visit.parameters["deployment_id"], visit.context.team_id)

    # The WebSocket.

    async def serve(self, socket: AnySocket) -> None:
        """Let in, and carry until it is over. A refusal is an answer of HTTP; what a page can show, a sentence."""
        await socket.receive()
        try:
            visit = self.frame.visit_of(socket.scope, "GET", {})
            self.demand_ours(visit)
            await self.in_thread(self.identify, visit)
        except ForebayError as error:
            await refuse(socket, error)
            return
        if end := self.full(visit.person.user_id):
            await socket.send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await hang_up(socket, end)
            return
        person = visit.person.user_id
        self.open[person] += 1
        try:
            await self.carry(socket, visit)
        finally:
            self.open[person] -= 1
            self.open += Counter()  # forgets who has none

    async def carry(self, socket: AnySocket, visit: Visit) -> None:
        """From the permission to the last word."""
        try:
            machine = await self.in_thread(self.admit, visit)
        except ForebayError as error:
            if error.status in (401, 403, 404):
                await refuse(socket, error)
                return
            await socket.send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await hang_up(socket, end_of(error))
            return
        opened_at, end = visit.now, End(1011, "Something went wrong on our side.")
        # As it was when it began: checks look anew.
        caller = visit.person
        await socket.send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        try:
            end = await self.talk(socket, visit, machine)
        finally:
            now = self.frame.clock.now()
            await self.in_thread(self.record_closed, caller, machine, opened_at, end.sentence, now)
        await hang_up(socket, end)

    async def talk(self, socket: AnySocket, visit: Visit, machine: Deployment) -> End:
        """Open the shell, and carry what is typed and shown."""
        asked = (machine.provider, machine.id, cells(visit, "columns", 80), cells(visit, "rows", 24))
        loop = asyncio.get_running_loop()
        try:
            shell = await loop.run_in_executor(self.executor, self.shells.open, *asked)
        except ForebayError as error:
            return end_of(error)
        line = Line(
            shell,
            socket.receive,
            socket.send,
            executor=self.executor,
            now=self.frame.clock.now,
            bounds=self.bounds,
        )
        checked_at = visit.now

        async def check() -> End | None:
            nonlocal checked_at
            try:
                await self.in_thread(self.look_again, visit)
            except ForebayError as error:
                return end_of(error)
            except (OperationalError, PoolTimeout):
                is_long = (self.frame.clock.now() - checked_at).total_seconds() >= UNCHECKED_SECONDS
                return UNKNOWN if is_long else None
            checked_at = visit.now
            return None

        return await line.run(check)

    async def in_thread(self, function: Any, *arguments: Any) -> Any:
        """Do something with the database. Raises Unavailable."""
        return await asyncio.get_running_loop().run_in_executor(self.frame.executor, function, *arguments)

    def full(self, user_id: str) -> End | None:
        """Why there can't be another one now."""
        if self.open[user_id] >= self.bounds.per_person:
            said = f"You have {self.bounds.per_person} terminals open, which is as many as one may. Close one."
            return End(4429, said)
        if self.open.total() >= self.bounds.per_process:
            return End(4503, "This server has as many terminals open as it can. Try again later.")
        return None

    def demand_ours(self, visit: Visit) -> None:
        """Raise NotOurs unless a page of this very site asks, as it is known, or as it was asked for."""
        ours = urlsplit(self.frame.public_url)
        origins = {f"{ours.scheme}://{host.lower()}" for host in (ours.netloc, visit.headers.get("host", "")) if host}
        if visit.headers.get("origin", "").lower() not in origins:
            raise NotOurs

    def identify(self, visit: Visit) -> None:
        """Find who asks, and in which team. Raises SignInFirst, Stranger, RateLimitExceeded."""
        try:
            self.frame.identify(visit)
            self.frame.count(f"terminal {visit.person.user_id}")
            self.demand_team(visit)
        except ForebayError as error:
            self.frame.note_denial(visit, error)
            raise
        except (OperationalError, PoolTimeout):
            raise Unavailable("The database does not answer at this moment. Try again.") from None

    def demand_team(self, visit: Visit) -> None:
        """Raise SignInFirst, Stranger, Forbidden for who may not be in the team's pages at all."""
        visit.context  # noqa: B018  (raises)
        visit.person.demand_second_factor(self.frame.settings.require_second_factor)
        if not is_id(visit.parameters["deployment_id"]):
            raise NotFound("Deployment")

    def admit(self, visit: Visit) -> Deployment:
        """The machine, once it is written down that the person gets a terminal in it. Raises ForebayError."""
        try:
            with self.frame.begin(visit) as connection:
                self.demand_team(visit)
                machine = terminals.enter(connection, visit.context, visit.parameters["deployment_id"])
                if reason := self.shells.reason_against(machine.provider):
                    raise Unavailable(reason)
                terminals.record_opened(connection, visit.context, machine, now=visit.now)
        except ForebayError as error:
            self.frame.note_denial(visit, error)
            raise
        except (OperationalError, PoolTimeout):
            raise Unavailable("The database does not answer at this moment. Try again.") from None
        return machine

    def look_again(self, visit: Visit) -> None:
        """Raise ForebayError if the person may not go on: 401, 403, 404, or 409 where the machine runs no more."""
        visit.now = self.frame.clock.now()
        self.frame.identify(visit)
        if visit.caller is None:
            raise SignInFirst
        self.demand_team(visit)
        with self.dashboard.read() as connection:
            terminals.enter(connection, visit.context, visit.parameters["deployment_id"])

    def record_closed(self, caller: Any, machine: Deployment, opened_at: datetime, why: str, now: datetime) -> None:
        """Write down how long it was; a database that is away must not keep the rest from ending."""
        try:
            with self.frame.database.begin() as connection:
                terminals.record_closed(connection, caller, machine, opened_at=opened_at, why=why, now=now)
        except (OperationalError, PoolTimeout):
            log.warning("end of a terminal not recorded", extra={"deployment": machine.id, "user": caller.user_id})


def cells(visit: Visit, name: str, otherwise: int) -> int:
    """A side of the terminal, as the page asks for it."""
    given = visit.query.get(name, "")
    return within(int(given)) if given.isascii() and given.isdecimal() and len(given) <= 4 else otherwise


async def refuse(socket: AnySocket, error: ForebayError) -> None:
    """Answer in HTTP that it is not opened, in the shape of all refusals."""
    body = msgspec.json.encode({"error": error.sentence, "code": error.code, "details": error.details})
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    start: Any = {"type": "websocket.http.response.start", "status": error.status, "headers": headers}
    await socket.send(start)
    answer: Any = {"type": "websocket.http.response.body", "body": body, "more_body": False}
    await socket.send(answer)


async def hang_up(socket: AnySocket, end: End) -> None:
    """Close it with the sentence; who does not listen any more is not waited for."""
    reason = end.sentence.encode()[:MOST_REASON_BYTES].decode(errors="ignore")
    try:
        await asyncio.wait_for(
            socket.send({"type": "websocket.close", "code": end.code, "reason": reason}), CLOSING_SECONDS
        )
    except (TimeoutError, OSError):
        return
