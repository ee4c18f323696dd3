"""Signing in with an OpenID Connect provider: a real one, from PyPI, which these tests start and end."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from forebay.storage.tables import activity, identities, mails, memberships, sign_in_steps, users
from tests.api.clock import START
from tests.api.cloud import Cloud, Person, numbers
from tests.web.browser import Browser, with_session

pytestmark = pytest.mark.slow


def free_port() -> int:
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class World:
    """The provider, and a cloud that knows it as `corp` and, as another, `down`, where nothing answers."""

    def __init__(self, issuer: str, cloud: Cloud) -> None:
        self.issuer, self.cloud = issuer, cloud

    def user(self, *, is_verified: object = True, email: str = "", **claims: object) -> str:
        """Somebody whom the provider knows; their subject."""
        subject = f"user-{next(numbers)}"
        known = {"email": email or f"{subject}@example.org", "email_verified": is_verified, "name": "Nora", **claims}
        httpx.put(f"{self.issuer}/users/{subject}", json=known).raise_for_status()
        return subject

    def leave(self, browser: Browser, action: str = "/sign-in/with/corp", page: str = "/sign-in") -> str:
        """Press the button; the address at the provider that it leads to."""
        browser.get(page)
        answer = browser.submit(action)
        assert answer.status_code == 303, answer.text
        address = str(answer.headers["location"])
        assert address.startswith(f"{self.issuer}/oauth2/authorize?")
        return address

    def approve(self, address: str, subject: str) -> str:
        """What the provider answers to whoever signs in there: a path of ours."""
        answer = httpx.post(address, data={"sub": subject})
        assert answer.status_code in (302, 303), answer.text
        back = urlsplit(answer.headers["location"])
        assert back.netloc == "forebay.test"
        return f"{back.path}?{back.query}"

    def sign_in(self, browser: Browser, subject: str) -> httpx.Response:
        return browser.get(self.approve(self.leave(browser), subject))

    def rows(self, table: sa.Table, *where: Any) -> list[Any]:
        with self.cloud.database.read() as connection:
            return list(connection.execute(sa.select(table).where(*where)))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = tmp_path_factory.mktemp("provider") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/.well-known/openid-configuration").status_code == 200:
                    break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def make_world(issuer: str, make_cloud: Callable[..., Cloud]) -> Callable[..., World]:
    def make(**settings: Any) -> World:
        corp = {"name": "corp", "label": "Corp", "issuer": issuer, "clientId": "forebay", "clientSecret": "s3cret"}
        down = {**corp, "name": "down", "label": "Down", "issuer": f"http://127.0.0.1:{free_port()}"}
        other = {**corp, "name": "other", "label": "Other", "clientId": "another"}
        cloud = make_cloud(oidc_providers=json.dumps([corp, other, down]), **settings)
        # The provider's tokens are of the real time.
        cloud.clock.forward(seconds=time.time() - START.timestamp())
        return World(issuer, cloud)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


def test_a_new_account_and_then_the_same_again(world: World) -> None:
    subject = world.user(name="Nora Corp")
    browser = Browser(world.cloud)
    assert world.sign_in(browser, subject).headers["location"] == "/t"
    browser.follow()
    page = browser.follow()
    assert "Nora Corp" in page.text
    assert f"{subject}@example.org" in page.text
    [user] = world.rows(users, users.c.email_key == f"{subject}@example.org")
    assert user.verified_at is not None
    assert user.password_hash is None
    assert len(world.rows(memberships, memberships.c.user_id == user.id)) == 1
    again = Browser(world.cloud)
    assert world.sign_in(again, subject).status_code == 303
    [identity] = world.rows(identities, identities.c.user_id == user.id)
    assert (identity.provider, identity.subject) == ("corp", subject)
    done = [row.action for row in world.rows(activity, activity.c.user_id == user.id)]
    assert done == ["account.sign-up", "account.sign-in", "account.sign-in"]
    assert "oidc:corp" in again.get("/account").text
    assert world.cloud.get("/api/auth/factors", again.session).ok()["identities"] == ["corp"]


def test_what_is_asked_of_the_provider(world: World) -> None:
    browser = Browser(world.cloud)
    page = browser.get("/sign-in")
    policy = page.headers["content-security-policy"]
    assert f"form-action 'self' {world.issuer} " in policy
    asked = {name: values[0] for name, values in parse_qs(urlsplit(world.leave(browser)).query).items()}
    assert asked["redirect_uri"] == "http://forebay.test/sign-in/with/corp/callback"
    assert (asked["response_type"], asked["code_challenge_method"], asked["client_id"]) == ("code", "S256", "forebay")
    assert len(asked["code_challenge"]) == 43
    [step] = world.rows(sign_in_steps)
    assert asked["nonce"] == step.document["nonce"]
    assert asked["state"] not in str(step)
    assert step.document["verifier"] not in str(asked)
    assert world.leave(browser) != world.leave(browser)


def test_an_account_is_never_opened_by_its_address_alone(world: World) -> None:
    pat = world.cloud.person()
    subject = world.user(email=pat.email)
    browser = Browser(world.cloud)
    refused = world.sign_in(browser, subject)
    assert (refused.status_code, "connect Corp" in refused.text) == (409, True)
    assert not browser.session
    assert world.rows(identities) == []


def connect(world: World, person: Person, subject: str) -> Browser:
    browser = with_session(world.cloud, person)
    assert browser.get(world.approve(world.leave(browser, page="/account"), subject)).status_code == 303
    return browser


def test_whoever_is_signed_in_connects_a_provider_and_lets_go_of_it(world: World) -> None:
    pat, mia = world.cloud.person(), world.cloud.person("Mia")
    subject = world.user(is_verified=False, email="elsewhere@example.net")
    connect(world, pat, subject)
    browser = Browser(world.cloud)
    world.sign_in(browser, subject)
    assert pat.email in browser.get("/account").text
    assert "Your ways to sign in were changed" in [row.subject for row in world.rows(mails)]
    other = with_session(world.cloud, mia)
    taken = other.get(world.approve(world.leave(other, page="/account"), subject))
    assert (taken.status_code, "connected to another account" in taken.text) == (409, True)
    assert browser.submit("/account/identities/disconnect").status_code == 409
    with world.cloud.database.begin() as connection:
        connection.execute(sa.update(users).where(users.c.id == pat.id).values(password_hash="h"))
    browser.get("/account")
    assert browser.submit("/account/identities/disconnect").status_code == 303
    assert world.sign_in(Browser(world.cloud), subject).status_code == 403


def test_connecting_needs_a_recent_sign_in_and_the_one_who_began(world: World) -> None:
    pat, mia = world.cloud.person(), world.cloud.person("Mia")
    browser = with_session(world.cloud, pat)
    browser.get("/account")
    world.cloud.clock.forward(minutes=16)
    assert browser.submit("/sign-in/with/corp").headers["location"].startswith("/step-up")
    fresh = with_session(world.cloud, pat)
    back = world.approve(world.leave(fresh, page="/account"), world.user())
    fresh.http.cookies.set("forebay-session", world.cloud.session(mia.id), domain="forebay.test")
    assert fresh.get(back).status_code == 400
    assert world.rows(identities) == []


def test_states_are_good_once_in_one_browser_for_one_provider_and_ten_minutes(world: World) -> None:
    subject = world.user()
    browser, other = Browser(world.cloud), Browser(world.cloud)
    back = world.approve(world.leave(browser), subject)
    world.leave(other)
    for wrong in (
        back.replace("state=", "state=x"),
        back.partition("&state=")[0],
        back.replace("/with/corp/", "/with/other/"),
        "/sign-in/with/corp/callback",
        "/sign-in/with/corp/callback?state=" + "a" * 5000,
    ):
        refused = browser.get(wrong)
        assert (refused.status_code, "did not succeed" in refused.text) == (400, True), wrong
    assert other.get(back).status_code == 400
    assert browser.get(back).status_code == 303
    assert browser.get(back).status_code == 400
    late = Browser(world.cloud)
    back = world.approve(world.leave(late), subject)
    world.cloud.clock.forward(seconds=600)
    assert late.get(back).status_code == 400
    assert not late.session


def test_a_code_of_another_sign_in_is_found_by_its_nonce(world: World) -> None:
    """The provider of these tests doesn't look at PKCE, so it is the nonce alone that tells."""
    mallory, victim = Browser(world.cloud), Browser(world.cloud)
    theirs = parse_qs(urlsplit(world.approve(world.leave(mallory), world.user())).query)["code"][0]
    mine = parse_qs(urlsplit(world.leave(victim)).query)["state"][0]
    refused = victim.get(f"/sign-in/with/corp/callback?code={theirs}&state={mine}")
    assert (refused.status_code, bool(victim.session)) == (400, False)


