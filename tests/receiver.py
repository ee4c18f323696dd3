"""Somebody who receives webhooks, or is asked for a page: a real HTTP server on loopback that answers as it is told."""

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec


class Received(msgspec.Struct, frozen=True):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Receiver:
    """What it answers next, and what it has received."""

    def __init__(self) -> None:
        self.found: list[Received] = []
        self.statuses: list[int] = []
        """For the next requests; afterwards 200."""
        self.headers: dict[str, str] = {}
        self.answer: Callable[[http.server.BaseHTTPRequestHandler], None] | None = None
        """Answers instead, where it is set."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"


@contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """One that listens, until the end of the block."""
    state = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.found.append(Received(self.path, headers, body))
            if state.answer is not None:
                state.answer(self)
                return
            self.send_response(state.statuses.pop(0) if state.statuses else 200)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Whoever hangs up on it is right to do so."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    """A status, and a body without an end."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65536)


def trickling(handler: http.server.BaseHTTPRequestHandler) -> None:
    """A header a tenth of a second, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"x-more: y\r\n")
        time.sleep(0.05)


def babbling(handler: http.server.BaseHTTPRequestHandler) -> None:
    """No HTTP at all."""
    handler.wfile.write(b"220 mail.example.org ESMTP\r\n")


def paged(handler: http.server.BaseHTTPRequestHandler, body: bytes, *, length: int | None = None) -> None:
    """A page, of the length that it says or another."""
    handler.send_response(200)
    handler.send_header("content-length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
