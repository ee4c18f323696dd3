"""Server-sent events: pages of a team learn within seconds which of its records have changed.

Only the names of topics are sent, never what is in the records: the browser fetches the page anew and changes the
parts that show them, so that who may see what is answered in one place. Each team that somebody looks at is looked up
once for all of them. A stream says nothing to whoever has left the team or signed out, and ends after ten minutes,
when the browser opens the next.

No change is missed between a page and its stream, nor between two streams: a page carries how far the team's watch had
come before the page was made, or begins one; each event says how far it has come since, and a stream begins with what
has changed beyond that. Where the watch is another one by then, everything may have changed, and that is said.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from litestar import Request
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from forebay import ids
from forebay.domain.machines import changes
from forebay.domain.machines.changes import Marks
from forebay.errors import ForebayError
from forebay.web.frame import Frame
from forebay.web.visits import Visit

LOOK_SECONDS = 1.5
BEAT_SECONDS = 15.0
LINGER_SECONDS = 30.0
"""How long a team is watched on when nobody listens: whoever goes from page to page comes back."""
MOST_SECONDS = 600
MOST_STREAMS = 1000
"""That a process serves at once."""
NOTHING = "-"


class Watch:
    """One team that somebody looks at: who listens, and how often which topic has changed."""

    def __init__(self, begun_at: datetime) -> None:
        self.begun_at = begun_at
        self.name = ids.new_secret(6).hex()
        self.count = 0
        self.changed_at: dict[str, int] = {}
        """For each topic the count at which it changed last."""
        self.listeners: set[asyncio.Event] = set()
        self.has_looked = asyncio.Event()
        self.is_over = asyncio.Event()
        self.before: Marks | None = None
        self.task: asyncio.Task[None] | None = None
        self.quiet_since = 0.0

    def is_stale(self, now: datetime) -> bool:
        """Whether it is of a page whose stream never came."""
        return self.task is None and (now - self.begun_at).total_seconds() > LINGER_SECONDS

    @property
    def place(self) -> str:
        """How far it has come, for a page that is about to be made; empty before the first look."""
        return f"{self.name}-{self.count}" if self.before is not None else ""

    def count_of(self, place: str) -> int:
        """The count at a place that was told; before all where it was told by another watch."""
        name, _, count = place.partition("-")
        return int(count) if name == self.name and count.isdecimal() and len(count) < 12 else -1

    def since(self, count: int) -> list[str]:
        """The topics that changed after this count."""
        return sorted(topic for topic, at in self.changed_at.items() if at > count)

    def take(self, now: Marks) -> None:
        """What a look has found."""
        before, self.before = self.before, now
        changed = {topic for topic in now if before is None or now[topic] != before[topic]}
        self.has_looked.set()
        if changed:
            self.changed_at |= dict.fromkeys(changed, self.count + 1)
            self.count += 1
            self.wake()

    def wake(self) -> None:
        """Have all who listen look for what is new."""
        for listener in self.listeners:
            listener.set()


class Live:
    """The streams of one server."""

    def __init__(self, frame: Frame, look_seconds: float = LOOK_SECONDS) -> None:
        self.frame, self.look_seconds = frame, look_seconds
        self.watches: dict[str, Watch] = {}
        self.lock = threading.Lock()
        """Of `watches`: threads that make pages begin watches, too."""
        self.is_closed = False
        frame.place_of = self.place_of

    def handlers(self) -> list[HTTPRouteHandler]:
        """The one."""

        async def endpoint(request: Request[Any, Any, State]) -> ASGIApp:
            visit = await self.frame.read(request)
            await self.in_thread(self.frame.identify, visit)
            if visit.team is None:
                # 204 tells a browser not to try again.
                return ASGIResponse(status_code=204, headers=self.frame.headers())
            if sum(len(watch.listeners) for watch in list(self.watches.values())) >= MOST_STREAMS:
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
            return changes.marks(connection, team_id, now=self.frame.clock.now())

    def place_of(self, team_id: str) -> str:
        """How far the watch of a team has come, for a page that is about to be made, by any thread.

        Where nobody watches the team yet, this is the first look: the stream of the page goes on from it.
        """
        found, now = self.watches.get(team_id), self.frame.clock.now()
        if found is not None and not found.is_stale(now):
            return found.place
        watch = Watch(now)
        watch.take(self.look(team_id))
        with self.lock:
            if self.is_closed:
                return ""
            if self.watches.get(team_id) is found and (found is None or found.task is None):
                for other, one in list(self.watches.items()):
                    if one.is_stale(now):
                        del self.watches[other]
                self.watches[team_id] = watch
            return self.watches[team_id].place if team_id in self.watches else ""

    async def watch(self, team_id: str, watch: Watch) -> None:
        """Look again and again, as long as somebody listens or did a moment ago; what fails is tried again."""
        loop = asyncio.get_running_loop()
        while not watch.is_over.is_set():
            with suppress(Exception):
                watch.take(await self.in_thread(self.look, team_id))
            with suppress(TimeoutError):
                await asyncio.wait_for(watch.is_over.wait(), self.look_seconds)
            if not watch.listeners and loop.time() >= watch.quiet_since + LINGER_SECONDS:
                self.end(team_id, watch)

    def join(self, team_id: str) -> tuple[Watch, asyncio.Event]:
        """Listen to a team."""
        with self.lock:
            watch = self.watches.get(team_id)
            if watch is None:
                watch = self.watches[team_id] = Watch(self.frame.clock.now())
            if watch.task is None:
                watch.task = asyncio.create_task(self.watch(team_id, watch))
        listener = asyncio.Event()
        watch.listeners.add(listener)
        return watch, listener

    def leave(self, watch: Watch, listener: asyncio.Event) -> None:
        """Listen no more."""
        watch.listeners.discard(listener)
        watch.quiet_since = asyncio.get_running_loop().time()

    def end(self, team_id: str, watch: Watch) -> None:
        """End a watch: whoever comes now begins another."""
        watch.is_over.set()
        watch.wake()
        with self.lock:
            if self.watches.get(team_id) is watch:
                del self.watches[team_id]

    async def close(self) -> None:
        """End all of them, and wait for the looks under way: nothing looks any more when the server is gone."""
        with self.lock:
            self.is_closed = True
        under_way = [watch.task for watch in list(self.watches.values()) if watch.task is not None]
        for team_id, watch in list(self.watches.items()):
            self.end(team_id, watch)
        await asyncio.gather(*under_way, return_exceptions=True)


class Stream:
    """One stream, as an ASGI application."""

    def __init__(self, live: Live, visit: Visit, team_id: str) -> None:
        self.live, self.visit, self.team_id = live, visit, team_id
        # A browser that opens the next stream by itself says how far the last one had come.
        self.place = visit.headers.get("last-event-id") or visit.query.get("at", "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say what changes until the browser is gone, or the time is over."""
        headers = {**self.live.frame.headers(), "content-type": "text/event-stream", "x-accel-buffering": "no"}
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        watch, listener = self.live.join(self.team_id)
        gone = asyncio.create_task(self.leave(receive))
        try:
            await self.say(send, "retry: 2000\n\n")
            await self.tell(send, watch, listener, gone)
        finally:
            gone.cancel()
            self.live.leave(watch, listener)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def tell(self, send: Send, watch: Watch, listener: asyncio.Event, gone: "asyncio.Task[None]") -> None:
        """What has changed since the page was made, and what changes from now on."""
        loop = asyncio.get_running_loop()
        end = loop.time() + MOST_SECONDS
        await self.first_of(watch.has_looked.wait(), gone)
        known = watch.count_of(self.place)
        topics, known = watch.since(known), watch.count
        await self.event(send, watch, known, topics)
        while not gone.done() and loop.time() < end and not watch.is_over.is_set():
            await self.first_of(listener.wait(), gone)
            if gone.done() or not await self.live.in_thread(self.live.is_still_in, self.visit):
                return
            listener.clear()
            topics, known = watch.since(known), watch.count
            if topics:
                await self.event(send, watch, known, topics)
            else:
                await self.say(send, ": still here\n\n")

    async def first_of(self, waiting: Any, gone: "asyncio.Task[None]") -> None:
        """Wait for something, or until the browser is gone, or for a beat."""
        task = asyncio.create_task(waiting)
        try:
            await asyncio.wait({task, gone}, timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()

    async def event(self, send: Send, watch: Watch, count: int, topics: list[str]) -> None:
        """Say which topics have changed, and up to where that goes."""
        name = "changed" if topics else "at"
        text = f"id: {watch.name}-{count}\nevent: {name}\ndata: {' '.join(topics) or NOTHING}\n\n"
        await self.say(send, text)

    async def say(self, send: Send, text: str) -> None:
        """Send some of it."""
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def leave(self, receive: Receive) -> None:
        """Wait until the browser is gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
