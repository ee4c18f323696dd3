"""A network between Forebay and a processor that spoils one request in a chosen way, and lets the others pass."""

import json
import socket
import struct
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

FAULTS = ("answer lost", "time-out", "409", "429", "500", "500 after", "reset")
"""`answer lost`, `time-out` and `500 after`: it was carried out all the same. The others never got there."""


class FaultProxy:
    """See the module."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.fault, self.at, self.count = "", 0, 0
        self.lock, self.over = threading.Lock(), threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.answer(self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def to(self, account: str) -> str:
        """The address that leads to this account through here."""
        return account.replace(f":{self.port}/", f":{self.server.server_port}/")

    def spoil(self, fault: str, *, at: int) -> None:
        """Let this happen to the request of that number from now on, counted from 1."""
        with self.lock:
            self.fault, self.at, self.count = fault, at, 0

    @property
    def has_spoilt(self) -> bool:
        """Whether there were so many requests."""
        return self.count >= self.at

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Pass one on, or spoil it."""
        with self.lock:
            self.count += 1
            fault = self.fault if self.count == self.at else ""
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        if fault.isdecimal():
            kind = "idempotency_error" if fault == "409" else "api_error"
            refusal = json.dumps({"error": {"type": kind, "message": "not now"}}).encode()
            self.reply(request, int(fault), refusal)
        elif fault == "reset":
            self.reset(request)
        else:
            status, found = self.forward(request, body)
            if fault == "answer lost":
                self.reset(request)
            elif fault == "time-out":
                self.over.wait(30)
                request.close_connection = True
            elif fault == "500 after":
                self.reply(request, 500, b'{"error":{"type":"api_error","message":"broken"}}')
            else:
                self.reply(request, status, found)

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        """Carry it out; status and body of the answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        kept = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(request.command, request.path, body=body or None, headers=kept)
        answer = connection.getresponse()
        found = answer.read()
        connection.close()
        return answer.status, found

    def reply(self, request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def reset(self, request: BaseHTTPRequestHandler) -> None:
        """Cut the connection without a word."""
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.connection.close()
        request.close_connection = True
