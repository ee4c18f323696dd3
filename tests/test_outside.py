"""Requests to addresses that people name, over real sockets: what is sent, what is refused, and that it ends."""

import datetime
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from forebay.domain.people.public_addresses import Walls
from forebay.outside import Outside, is_ours, resolve
from tests.receiver import Receiver, babbling, endless, paged, receiver, trickling

OPEN = Walls(("127.0.0.0/8",), allows_http=True)
HTTP = Walls(allows_http=True)
CLOSED = "it leads to an address that is not on the public network"


@pytest.fixture
def other() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def names(*answers: Sequence[str], walls: Walls = OPEN) -> tuple[Outside, list[str]]:
    """One that is told these addresses, one list after another, and the names it asked for."""
    asked: list[str] = []
    left = list(answers)

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return left.pop(0) if len(left) > 1 else left[0]

    return Outside(walls, resolve=resolve, deadline_seconds=2), asked


def test_a_body_arrives_as_it_was_sent(other: Receiver) -> None:
    other.statuses = [204]
    answered = Outside(OPEN).post(other.url, {"content-type": "application/json", "x-a": "b"}, b'{"x": "\xc3\xb6"}')
    assert (answered.status_code, answered.reason) == (204, "delivered")
    [found] = other.found
    assert (found.path, found.body, found.headers["x-a"]) == ("/hook?x=1", b'{"x": "\xc3\xb6"}', "b")
    assert found.headers["host"] == f"127.0.0.1:{other.port}"


def test_a_name_that_leads_inside_is_refused_and_nothing_is_sent(other: Receiver) -> None:
    url = f"http://hook.example.org:{other.port}/"
    for addresses in (["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"]):
        outside, _ = names(addresses, walls=HTTP)
        found = outside.post(url, {}, b"{}")
        assert (found.status_code, found.reason) == (None, CLOSED)
        assert "127" not in found.reason
    assert other.found == []


def test_a_name_is_asked_for_once_so_that_a_second_answer_changes_nothing(other: Receiver) -> None:
    outside, asked = names(["127.0.0.1"], ["192.0.2.1"])
    assert outside.post(f"http://rebinding.example.org:{other.port}/", {}, b"{}").status_code == 200
    assert asked == ["rebinding.example.org"]
    assert other.found[0].headers["host"] == f"rebinding.example.org:{other.port}"
    # The other way round: what was public and is private the next time, when it is asked for anew, is refused.
    changing = [["192.0.2.1"], ["127.0.0.1"]]
    wary = Outside(HTTP, resolve=lambda host, port: changing.pop(0), deadline_seconds=1)
    for _ in range(2):
        assert wary.post(f"http://rebinding.example.org:{other.port}/", {}, b"{}").reason == CLOSED
    assert len(other.found) == 1


def test_this_hosts_own_address_is_not_public_though_it_looks_so(other: Receiver) -> None:
    own = Outside(HTTP, resolve=lambda host, port: ["8.8.8.8"], is_ours=lambda address: True, deadline_seconds=1)
    assert own.post("http://hook.example.org/", {}, b"{}").reason == CLOSED
    assert is_ours("127.0.0.1")
    assert not is_ours("192.0.2.1")
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]


def test_the_next_address_is_tried_where_one_takes_no_connection(other: Receiver) -> None:
    outside, _ = names(["127.0.0.2", "127.0.0.1"])
    with receiver() as gone:
        port = gone.port
    assert outside.post(f"http://hook.example.org:{other.port}/", {}, b"{}").status_code == 200
    assert outside.post(f"http://hook.example.org:{port}/", {}, b"{}").reason == "it can't be connected to"


