"""HTTP over a unix socket for httpx, in which a refused connection leaves nothing behind.

httpcore's own way to a unix socket leaves the socket of a refused connection to the garbage collector; this one closes
it at once.
"""

import select
import socket
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

HEAD_BYTES = 65536
SWITCHING_PROTOCOLS = 101


class NotUpgraded(Exception):
    """The other side kept to HTTP: its status, and what it said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def upgraded(path: str, target: str, content: bytes, timeout: float) -> tuple[socket.socket, bytes]:
    """POST JSON, and take the connection over as a raw stream: the socket, and the first bytes of the stream.

    Raises NotUpgraded for any other answer, OSError if there is none.
    """
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.settimeout(timeout)
        stream.connect(path)
        head = f"POST {target} HTTP/1.1\r\nHost: podman\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        stream.sendall(head.encode() + content)
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = stream.recv(HEAD_BYTES)
            if not part or len(answer) > HEAD_BYTES:
                raise ConnectionError("there is no answer")
            answer += part
        line, _, first = answer.partition(b"\r\n\r\n")
        status = int(line.split()[1])
        if status != SWITCHING_PROTOCOLS:
            raise NotUpgraded(status, first.decode(errors="replace"))
        stream.settimeout(None)
    except BaseException:
        stream.close()
        raise
    return stream, first


class Stream(httpcore.NetworkStream):
    """One connected socket."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self.socket.settimeout(timeout)
            return self.socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self.socket.settimeout(timeout)
            self.socket.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self.socket.close()

    def get_extra_info(self, info: str) -> Any:
        """Whether the other side has closed, which the pool asks before it uses a connection again."""
        if info != "is_readable":
            return None
        if self.socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))


class Sockets(httpcore.NetworkBackend):
    """Connects to unix sockets and to nothing else."""

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.NetworkStream:
        connecting = socket.socket(socket.AF_UNIX)
        try:
            connecting.settimeout(timeout)
            connecting.connect(path)
        except OSError as error:
            connecting.close()
            kind = httpcore.ConnectTimeout if isinstance(error, TimeoutError) else httpcore.ConnectError
            raise kind(str(error)) from error
        return Stream(connecting)


class Body(httpx.SyncByteStream):
    """The body of an answer, as it comes in."""

    def __init__(self, answer: httpcore.Response) -> None:
        self.answer = answer

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.answer.iter_stream()
        except httpcore.TimeoutException as error:
            raise httpx.ReadTimeout(str(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise httpx.ReadError(str(error)) from error

    def close(self) -> None:
        self.answer.close()


class UnixTransport(httpx.BaseTransport):
    """All requests go to the one socket, over at most `connections` connections. Raises httpx.TransportError."""

    def __init__(self, path: str, connections: int, kept: int) -> None:
        self.pool = httpcore.ConnectionPool(
            uds=path, network_backend=Sockets(), max_connections=connections, max_keepalive_connections=kept
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its body must be bytes."""
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.read(),
            extensions=request.extensions,
        )
        try:
            answer = self.pool.handle_request(sent)
        except httpcore.TimeoutException as error:
            raise httpx.TimeoutException(str(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise httpx.TransportError(str(error)) from error
        return httpx.Response(answer.status, headers=answer.headers, stream=Body(answer), extensions=answer.extensions)

    def close(self) -> None:
        """Close all connections."""
        self.pool.close()
