"""Rate limits: who is counted where, what counts, when a window ends, and whose X-Forwarded-For is believed."""

from collections.abc import Callable, Iterator

import pytest

from forebay.domain.people import credentials
from tests.api.cloud import DOLLAR, Cloud
from tests.api.wire import Answer, Loop

pytestmark = pytest.mark.slow

Make = Callable[..., Cloud]


Send = Callable[[], Answer]


def limited(answer: Answer, seconds: int | None = None) -> None:
    """The answer is a 429 as clients expect it."""
    refusal = answer.refused(429, "RATE_LIMIT_EXCEEDED")
    assert refusal["retryAfter"] == refusal["details"]["retryAfter"] == int(answer.headers["retry-after"])
    assert 1 <= refusal["retryAfter"] <= 901
    if seconds is not None:
        assert refusal["retryAfter"] == seconds


def test_an_address_without_a_key(make_cloud: Make) -> None:
    cloud = make_cloud(rate_limit_anonymous=3)
    pat = cloud.person()
    bogus = credentials.new_token("fby_pk_")
    assert cloud.get("/api/gpu-offers").status == 200
    assert cloud.get("/api/deployments").status == 401
    assert cloud.get("/api/deployments", bogus).status == 401
    refused: list[Send] = [
        lambda: cloud.get("/api/gpu-offers"),
        lambda: cloud.get("/api/gpu-offers", bogus),
        lambda: cloud.get("/api/deployments"),
        lambda: cloud.get("/api/deployments", bogus),
        lambda: cloud.get("/api/deployments?teamId=x", bogus),
        lambda: cloud.get("/api/deployments?status=x", bogus),
        lambda: cloud.get("/api/deployments/x", bogus),
        lambda: cloud.post("/api/ssh-keys", bogus, raw=b"{"),
        lambda: cloud.post("/api/auth/sign-in", body={"email": "a@b.test", "password": "x"}),
        lambda: cloud.post("/api/auth/sign-in", pat.key, body={"email": "a@b.test", "password": "x"}),
    ]
    for send in refused:
        limited(send(), 901)
    assert cloud.get("/api/gpu-offers", peer="192.0.2.8").status == 200, "another address"
    assert cloud.get("/api/deployments", pat.key).status == 200, "a good key has a limit of its own"
    assert cloud.get("/api/gpu-offers", pat.key).status == 200, "where no key is needed, too"
    cloud.clock.forward(seconds=899)
    limited(cloud.get("/api/gpu-offers"), 2)
    cloud.clock.forward(seconds=1)
    assert cloud.get("/api/gpu-offers").status == 200


def test_without_a_good_key_nobody_is_told_what_else_is_wrong(make_cloud: Make) -> None:
    cloud = make_cloud()
    bogus = credentials.new_token("fby_pk_")
    for answer in (
        cloud.get("/api/deployments?teamId=x", bogus),
        cloud.get("/api/deployments?status=x", bogus),
        cloud.get("/api/deployments/x", bogus),
        cloud.post("/api/deployments", bogus, raw=b"{"),
        cloud.send("PATCH", "/api/deployments/x", bogus, {}),
    ):
        answer.refused(401, "UNAUTHORIZED")


def test_a_key_and_a_session_are_counted_alone(make_cloud: Make) -> None:
    cloud = make_cloud(rate_limit_key=4)
    pat = cloud.person()
    other = cloud.key(pat.id, pat.team)
    # Good, wrong, forbidden or absent: whoever is known is counted once for each.
    assert cloud.get("/api/me", pat.key).status == 200
    assert cloud.get("/api/deployments?status=x", pat.key).status == 400
    assert cloud.get("/api/deployments/x", pat.key).status == 404
    assert cloud.post("/api/ssh-keys", pat.key, raw=b"{").status == 400
    for _ in range(3):
        limited(cloud.get("/api/me", pat.key, peer="198.51.100.4"), 901)
    limited(cloud.post("/api/deployments", pat.key, {}))
    assert cloud.get("/api/me", other).status == 200
    assert cloud.get("/api/me", pat.session).status == 200
    cloud.clock.forward(minutes=15)
    assert cloud.get("/api/me", pat.key).status == 200


