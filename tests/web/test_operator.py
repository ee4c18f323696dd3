"""Operators' pages: for them alone, recorded, with a reason and a sign-in of just now, and done once."""

import html
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode

import msgspec
import pytest
import sqlalchemy as sa

from forebay.compute.memory import SMALL
from forebay.domain.machines import alerts, orphans
from forebay.domain.money import cards, deposits
from forebay.domain.money.deposits import Wish
from forebay.domain.people import access, accounts, credentials
from forebay.domain.people.access import Credential, Target
from forebay.storage.tables import memberships, payment_attempts, teams, users
from tests.api.cloud import ABSENT, DOLLAR, Cloud, Person, new_public_key
from tests.web.browser import Browser, Forms, with_session
from tests.web.dashboard_pages import OPERATOR_PAGES

NASTY = '<img src=x onerror="document.title=1">'
TABS = ("/operator", *(f"/operator/{tab}" for tab in ("accounts", "teams", "offers", "capacity", "activity")))
PATHS = sorted(OPERATOR_PAGES)


@pytest.fixture
def otto(cloud: Cloud) -> Person:
    return cloud.person("Otto", is_operator=True)


def actions(cloud: Cloud, action: str, about: str) -> list[sa.Row[tuple[object, ...]]]:
    """Rows of the activity of this kind: by a person, in a team, or about a thing."""
    statement = sa.text(
        "select team_id, object_id, details from activity where action = :action "
        "and (user_id = :about or team_id = :about or object_id = :about) order by id"
    )
    with cloud.database.read() as connection:
        return list(connection.execute(statement, {"action": action, "about": about}).all())


def address(cloud: Cloud, path: str, person: Person) -> str:
    return path.format(
        user_id=person.id, team_id=person.team, offer_id="memory-small", deployment_id=ABSENT, transfer_id=ABSENT,
        discount_id=ABSENT, provider="memory", instance_id=ABSENT,
    )  # fmt: skip


def test_others_find_nothing(cloud: Cloud, otto: Person) -> None:
    olga = cloud.person("Olga")
    browser = with_session(cloud, olga)
    csrf = Forms(browser.get("/account").text).found["/sign-out"]["csrf"]
    assert len(PATHS) > 30
    for method, path in PATHS:
        here = address(cloud, path, olga)
        assert browser.send(method, here, data={"csrf": csrf, "reason": "x"}).status_code == 404, here
        if method == "GET":
            nobody = Browser(cloud).get(here)
            assert nobody.headers["location"].startswith("/sign-in?next="), here
    assert 'href="/operator"' not in browser.get("/t").text
    assert actions(cloud, "operator.look", olga.id) == []
    base = with_session(cloud, otto).get("/t").headers["location"]
    assert 'href="/operator"' in with_session(cloud, otto).get(base).text
    names = [entry["address"] for entry in with_session(cloud, otto).get(f"{base}/palette").json()["entries"]]
    assert "/operator" in names
    with cloud.database.begin() as connection:
        connection.execute(sa.update(users).where(users.c.id == otto.id).values(is_operator=False))
    assert with_session(cloud, otto).get("/operator").status_code == 404


def test_an_operator_without_a_team_finds_the_same(cloud: Cloud, otto: Person) -> None:
    olga, browser = cloud.person("Olga"), with_session(cloud, otto)
    with cloud.database.begin() as connection:
        connection.execute(sa.delete(memberships).where(memberships.c.user_id == otto.id))
    for tab in TABS:
        assert browser.get(tab).status_code == 200
    team = f"/operator/teams/{olga.team}"
    assert f'href="{team}/grant"' in browser.get(team).text
    act(browser, f"{team}/grant", amount="5", reason="thanks")
    assert browser.page.headers["location"] == team
    assert "looked at teams" in browser.get(f"/operator/activity?userId={otto.id}").text


def test_no_form_of_another_site_is_carried_out(cloud: Cloud, otto: Person) -> None:
    olga, browser = cloud.person("Olga"), with_session(cloud, otto)
    for method, path in PATHS:
        if method == "POST":
            forged = browser.post(address(cloud, path, olga), {"csrf": "0" * 64, "reason": "x", "amount": "5"})
            assert (forged.status_code, "did not come from this site" in forged.text) == (403, True)


