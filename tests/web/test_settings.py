"""Settings: one's name, address, password, mails, keys for programs, and the end of the account."""

import re
from collections.abc import Callable

import sqlalchemy as sa

from forebay.domain.people import accounts
from forebay.storage.tables import users
from tests.api.cloud import Cloud
from tests.web.browser import PASSWORD, Browser, give_password, with_session

TABS = (
    "/account/profile",
    "/account",
    *(f"/account/{tab}" for tab in ("teams", "billing", "api-keys", "notifications")),
)


def test_every_tab_is_in_the_frame_of_the_team_that_was_looked_at(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    cloud.team(olga)
    browser = with_session(cloud, olga)
    base = browser.get("/t").headers["location"]
    assert browser.get(f"{base}/settings").headers["location"] == "/account/profile"
    for tab in TABS:
        page = browser.get(tab).text
        assert f'<a href="{tab}" aria-current="page">' in page
        assert re.search(rf'href="{base}/settings" class="nav-link" aria-current="page"', page)
        assert f'href="{base}/deployments"' in page
    assert "Olga" in browser.get("/account/billing").text
    for tab in TABS:
        nobody = Browser(cloud).get(tab)
        assert (nobody.status_code, nobody.headers["location"].partition("?")[0]) == (303, "/sign-in")


def test_a_cloud_that_asks_for_two_factors_shows_no_team_to_one(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(require_second_factor="everyone")
    pat = cloud.person("Pat")
    browser = with_session(cloud, pat)
    page = browser.get("/account")
    assert page.status_code == 200
    assert "$100.00" not in page.text
    base = browser.get("/t").headers["location"]
    refused = browser.get(base)
    assert (refused.status_code, "second factor" in refused.text) == (403, True)
    assert 'href="/account"' in refused.text, "where one is set up"


def test_name_address_and_password(cloud: Cloud) -> None:
    pat = cloud.person("Pat")
    give_password(cloud, pat)
    browser = with_session(cloud, pat)
    browser.get("/account/profile")
    assert 'id="name-problem"' in browser.submit("/account/name", name=" ").text
    browser.get("/account/profile")
    browser.submit("/account/name", name="Patricia <b>")
    assert "Patricia &lt;b&gt;" in browser.follow().text
    browser.submit("/account/email", email="no address")
    assert 'id="email-problem"' in browser.page.text
    browser.get("/account/profile")
    browser.submit("/account/email", email="new-" + pat.email)
    assert "waits for both mailboxes" in browser.follow().text
    browser.submit("/account/email/cancel")
    assert "given up" in browser.follow().text

    other = with_session(cloud, pat)
    browser.get("/account")
    weak = browser.submit("/account/password", currentPassword=PASSWORD, password="password")
    assert (weak.status_code, 'id="password-problem"' in weak.text) == (400, True)
    browser.get("/account")
    wrong = browser.submit("/account/password", currentPassword="not this one", password="seven lamps by the river")
    assert wrong.status_code == 401
    assert other.get("/account").status_code == 200
    browser.get("/account")
    browser.submit("/account/password", currentPassword=PASSWORD, password="seven lamps by the river")
    assert "Your password is changed" in browser.follow().text
    assert other.get("/account").status_code == 303, "their other sessions have ended"
    assert Browser(cloud).sign_in(pat.email, "seven lamps by the river").status_code == 303


def test_an_api_key_from_asking_for_it_to_its_end(cloud: Cloud) -> None:
    pat = cloud.person("Pat")
    with cloud.database.begin() as connection:
        accounts.set_api_access(connection, pat.id, "none", reason=None, now=cloud.clock.now())
        connection.execute(sa.text("delete from api_keys where user_id = :id"), {"id": pat.id})
    browser = with_session(cloud, pat)
    assert "/account/api-keys/new" not in browser.get("/account/api-keys").text
    assert browser.get("/account/api-keys/new").status_code == 403
    browser.get("/account/api-keys")
    browser.submit("/account/api-access")
    assert "An operator will look at it" in browser.follow().text
    with cloud.database.begin() as connection:
        accounts.set_api_access(connection, pat.id, "approved", reason="a colleague", now=cloud.clock.now())

    browser.get("/account/api-keys/new")
    assert 'id="name-problem"' in browser.submit("/account/api-keys/new", name=" ", **narrow(pat.team)).text
    browser.get("/account/api-keys/new")
    ticked = token_and(browser, name="nightly", teamId=pat.team, expiresInDays="30", **narrow(pat.team))
    made = browser.post("/account/api-keys/new", ticked)
    secret = re.search(r'<code id="secret" tabindex="0">(fby_pk_\w+)</code>', made.text)
    assert secret is not None
    balance = cloud.get("/api/balance", secret[1]).ok()
    assert [team["teamId"] for team in balance["teams"]] == [pat.team]
    cloud.get(f"/api/teams/{pat.team}/transactions", secret[1]).refused(403, "FORBIDDEN")
    page = browser.get("/account/api-keys").text
    assert secret[1] not in page
    [key_id] = set(re.findall(r"/account/api-keys/(\w{24})/rotate", page))

    here = f"/account/api-keys/{key_id}"
    browser.get(f"{here}/change")
    browser.post(f"{here}/change", token_and(browser, name="nightly 2", teamId=pat.team, expiresInDays="keep"))
    assert "nightly 2" in browser.get("/account/api-keys").text
    browser.get(f"{here}/rotate")
    rotated = browser.submit(f"{here}/rotate", keepHours="0")
    fresh = re.search(r"(fby_pk_\w+)</code>", rotated.text)
    assert fresh is not None
    cloud.get("/api/balance", secret[1]).refused(401, "UNAUTHORIZED")
    cloud.get("/api/balance", fresh[1]).ok()
    [key_id] = set(re.findall(r"/account/api-keys/(\w{24})/rotate", browser.get("/account/api-keys").text))
    browser.get(f"/account/api-keys/{key_id}/revoke")
    browser.submit(f"/account/api-keys/{key_id}/revoke")
    assert "is revoked" in browser.follow().text
    cloud.get("/api/balance", fresh[1]).refused(401, "UNAUTHORIZED")
    assert link_or_mail(cloud, pat.email, "A new API key was made")
    stranger = with_session(cloud, cloud.person("Sam"))
    assert stranger.get(f"{here}/rotate").status_code == 404

    cloud.clock.forward(minutes=16)
    assert browser.get("/account/api-keys/new").headers["location"].startswith("/step-up?next=/account/api-keys/new")


def narrow(team: str) -> dict[str, str]:
    return {f"team-{team}": "yes", "may-team.see": "yes"}


def token_and(browser: Browser, **fields: str) -> dict[str, str]:
    return {"csrf": browser.page.text.partition('name="csrf" value="')[2].partition('"')[0], **fields}


def link_or_mail(cloud: Cloud, email: str, subject: str) -> bool:
    with cloud.database.read() as connection:
        found = sa.text("select count(*) from mails where recipient = :to and subject like :subject")
        return bool(connection.execute(found, {"to": email, "subject": f"{subject}%"}).scalar())


def test_everything_about_me_and_then_nothing(cloud: Cloud) -> None:
    pat = cloud.person("Pat", credits_micros=0)
    browser = with_session(cloud, pat)
    browser.get("/account/profile")
    export = browser.submit("/account/export")
    assert export.headers["content-disposition"].startswith("attachment")
    assert export.json()["account"]["email"] == pat.email
    browser.get("/account/delete")
    assert browser.submit("/account/delete", confirm="somebody@example.org").status_code == 400
    browser.submit("/account/delete", confirm=pat.email)
    assert "Farewell" in browser.page.text
    assert browser.get("/account").status_code == 303
    with cloud.database.read() as connection:
        assert connection.execute(sa.select(users.c.deleted_at).where(users.c.id == pat.id)).scalar() is not None
