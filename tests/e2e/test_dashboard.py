"""The dashboard in a real browser: wide and narrow, light and dark, with nothing that axe complains of; and live.

Pictures of each page are left in `.cache/screenshots`.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from forebay.storage.tables import api_keys, teams, users, webhooks
from forebay.web import assets
from tests.api.cloud import new_public_key
from tests.e2e.test_browser import PICTURES, SIZES
from tests.web.stage import Stage

ROOT = Path(__file__).parent.parent.parent
MOST_BYTES, MOST_BYTES_OF_THE_TERMINAL = 100_000, 200_000
"""Of all that a page loads into an empty cache, as it is sent: compressed, and with the heads of the answers."""
LOOKS = [("wide", "light"), ("narrow", "dark"), ("wide", "dark"), ("narrow", "light")]
PAGES = {
    "overview": "/t/vision-lab",
    "overview-new": "/t/a-team",
    "deploy": "/t/vision-lab/deploy",
    "deploy-table": "/t/vision-lab/deploy?view=table",
    "deploy-form": "/t/vision-lab/deploy/new?offerId=memory-a100-4",
    "deploy-again": "/t/vision-lab/deploy/new?again={nasty}",
    "budgets": "/t/vision-lab/billing/budgets",
    "budget": "/t/vision-lab/billing/budgets/set",
    "deploy-template": "/t/vision-lab/deploy/new?template={template}",
    "templates": "/t/vision-lab/deploy/templates",
    "templates-none": "/t/speech-group/deploy/templates",
    "template-new": "/t/vision-lab/deploy/templates/new?from={running}",
    "template-delete": "/t/vision-lab/deploy/templates/{template}/delete",
    "volumes": "/t/vision-lab/volumes",
    "volume-create": "/t/vision-lab/volumes/create",
    "deployment-ends": "/t/vision-lab/deployments/{running}/ends",
    "ssh-keys": "/t/vision-lab/ssh-keys",
    "ssh-key-add": "/t/vision-lab/ssh-keys/add",
    "ssh-key-import": "/t/vision-lab/ssh-keys/import",
    "team": "/t/vision-lab/team",
    "team-permissions": "/t/vision-lab/team/permissions",
    "team-activity": "/t/vision-lab/team/activity",
    "team-invite": "/t/vision-lab/team/invite",
    "team-delete": "/t/vision-lab/team/delete",
    "team-new": "/teams/new",
    "deployments": "/t/vision-lab/deployments?status=",
    "deployment": "/t/vision-lab/deployments/{running}",
    "terminal": "/t/vision-lab/deployments/{running}/terminal",
    "terminal-stopped": "/t/vision-lab/deployments/{stopped}/terminal",
    "deployment-stopped": "/t/vision-lab/deployments/{stopped}",
    "deployment-terminate": "/t/vision-lab/deployments/{long}/terminate",
    "first-page": "/",
    "account": "/account",
    "profile": "/account/profile",
    "my-balances": "/account/billing",
    "api-keys": "/account/api-keys",
    "api-key-new": "/account/api-keys/new",
    "notifications": "/account/notifications",
    "not-found": "/t/no-such-team",
}
MORE_PAGES = {
    "billing": "/t/vision-lab/billing",
    "billing-new": "/t/a-team/billing",
    "usage": "/t/vision-lab/billing/usage",
    "usage-by-member": "/t/vision-lab/billing/usage?by=member",
    "transactions": "/t/vision-lab/billing/transactions?kind=all",
    "payments": "/t/vision-lab/billing/top-ups",
    "payment": "/t/vision-lab/billing/top-ups/{top_up_id}",
    "statements": "/t/vision-lab/billing/statements",
    "auto-top-up": "/t/vision-lab/billing/auto-top-up",
    "move-credits": "/t/vision-lab/billing/move",
    "webhooks": "/t/vision-lab/team/webhooks",
    "webhook": "/t/vision-lab/team/webhooks/{webhook}",
    "webhook-add": "/t/vision-lab/team/webhooks/add",
    "my-teams": "/account/teams",
}
OPERATOR_PAGES = {
    "operator": "/operator",
    "operator-accounts": "/operator/accounts",
    "operator-team": "/operator/teams/{lab}",
    "operator-grant": "/operator/teams/{lab}/grant",
    "operator-offers": "/operator/offers",
    "operator-offer": "/operator/offers/memory-h100-1",
    "operator-capacity": "/operator/capacity",
    "operator-activity": "/operator/activity",
}


LONG_WORD = "W" * 80
"""What a person or a team may be called at the longest, and nowhere may it be broken but anywhere."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What finds barriers; it comes with the packages that the pages' assets are built from."""
    subprocess.run([ROOT / "scripts" / "assets", tmp_path_factory.mktemp("assets")], check=True)
    return (ROOT / "assets" / "node_modules" / "axe-core" / "axe.min.js").read_text()