def test_a_code_is_good_once(world: World) -> None:
    browser, subject = Browser(world.cloud), world.user()
    back = world.approve(world.leave(browser), subject)
    assert browser.get(back).status_code == 303
    code = parse_qs(urlsplit(back).query)["code"][0]
    again = Browser(world.cloud)
    state = parse_qs(urlsplit(world.leave(again)).query)["state"][0]
    assert again.get(f"/sign-in/with/corp/callback?code={code}&state={state}").status_code == 400


@pytest.mark.parametrize("is_verified", [False, None, "yes", 1])
def test_an_address_that_the_provider_has_not_proved_makes_no_account(world: World, is_verified: object) -> None:
    subject = world.user(is_verified=is_verified)
    refused = world.sign_in(Browser(world.cloud), subject)
    assert (refused.status_code, "has proved your address" in refused.text) == (403, True)
    assert world.rows(users, users.c.email_key == f"{subject}@example.org") == []


@pytest.mark.parametrize("claims", [{"email": "no address"}, {"email": 7}, {"name": "\u202e" * 200}, {"name": None}])
def test_odd_claims_break_nothing(world: World, claims: dict[str, object]) -> None:
    assert world.sign_in(Browser(world.cloud), world.user(**claims)).status_code in (303, 400, 403)  # type: ignore[arg-type]