class Parts(HTMLParser):
    """What could run on a page: names of elements and of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {name for name, value in attrs if name.startswith("on") or name == "style" or value == "x"}


def test_every_page_stands_and_names_stay_text(cloud: Cloud, otto: Person) -> None:
    olga = cloud.person(NASTY)
    machine = cloud.running(olga)
    now = cloud.clock.now()
    with cloud.database.begin() as connection:
        connection.execute(sa.update(teams).where(teams.c.id == olga.team).values(name=NASTY + "{0}"))
        sql = sa.text("update deployments set name = :name where id = :id")
        connection.execute(sql, {"name": NASTY + "{0}", "id": machine["id"]})
        alerts.raise_(connection, "money", NASTY, NASTY, now=now)
        orphans.note(connection, "memory", {ABSENT: ("", "running")}, now=now)
        accounts.set_api_access(connection, olga.id, "requested", reason=None, now=now)
    browser = with_session(cloud, otto)
    cloud.grant(olga.team, DOLLAR)
    for path in (*TABS, *linked(browser, TABS)):
        page = browser.get(path)
        assert page.status_code == 200, (path, page.text)
        assert NASTY not in page.text
        assert Parts(page.text).found == set(), path
        assert "unsafe" not in page.headers["content-security-policy"]
        assert len(page.content) < 100_000
        if not re.search(r"data-question", page.text):
            tab = max((tab for tab in TABS if path.partition("?")[0].startswith(tab)), key=len)
            assert f'<a href="{tab}" aria-current="page">' in page.text
    assert len(actions(cloud, "operator.look", otto.id)) > 20, "looking is recorded"


def linked(browser: Browser, paths: tuple[str, ...]) -> Iterator[str]:
    """Every operators' page that is led to from these, and from those: nobody is led to a refusal."""
    seen, wanted = set(paths), list(paths)
    while wanted:
        links = re.findall(r'href="(/operator[^"#]*)"', browser.get(wanted.pop()).text)
        for found in (link.replace("&amp;", "&") for link in links):
            if found not in seen:
                seen.add(found)
                yield found
                wanted.append(found)


def test_a_change_wants_a_sign_in_of_just_now(cloud: Cloud, otto: Person) -> None:
    olga, browser = cloud.person("Olga"), with_session(cloud, otto)
    here = f"/operator/teams/{olga.team}/freeze"
    browser.get(here)
    cloud.clock.forward(minutes=16)
    assert browser.submit(here, reason="too late").headers["location"] == f"/step-up?next={here}"
    assert browser.get(here).headers["location"] == f"/step-up?next={here}"
    assert browser.get(f"/operator/teams/{olga.team}").status_code == 200
    assert actions(cloud, "team.freeze", olga.team) == []


