"""HTTP as it comes off the wire: odd methods, old versions, pipelines, huge headers, bodies nobody asked for."""

import json
import re
import socket
from collections.abc import Iterator

import pytest

from tests.api.cloud import Cloud, Person, new_public_key
from tests.api.wire import Loop

MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def here(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """What HTTP does is the same on either database."""
    folder = tmp_path_factory.mktemp("server")
    cloud = Cloud(folder, f"sqlite:///{folder / 'forebay.db'}", loop)
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def port(here: Cloud) -> Iterator[int]:
    with here.served() as port:
        yield port


@pytest.fixture
def pat(here: Cloud) -> Person:
    return here.person()


def talk(port: int, *parts: bytes) -> bytes:
    """Send the parts and read until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
            while part := connection.recv(65_536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([line, "Host: forebay.test", *headers, "", ""]).encode("latin-1") + body


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d\d\d) [A-Z]", answer)]


CLOSE = "Connection: close"


def test_head_is_get_without_the_body(port: int, pat: Person) -> None:
    bearer = f"Authorization: Bearer {pat.key}"
    for path in ("/api/providers", "/api/deployments", "/api/nothing", "/", "/healthz", "/api/openapi.json"):
        got = talk(port, request(f"GET {path} HTTP/1.1", CLOSE, bearer))
        head = talk(port, request(f"HEAD {path} HTTP/1.1", CLOSE, bearer))
        lines, _, body = got.partition(b"\r\n\r\n")
        assert body
        length = re.search(rb"content-length: \d+", lines)
        assert length is not None
        assert head.endswith(b"\r\n\r\n")
        assert length[0] in head
        assert statuses(head) == statuses(got)


def test_options_names_all_methods(port: int) -> None:
    for path, allowed in (
        ("/api/deployments", b"GET, HEAD, OPTIONS, POST"),
        ("/api/deployments/x", b"DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/api/me/current-team", b"OPTIONS, PUT"),
        ("/verify", b"GET, HEAD, OPTIONS, POST"),
        ("/healthz", b"GET, HEAD, OPTIONS"),
    ):
        answer = talk(port, request(f"OPTIONS {path} HTTP/1.1", CLOSE))
        assert statuses(answer) == [204]
        assert b"\r\nallow: " + allowed + b"\r\n" in answer


def test_http_1_0(port: int, pat: Person) -> None:
    answer = talk(port, request("GET /api/me HTTP/1.0", f"Authorization: Bearer {pat.key}"))
    assert statuses(answer) == [200]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["id"] == pat.id
    body = json.dumps({"name": "x", "publicKey": new_public_key()}).encode()
    headers = (f"Authorization: Bearer {pat.key}", f"Content-Length: {len(body)}")
    assert statuses(talk(port, request("POST /api/ssh-keys HTTP/1.0", *headers, body=body))) == [201]


def test_a_pipeline_is_answered_in_order(port: int, pat: Person) -> None:
    bearer = f"Authorization: Bearer {pat.key}"
    body = b'{"name":"x"}'
    answer = talk(
        port,
        request("GET /api/providers HTTP/1.1")
        + request("GET /api/me HTTP/1.1", bearer)
        + request("POST /api/ssh-keys HTTP/1.1", bearer, f"Content-Length: {len(body)}", body=body)
        + request("GET /api/nothing HTTP/1.1")
        + request("GET /api/deployments HTTP/1.1", bearer, CLOSE),
    )
    assert statuses(answer) == [200, 200, 400, 404, 200]
    assert answer.index(b'["memory"]') < answer.index(pat.id.encode()) < answer.index(b'"publicKey":"required"')


def test_a_body_is_asked_for(port: int, pat: Person) -> None:
    body = json.dumps({"name": "x", "publicKey": new_public_key()}).encode()
    headers = (f"Authorization: Bearer {pat.key}", "Expect: 100-continue", f"Content-Length: {len(body)}", CLOSE)
    answer = talk(port, request("POST /api/ssh-keys HTTP/1.1", *headers), body)
    assert statuses(answer) == [100, 201]


def test_a_body_that_is_too_large_is_not_asked_for(port: int, pat: Person) -> None:
    headers = (f"Authorization: Bearer {pat.key}", "Expect: 100-continue", f"Content-Length: {10 * MEBIBYTE}", CLOSE)
    assert statuses(talk(port, request("POST /api/ssh-keys HTTP/1.1", *headers))) == [413]


def test_ten_megabytes(port: int, pat: Person) -> None:
    bearer = f"Authorization: Bearer {pat.key}"
    whole = b"a" * (10 * MEBIBYTE)
    for method, path in (("POST", "/api/ssh-keys"), ("POST", "/api/auth/sign-in"), ("POST", "/verify")):
        answer = talk(port, request(f"{method} {path} HTTP/1.1", bearer, f"Content-Length: {len(whole)}", CLOSE), whole)
        assert statuses(answer) in ([413], []), "the answer, or hung up on before all was sent"
    chunk = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
    start = request("POST /api/ssh-keys HTTP/1.1", bearer, "Transfer-Encoding: chunked", CLOSE)
    assert statuses(talk(port, start, *[chunk] * 160, b"0\r\n\r\n")) in ([413], [])
    for method, path, status in (("GET", "/api/me", 200), ("DELETE", "/api/ssh-keys/x", 404)):
        start = request(f"{method} {path} HTTP/1.1", bearer, f"Content-Length: {len(whole)}", CLOSE)
        assert statuses(talk(port, start, whole)) in ([status], [])
    assert statuses(talk(port, request("GET /api/me HTTP/1.1", bearer, CLOSE))) == [200]


def test_after_a_body_nobody_read_the_next_request_is_not_mistaken(port: int, pat: Person) -> None:
    bearer = f"Authorization: Bearer {pat.key}"
    smuggled = request("DELETE /api/auth/sessions/x HTTP/1.1", bearer)
    first = request("GET /api/me HTTP/1.1", bearer, f"Content-Length: {len(smuggled)}", body=smuggled)
    assert statuses(talk(port, first + request("GET /api/providers HTTP/1.1", CLOSE))) == [200, 200]


@pytest.mark.parametrize(
    "line",
    [
        "FOO /api/me HTTP/1.1", "get /api/me HTTP/1.1", "GET /api/me HTTP/9.9", "GET  HTTP/1.1", "GET", "\x16\x03\x01",
        "GET /api/me\x00 HTTP/1.1", "GET http://[::1 HTTP/1.1", "GET /api/m\xe9 HTTP/1.1",
    ],
)  # fmt: skip
def test_what_is_no_request_gets_an_answer_or_nothing(port: int, line: str) -> None:
    answer = talk(port, request(line, CLOSE))
    assert statuses(answer) in ([400], [401], [404], [])
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 5", "Content-Length: 6"), ("Content-Length: -1",), ("Content-Length: x",),
        ("Content-Length: 5", "Transfer-Encoding: chunked"), ("Transfer-Encoding: gzip, chunked", "Content-Length: 5"),
        ("Content-Length: " + "9" * 40,), ("X\x00Y: z",), ("No colon",), (" folded: x",),
    ],
    ids=range(9),
)  # fmt: skip
def test_headers_that_are_none(port: int, headers: tuple[str, ...]) -> None:
    answer = talk(port, request("POST /api/auth/verify HTTP/1.1", *headers, CLOSE, body=b"{}   "), b"\r\n0\r\n\r\n")
    assert set(statuses(answer)) <= {400, 413, 431}
    assert statuses(talk(port, request("GET /api/providers HTTP/1.1", CLOSE))) == [200]


def test_heads_have_an_end(port: int, pat: Person) -> None:
    bearer = f"Authorization: Bearer {pat.key}"
    start, part = b"GET /api/providers HTTP/1.1\r\nHost: x\r\n", b"a" * 65_536
    many = b"".join(b"X-%d: a\r\n" % number for number in range(5000))
    for parts in ([start + b"X: ", *[part] * 64], [start, *[many] * 64], [b"GET /" + part, *[part] * 64]):
        answer = talk(port, *parts)
        assert statuses(answer) in ([431], []), "the answer, or hung up on before all was sent"
    chunked = request("POST /api/ssh-keys HTTP/1.1", bearer, "Transfer-Encoding: chunked")
    for parts in ([b"0\r\n", *[many] * 64], [b"1;" + part, *[part] * 64]):
        assert set(statuses(talk(port, chunked, b"2\r\n{}\r\n", *parts))) <= {400, 431}
    assert statuses(talk(port, start + b"X: " + part * 4 + b"\r\n" + CLOSE.encode() + b"\r\n\r\n")) == [200]


def test_a_pipeline_of_many_small_requests_is_no_head(port: int) -> None:
    one = request("GET /api/providers HTTP/1.1", "X: " + "a" * 3000)
    last = request("GET /api/providers HTTP/1.1", CLOSE)
    answers = talk(port, one * 300 + last)
    assert statuses(answers) == [200] * 301