class Somebody:
    """A person with a browser, whose clock is the cloud's."""

    def __init__(self, browser: Browser, url: str, stage: Stage, name: str, **more: Any) -> None:
        person = getattr(stage, name)
        self.context: BrowserContext = browser.new_context(base_url=url, **more)
        session = stage.cloud.session(person.id)
        self.context.add_cookies([{"name": "forebay-session", "value": session, "url": url}])
        self.page: Page = self.context.new_page()
        self.page.clock.set_fixed_time(stage.cloud.clock.now())
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))


@pytest.mark.parametrize(
    ("size", "scheme"), [*LOOKS[:2], *(pytest.param(*look, marks=pytest.mark.prove) for look in LOOKS[2:])]
)
def test_every_page_can_be_shown(stage: Stage, url: str, browser: Browser, axe: str, size: str, scheme: Any) -> None:
    look_at(Looker(browser, url, stage, axe), "olga", PAGES, size, scheme)


@pytest.mark.parametrize(("size", "scheme"), LOOKS[:2])
def test_pages_of_money_and_webhooks_can_be_shown(
    stage: Stage, url: str, browser: Browser, axe: str, size: str, scheme: Any
) -> None:
    look_at(Looker(browser, url, stage, axe), "olga", MORE_PAGES, size, scheme)


@pytest.mark.parametrize(("size", "scheme"), LOOKS[:2])
def test_operators_pages_can_be_shown(
    stage: Stage, url: str, browser: Browser, axe: str, size: str, scheme: Any
) -> None:
    look_at(Looker(browser, url, stage, axe), "otto", OPERATOR_PAGES, size, scheme)


class Looker(NamedTuple):
    """What it takes to look at pages."""

    browser: Browser
    url: str
    stage: Stage
    axe: str


def look_at(looker: Looker, who: str, pages: dict[str, str], size: str, scheme: Any) -> None:
    """Each page fits the screen, has no barrier, and complains of nothing."""
    browser, url, stage, axe = looker
    PICTURES.mkdir(parents=True, exist_ok=True)
    width, height = SIZES[size]
    person = Somebody(browser, url, stage, who, color_scheme=scheme, viewport={"width": width, "height": height})
    page, wrong = person.page, []
    for name, path in pages.items():
        page.goto(path.format_map(places(stage)))
        page.screenshot(path=PICTURES / f"{name}-{size}-{scheme}.png", full_page=True)
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wrong.append(f"{name} is wider than the screen")
        page.evaluate(axe)
        for found in page.evaluate("axe.run()")["violations"]:
            wrong += [f"{name}: {found['id']}: {node['html'][:200]}" for node in found["nodes"]]
    assert not wrong
    assert [said for said in person.complaints if "404" not in said] == []
    assert all(asked.startswith((url, "data:")) for asked in person.asked), "nothing comes from elsewhere"
    person.context.close()


