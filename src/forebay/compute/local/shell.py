"""A shell in a machine, for a terminal that is not SSH: a process that Podman starts there, and a raw stream to it.

The process is what any process of the machine is: behind the same walls, with the same capabilities and limits. Podman
lets it run on when its stream is cut, so closing ends it, by a descriptor that can mean no other process.
"""

import contextlib
import os
import select
import signal
import socket
import threading

from forebay.compute.base import ProviderUnavailable, Rejected
from forebay.compute.local.podman import Podman, Refused

COMMAND = ("/bin/sh", "-c", 'unset FOREBAY_AUTHORIZED_KEYS; cd; exec "$(command -v bash || echo sh)" -l')
VARIABLES = {"TERM": "xterm-256color", "HOME": "/root", "LANG": "C.UTF-8"}
READ_BYTES = 65536
HANG_UP_SECONDS = 1
MOST_CELLS = 1000
"""The longest side of a terminal: what people send is held to it."""


class LocalShell:
    """See `compute.base.Shell`."""

    def __init__(self, podman: Podman, session: str, stream: socket.socket, first: bytes) -> None:
        self.podman, self.session, self.stream, self.first = podman, session, stream, first
        self.process = process_of(podman, session)
        self.lock = threading.Lock()
        self.is_closed = False

    def read(self, timeout_seconds: float | None = None) -> bytes | None:
        """See the protocol. The socket itself stays blocking, for `write` waits on it too."""
        if self.first:
            found, self.first = self.first, b""
            return found
        try:
            if timeout_seconds is not None:
                poll = select.poll()
                poll.register(self.stream, select.POLLIN)
                if not poll.poll(timeout_seconds * 1000):
                    return None
            return self.stream.recv(READ_BYTES)
        except (OSError, ValueError):
            return b""

    def write(self, typed: bytes) -> None:
        with contextlib.suppress(OSError):
            self.stream.sendall(typed)

    def resize(self, columns: int, rows: int) -> None:
        with contextlib.suppress(Refused):
            self.podman.resize_exec(self.session, clamped(columns), clamped(rows))

    def close(self) -> None:
        with self.lock:
            if self.is_closed:
                return
            self.is_closed = True
        # Whoever reads in another thread wakes by this, not by the socket's being closed.
        with contextlib.suppress(OSError):
            self.stream.shutdown(socket.SHUT_RDWR)
        self.stream.close()
        if self.process is not None:
            end(self.process)


def open_shell(podman: Podman, name: str, columns: int, rows: int) -> LocalShell:
    """Start a login shell of root's in a running machine. Raises Rejected if it is gone or does not run."""
    try:
        session = podman.create_exec(name, COMMAND, VARIABLES)
        stream, first = podman.attach_exec(session, clamped(columns), clamped(rows))
    except Refused as refusal:
        if refusal.is_gone or refusal.is_not_running:
            raise Rejected("The machine does not run") from refusal
        raise
    return LocalShell(podman, session, stream, first)


def run_in(podman: Podman, name: str, script: str, variables: dict[str, str], seconds: float) -> str | None:
    """Run a script of sh in a machine to its end, as root; what it printed. None if the machine is gone or stopped.

    Raises ProviderUnavailable if it fails or takes longer than `seconds`.
    """
    try:
        session = podman.create_exec(name, ("/bin/sh", "-c", script), variables)
        stream, printed = podman.attach_exec(session, MOST_CELLS, MOST_CELLS)
    except Refused as refusal:
        if refusal.is_gone or refusal.is_not_running:
            return None
        raise
    process = process_of(podman, session)
    with contextlib.closing(stream):
        stream.settimeout(seconds)
        try:
            while (part := stream.recv(READ_BYTES)) and len(printed) < READ_BYTES:
                printed += part
        except OSError:
            if process is not None:
                end(process)
            raise ProviderUnavailable("The machine does not do what it is told in time") from None
    if process is not None:
        os.close(process)
    state = podman.exec_session(session)
    if state is not None and state["ExitCode"] != 0:
        raise ProviderUnavailable("The machine does not do what it is told")
    return printed.decode(errors="replace")


def clamped(cells: int) -> int:
    """A side of a terminal, within reason."""
    return max(1, min(cells, MOST_CELLS))


def process_of(podman: Podman, session: str) -> int | None:
    """A descriptor of the session's process; None if it has ended already."""
    state = podman.exec_session(session)
    if state is None or not state["Running"] or not state["Pid"]:
        return None
    try:
        return os.pidfd_open(state["Pid"])
    except OSError:
        return None


def end(process: int) -> None:
    """Hang up, as a terminal does that is closed; after a second, kill. Lets go of the descriptor."""
    try:
        for sign in (signal.SIGHUP, signal.SIGKILL):
            signal.pidfd_send_signal(process, sign)
            poll = select.poll()
            poll.register(process, select.POLLIN)
            if poll.poll(HANG_UP_SECONDS * 1000):
                return
    except ProcessLookupError:
        pass
    finally:
        os.close(process)
