"""Signing up, in, out and again on the pages, without a script."""

import json

import pyotp
import pytest
import sqlalchemy as sa

from forebay.storage.tables import sessions
from tests.api.authenticator import Authenticator, add_passkey
from tests.api.cloud import Cloud, numbers
from tests.web.browser import PASSWORD, Browser, give_password, link_to, signed_in, with_session

pytestmark = pytest.mark.slow


def test_from_nothing_to_an_account_of_ones_own(cloud: Cloud) -> None:
    browser, email = Browser(cloud), f"nora-{next(numbers)}@example.org"
    browser.get("/sign-up")
    answer = browser.submit("/sign-up", name="Nora New", email=email, password=PASSWORD)
    assert (answer.status_code, "We have sent a mail" in answer.text) == (202, True)
    assert "Prove your address first" in browser.sign_in(email).text
    browser.get(link_to(cloud, email, "verify"))
    assert "Prove your address first" in Browser(cloud).sign_in(email).text, "opening the link changes nothing"
    assert "is proved" in browser.submit("/verify").text
    assert browser.sign_in(email).headers["location"] == "/t"
    browser.follow()
    page = browser.follow()
    assert "Nora New" in page.text
    assert email in page.text
    with cloud.database.read() as connection:
        rows = connection.execute(sa.select(sessions.c.kind, sessions.c.methods).order_by(sessions.c.id.desc()))
        assert tuple(rows.first() or ()) == ("browser", "password")


def test_the_same_is_said_whether_there_is_an_account_or_not(cloud: Cloud) -> None:
    pat = cloud.person()
    pages = []
    for email in (pat.email, f"nobody-{next(numbers)}@example.org"):
        browser = Browser(cloud)
        browser.get("/sign-up")
        pages.append(browser.submit("/sign-up", name="N", email=email, password=PASSWORD))
        browser.get("/forgot")
        pages.append(browser.submit("/forgot", email=email))
    first, second = [(page.status_code, page.text) for page in pages[:2]], [(p.status_code, p.text) for p in pages[2:]]
    assert first == second


def test_errors_stand_beside_their_field(cloud: Cloud) -> None:
    browser = Browser(cloud)
    browser.get("/sign-up")
    page = browser.submit("/sign-up", name="Nora", email="nora@example.org", password="password12")
    assert page.status_code == 400
    assert '<p id="password-problem" class="wrong">This password is in lists of stolen passwords' in page.text
    assert 'value="nora@example.org"' in page.text
    assert "password12" not in page.text
    page = browser.submit("/sign-up", name="Nora", email="no address", password=PASSWORD)
    assert '<p id="email-problem" class="wrong">This is not an e-mail address.' in page.text


def test_a_wrong_password_says_nothing_and_is_slowed_down(cloud: Cloud) -> None:
    pat = cloud.person()
    give_password(cloud, pat)
    texts = set()
    browser = Browser(cloud)
    for _ in range(5):
        answer = browser.sign_in(pat.email, "wrong password")
        assert answer.status_code == 401
        texts.add("The address or the password is wrong." in answer.text)
    refused = browser.sign_in(pat.email)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert texts == {True}
    assert not browser.session
    cloud.clock.forward(seconds=1)
    assert browser.sign_in(pat.email).status_code == 303


def test_a_second_factor_from_its_set_up_to_its_end(cloud: Cloud) -> None:
    pat = cloud.person()
    browser = signed_in(cloud, pat)
    browser.get("/account")
    page = browser.submit("/account/totp")
    assert "<svg" in page.text
    secret = page.text.partition('<p class="secret"><code>')[2].partition("<")[0]
    assert browser.submit("/account/totp/confirm", code="000000").status_code == 400
    code = pyotp.TOTP(secret).at(int(cloud.clock.now().timestamp()))
    page = browser.submit("/account/totp/confirm", code=code)
    recovery = page.text.partition("<li><code>")[2].partition("<")[0]
    assert recovery.count("-") >= 3
    other = Browser(cloud)
    assert other.sign_in(pat.email, next_path="/cli").headers["location"] == "/second-factor?next=/cli"
    assert not other.session
    assert other.get("/account").status_code == 303
    other.get("/second-factor?next=/cli")
    wrong = other.submit("/second-factor", code="000000")
    assert (wrong.status_code, "This code is wrong" in wrong.text) == (401, True)
    assert other.submit("/second-factor", code=recovery).headers["location"] == "/cli"
    assert "9 recovery codes are left" in other.get("/account").text
    cloud.clock.forward(seconds=30)
    code = pyotp.TOTP(secret).at(int(cloud.clock.now().timestamp()))
    assert other.submit("/account/totp/remove", code=code).status_code == 303
    assert Browser(cloud).sign_in(pat.email).headers["location"] == "/t"


