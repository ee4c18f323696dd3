"""The way to Podman's socket: what a service that comes, goes and dies in the middle does to it."""

import gc
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from forebay.compute.local.unix_http import UnixTransport


def client(path: Path, seconds: float = 5) -> httpx.Client:
    return httpx.Client(
        transport=UnixTransport(str(path), connections=4, kept=2), base_url="http://podman", timeout=seconds
    )


@contextmanager
def service(path: Path, speak: Callable[[socket.socket, int], None]) -> Iterator[None]:
    """Accepts connections one after the other, and lets `speak` (connection, its number) answer."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            number = 0
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                number += 1
                with connection:
                    speak(connection, number)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(4096)
        if not part:
            break
        head += part
    return head


def test_a_refused_connection_leaves_no_socket_behind(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with client(path) as asking:
            for _ in range(3):
                with pytest.raises(httpx.TransportError):
                    asking.get("/")
        gc.collect()


def test_requests_share_a_connection_and_a_closed_one_is_not_used_again(tmp_path: Path) -> None:
    seen: list[int] = []
    closed = threading.Event()

    def speak(connection: socket.socket, number: int) -> None:
        for _ in range(2):
            if read_head(connection):
                seen.append(number)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        connection.close()
        closed.set()

    with service(tmp_path / "s", speak), client(tmp_path / "s") as asking:
        assert [asking.get("/").text for _ in range(2)] == ["ok", "ok"]
        closed.wait(5)
        assert asking.get("/").text == "ok"
    assert seen == [1, 1, 2]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b"no HTTP\r\n\r\n"])
def test_an_answer_that_is_cut_off_is_a_transport_error(tmp_path: Path, answer: bytes) -> None:
    def speak(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(answer)

    with service(tmp_path / "s", speak), client(tmp_path / "s") as asking, pytest.raises(httpx.TransportError):
        asking.post("/", json={})


def test_no_answer_in_time(tmp_path: Path) -> None:
    over = threading.Event()

    def speak(connection: socket.socket, number: int) -> None:
        over.wait(5)

    with service(tmp_path / "s", speak), client(tmp_path / "s", seconds=0.05) as asking:
        began = time.monotonic()
        with pytest.raises(httpx.TimeoutException):
            asking.get("/")
        assert time.monotonic() - began < 4
        over.set()