def places(stage: Stage) -> dict[str, str]:
    """What stands in the addresses of pages."""
    return {**stage.machines, **stage.money, "lab": stage.lab, "webhook": stage.webhook, "template": stage.template}


@pytest.mark.parametrize(("who", "pages"), [("olga", PAGES), ("olga", MORE_PAGES), ("otto", OPERATOR_PAGES)])
def test_every_page_weighs_little(stage: Stage, url: str, browser: Browser, who: str, pages: dict[str, str]) -> None:
    person = Somebody(browser, url, stage, who)
    devtools = person.context.new_cdp_session(person.page)
    devtools.send("Network.enable")
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    loaded: list[int] = []
    devtools.on("Network.loadingFinished", lambda one: loaded.append(one["encodedDataLength"]))
    weights = {}
    for name, path in pages.items():
        loaded.clear()
        person.page.goto(path.format_map(places(stage)))
        weights[name] = sum(loaded)
        assert weights[name] > len(assets.ASSETS["forebay.css"].packed), f"{name}: something was in a cache: {loaded}"
    assert weights.pop("terminal", 0) <= MOST_BYTES_OF_THE_TERMINAL
    assert {name: weight for name, weight in weights.items() if weight > MOST_BYTES} == {}
    person.context.close()


def test_the_page_keeps_itself_up_to_date(stage: Stage, url: str, browser: Browser) -> None:
    olga = Somebody(browser, url, stage, "olga")
    page = olga.page
    with page.expect_request("**/live*"):
        page.goto("/t/vision-lab/deployments")
    row = page.get_by_role("row").filter(has_text="fine-tuning")
    expect(row).to_contain_text("deploying")
    page.get_by_label("State").focus()
    page.evaluate("window.scrollTo(0, 40)")
    page.wait_for_timeout(1800)
    stage.cloud.settle()
    expect(row).to_contain_text("running", timeout=8000)
    assert page.evaluate("document.activeElement.id") == "status", "focus stays"
    assert olga.complaints == []
    olga.context.close()


def test_the_price_follows_the_form(stage: Stage, url: str, browser: Browser) -> None:
    olga = Somebody(browser, url, stage, "olga")
    page = olga.page
    page.goto("/t/vision-lab/deploy/new?offerId=memory-l40s-1")
    beside = page.locator("#beside")
    expect(beside).to_contain_text("$0.8675/h")
    page.get_by_label("Name").fill("x" * 10)
    page.get_by_label("Labels").fill("no label")
    page.get_by_label("Name").focus()
    expect(beside).to_contain_text("A label is not usable", timeout=5000)
    page.get_by_label("Labels").fill("project=vision")
    page.get_by_label("Name").focus()
    expect(beside).not_to_contain_text("A label is not usable", timeout=5000)
    expect(page.locator("#as-python")).to_contain_text("labels={'project': 'vision'}")
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("x" * 10)
    assert olga.complaints == ["Failed to load resource: the server responded with a status of 400 (Bad Request)"]
    olga.context.close()


