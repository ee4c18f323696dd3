"""Requests and answers of an application in this process, without a network."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import msgspec


class Loop:
    """An event loop in a thread, where the application runs as it does in a server."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="application", daemon=True)
        self.thread.start()

    def run(self, work: Any, *, seconds: float = 60) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def close(self) -> None:
        self.run(self.end_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def end_all(self) -> None:
        """End what still runs, as whoever runs a server's loop does."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def ok(self, status: int = 200) -> Any:
        """The JSON of an answer that must have this status."""
        assert self.status == status, self
        return self.json

    def refused(self, status: int, code: str) -> Any:
        """The JSON of a refusal that must have this status and code, in the one shape of all refusals."""
        assert (self.status, self.json.get("code")) == (status, code), self
        assert self.headers["content-type"] == "application/json"
        assert isinstance(self.json["error"], str)
        assert self.json["error"]
        assert isinstance(self.json["details"], dict)
        return self.json


class Request(msgspec.Struct, frozen=True):
    """What is sent. `path` is as on the wire: percent-encoded, with the query."""

    method: str
    path: str
    headers: Sequence[tuple[bytes, bytes]] = ()
    parts: Sequence[bytes] = (b"",)
    peer: str = "192.0.2.7"


async def ask(application: Any, request: Request, *, is_cut_off: bool = False) -> Answer:
    """Give a request to an ASGI application as a server would, or all but its end."""
    raw, _, query = request.path.encode("latin-1").partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(raw.decode("latin-1")),
        "raw_path": raw,
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"forebay.test"), *request.headers],
        "client": (request.peer, 40_000),
        "server": ("forebay.test", 80),
        "state": {},
    }
    parts = list(request.parts)
    sent: list[Any] = []

    async def receive() -> Any:
        if not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts) or is_cut_off}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))
