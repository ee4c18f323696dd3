"""How requests go over the wire: what is sent, what is repeated, how long is waited, what errors carry."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx
import msgspec
import pytest

from forebay.client import (
    AsyncClient,
    Client,
    Contradiction,
    InsufficientBalance,
    NotAllowed,
    NotFound,
    NotSignedIn,
    NotValid,
    Refusal,
    Request,
    ServerFailed,
    TooManyRequests,
    Unintelligible,
    Unreachable,
    activity,
    api_keys,
    invitations,
    me,
    ssh_keys,
    teams,
)

T = TypeVar("T")
TOKEN = "fby_pk_a-secret-that-shows-nowhere"
TEAMS: dict[str, Any] = {"teams": []}
Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | type[Exception]


class Server:
    """Answers in the order given, the last one again and again, and remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked, self.waited = list(answers), list[httpx.Request](), list[float]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, type):
            raise answer("cut off")
        status, body, *headers = answer
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return httpx.Response(status, content=content, headers=headers[0] if headers else {})

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def wait_async(self, seconds: float) -> None:
        self.waited.append(seconds)


def in_turn(server: Server, request: Request[T]) -> T:
    """Asked by the client that waits."""
    with Client("http://there", TOKEN, transport=httpx.MockTransport(server), wait=server.wait) as client:
        return client.ask(request)


def without_blocking(server: Server, request: Request[T]) -> T:
    """Asked by the one that doesn't block."""

    async def ask() -> T:
        transport = httpx.MockTransport(server)
        async with AsyncClient("http://there", TOKEN, transport=transport, wait=server.wait_async) as client:
            return await client.ask(request)

    return asyncio.run(ask())


Ask = Callable[[Server, Request[Any]], Any]


@pytest.fixture(params=[in_turn, without_blocking], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


def refused(status: int, code: str = "SOME_CODE", **details: Any) -> Answer:
    return status, {"error": "A sentence.", "code": code, "details": details, "more": 1}


def test_a_request_as_it_is_sent(ask: Ask) -> None:
    server = Server((200, TEAMS | {"later": "a field of a newer server"}))
    assert ask(server, teams.listed()).teams == []
    [request] = server.asked
    assert (request.method, str(request.url)) == ("GET", "http://there/api/teams")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert "idempotency-key" not in request.headers
    assert request.content == b""


def test_paths_queries_and_bodies_are_what_was_given(ask: Ask) -> None:
    server = Server((200, {"success": True}))
    ask(server, ssh_keys.delete("a/../b?c#d %"))
    assert server.asked[-1].url.raw_path == b"/api/ssh-keys/a%2F..%2Fb%3Fc%23d%20%25"
    server = Server((200, b"at,who\n"))
    assert ask(server, activity.of_team_as_csv("t", since="2026-01-01T00:00:00+01:00")) == "at,who\n"
    assert dict(server.asked[-1].url.params) == {"from": "2026-01-01T00:00:00+01:00"}
    server = Server(refused(409))
    with pytest.raises(Contradiction):
        ask(server, api_keys.change("k", team_ids=None, name="n"))
    assert msgspec.json.decode(server.asked[-1].content) == {"name": "n", "teamIds": None}
    with pytest.raises(Contradiction):
        ask(server, api_keys.listed(include_revoked=True))
    assert dict(server.asked[-1].url.params) == {"includeRevoked": "true"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, NotValid), (401, NotSignedIn), (402, InsufficientBalance), (403, NotAllowed), (404, NotFound),
        (409, Contradiction), (413, Refusal), (500, ServerFailed),
    ],
)  # fmt: skip
def test_a_refusal_carries_what_was_said(ask: Ask, status: int, kind: type[Refusal]) -> None:
    server = Server(refused(status, "A_CODE", field="wrong"))
    with pytest.raises(kind) as raised:
        ask(server, invitations.accept("fby_in_a-secret-token"))
    error = raised.value
    assert type(error) is kind
    assert (error.status, error.code, error.details) == (status, "A_CODE", {"field": "wrong"})
    assert error.sentence == str(error) == "A sentence."
    assert error.request == "POST /api/invitations/{token}/accept"
    assert "secret" not in repr(error) + str(vars(error))
    assert len(server.asked) == 1


@pytest.mark.parametrize("answer", [httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout, refused(503)])
def test_what_can_have_no_second_effect_is_tried_again(ask: Ask, answer: Answer) -> None:
    server = Server(answer, answer, (200, TEAMS))
    ask(server, teams.listed())
    assert (len(server.asked), server.waited) == (3, [0.5, 1.0])
    server = Server(answer, (200, {"id": "1"}))
    with pytest.raises(Unintelligible):
        ask(server, teams.create("x"))
    first, second = server.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.content == second.content
    assert len(first.headers["idempotency-key"]) >= 32


def test_two_requests_are_two(ask: Ask) -> None:
    server = Server(refused(409))
    for _ in range(2):
        with pytest.raises(Contradiction):
            ask(server, teams.create("x"))
    assert len({request.headers["idempotency-key"] for request in server.asked}) == 2


@pytest.mark.parametrize(
    "request_", [ssh_keys.delete("x"), me.set_current_team("x"), api_keys.change("x"), invitations.decline("x")]
)
@pytest.mark.parametrize(("answer", "kind"), [(httpx.ReadTimeout, Unreachable), (refused(503), ServerFailed)])
def test_everything_else_is_tried_once(ask: Ask, request_: Request[Any], answer: Answer, kind: type[Exception]) -> None:
    server = Server(answer)
    with pytest.raises(kind):
        ask(server, request_)
    assert len(server.asked) == 1


def test_it_gives_up_after_three_tries(ask: Ask) -> None:
    server = Server(httpx.ConnectError)
    with pytest.raises(Unreachable, match="doesn't answer"):
        ask(server, teams.listed())
    assert len(server.asked) == 3


def test_the_server_says_how_long_to_wait(ask: Ask) -> None:
    server = Server((*refused(429), {"retry-after": "7"}), (200, {"success": True}))  # type: ignore[misc]
    ask(server, ssh_keys.delete("x"))
    assert (server.waited, len(server.asked)) == ([7.0], 2)
    server = Server((*refused(429), {"retry-after": "31"}))  # type: ignore[misc]
    with pytest.raises(TooManyRequests) as raised:
        ask(server, teams.listed())
    assert (raised.value.retry_after, server.waited, len(server.asked)) == (31.0, [], 1)


def test_a_first_try_that_still_runs_is_waited_for(ask: Ask) -> None:
    server = Server(httpx.ReadTimeout, refused(409, "IN_PROGRESS"), refused(409, "ALREADY_DONE"))
    with pytest.raises(Contradiction) as raised:
        ask(server, api_keys.create("x"))
    assert raised.value.code == "ALREADY_DONE"


@pytest.mark.parametrize("answers", [[(200, b"<html>")], [(200, {"teams": 5})], [(404, b"not here")], [(418, [])]])
def test_what_is_no_forebay_is_said_so(ask: Ask, answers: Sequence[Answer]) -> None:
    with pytest.raises(Unintelligible) as raised:
        ask(Server(*answers), teams.listed())
    assert TOKEN not in str(raised.value)
