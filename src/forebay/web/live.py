"""Server-sent events: pages of a team learn within seconds which of its records have changed.

Only the names of topics are sent, never what is in the records: the browser fetches the page anew and changes the
parts that show them, so that who may see what is answered in one place. The first event says from when on nothing is
missed: what changed between the making of a page and that moment is for the page to look up. Each team that somebody
looks at is looked up once for all of them. A stream says nothing to whoever has left the team or signed out, and ends
after ten minutes, when the browser opens the next.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from litestar import Request
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import Connection

from forebay.domain.money import outlook
from forebay.errors import ForebayError
from forebay.storage.tables import activity, card_set_ups, deployments, payment_attempts, volumes
from forebay.storage.tables import volume_attachments as attachments
from forebay.web.frame import Frame
from forebay.web.visits import Visit

LOOK_SECONDS = 1.5
BEAT_SECONDS = 15.0
MOST_SECONDS = 600
FIRST = asyncio.FIRST_COMPLETED
MOST_STREAMS = 1000
"""That a process serves at once."""

Marks = dict[str, Any]


def marks(connection: Connection, team_id: str) -> Marks:
    """For each topic something that is another after a change: deployments, volumes, money, payments, activity."""
    columns = (
        deployments.c.id,
        deployments.c.status,
        deployments.c.desired,
        deployments.c.name,
        deployments.c.ssh_port,
    )
    mine = sa.and_(deployments.c.team_id == team_id, deployments.c.gone_at.is_(None))
    machines = connection.execute(sa.select(*columns).where(mine).order_by(deployments.c.id)).all()
    # Several, as ids made within one second need not be in their order.
    last = sa.select(activity.c.id).where(activity.c.team_id == team_id).order_by(activity.c.id.desc()).limit(8)
    attempts, set_ups = payment_attempts.c, card_set_ups.c
    charges = sa.select(attempts.id, attempts.state, attempts.page_url).where(attempts.team_id == team_id)
    coming = sa.select(set_ups.id, set_ups.state, set_ups.page_url).where(set_ups.team_id == team_id)
    stored = connection.execute(
        sa.select(
            volumes.c.id, volumes.c.state, volumes.c.made_gb, volumes.c.error, attachments.c.id, attachments.c.state
        )
        .select_from(volumes.outerjoin(attachments, attachments.c.volume_id == volumes.c.id))
        .where(volumes.c.team_id == team_id, volumes.c.gone_at.is_(None))
        .order_by(volumes.c.id, attachments.c.id)
    ).all()
    return {
        "volumes": hash(tuple(tuple(row) for row in stored)),
        "deployments": hash(tuple(tuple(row) for row in machines)),
        "money": outlook.outlooks(connection, [team_id]).get(team_id),
        "payments": [
            *map(tuple, connection.execute(charges.order_by(attempts.created_at.desc()).limit(4))),
            *map(tuple, connection.execute(coming.order_by(set_ups.created_at.desc()).limit(4))),
        ],
        "activity": tuple(connection.execute(last).scalars()),
    }


class Watch:
    """One team that somebody looks at, and who listens."""

    def __init__(self) -> None:
        self.listeners: set[asyncio.Queue[set[str]]] = set()
        self.task: asyncio.Task[None] | None = None
        self.has_looked = asyncio.Event()
        """From here on nothing is missed."""


class Live:
    """The streams of one server."""

    def __init__(self, frame: Frame, look_seconds: float = LOOK_SECONDS) -> None:
        self.frame, self.look_seconds = frame, look_seconds
        self.watches: dict[str, Watch] = {}

    def handlers(self) -> list[HTTPRouteHandler]:
        """The one."""

        async def endpoint(request: Request[Any, Any, State]) -> ASGIApp:
            visit = await self.frame.read(request)
            await self.in_thread(self.frame.identify, visit)
            if visit.team is None:
                # 204 tells a browser not to try again.
                return ASGIResponse(status_code=204, headers=self.frame.headers())
            if sum(len(watch.listeners) for watch in self.watches.values()) >= MOST_STREAMS:
                return ASGIResponse(status_code=503, headers={**self.frame.headers(), "retry-after": "30"})
            return Stream(self, visit, visit.team.team_id)

        path = "/t/{slug:str}/live"
        return [HTTPRouteHandler(path, http_method="GET", name="page GET /t/{slug}/live", status_code=200)(endpoint)]

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Do something with the database."""
        return await asyncio.get_running_loop().run_in_executor(self.frame.executor, function, *arguments)

    def is_still_in(self, visit: Visit) -> bool:
        """Whether the person may go on listening."""
        try:
            visit.now = self.frame.clock.now()
            self.frame.identify(visit)
        except ForebayError:
            return False
        return visit.team is not None

    def look(self, team_id: str) -> Marks:
        """How a team is now."""
        with self.frame.database.read() as connection:
            return marks(connection, team_id)

    async def watch(self, team_id: str, watch: Watch) -> None:
        """Look again and again, as long as somebody listens; what fails is tried again."""
        before: Marks | None = None
        while watch.listeners:
            with suppress(Exception):
                now = await self.in_thread(self.look, team_id)
                changed = {topic for topic in now if before is not None and now[topic] != before[topic]}
                before = now
                watch.has_looked.set()
                if changed:
                    for listener in watch.listeners:
                        listener.put_nowait(changed)
            await asyncio.sleep(self.look_seconds)
        if self.watches.get(team_id) is watch:
            del self.watches[team_id]

    def join(self, team_id: str) -> tuple[Watch, asyncio.Queue[set[str]]]:
        """Listen to a team."""
        watch = self.watches.setdefault(team_id, Watch())
        listener: asyncio.Queue[set[str]] = asyncio.Queue()
        watch.listeners.add(listener)
        if watch.task is None or watch.task.done():
            self.watches[team_id] = watch
            watch.task = asyncio.create_task(self.watch(team_id, watch))
        return watch, listener


class Stream:
    """One stream, as an ASGI application."""

    def __init__(self, live: Live, visit: Visit, team_id: str) -> None:
        self.live, self.visit, self.team_id = live, visit, team_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say what changes until the browser is gone, or the time is over."""
        headers = {**self.live.frame.headers(), "content-type": "text/event-stream", "x-accel-buffering": "no"}
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        watch, listener = self.live.join(self.team_id)
        gone = asyncio.create_task(self.leave(receive))
        try:
            await self.say(send, "retry: 2000\n\n")
            await asyncio.wait({gone, looked := asyncio.create_task(watch.has_looked.wait())}, return_when=FIRST)
            looked.cancel()
            await self.say(send, "event: ready\ndata: yes\n\n")
            loop = asyncio.get_running_loop()
            end = loop.time() + MOST_SECONDS
            while not gone.done() and loop.time() < end:
                heard = asyncio.create_task(listener.get())
                await asyncio.wait({heard, gone}, timeout=BEAT_SECONDS, return_when=FIRST)
                if gone.done() or not await self.live.in_thread(self.live.is_still_in, self.visit):
                    heard.cancel()
                    break
                if heard.done():
                    await self.say(send, f"event: changed\ndata: {' '.join(sorted(heard.result()))}\n\n")
                else:
                    heard.cancel()
                    await self.say(send, ": still here\n\n")
        finally:
            gone.cancel()
            watch.listeners.discard(listener)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def say(self, send: Send, text: str) -> None:
        """Send some of it."""
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def leave(self, receive: Receive) -> None:
        """Wait until the browser is gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