def test_an_account_nobody_proved_goes_to_whoever_proves_it_now(world: World) -> None:
    email = f"early-{next(numbers)}@example.org"
    body = {"email": email, "password": "mallory was here first", "name": "Mallory"}
    world.cloud.post("/api/auth/sign-up", body=body).ok(202)
    browser = Browser(world.cloud)
    assert world.sign_in(browser, world.user(email=email)).status_code == 303
    assert "Mallory" not in browser.follow().text
    [user] = world.rows(users, users.c.email_key == email)
    assert user.password_hash is None
    world.cloud.post("/api/auth/sign-in", body=body | {"name": ""}).refused(401, "WRONG_CREDENTIALS")


def test_where_sign_up_is_by_invitation_a_provider_is_none(make_world: Callable[..., World]) -> None:
    world = make_world(sign_up="invited")
    assert world.sign_in(Browser(world.cloud), world.user()).status_code == 403
    assert world.rows(users) == []


def test_a_provider_that_is_down_or_says_no_is_a_clear_page(world: World) -> None:
    browser = Browser(world.cloud)
    browser.get("/sign-in")
    down = browser.submit("/sign-in/with/down")
    assert (down.status_code, "Down does not answer" in down.text) == (503, True)
    answer = httpx.post(world.leave(browser), data={"action": "deny"})
    back = urlsplit(answer.headers["location"])
    query = parse_qs(urlsplit(world.leave(browser)).query)
    refused = browser.get(f"/sign-in/with/corp/callback?error=access_denied&state={query['state'][0]}")
    assert (back.path, refused.status_code) == ("/sign-in/with/corp/callback", 400)
    nowhere = browser.post("/sign-in/with/nowhere", {"csrf": "x"})
    assert nowhere.status_code == 403


def test_a_second_factor_is_asked_for_here_as_well(world: World) -> None:
    pat = world.cloud.person()
    subject = world.user()
    connect(world, pat, subject)
    with world.cloud.database.begin() as connection:
        connection.execute(
            sa.update(users).where(users.c.id == pat.id).values(totp_confirmed_at=world.cloud.clock.now())
        )
    browser = Browser(world.cloud)
    assert world.sign_in(browser, subject).headers["location"] == "/second-factor"
    assert not browser.session