def test_a_key_is_added_without_leaving_the_form(stage: Stage, url: str, browser: Browser) -> None:
    olga = Somebody(browser, url, stage, "olga")
    page = olga.page
    page.goto("/t/vision-lab/deploy/new?offerId=memory-l40s-1")
    here = page.url
    page.get_by_label("Name").fill("kept-{n}")
    page.get_by_text("Add a key to the team").click()
    page.get_by_label("The new key").fill("nonsense")
    page.get_by_role("button", name="Add this key").click()
    expect(page.locator("#newKey-problem")).to_contain_text("One line like the .pub file holds")
    page.get_by_label("The new key").fill(new_public_key())
    page.get_by_label("What it is called").fill("desk")
    page.get_by_role("button", name="Add this key").click()
    expect(page.get_by_role("status").filter(has_text="desk is added to the team, and chosen.")).to_be_visible()
    expect(page.locator("[name=sshKeyId] option:checked")).to_contain_text("desk")
    expect(page.get_by_label("Name")).to_have_value("kept-{n}")
    expect(page.get_by_label("The new key")).to_have_value("")
    expect(page.get_by_role("button", name="Reckon again")).to_have_count(0)
    assert page.url == here
    page.get_by_label("What the template is called").fill("by hand")
    page.get_by_role("button", name="Save as a template").click()
    expect(page.get_by_role("status").filter(has_text="by hand is saved")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("kept-{n}")
    olga.context.close()


def test_the_keyboard_reaches_everything(stage: Stage, url: str, browser: Browser) -> None:
    mia = Somebody(browser, url, stage, "mia")
    page, keys = mia.page, mia.page.keyboard
    page.goto("/t/vision-lab")
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keys.press("Control+k")
    box = page.get_by_role("combobox", name="Search")
    expect(box).to_be_focused()
    keys.type("as-long-as")
    expect(page.get_by_role("option").first).to_contain_text("Machine")
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("a-name-that-somebody")
    page.get_by_role("link", name="Terminate").focus()
    keys.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("is lost")
    keys.press("Escape")
    expect(dialog).to_have_count(0)
    keys.press("Enter")
    dialog.get_by_role("button", name="Terminate it").focus()
    keys.press("Enter")
    expect(page.get_by_role("status").filter(has_text="is terminated")).to_be_visible()
    expect(page.locator("#state")).to_contain_text("terminated")
    assert mia.complaints == []
    mia.context.close()


def test_everything_works_without_a_script(stage: Stage, url: str, browser: Browser) -> None:
    adam = Somebody(browser, url, stage, "adam", java_script_enabled=False)
    page = adam.page
    page.goto("/t/vision-lab")
    page.get_by_role("link", name="Deployments", exact=True).click()
    page.get_by_label("State").select_option("stopped")
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("link", name="evaluation").click()
    page.get_by_role("link", name="Rename").click()
    page.get_by_label("Name").fill("")
    page.get_by_label("Name").evaluate("one => one.removeAttribute('required')")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("1 to 60 characters")).to_be_visible()
    page.get_by_label("Name").fill("evaluation-2")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("status").filter(has_text="new name")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("evaluation-2")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("status").filter(has_text="The machine starts")).to_be_visible()
    adam.context.close()


def test_no_page_is_wider_than_a_phone_whatever_people_are_called(stage: Stage, url: str, browser: Browser) -> None:
    with stage.cloud.database.begin() as connection:
        connection.execute(sa.update(teams).where(teams.c.id == stage.lab).values(name=LONG_WORD))
        known = users.c.id.in_([stage.olga.id, stage.adam.id, stage.mia.id])
        connection.execute(sa.update(users).where(known).values(name=LONG_WORD))
        mail = f"{'w' * 64}@{'w' * 63}.example.org"
        connection.execute(sa.update(users).where(users.c.id == stage.olga.id).values(email=mail, email_key=mail))
        connection.execute(sa.update(webhooks).values(name=LONG_WORD))
        connection.execute(sa.update(api_keys).values(name=LONG_WORD))
    people = f"/t/vision-lab/team/members/{stage.adam.id}"
    asked = (
        f"{people}/role",
        f"{people}/remove",
        "/account/delete",
        "/t/vision-lab/team/transfer",
        "/account/api-keys",
    )
    billed = "/t/vision-lab/billing/cards/{card_id}/delete"
    theirs = [*PAGES.values(), *MORE_PAGES.values(), *asked, billed]
    wrong = []
    for who, paths in (("olga", theirs), ("otto", [*OPERATOR_PAGES.values(), f"/operator/accounts/{stage.olga.id}"])):
        person = Somebody(browser, url, stage, who, viewport={"width": SIZES["narrow"][0], "height": 844})
        for path in paths:
            person.page.goto(path.format_map(places(stage)))
            if person.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                wrong.append(path)
        person.context.close()
    assert wrong == []