def test_what_touches_the_ways_in_asks_again_who_it_is(cloud: Cloud) -> None:
    pat = cloud.person()
    browser = signed_in(cloud, pat)
    before = browser.session
    cloud.clock.forward(minutes=15, seconds=1)
    browser.get("/account")
    assert browser.submit("/account/totp").headers["location"] == "/step-up?next=/account"
    options = browser.post(
        "/account/passkeys/options", {"csrf": token_of(browser)}, headers={"accept": "application/json"}
    )
    assert (options.status_code, options.json()["first"]) == (403, "/step-up?next=/account")
    browser.get("/step-up?next=/account")
    assert browser.submit("/step-up", password="wrong password").status_code == 401
    assert browser.submit("/step-up", password=PASSWORD).headers["location"] == "/account"
    assert browser.session != before
    cloud.get("/api/me", before).refused(401, "UNAUTHORIZED")
    browser.get("/account")
    assert browser.submit("/account/totp").status_code == 200


def token_of(browser: Browser) -> str:
    return browser.get("/account").text.partition('name="csrf" value="')[2].partition('"')[0]


def test_passkeys_by_hand(cloud: Cloud) -> None:
    """What the script does, without it."""
    pat, authenticator = cloud.person(), Authenticator()
    add_passkey(cloud, pat, authenticator)
    browser = Browser(cloud)
    csrf = browser.get("/sign-in").text.partition('name="csrf" value="')[2].partition('"')[0]
    asked = browser.post("/sign-in/passkey/options", {"csrf": csrf}).json()
    answer = json.dumps(authenticator.get(asked["options"]))
    form = {"csrf": csrf, "token": asked["token"], "credential": answer, "next": "/cli"}
    assert browser.post("/sign-in/passkey", form).headers["location"] == "/cli"
    again = Browser(cloud)
    csrf = again.get("/sign-in").text.partition('name="csrf" value="')[2].partition('"')[0]
    for credential in (answer, "", "{}", "[]", "null", "x" * 100, '{"id": 7}', "[" * 5000):
        refused = again.post("/sign-in/passkey", form | {"csrf": csrf, "credential": credential})
        assert refused.status_code == 400
    [passkey] = cloud.get("/api/auth/passkeys", browser.session).ok()["passkeys"]
    browser.get("/account")
    assert browser.submit("/account/passkeys/remove", id=passkey["id"]).status_code == 409, "the last way in"


def test_signing_out_ends_the_session_itself(cloud: Cloud) -> None:
    browser = with_session(cloud, cloud.person())
    token = browser.session
    browser.get("/account")
    answer = browser.submit("/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert not browser.session
    cloud.get("/api/me", token).refused(401, "UNAUTHORIZED")


def test_sessions_are_ended_from_the_list(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    browser, other = with_session(cloud, pat), with_session(cloud, pat)
    theirs = cloud.get("/api/auth/sessions", mia.session).ok()["sessions"][0]["id"]
    browser.get("/account")
    assert browser.submit("/account/sessions/end", id=theirs).status_code == 404
    cloud.get("/api/me", mia.session).ok()
    browser.get("/account")
    browser.submit("/account/sessions/end-others")
    assert other.get("/account").status_code == 303
    assert browser.get("/account").status_code == 200
    own = cloud.get("/api/auth/sessions", browser.session).ok()["sessions"][0]["id"]
    assert browser.submit("/account/sessions/end", id=own).headers["location"] == "/"


def test_a_new_session_takes_the_place_of_the_one_before(cloud: Cloud) -> None:
    pat = cloud.person()
    give_password(cloud, pat)
    browser = with_session(cloud, pat)
    before = browser.session
    csrf = token_of(browser)
    assert browser.post("/sign-in", {"csrf": csrf, "email": pat.email, "password": PASSWORD}).status_code == 303
    assert browser.session != before
    cloud.get("/api/me", before).refused(401, "UNAUTHORIZED")


def test_a_forgotten_password_is_replaced_once(cloud: Cloud) -> None:
    pat = cloud.person()
    browser = signed_in(cloud, pat)
    stranger = Browser(cloud)
    stranger.get("/forgot")
    stranger.submit("/forgot", email=pat.email)
    link = link_to(cloud, pat.email, "reset")
    stranger.get(link)
    weak = stranger.submit("/reset", password="short")
    assert (weak.status_code, "10 to 128 characters" in weak.text) == (400, True)
    assert "is set" in stranger.submit("/reset", password="another lamp entirely").text
    stranger.get(link)
    assert stranger.submit("/reset", password="a third lamp entirely").status_code == 400
    assert browser.get("/account").status_code == 303
    assert stranger.sign_in(pat.email, "another lamp entirely").status_code == 303
