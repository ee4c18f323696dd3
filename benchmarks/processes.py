"""Programs under measurement: started on processors of their own, waited for, ended by their process id.

Should the benchmark die without a word, the kernel ends what it started (PDEATHSIG).
"""

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

END_SECONDS = 20
POLL_SECONDS = 0.005

PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER_PROCESSORS = PROCESSORS[:1]
"""Where a server under load runs: if there are two processors, not where it is asked from."""
LOAD_PROCESSORS = PROCESSORS[1:] or PROCESSORS
"""Where whatever asks it runs."""


class DidNotAnswer(RuntimeError):
    """A server ended or stayed silent before it answered. The text has the end of its output."""


@dataclass(frozen=True)
class Request:
    """What a server is measured by: a GET, or with `content` a POST of JSON. `headers` hold the credential."""

    port: int
    path: str
    headers: Mapping[str, str]
    content: str | None = None

    @property
    def url(self) -> str:
        """Its address, on loopback."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def method(self) -> str:
        """GET or POST."""
        return "GET" if self.content is None else "POST"

    def answer(self) -> bytes:
        """The body of the answer. Raises OSError without one, ValueError where the status is no success."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            kind = {} if self.content is None else {"Content-Type": "application/json"}
            connection.request(self.method, self.path, body=self.content, headers={**self.headers, **kind})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status not in (200, 201):
            raise ValueError(f"{self.path} answered {answer.status}: {body[:300]!r}")
        return body


@dataclass(frozen=True)
class Server:
    """A running server that has answered."""

    process_id: int
    seconds: float
    """From the start of its process to its first answer."""
    processor_seconds: float
    """What it had used of the processors by then."""
    request: Request

    def resident_mb(self) -> float:
        """The resident set of the process at this moment, in MB (10⁶ bytes)."""
        pages = int(Path(f"/proc/{self.process_id}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def server(
    command: Sequence[str | Path],
    request: Request,
    *,
    environment: Mapping[str, str],
    processors: Sequence[int] = SERVER_PROCESSORS,
    within_seconds: float = 60,
) -> Iterator[Server]:
    """Start a server, wait until it answers the request with 200, and end it with the block. Raises DidNotAnswer.

    It gets this environment without anybody's `FOREBAY_` settings. Nothing is started between it and its processors but
    `setpriv` and `taskset`, which become it.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}
    placed = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", ",".join(map(str, processors)), *command]
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            placed, env={**kept, **environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while True:
                try:
                    request.answer()
                    break
                except (OSError, ValueError, http.client.HTTPException) as reason:
                    if process.poll() is not None or time.monotonic() - began > within_seconds:
                        output.seek(0)
                        said = output.read()[-4000:].decode(errors="replace")
                        raise DidNotAnswer(f"{command}: {reason}\n{said}") from None
                    time.sleep(POLL_SECONDS)
            yield Server(process.pid, time.monotonic() - began, processor_seconds(process.pid), request)
        finally:
            end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process this program started: asked first, made to after a while."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def processor_seconds(process_id: int) -> float:
    """Processor time of a process so far, its ended children's included."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
