"""Requests to addresses that people name, behind walls: nobody's way into the network that Forebay stands in.

A name is resolved once; all addresses it has must be public (`domain/people/public_addresses.py`), and one of those
very addresses is connected to, so that a second answer of the name server changes nothing. No redirect is followed, no
proxy of the environment is used, an answer's body is read to a bound (and thrown away, unless it is what was asked
for), and all of it ends by one deadline.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import httpcore
import msgspec

from forebay.domain.people.public_addresses import AddressRefused, Place, Walls, place

DEADLINE_SECONDS = 10.0
MOST_BYTES = 65536
"""Of an answer's body that are read."""

Resolve = Callable[[str, int], Sequence[str]]


class Refused(Exception):
    """Nothing was sent; the text says why."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request: a status, or a reason why there is none, in our words."""

    status_code: int | None
    reason: str
    milliseconds: int
    body: bytes = b""
    """Of what was asked for, whole; empty where something was sent."""


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name. Raises Refused."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused("its name has no address") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_ours(address: str) -> bool:
    """Whether this host itself has the address: what would be sent there would come from there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # nothing is sent: only the way there is looked up
            return bool(probe.getsockname()[0] == address)
        except OSError:
            return False


class Deadline:
    """The moment by which all must be over."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises httpcore.ReadTimeout when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time is over")
        return left


class TimedStream(httpcore.NetworkStream):
    """A connection of which every step ends by the deadline: one that trickles is cut like one that is silent."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self.inner, self.deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, self.deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.deadline.left())

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return TimedStream(self.inner.start_tls(ssl_context, server_hostname, self.deadline.left()), self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


class WalledNetwork(httpcore.NetworkBackend):
    """Connects to what the walls let through, and to nothing else."""

    def __init__(
        self, walls: Walls, deadline: Deadline, resolve: Resolve, is_ours: Callable[[str], bool] = is_ours
    ) -> None:
        self.walls, self.deadline, self.resolve, self.is_ours = walls, deadline, resolve, is_ours
        self.inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address that takes one. Raises Refused, httpcore.ConnectError."""
        failure: Exception = Refused("its name has no address")
        for address in self.checked(host, port):
            try:
                return TimedStream(self.inner.connect_tcp(address, port, self.deadline.left()), self.deadline)
            except httpcore.ConnectError as reason:
                failure = reason
        raise failure

    def checked(self, host: str, port: int) -> list[str]:
        """The addresses of the host, if all of them are allowed. Raises Refused, which doesn't say what they are."""
        addresses = list(self.resolve(host, port))
        for written in addresses:
            address = ipaddress.ip_address(written)
            is_public = self.walls.lets_through(address) and not self.is_ours(written)
            if not is_public and not self.walls.opens(address):
                raise Refused("it leads to an address that is not on the public network")
        return addresses


class Outside:
    """Sends to addresses that people name. Thread-safe."""

    def __init__(
        self,
        walls: Walls,
        *,
        resolve: Resolve = resolve,
        is_ours: Callable[[str], bool] = is_ours,
        tls: ssl.SSLContext | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self.walls, self.resolve, self.is_ours = walls, resolve, is_ours
        self.given_tls, self.deadline_seconds = tls, deadline_seconds

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Whose certificates are trusted; read when they are first needed."""
        from httpx import create_ssl_context

        return self.given_tls or create_ssl_context()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send a body; what came of it. Never raises."""
        return self.exchange("POST", url, {"content-length": str(len(body)), **headers}, body, drain)

    def get(self, url: str, headers: Mapping[str, str], *, most_bytes: int) -> Answered:
        """What an address answers, whole or not at all. Never raises."""
        headers = {"accept-encoding": "identity", **headers}
        return self.exchange("GET", url, headers, b"", lambda response: whole(response, most_bytes))

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, read: Callable[[httpcore.Response], bytes]
    ) -> Answered:
        """One request, and what came of it. Never raises."""
        begun = time.monotonic()
        status_code, reason, found = None, "", b""
        try:
            status_code, found = self.send(method, place(url, self.walls), headers, body, read)
            reason = words(status_code)
        except AddressRefused as error:
            reason = error.details["url"]
        except Refused as error:
            reason = str(error)
        except httpcore.TimeoutException:
            reason = f"no answer within {self.deadline_seconds:g} seconds"
        except httpcore.ConnectError as error:
            is_untrusted = isinstance(error.__cause__ or error.__context__, ssl.SSLCertVerificationError)
            reason = "its certificate is not trusted" if is_untrusted else "it can't be connected to"
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol, ValueError):
            reason = "what it answered is no HTTP"
        except (httpcore.NetworkError, OSError):
            reason = "the connection was cut"
        milliseconds = int((time.monotonic() - begun) * 1000)
        return Answered(status_code=status_code, reason=reason, milliseconds=milliseconds, body=found)

    def send(
        self,
        method: str,
        to: Place,
        headers: Mapping[str, str],
        body: bytes,
        read: Callable[[httpcore.Response], bytes],
    ) -> tuple[int, bytes]:
        """The status that was answered, and what was read. Raises Refused and what httpcore raises."""
        network = WalledNetwork(self.walls, Deadline(self.deadline_seconds), self.resolve, self.is_ours)
        url = httpcore.URL(scheme=to.scheme, host=to.host, port=to.port, target=to.path)
        host = f"[{to.host}]" if ":" in to.host else to.host
        usual = to.port == {"https": 443, "http": 80}[to.scheme]
        lines = {"host": host if usual else f"{host}:{to.port}", "connection": "close", **headers}
        context = self.tls if to.scheme == "https" else None
        with (
            httpcore.ConnectionPool(context, max_connections=1, network_backend=network) as pool,
            pool.stream(method, url, headers=list(lines.items()), content=body or None) as response,
        ):
            return response.status, read(response)


def drain(response: httpcore.Response) -> bytes:
    """Read a little of the body, so that whoever answers isn't cut off. The status counts, whatever becomes of it."""
    size = 0
    with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        for part in response.iter_stream():
            size += len(part)
            if size >= MOST_BYTES:
                break
    return b""


def whole(response: httpcore.Response, most_bytes: int) -> bytes:
    """The whole body. Raises Refused for one that is larger; one that is cut short raises too."""
    found = bytearray()
    for part in response.iter_stream():
        found += part
        if len(found) > most_bytes:
            raise Refused(f"it answered with more than {most_bytes // 1024} KB")
    return bytes(found)


def words(status_code: int) -> str:
    """What a status means here."""
    if 200 <= status_code < 300:
        return "delivered"
    if 300 <= status_code < 400:
        return f"answered {status_code}: redirects are not followed"
    return f"answered {status_code}"
