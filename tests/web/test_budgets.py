"""Budgets in the dashboard, without a script: who sets them, and what those see whom they hold for."""

import pytest
import sqlalchemy as sa

from forebay.domain.people.roles import Role
from forebay.storage.tables import teams
from tests.api.cloud import DOLLAR, Cloud, Person
from tests.web.browser import Browser, Forms, with_session

pytestmark = pytest.mark.slow


def base_of(cloud: Cloud, team_id: str) -> str:
    with cloud.database.read() as connection:
        return f"/t/{connection.execute(sa.select(teams.c.slug).where(teams.c.id == team_id)).scalar_one()}"


def put(browser: Browser, base: str, **form: str) -> str:
    """What the page says after the form was sent."""
    path = f"{base}/billing/budgets/set"
    sent = Forms(browser.get(path).text).found[path] | {"alerts": "50, 80, 100", "atLimit": "notify"} | form
    answer = browser.post(path, sent)
    return browser.get(answer.headers["location"]).text if answer.status_code == 303 else answer.text


def people(cloud: Cloud) -> tuple[Person, Person, Person, str]:
    owner, admin, member = (cloud.person(name, credits_micros=500 * DOLLAR) for name in ("Olga", "Adam", "Mia"))
    cloud.join(owner.team, admin, Role.admin)
    cloud.join(owner.team, member, Role.member)
    return owner, admin, member, base_of(cloud, owner.team)


def test_set_seen_changed_and_deleted(cloud: Cloud) -> None:
    owner, _, member, base = people(cloud)
    browser = with_session(cloud, owner)
    assert "No budgets yet" in browser.get(f"{base}/billing/budgets").text
    page = put(browser, base, key="team:", amount="$1,250.50", atLimit="block")
    assert "The team&#39;s budget is $1,250.50 a month." in page
    assert "told at 50, 80, 100 %." in page
    page = put(browser, base, key="label:", label="project=x", amount="9")
    assert "project=x" in page
    listed = cloud.get(f"/api/teams/{owner.team}/budgets", member.session).ok()["budgets"]
    assert [(each["scope"], each["key"], each["amount"], each["atLimit"]) for each in listed] == [
        ("team", None, 1250.5, "block"), ("label", "project=x", 9, "notify"),
    ]  # fmt: skip
    label = listed[1]["id"]
    form = browser.get(f"{base}/billing/budgets/set?budget={label}").text
    assert 'value="project=x"' in form
    assert 'value="9.00"' in form
    put(browser, base, key="label:", label="project=x", amount="12", alerts="75 %")
    [changed] = [
        each for each in cloud.get(f"/api/teams/{owner.team}/budgets", owner.session).ok()["budgets"] if each["key"]
    ]
    assert (changed["id"], changed["amount"], changed["alerts"]) == (label, 12, [75])
    path = f"{base}/billing/budgets/{label}/delete"
    question = browser.get(path).text
    assert "The budget of the label project=x" in question
    browser.post(path, Forms(question).found[path])
    assert "project=x" not in browser.get(f"{base}/billing/budgets").text.replace("placeholder", "")


def test_what_is_wrong_stands_where_it_is(cloud: Cloud) -> None:
    owner, _, _, base = people(cloud)
    browser = with_session(cloud, owner)
    page = put(browser, base, key="label:", label="nothing", amount="x")
    assert 'id="amount-problem"' in page
    page = put(browser, base, key="label:", label="nothing", amount="5")
    assert 'id="label-problem"' in page
    assert 'value="nothing"' in page, "what was written stays"
    assert 'id="alerts-problem"' in put(browser, base, key="team:", amount="5", alerts="many")
    assert 'id="alerts-problem"' in put(browser, base, key="team:", amount="5", alerts="0")
    assert 'id="key-problem"' in put(browser, base, key="planet:", amount="5")
    assert 'id="key-problem"' in put(browser, base, key="member:0", amount="5")
    assert cloud.get(f"/api/teams/{owner.team}/budgets", owner.session).ok()["budgets"] == []


def test_an_admin_is_offered_what_they_may_set(cloud: Cloud) -> None:
    owner, admin, member, base = people(cloud)
    put(with_session(cloud, owner), base, key="team:", amount="100")
    browser = with_session(cloud, admin)
    form = browser.get(f"{base}/billing/budgets/set").text
    assert f'value="member:{member.id}"' in form
    assert f'value="member:{admin.id}"' not in form
    assert 'value="team:"' not in form
    assert "Change the budget" not in browser.get(f"{base}/billing/budgets").text
    assert "only owner sets their own" in put(browser, base, key=f"member:{admin.id}", amount="5")
    [team] = cloud.get(f"/api/teams/{owner.team}/budgets", owner.session).ok()["budgets"]
    assert browser.get(f"{base}/billing/budgets/set?budget={team['id']}").status_code == 403
    assert "Set a budget" not in with_session(cloud, member).get(f"{base}/billing/budgets").text


def test_whom_it_holds_for_sees_what_is_left_where_they_launch(cloud: Cloud) -> None:
    owner, _, member, base = people(cloud)
    put(with_session(cloud, owner), base, key=f"member:{member.id}", amount="4", atLimit="block")
    put(with_session(cloud, owner), base, key="label:", label="project=x", amount="20")
    key = cloud.ssh_key(owner.team, owner)
    browser = with_session(cloud, member)
    path = f"{base}/deploy/new?offerId=memory-small"
    for page in (browser.get(base).text, browser.get(path).text):
        assert "$4.00 left</strong> of your $4.00 this month" in page
    assert "project=x" not in browser.get(path).text
    assert "label project=x" in browser.get(f"{path}&labels=project%3Dx").text
    order = cloud.order(owner.team, key)
    cloud.post("/api/deployments", member.session, order).ok(201)
    cloud.settle()
    refused = browser.get(path).text
    assert "The budget of Mia doesn&#39;t allow this" in refused
    assert "Who can change that: owner, admin." in refused
    form = Forms(refused).found[f"{base}/deploy/new"]
    answer = browser.post(f"{base}/deploy/new", form | {"sshKeyId": key})
    assert (answer.status_code, "doesn&#39;t allow this" in answer.text) == (402, True)
    assert "left</strong>" not in with_session(cloud, owner).get(base).text
