"""Servers that the tests start themselves: PostgreSQL, in a folder of its own, on a unix socket, as no root; and a
stand-in for Stripe on a port of this machine.

A server lives as long as its context. Should the tests die without a word, the kernel ends it (PDEATHSIG), and nothing
is left but a folder in the temporary directory.
"""

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

MEMORY = Path("/dev/shm")
LEAST_MEMORY_BYTES = 2 * 1024**3
"""A container that was given no more than 64 MB there has its databases on the disk."""

START_SECONDS = 30
END_SECONDS = 30

NEW = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")

FAST = {
    # What is lost when the machine loses power was a test's.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "log_min_messages": "warning",
}


class MissingServer(Exception):
    """A program the tests need is not on this machine. The text says how to get it."""


def postgresql_binaries(installed: Path = Path("/usr/lib/postgresql")) -> Path:
    """The folder of the newest PostgreSQL server here. Raises MissingServer."""
    found = sorted(installed.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    raise MissingServer(f"no PostgreSQL server found in {installed}: `make setup` installs it")


def unprivileged() -> Sequence[str]:
    """What goes before a command so that it runs as no root (the server refuses to) and dies with the tests."""
    ends = ("--pdeathsig", "INT")
    if os.geteuid() != 0:
        return ("setpriv", *ends)
    user = server_user()
    return ("setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups", *ends)


def server_user() -> pwd.struct_passwd:
    """Whose processes a root's test servers are."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def database_folder(prefix: str) -> Path:
    """A new folder for databases, in memory where there is room: a test's database lives for a second, and is no work
    for a disk."""
    found = os.statvfs(MEMORY) if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    is_large = found is not None and found.f_bavail * found.f_frsize >= LEAST_MEMORY_BYTES
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if is_large else None))


@dataclass(frozen=True)
class PostgreSQL:
    """A running server. Anyone on this machine who may enter its folder is its superuser."""

    folder: Path
    process_id: int

    def url(self, name: str) -> str:
        """The address of one of its databases, for Forebay and SQLAlchemy."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def create(self, name: str, *, template: str = "template0") -> str:
        """Make a database, as a copy of `template`, to which nobody may be connected. Returns its address."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database and end whatever is connected to it."""
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def execute(self, statement: sql.Composed) -> None:
        """Execute one statement outside any transaction."""
        with psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Start a server and end it with the block. Raises MissingServer, or RuntimeError with what the server said."""
    binaries = postgresql_binaries()
    folder = database_folder("forebay-postgresql-")
    try:
        if os.geteuid() == 0:
            user = server_user()
            os.chown(folder, user.pw_uid, user.pw_gid)
        data, log = folder / "data", folder / "log"
        made = subprocess.run(
            [*unprivileged(), binaries / "initdb", "-D", data, *NEW],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")
        options = [part for name, value in FAST.items() for part in ("-c", f"{name}={value}")]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*unprivileged(), binaries / "postgres", "-D", data, "-k", folder, *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            await_answer(folder, process, log)
            yield PostgreSQL(folder, process.pid)
        finally:
            # The fast way, which doesn't wait for connections that a failed test left open.
            process.send_signal(signal.SIGINT)
            process.wait(END_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def await_answer(folder: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server takes connections."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from None
            time.sleep(0.02)
        else:
            return


ROOT = Path(__file__).parent.parent
STRIPE_WORLD = ROOT / "tests" / "peers" / "stripe-world"
STRIPE_WORLD_FOLDER = ROOT / ".cache" / "stripe-world"


@dataclass(frozen=True)
class StripeWorld:
    """A running stand-in for Stripe. Any number of accounts, each a base address of its own."""

    port: int

    def account(self) -> str:
        """The base address of an account that nobody has used."""
        return f"http://127.0.0.1:{self.port}/worlds/{uuid.uuid4()}"


@contextmanager
def stripe_world() -> Iterator[StripeWorld]:
    """Install the stand-in where it isn't there yet, start it, and end it with the block. Raises RuntimeError."""
    STRIPE_WORLD_FOLDER.mkdir(parents=True, exist_ok=True)
    with (STRIPE_WORLD_FOLDER.parent / "stripe-world.lock").open("w") as lock:
        # Several test processes may find it missing at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            [STRIPE_WORLD, "install", STRIPE_WORLD_FOLDER], capture_output=True, text=True, check=False
        )
    if made.returncode != 0:
        raise RuntimeError(f"the stand-in for Stripe can't be installed: {made.stdout}{made.stderr}")
    folder = Path(tempfile.mkdtemp(prefix="forebay-stripe-world-"))
    log, port = folder / "log", free_port()
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", STRIPE_WORLD, "serve", STRIPE_WORLD_FOLDER, str(port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            await_port(port, process, log)
            yield StripeWorld(port)
        finally:
            process.kill()
            process.wait(END_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def localstripe() -> Iterator[str]:
    """A second stand-in for Stripe, which signs webhooks: its base address. Ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="forebay-localstripe-"))
    log, port = folder / "log", free_port()
    program = Path(sys.executable).parent / "localstripe"
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, "--port", str(port), "--from-scratch"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            await_port(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(END_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until something listens there."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {log.read_text()}") from None
            time.sleep(0.05)
        else:
            return