def test_a_second_factor_where_the_setting_asks_for_one(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(require_second_factor="operators")
    browser = with_session(cloud, cloud.person("Otto", is_operator=True))
    for tab in TABS:
        assert browser.get(tab).status_code == 403


def test_api_access_is_decided(cloud: Cloud, otto: Person) -> None:
    mia, browser = cloud.person("Mia"), with_session(cloud, otto)
    with cloud.database.begin() as connection:
        accounts.set_api_access(connection, mia.id, "requested", reason=None, now=cloud.clock.now())
    waiting = browser.get("/operator/accounts?status=requested").text
    assert (f"/operator/accounts/{mia.id}" in waiting, f"/operator/accounts/{otto.id}" in waiting) == (True, False)
    here = f"/operator/accounts/{mia.id}"
    browser.get(f"{here}/refuse")
    refused = browser.submit(f"{here}/refuse", reason="  ")
    assert (refused.status_code, 'id="ask-reason-problem"' in refused.text) == (400, True)
    browser.submit(f"{here}/refuse", reason="Who are you? <b>")
    page = browser.follow().text
    assert ("API access is refused" in page, "Who are you? &lt;b&gt;" in page) == (True, True)
    browser.get(f"{here}/approve")
    browser.submit(f"{here}/approve")
    assert "API access is approved" in browser.follow().text
    [row] = actions(cloud, "api-access.refused", mia.id)
    assert (row.object_id, "Who are you?" in str(row.details)) == (mia.id, True)
    assert len(actions(cloud, "api-access.approved", mia.id)) == 1
    cloud.get("/api/balance", mia.key).ok()

    browser_of_mia = with_session(cloud, mia)
    browser.get(f"{here}/end-sessions")
    browser.submit(f"{here}/end-sessions", reason="a lost laptop")
    assert "session" in browser.follow().text
    assert browser_of_mia.get("/account").status_code == 303
    assert "remove-second-factor" not in browser.get(here).text, "there is none to take off"
    browser.get(f"{here}/remove-second-factor")
    none = browser.submit(f"{here}/remove-second-factor", reason="lost")
    assert (none.status_code, "no authenticator app" in none.text) == (409, True)
    assert browser.get(f"/operator/accounts/{ABSENT}").status_code == 404
    assert here not in browser.get("/operator/accounts?status=requested").text
    assert "None of these" in browser.get("/operator/accounts?search=nobody-is-called-that").text


def test_credits_are_granted_once_and_taken_back(cloud: Cloud, otto: Person) -> None:
    olga, browser = cloud.person("Olga", credits_micros=0), with_session(cloud, otto)
    team = f"/operator/teams/{olga.team}"
    for amount in ("", "abc", "0", "-5", "1000000.01", "1e999999", "nan", "0.0000001"):
        browser.get(f"{team}/grant")
        wrong = browser.submit(f"{team}/grant", amount=amount, reason="thanks")
        assert (wrong.status_code, 'id="ask-amount-problem"' in wrong.text) == (400, True), amount
        assert "thanks" in wrong.text, "what was filled in stays"
    browser.get(f"{team}/grant")
    form = {**Forms(browser.page.text).found[f"{team}/grant"], "amount": "$1,250.50", "reason": "thanks <b>"}
    for _ in range(2):
        assert browser.post(f"{team}/grant", form).headers["location"] == team
    page = browser.get(team).text
    assert "thanks &lt;b&gt;" in page
    assert cloud.get("/api/balance", olga.key).ok()["teams"][0]["balance"] == 1250.5
    [row] = actions(cloud, "credits.grant", olga.team)
    assert row.team_id == olga.team
    assert browser.get(f"/operator/teams/{otto.team}/grants/{row.object_id}/take-back").status_code == 404

    back = f"{team}/grants/{row.object_id}/take-back"
    assert f'href="{back}"' in page
    browser.get(back)
    browser.submit(back, reason="a slip of the finger")
    after = browser.follow().text
    assert ("is taken back" in after, f'href="{back}"' in after) == (True, False)
    assert cloud.get("/api/balance", olga.key).ok()["teams"][0]["balance"] == 0
    assert browser.get(back).status_code == 404


def test_a_team_is_frozen_its_machine_ended_and_it_is_deleted(cloud: Cloud, otto: Person) -> None:
    olga, browser = cloud.person("Olga"), with_session(cloud, otto)
    machine = cloud.running(olga)["id"]
    team = f"/operator/teams/{olga.team}"
    assert "Olga" in browser.get("/operator/teams?search=olga").text
    act(browser, f"{team}/freeze", reason="an unpaid bill")
    assert "an unpaid bill" in browser.follow().text
    assert f'href="{team}"' in browser.get("/operator/teams?frozen=yes").text
    assert f'href="{team}"' not in browser.get("/operator/teams?frozen=no").text
    act(browser, f"{team}/delete", reason="gone", giveUpCredits="")
    assert (browser.page.status_code, "can&#39;t be deleted yet" in browser.page.text) == (409, True)
    act(browser, f"{team}/machines/{machine}/terminate", reason="mining")
    assert "is terminated" in browser.follow().text
    assert browser.get(f"/operator/teams/{otto.team}/machines/{machine}/terminate").status_code == 404
    [row] = actions(cloud, "deployment.terminate-by-operator", machine)
    assert (row.team_id, row.object_id, "mining" in str(row.details)) == (olga.team, machine, True)
    cloud.settle()
    act(browser, f"{team}/unfreeze", reason="it is paid")
    act(browser, f"{team}/delete", reason="gone")
    assert (browser.page.status_code, "only when it is frozen" in browser.page.text) == (409, True)
    assert [len(actions(cloud, f"team.{verb}", olga.team)) for verb in ("freeze", "unfreeze", "delete")] == [1, 1, 0]
    act(browser, f"{team}/freeze", reason="again")
    balance = cloud.get("/api/balance", olga.key).ok()["teams"][0]["balance"]
    act(browser, f"{team}/delete", reason="gone", giveUpCredits=f"{balance:.6f}")
    assert "The team is deleted" in browser.follow().text
    assert browser.get(f"{team}/grant").status_code == 404


def act(browser: Browser, path: str, **fields: str) -> None:
    """Answer a question."""
    browser.get(path)
    browser.submit(path.partition("?")[0], **fields)


def test_prices_and_discounts(cloud: Cloud, otto: Person) -> None:
    olga, browser = cloud.person("Olga"), with_session(cloud, otto)
    [offer, *_] = re.findall(r'href="(/operator/offers/[^"/]+)"', browser.get("/operator/offers").text)
    offer_id = offer.rpartition("/")[2]
    act(browser, f"{offer}/change", price="a lot", name="A <i>new</i> name", reason="a sale")
    assert (browser.page.status_code, 'id="ask-price-problem"' in browser.page.text) == (400, True)
    act(browser, f"{offer}/change", priceFrom="soon", price="1", reason="a sale")
    assert 'id="ask-priceFrom-problem"' in browser.page.text
    act(browser, f"{offer}/change", price="0.123456", name="A <i>new</i> name", reason="a sale")
    page = browser.follow().text
    assert ("$0.123456" in page, "A &lt;i&gt;new&lt;/i&gt; name" in page, "a sale" in page) == (True, True, True)
    browser.get(f"{offer}/change")
    assert Forms(browser.page.text).found[f"{offer}/change"]["price"] == "0.123456"
    act(browser, f"{offer}/change", name="", reason="as the provider has it")
    assert "new&lt;/i&gt; name</h1>" not in browser.follow().text
    act(browser, f"{offer}/withdraw", reason="too few")
    assert "not offered" in browser.follow().text
    listed = [each["id"] for each in cloud.get("/api/operator/offers", cloud.session(otto.id)).ok()["offers"]]
    assert offer_id in listed
    act(browser, f"{offer}/offer-again", reason="more came")
    assert [len(actions(cloud, f"offer.{verb}", otto.id)) for verb in ("change", "withdraw")] == [3, 1]
    act(browser, "/operator/new-offer", id="memory-mine", provider="memory", pool="nowhere", name="Mine", price="1",
        vcpus="2", memory="4", storage="10", reason="our own")  # fmt: skip
    assert browser.page.status_code == 400
    assert browser.get("/operator/offers/no-such-offer").status_code == 404

    team = f"/operator/teams/{olga.team}"
    act(browser, f"{team}/discounts/give", percent="101", reason="a friend")
    assert 'id="ask-percent-problem"' in browser.page.text
    act(browser, f"{team}/discounts/give", percent="12.5", reason="a friend")
    [end] = set(re.findall(rf'href="({team}/discounts/\w+/end)"', browser.follow().text))
    act(browser, end, reason="no friend any more")
    assert "It ends on" in browser.follow().text
    assert browser.get(end.replace(olga.team, otto.team)).status_code == 404


def test_stock_maintenance_and_orphans(cloud: Cloud, otto: Person) -> None:
    browser = with_session(cloud, otto)
    with cloud.database.begin() as connection:
        orphans.note(connection, "memory", {"stray": ("", "running")}, now=cloud.clock.now())
    act(browser, "/operator/capacity/maintenance", scope="provider", subject="nobody", reason="new disks")
    assert (browser.page.status_code, 'id="ask-subject-problem"' in browser.page.text) == (400, True)
    act(browser, "/operator/capacity/maintenance", scope="provider", subject="memory", reason="new disks")
    page = browser.follow().text
    assert "new disks" in page
    [lift] = set(re.findall(r'href="(/operator/capacity/lift\?[^"]+)"', page))
    act(browser, lift.replace("&amp;", "&"), reason="they are in")
    assert "new disks" not in browser.follow().text
    [pool, *_] = re.findall(r'<option value="(memory/[^"]+)"', browser.get("/operator/capacity").text)
    act(browser, "/operator/capacity/cap", scope="pool", subject=pool, most="many", reason="few disks")
    assert 'id="ask-most-problem"' in browser.page.text
    act(browser, "/operator/capacity/cap", scope="pool", subject=pool, most="3", reason="few disks")
    page = browser.follow().text
    assert "at most 3 machines" in page
    [lift] = set(re.findall(r'href="(/operator/capacity/lift\?[^"]+)"', page))
    act(browser, lift.replace("&amp;", "&"), reason="there are enough")
    assert "at most 3 machines" not in browser.follow().text
    assert [len(actions(cloud, f"maintenance.{verb}", otto.id)) for verb in ("begin", "end")] == [1, 1]

    assert "stray" in browser.get("/operator").text
    act(browser, "/operator/orphans/memory/stray/end", reason="nobody pays")
    assert "ending" in browser.follow().text
    again = browser.get("/operator/orphans/memory/stray/end")
    assert again.status_code == 200
    browser.submit("/operator/orphans/memory/stray/end", reason="nobody pays")
    assert browser.page.status_code == 409


def test_a_spot_machine_is_taken_back(cloud: Cloud, otto: Person) -> None:
    olga, browser = cloud.person("Olga"), with_session(cloud, otto)
    machine = cloud.running(olga)["id"]
    here = f"/operator/capacity/machines/{machine}/reclaim"
    assert here not in browser.get("/operator/capacity").text
    act(browser, here, noticeSeconds="60", reason="wanted back")
    assert browser.page.status_code == 409, "it is no spot machine"

    cloud.provider.all_offers = (msgspec.structs.replace(SMALL, spot_rate_micros=1_000_000),)
    cloud.run("offers")
    spot = cloud.running(olga, instanceType="SPOT")["id"]
    here = f"/operator/capacity/machines/{spot}/reclaim"
    assert f'href="{here}"' in browser.get("/operator/capacity").text
    act(browser, here, noticeSeconds="ages", reason="wanted back")
    assert 'id="ask-noticeSeconds-problem"' in browser.page.text
    act(browser, here, noticeSeconds="60", reason="wanted back")
    assert "It is taken back at" in browser.follow().text


def test_health_says_when_money_stands_still(cloud: Cloud, otto: Person) -> None:
    browser = with_session(cloud, otto)
    cloud.running(cloud.person("Olga"))
    cloud.clock.forward(minutes=1)
    cloud.run("cycle")
    assert "is late" not in browser.get("/operator").text
    cloud.clock.forward(minutes=30)
    assert "is late" in browser.get("/operator").text
    with cloud.database.begin() as connection:
        alerts.raise_(connection, "money", "x", "The books don't add up.", now=cloud.clock.now())
    assert "The books don&#39;t add up." in browser.get("/operator").text


def test_a_payment_that_nobody_knows_the_end_of_is_shown(cloud: Cloud, otto: Person) -> None:
    olga, now = cloud.person("Olga"), cloud.clock.now()
    by_key = Credential(credentials.hash_token(olga.key, cloud.forebay.secret_key), True, "192.0.2.7")
    wish = Wish(amount_micros=51 * DOLLAR, client_key="once", is_page=True)
    with cloud.database.begin() as connection:
        _, context = access.enter(connection, by_key, Target.team, olga.team, now=now)
        assert context is not None
        asked = deposits.ask(connection, context, wish, now=now)
        mine = payment_attempts.c.id == asked.id
        connection.execute(sa.update(payment_attempts).where(mine).values(state="unknown"))
    page = with_session(cloud, otto).get("/operator").text
    assert ("$51.00" in page, f'href="/operator/teams/{olga.team}"' in page) == (True, True)
    with cloud.database.begin() as connection:
        connection.execute(sa.update(payment_attempts).where(mine).values(state="canceled", closed_at=now))
    assert "$51.00" not in with_session(cloud, otto).get("/operator").text


def test_the_activity_of_everybody(cloud: Cloud, otto: Person) -> None:
    olga, browser = cloud.person("Olga"), with_session(cloud, otto)
    browser.get(f"/operator/teams/{olga.team}")
    page = browser.get(f"/operator/activity?action=operator.&teamId={olga.team}").text
    assert "looked at the team" in page
    assert "Nothing like that" in browser.get(f"/operator/activity?action=volume.&teamId={olga.team}").text
    assert browser.get("/operator/activity?since=yesterday").status_code == 400


def test_the_activity_is_searched_by_what_people_and_teams_are_called(cloud: Cloud, otto: Person) -> None:
    olga, pat, browser = cloud.person("Olga Searched"), cloud.person("Pat"), with_session(cloud, otto)
    team = cloud.get(f"/api/teams/{olga.team}", olga.key).ok()
    for person in (olga, pat):
        for number in range(2):
            body = {"name": f"{person.name} {number}", "publicKey": new_public_key()}
            cloud.post("/api/ssh-keys", person.key, body).ok(201)

    def shown(**query: str) -> str:
        return html.unescape(browser.get("/operator/activity?" + urlencode(query)).text)

    for query in ({"who": olga.email}, {"who": "OLGA sea"}, {"team": team["slug"]}, {"team": olga.team}):
        page = shown(did="ssh-key.add", **query)
        assert "added an SSH key" in page
        assert ("Olga Searched 1" in page, "Pat 1" in page) == (True, False), query
    assert team["name"] in page
    assert f'value="{olga.team}"' in page, "the form keeps what was searched for"
    assert "looked at activity" in shown(who=otto.email, did="operator.look", since="2020-01-01")
    assert rows_of_look(cloud, otto, olga.team), "it is recorded in the team, where it was one"
    assert "Nothing like that" in shown(who="nobody at all")
    assert "Nothing like that" in shown(team="%")
    for number in range(60):
        browser.get(f"/operator/accounts?page={number + 1}")
    page = shown(who=otto.email, action="operator.", until="2100-01-01")
    [older] = re.findall(r'href="(/operator/activity[^"]+page=2)"', page)
    assert {"who", "action", "until", "page"} == set(parse_qs(older.partition("?")[2]))
    assert "Page 2 of" in browser.get(older).text
    shown(who='"><img src=x>')
    assert "<img src=x>" not in browser.page.text


def rows_of_look(cloud: Cloud, otto: Person, team: str) -> list[str]:
    """The looks of the operator that are rows of the team."""
    return [row.action for row in cloud.activity(team) if row.user_id == otto.id and row.action == "operator.look"]


def test_an_operator_sees_the_cards_and_volumes_of_a_team_and_that_is_recorded(cloud: Cloud, otto: Person) -> None:
    olga, browser = cloud.person("Olga"), with_session(cloud, otto)
    assert "No card is saved." in browser.get(f"/operator/teams/{olga.team}").text
    cloud.volume(olga, name="datasets", size=20)
    facts = cards.Facts(payment_method_id="pm_seen", brand="visa", last_four="4242", expiry_month=12, expiry_year=2034)
    with cloud.database.begin() as connection:
        cards.add(connection, olga.team, facts, created_by=olga.id, now=cloud.clock.now())
    before = len(rows_of_look(cloud, otto, olga.team))
    page = browser.get(f"/operator/teams/{olga.team}").text
    assert ("Visa ending in 4242" in page, "12/2034" in page, ">default<" in page) == (True, True, True)
    assert ("datasets" in page, "20 GB" in page, ">available<" in page) == (True, True, True)
    assert "pm_seen" not in page
    assert len(rows_of_look(cloud, otto, olga.team)) == before + 1