def test_a_redirect_is_not_followed(other: Receiver) -> None:
    other.statuses, other.headers = [307], {"location": f"http://127.0.0.1:{other.port}/elsewhere"}
    answered = Outside(OPEN).post(other.url, {}, b"{}")
    assert (answered.status_code, answered.reason) == (307, "answered 307: redirects are not followed")
    assert len(other.found) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (endless, "delivered"),
        (trickling, "no answer within 0.4 seconds"),
        (lambda handler: time.sleep(1), "no answer within 0.4 seconds"),
        (babbling, "what it answered is no HTTP"),
        (lambda handler: None, "what it answered is no HTTP"),
    ],
    ids=["endless", "trickling", "silent", "babbling", "hanging up"],
)
def test_whatever_the_other_side_does_it_ends(other: Receiver, answer: object, reason: str) -> None:
    other.answer = answer  # type: ignore[assignment]
    begun = time.monotonic()
    assert Outside(OPEN, deadline_seconds=0.4).post(other.url, {}, b"{}").reason == reason
    assert time.monotonic() - begun < 5


def test_environment_and_unknown_names_change_nothing(other: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert Outside(OPEN).post(other.url, {}, b"{}").status_code == 200
    assert Outside(OPEN).post("https://nowhere.invalid/", {}, b"{}").reason == "its name has no address"
    assert Outside(Walls()).post(other.url, {}, b"{}").reason == "it must begin with https://"


def certificate(folder: Path, host: str) -> Path:
    """A certificate that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_the_certificate_is_that_of_the_name_wherever_it_leads(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "hook.example.org")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    trusting = ssl.create_default_context(cafile=pem)

    with receiver(serving) as secure:

        def to(host: str, tls: ssl.SSLContext | None) -> str:
            outside = Outside(OPEN, resolve=lambda name, port: ["127.0.0.1"], tls=tls, deadline_seconds=5)
            return outside.post(f"https://{host}:{secure.port}/", {}, b"{}").reason

        assert to("hook.example.org", trusting) == "delivered"
        assert to("other.example.org", trusting) == "its certificate is not trusted"
        assert to("hook.example.org", None) == "its certificate is not trusted"
    assert len(secure.found) == 1


def test_what_is_asked_for_comes_whole_or_not_at_all(other: Receiver) -> None:
    outside = Outside(OPEN, deadline_seconds=1)
    other.answer = lambda handler: paged(handler, b"one\ntwo\n")
    found = outside.get(other.url, {"accept": "text/plain"}, most_bytes=1024)
    assert (found.status_code, found.body) == (200, b"one\ntwo\n")
    [asked] = other.found
    assert (asked.path, asked.headers["accept"], asked.headers["accept-encoding"]) == (
        "/hook?x=1",
        "text/plain",
        "identity",
    )
    assert "content-length" not in asked.headers
    other.answer = lambda handler: paged(handler, b"x" * 1025)
    found = outside.get(other.url, {}, most_bytes=1024)
    assert (found.status_code, found.reason, found.body) == (None, "it answered with more than 1 KB", b"")
    other.answer = lambda handler: paged(handler, b"one\n", length=400)
    found = outside.get(other.url, {}, most_bytes=1024)
    assert (found.status_code, found.body) == (None, b"")
    for answer in (endless, trickling, babbling):
        other.answer = answer
        begun = time.monotonic()
        assert outside.get(other.url, {}, most_bytes=1024).status_code is None
        assert time.monotonic() - begun < 5


def test_asking_follows_no_redirect_and_stays_behind_the_walls(other: Receiver) -> None:
    other.statuses, other.headers = [302], {"location": other.url}
    assert Outside(OPEN).get(other.url, {}, most_bytes=1024).status_code == 302
    assert len(other.found) == 1
    assert "not on the public network" in Outside(HTTP).get(other.url, {}, most_bytes=1024).reason
    assert "https://" in Outside(Walls(("127.0.0.0/8",))).get(other.url, {}, most_bytes=1024).reason
    outside, _ = names(["127.0.0.1"], walls=HTTP)
    assert outside.get(f"http://keys.example.org:{other.port}/", {}, most_bytes=1024).reason == CLOSED
    assert len(other.found) == 1