def test_creations_are_counted_by_person_without_refusals_and_replays(make_cloud: Make) -> None:
    cloud = make_cloud(rate_limit_creations=3)
    pat, mia = cloud.person(), cloud.person(credits_micros=3 * DOLLAR)
    order = cloud.order(pat.team, cloud.ssh_key(pat.team, pat))
    for _ in range(4):
        cloud.post("/api/deployments", pat.key, order | {"region": "there"}).refused(400, "OFFER_MISMATCH")
    first = cloud.post("/api/deployments", pat.key, order, retry="one").ok(201)
    for _ in range(4):
        assert cloud.post("/api/deployments", pat.key, order, retry="one").ok(201) == first
    cloud.clock.forward(minutes=5)
    cloud.post("/api/deployments", pat.session, order).ok(201)
    other = cloud.key(pat.id, pat.team)
    cloud.post("/api/deployments", other, order).ok(201)
    limited(cloud.post("/api/deployments", other, order), 600)
    limited(cloud.post("/api/deployments", pat.key, order, retry="two"), 600)
    limited(cloud.post("/api/deployments", pat.session, order), 600)
    assert cloud.launch(mia)["status"] == "deploying"
    cloud.clock.forward(seconds=599)
    limited(cloud.post("/api/deployments", pat.key, order), 1)
    cloud.clock.forward(seconds=1)
    # What was refused for the limit was not kept: the same key goes through now.
    cloud.post("/api/deployments", pat.key, order, retry="two").ok(201)
    limited(cloud.post("/api/deployments", pat.key, order), 300)


def test_creations_at_once_are_counted_exactly(make_cloud: Make) -> None:
    cloud = make_cloud(rate_limit_creations=3)
    pat = cloud.person()
    order = cloud.order(pat.team, cloud.ssh_key(pat.team, pat))
    answers = cloud.at_once([cloud.request("POST", "/api/deployments", pat.key, order) for _ in range(8)])
    assert sorted(answer.status for answer in answers) == [201] * 3 + [429] * 5


def test_pages_and_health_are_exempt(make_cloud: Make) -> None:
    cloud = make_cloud(rate_limit_anonymous=0)
    limited(cloud.get("/api/gpu-offers"))
    for path in ("/", "/healthz", "/static/forebay.css", "/verify?token=x", "/api/openapi.json"):
        assert cloud.get(path).status == 200, path


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("203.0.113.5", ["10.9.9.9"], "203.0.113.5"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1, 10.0.0.2,10.0.0.3"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "nonsense"),
        ("10.0.0.1", ["x" * 5000], "x" * 64),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
    ],
)
def test_the_address_behind_proxies(cloud_behind_proxies: Cloud, peer: str, lines: list[str], client: str) -> None:
    cloud = cloud_behind_proxies
    pat = cloud.person()
    request = cloud.request("GET", "/api/me", pat.key, peer=peer)
    forwarded = [(b"x-forwarded-for", line.encode()) for line in lines]
    [answer] = cloud.at_once([type(request)("GET", "/api/me", [*request.headers, *forwarded], (b"",), peer)])
    assert answer.status == 200
    assert [address for _, _, address in cloud.door.take_uses()] == [client]


@pytest.fixture(scope="module")
def cloud_behind_proxies(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud that believes two networks of proxies."""
    folder = tmp_path_factory.mktemp("proxies")
    cloud = Cloud(folder, f"sqlite:///{folder / 'forebay.db'}", loop, trusted_proxies=("10.0.0.0/8", "fd00::/8"))
    yield cloud
    cloud.close()


def test_without_trusted_proxies_nobody_is_believed(make_cloud: Make) -> None:
    cloud = make_cloud(rate_limit_anonymous=1)
    cloud.get("/api/gpu-offers", headers={"x-forwarded-for": "198.51.100.1"}).ok()
    limited(cloud.get("/api/gpu-offers", headers={"x-forwarded-for": "198.51.100.2"}))
    cloud.get("/api/gpu-offers", peer="192.0.2.9").ok()
