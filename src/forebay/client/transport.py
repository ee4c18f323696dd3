"""How requests go over the wire: with patience, and repeated only where that is safe.

What happens is written once, in `conversation`; a client that waits and one that doesn't block lead it alike. A
request is repeated if it has had no effect (429) or can have no second one: GET, and POST with an Idempotency-Key,
which is made here. Everything else is tried once.
"""

import secrets
import ssl
import time
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

import httpx
import msgspec

from forebay.client.errors import ClientError, Unintelligible, Unreachable, refusal
from forebay.client.request import Request

T = TypeVar("T")

TIMEOUT_SECONDS = 30.0
TRIES = 3
LONGEST_WAIT_SECONDS = 30.0
"""Who is told to wait longer gets the refusal instead."""
AGAIN = frozenset({502, 503, 504})


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """An answer, and the bytes that it came as."""

    answer: T
    raw: bytes


class Wait(msgspec.Struct, frozen=True):
    """A pause before the next try."""

    seconds: float


Step = httpx.Request | Wait
Outcome = httpx.Response | httpx.TransportError | None
Talk = Generator[Step, Outcome, Reply[T]]


def conversation(request: Request[T], build: Callable[..., httpx.Request], tries: int) -> Talk[T]:
    """Say what to send and when to wait, until there is an answer. Raises ClientError."""
    headers = {"idempotency-key": request.retry_key or secrets.token_hex(16)} if request.takes_retry_key else {}
    may_repeat = request.method == "GET" or request.is_harmless or request.takes_retry_key
    query = {name: word(value) for name, value in request.query.items() if value is not None}
    for attempt in range(1, tries + 1):
        outcome = yield build(
            request.method,
            request.filled_path,
            params=query,
            headers=headers | ({} if request.body is None else {"content-type": "application/json"}),
            content=None if request.body is None else msgspec.json.encode(request.body),
        )
        assert outcome is not None
        if isinstance(outcome, httpx.Response):
            if outcome.is_success:
                return Reply(decode(request, outcome), outcome.content)
            error, pause = read_refusal(request, outcome, attempt)
            is_transient = outcome.status_code == 429 or (may_repeat and is_passing(outcome, error))
        else:
            error = Unreachable(f"The server doesn't answer: {outcome}", request.name)
            pause, is_transient = 0.25 * 2**attempt, may_repeat
        if not is_transient or attempt == tries or pause > LONGEST_WAIT_SECONDS:
            raise error
        yield Wait(pause)
    raise ValueError("one try at least is needed")


def word(value: Any) -> str:
    """A value of the query as it is written there."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_refusal(request: Request[Any], response: httpx.Response, attempt: int) -> tuple[ClientError, float]:
    """The error, and how many seconds to wait before another try would make sense."""
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        body = None
    stated = response.headers.get("retry-after", "")
    pause = float(stated) if stated.isdecimal() else 0.25 * 2**attempt
    return refusal(response.status_code, body, request.name, pause), pause


def is_passing(response: httpx.Response, error: ClientError) -> bool:
    """Whether another try may fare better: the server was busy, or the first try with this key still runs."""
    return response.status_code in AGAIN or getattr(error, "code", "") == "IN_PROGRESS"


def decode(request: Request[T], response: httpx.Response) -> T:
    """The answer as its type. Raises Unintelligible."""
    if request.answers is str:
        return response.text  # type: ignore[return-value]
    if request.answers is bytes:
        return response.content  # type: ignore[return-value]
    try:
        return msgspec.json.decode(response.content, type=request.answers)
    except msgspec.DecodeError as reason:
        raise Unintelligible(f"The answer is none that this version understands: {reason}", request.name) from None


def options(base_url: str, token: str | None, timeout: float, user_agent: str) -> dict[str, Any]:
    """What both kinds of client give to httpx."""
    headers = {"user-agent": user_agent, "accept": "application/json, text/csv, application/pdf"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    found: dict[str, Any] = {"base_url": base_url.rstrip("/"), "headers": headers, "timeout": timeout}
    if base_url.startswith("http://"):
        # Nothing to verify: reading the certificates of the world takes a tenth of a second. This trusts none of them.
        found["verify"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return found


class Client:
    """Asks and waits. `token` is an API key or a session's token; `timeout` in seconds, of each try.

    Close it, or use it with `with`. Thread-safe.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        tries: int = TRIES,
        user_agent: str = "forebay-client",
        transport: httpx.BaseTransport | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.http = httpx.Client(transport=transport, **options(base_url, token, timeout, user_agent))
        self.tries, self.wait = tries, wait

    def ask(self, request: Request[T]) -> T:
        """Carry a request out. Raises ClientError."""
        return self.exchange(request).answer

    def exchange(self, request: Request[T]) -> Reply[T]:
        """The same, with the bytes of the answer beside it. Raises ClientError."""
        talk = conversation(request, self.http.build_request, self.tries)
        outcome: Outcome = None
        while True:
            try:
                step = talk.send(outcome)
            except StopIteration as end:
                reply: Reply[T] = end.value
                return reply
            if isinstance(step, Wait):
                self.wait(step.seconds)
                outcome = None
                continue
            try:
                outcome = self.http.send(step)
            except httpx.TransportError as error:
                outcome = error

    def close(self) -> None:
        """Let go of connections."""
        self.http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def pause(seconds: float) -> None:
    """Let others work meanwhile. Who doesn't wait this way needn't load what it takes: a command starts sooner."""
    import asyncio

    await asyncio.sleep(seconds)


class AsyncClient:
    """The same without blocking: its methods are awaited, and it is used with `async with`."""

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        tries: int = TRIES,
        user_agent: str = "forebay-client",
        transport: httpx.AsyncBaseTransport | None = None,
        wait: Callable[[float], Awaitable[None]] = pause,
    ) -> None:
        self.http = httpx.AsyncClient(transport=transport, **options(base_url, token, timeout, user_agent))
        self.tries, self.wait = tries, wait

    async def ask(self, request: Request[T]) -> T:
        """Carry a request out. Raises ClientError."""
        return (await self.exchange(request)).answer

    async def exchange(self, request: Request[T]) -> Reply[T]:
        """The same, with the bytes of the answer beside it. Raises ClientError."""
        talk = conversation(request, self.http.build_request, self.tries)
        outcome: Outcome = None
        while True:
            try:
                step = talk.send(outcome)
            except StopIteration as end:
                reply: Reply[T] = end.value
                return reply
            if isinstance(step, Wait):
                await self.wait(step.seconds)
                outcome = None
                continue
            try:
                outcome = await self.http.send(step)
            except httpx.TransportError as error:
                outcome = error

    async def close(self) -> None:
        """Let go of connections."""
        await self.http.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
