"""What holds for every page: headers, cookies, forms nobody can forge, text that stays text, ways that stay here."""

import re

import pytest
import sqlalchemy as sa

from forebay.app import build_api
from forebay.domain.people import cli_sign_ins
from forebay.domain.people.roles import Role
from forebay.storage.tables import teams, users
from forebay.web.visits import path_of_ours
from tests.api.access_matrix import UNDECLARED
from tests.api.cloud import Cloud
from tests.web.browser import PASSWORD, Browser, Forms, give_password, link_to, with_session

GETS = sorted(
    path for method, path in UNDECLARED if method == "GET" and not path.startswith(("/api", "/healthz", "/m"))
)
SIGNED_IN = ("/account", "/account/notifications", "/step-up", "/cli")
POSTS = sorted(path for method, path in UNDECLARED if method == "POST")


def test_the_first_page_says_where_things_are(cloud: Cloud) -> None:
    page = Browser(cloud).get("/", headers={"host": "evil.example"})
    assert page.status_code == 200
    for place in ("http://forebay.test/api", "http://forebay.test/api/openapi.json", "forebay --help", "/sign-in"):
        assert place in page.text
    assert "evil.example" not in page.text
    assert "<script" not in page.text
    assert set(re.findall(r'(?:src|href)="(?!/)([^"]*)"', page.text)) == set()


@pytest.mark.parametrize("path", GETS)
def test_every_page_has_its_headers_and_nothing_inline(cloud: Cloud, path: str) -> None:
    browser = with_session(cloud, cloud.person()) if path in SIGNED_IN else Browser(cloud)
    page = browser.get(path.replace("{provider}", "none"), params={"token": "x", "code": ""})
    assert page.headers["x-content-type-options"] == "nosniff"
    if path.startswith("/static"):
        assert not re.search(r"(?:url\(|src=|href=|import|fetch\()[\s\"'`]*(?:https?:)?//", page.text)
        return
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=)", page.text)
    assert len(page.content) < 100_000


@pytest.mark.parametrize("path", POSTS)
def test_no_form_is_carried_out_that_another_site_may_have_sent(cloud: Cloud, path: str) -> None:
    path = path.replace("{provider}", "none")
    for browser in (Browser(cloud), with_session(cloud, cloud.person())):
        browser.get("/sign-in")
        browser.get("/")
        other = Browser(cloud)
        other.get("/sign-in")
        theirs = Forms(other.page.text).found["/sign-in"]["csrf"]
        for form in ({"x": "y"}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": theirs}, {"csrf": "é"}):
            answer = browser.post(path, form)
            assert (answer.status_code, "did not come from this site" in answer.text) == (403, True), form
        good = Forms(browser.page.text).found.get("/sign-out", {}).get("csrf") or csrf_of(browser)
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "https://evil.example"},
            {"origin": "http://forebay.test.evil.example"},
        ):
            assert browser.post(path, {"csrf": good}, headers=headers).status_code == 403
        assert browser.send("POST", path, json={"csrf": good}).status_code == 400


def csrf_of(browser: Browser) -> str:
    page = browser.get("/sign-in")
    return Forms(page.text).found["/sign-in"]["csrf"]


def test_a_form_of_before_sign_in_is_worth_nothing_after_it(cloud: Cloud) -> None:
    pat = cloud.person()
    give_password(cloud, pat)
    browser = Browser(cloud)
    before = csrf_of(browser)
    visitor = browser.http.cookies["forebay-visitor"]
    browser.sign_in(pat.email)
    assert "forebay-visitor" not in browser.http.cookies
    browser.http.cookies.set("forebay-visitor", visitor, domain="forebay.test")
    assert browser.post("/sign-out", {"csrf": before}).status_code == 403
    assert browser.get("/account").status_code == 200


def test_a_visitor_cookie_that_we_did_not_sign_counts_for_nothing(cloud: Cloud) -> None:
    browser = Browser(cloud)
    csrf = csrf_of(browser)
    for forged in ("a" * 48, "a" * 48 + "." + "b" * 64, browser.http.cookies["forebay-visitor"] + "0", "."):
        headers = {"cookie": f"forebay-visitor={forged}"}
        found = Browser(cloud)
        assert found.post("/sign-in", {"csrf": csrf}, headers=headers).status_code == 403


def test_cookies_are_out_of_reach(cloud: Cloud) -> None:
    pat = cloud.person()
    give_password(cloud, pat)
    answer = Browser(cloud).sign_in(pat.email)
    [cookie] = [line for line in answer.headers.get_list("set-cookie") if line.startswith("forebay-session=")]
    assert re.fullmatch(r"forebay-session=fby_st_\w+; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000", cookie)


def test_over_https_they_belong_to_this_host_alone(cloud: Cloud) -> None:
    application, door = build_api(cloud.forebay, "https://cloud.test")
    try:
        browser = Browser(cloud, url="https://cloud.test", application=application)
        page = browser.get("/sign-in")
        [cookie] = page.headers.get_list("set-cookie")
        assert re.fullmatch(r"__Host-forebay-visitor=\w+\.\w+; Path=/; HttpOnly; SameSite=Lax; Secure", cookie)
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        pat = cloud.person()
        give_password(cloud, pat)
        browser.sign_in(pat.email)
        assert browser.session
        assert browser.get("/account").status_code == 200
    finally:
        door.close()


