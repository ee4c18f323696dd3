"""What goes to and fro between a browser and a shell, with an end to all of it.

The shell is read and written in threads of a bounded pool, one each, never on the event loop. Each side waits for the
other: what the machine prints is read when the browser has taken what came before, and what is typed is taken from the
browser when the machine has read it. So neither a `yes` there nor a flood from here fills the memory.

Binary messages are the terminal's bytes, both ways. A text message is JSON of the page's: `{"columns": 80, "rows": 24}`
is the size of the terminal now, `{"hold": true}` asks for a pause until `{"hold": false}`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from datetime import datetime
from typing import Any

import msgspec

from forebay.domain.machines.terminals import Shell
from forebay.errors import ForebayError

MOST_WAITING = 16
"""Messages of a browser that the machine has not taken; each is as large as `api.protocol` lets through."""
CHUNK_BYTES = 65536
LOOK_SECONDS = 1.0
MOST_CELLS = 1000


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it there may be."""

    per_person: int = 5
    per_process: int = 40
    idle_seconds: int = 1800
    """Nothing typed and nothing shown."""
    most_seconds: int = 12 * 3600
    check_seconds: float = 3.0
    """How often it is asked whether the person may go on."""
    stall_seconds: float = 15.0
    """How long the machine may leave what is typed untaken. Less than the 20 in which a browser must answer a ping."""


class Said(msgspec.Struct, frozen=True):
    """What the page says about the terminal."""

    columns: int | None = None
    rows: int | None = None
    hold: bool | None = None


class End(msgspec.Struct, frozen=True):
    """Why it is over: a code of WebSocket's, and a sentence for the person."""

    code: int
    sentence: str


GONE = End(1000, "The page was closed.")
ENDED = End(1000, "The shell has ended.")
IDLE = End(4408, "Nothing was typed or shown for long, so it was closed.")
LONG = End(4408, "It was open for as long as a terminal may be.")
STALLED = End(4408, "The machine did not take what was typed.")
GARBLED = End(1003, "What was sent is not understood.")
UNKNOWN = End(4503, "It can't be checked now whether you may go on.")


NO_MORE = {
    401: "Your session has ended: sign in again.",
    403: "You may not operate this machine any more.",
    404: "You don't belong to the team any more, or the machine is gone.",
}
"""Short enough for the end of a WebSocket."""


def end_of(error: ForebayError) -> End:
    """An error as an end."""
    return End(4000 + error.status, NO_MORE.get(error.status, error.sentence))


class Line:
    """One terminal, while it is open."""

    def __init__(
        self,
        shell: Shell,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
        *,
        executor: Executor,
        now: Callable[[], datetime],
        bounds: Bounds,
    ) -> None:
        self.shell, self.receive, self.send = shell, receive, send
        self.executor, self.now, self.bounds = executor, now, bounds
        self.opened_at = self.used_at = now()
        self.waiting: asyncio.Queue[bytes | tuple[int, int]] = asyncio.Queue(MOST_WAITING)
        self.flows = asyncio.Event()
        self.flows.set()

    async def run(self, check: Callable[[], Awaitable[End | None]]) -> End:
        """Carry both ways until it is over; why it is."""
        parts = [self.show(), self.take(), self.type(), self.watch(check)]
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task.result() for task in tasks if task in done)
        finally:
            for task in tasks:
                task.cancel()
            # Whoever waits for the machine in a thread wakes by this.
            await self.in_thread(self.shell.close)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Wait for the machine beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, function, *arguments)

    async def show(self) -> End:
        """What the machine prints, as fast as the browser takes it."""
        while True:
            await self.flows.wait()
            shown = await self.in_thread(self.shell.read, LOOK_SECONDS)
            if shown == b"":
                return ENDED
            for start in range(0, len(shown or b""), CHUNK_BYTES):
                self.used_at = self.now()
                try:
                    await self.send({"type": "websocket.send", "bytes": shown[start : start + CHUNK_BYTES]})
                except OSError:  # the browser has gone
                    return GONE

    async def take(self) -> End:
        """What the browser sends, as fast as the machine takes it."""
        while True:
            message = await self.receive()
            if message["type"] == "websocket.disconnect":
                return GONE
            self.used_at = self.now()
            typed: bytes | tuple[int, int] | None = message.get("bytes")
            if typed is None:
                try:
                    said = msgspec.json.decode(message.get("text") or "", type=Said)
                except msgspec.DecodeError:
                    return GARBLED
                if said.hold is not None:
                    (self.flows.clear if said.hold else self.flows.set)()
                if said.columns is not None and said.rows is not None:
                    typed = (within(said.columns), within(said.rows))
            if typed:
                try:
                    await asyncio.wait_for(self.waiting.put(typed), self.bounds.stall_seconds)
                except TimeoutError:
                    return STALLED

    async def type(self) -> End:
        """Hand on to the machine what came from the browser."""
        while True:
            typed = await self.waiting.get()
            if isinstance(typed, tuple):
                await self.in_thread(self.shell.resize, *typed)
            else:
                await self.in_thread(self.shell.write, typed)

    async def watch(self, check: Callable[[], Awaitable[End | None]]) -> End:
        """Whether it may go on."""
        while True:
            await asyncio.sleep(self.bounds.check_seconds)
            now = self.now()
            if (now - self.opened_at).total_seconds() >= self.bounds.most_seconds:
                return LONG
            if (now - self.used_at).total_seconds() >= self.bounds.idle_seconds:
                return IDLE
            if end := await check():
                return end


def within(cells: int) -> int:
    """A side of a terminal, within reason."""
    return max(1, min(cells, MOST_CELLS))