@pytest.mark.parametrize(
    "evil",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "/%0d%0aset-cookie:x=y",
        "/\r\nset-cookie: x=y", "/\tevil", "javascript:alert(1)", "///evil.example", "/ //evil", "evil", "/é",
        "/" + "a" * 2000,
    ],
)  # fmt: skip
def test_nobody_is_sent_elsewhere(cloud: Cloud, evil: str) -> None:
    pat = cloud.person()
    give_password(cloud, pat)
    browser = Browser(cloud)
    browser.get("/sign-in", params={"next": evil})
    answer = browser.submit("/sign-in", email=pat.email, password=PASSWORD, next=evil)
    location = answer.headers["location"]
    assert location == "/t" or (location == "/%0d%0aset-cookie:x=y" and evil == location)
    assert "x=y" not in str(answer.headers.get_list("set-cookie"))


def test_a_way_on_is_a_path_of_ours() -> None:
    assert path_of_ours("/invitations?token=fby_in_x") == "/invitations?token=fby_in_x"
    assert path_of_ours("/account#sessions") == "/account#sessions"
    for evil in ("", "//e", "/a;Domain=e", '/a"', "/a,b", "/\\e", "http:/e", "/a b", "/\x7f", "/\u2028"):
        assert path_of_ours(evil) == ""


SCRIPT = "<img src=x onerror=alert(1)>\"'--></script>"


def test_what_people_write_stays_text(cloud: Cloud) -> None:
    pat = cloud.person()
    mia = cloud.person("Mia")
    with cloud.database.begin() as connection:
        connection.execute(sa.update(users).where(users.c.id == pat.id).values(name=SCRIPT))
        connection.execute(sa.update(teams).where(teams.c.id == pat.team).values(name=SCRIPT))
        begun = cli_sign_ins.begin(
            connection, SCRIPT, cloud.forebay.secret_key, now=cloud.clock.now(), address="192.0.2.1"
        )
    browser = with_session(cloud, pat)
    browser.http.headers["user-agent"] = SCRIPT
    owner = cloud.session(pat.id)
    cloud.post(f"/api/teams/{pat.team}/invitations", owner, {"email": mia.email, "role": "member"}).ok(201)
    seen = [
        browser.get("/account"),
        browser.get("/cli", params={"code": begun.user_code}),
        browser.get(link_to(cloud, mia.email, "invitations")),
        Browser(cloud).get(link_to(cloud, mia.email, "invitations")),
    ]
    for page in seen:
        assert page.status_code == 200
        assert "&lt;img src=x" in page.text
        assert "<img src=x" not in page.text
    for path in ("/sign-in", "/sign-up", "/verify", "/reset", "/forgot", "/change-address", "/invitations", "/cli"):
        fields = dict.fromkeys(("token", "code", "next", "email", "name", "error", "message"), SCRIPT)
        assert "<img src=x" not in browser.get(path, params=fields).text
        assert "<img src=x" not in Browser(cloud).get(path, params=fields).text
    stranger = Browser(cloud)
    stranger.get("/sign-up")
    assert "<img src=x" not in stranger.submit("/sign-up", email=SCRIPT, name=SCRIPT, password="x").text
    stranger.get("/sign-in")
    assert "<img src=x" not in stranger.submit("/sign-in", email=SCRIPT, password="x").text


def test_what_is_no_form_is_refused(cloud: Cloud) -> None:
    browser = Browser(cloud)
    csrf = csrf_of(browser)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for raw in (b"\xff\xfe", b"csrf=%ff", b"csrf=%00", b"&".join(b"a%d=1" % number for number in range(100))):
        assert browser.send("POST", "/sign-in", content=raw, headers=headers).status_code == 400
    large = browser.post("/verify", {"csrf": csrf, "token": "x" * 70_000})
    assert large.status_code == 413
    for query in ("%ff", "%00", "a=%e2%82"):
        assert browser.get(f"/sign-in?next={query}").status_code == 400


def test_a_page_that_there_is_not_says_so(cloud: Cloud) -> None:
    assert Browser(cloud).get("/nowhere").status_code == 404
    found = Browser(cloud).get("/invitations?token=none")
    assert (found.status_code, "Invitation not found" in found.text) == (404, True)


def test_whoever_is_signed_out_signs_in_first_and_comes_back(cloud: Cloud) -> None:
    pat = cloud.person()
    give_password(cloud, pat)
    browser = Browser(cloud)
    for path in ("/account", "/step-up", "/cli?code=BCDF-GHJK"):
        assert browser.get(path).headers["location"].startswith("/sign-in?next=/")
    browser.get("/cli?code=BCDF-GHJK")
    browser.follow()
    assert browser.submit("/sign-in", email=pat.email, password=PASSWORD).headers["location"] == "/cli?code=BCDF-GHJK"
    assert browser.get("/sign-in?next=/cli").headers["location"] == "/cli"


def test_roles_are_said_in_words(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.admin)
    assert "(admin)" in with_session(cloud, mia).get("/account").text
