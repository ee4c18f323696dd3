"""The overview of a team that begins, and billing: as people go through them in a browser."""

import re
from decimal import Decimal

from playwright.sync_api import expect

from tests.api.cloud import DOLLAR, new_public_key
from tests.e2e.journeys.people import downloaded, in_looks
from tests.e2e.journeys.world import World

pytestmark = in_looks("world", "wide-dark")


def test_a_team_begins(world: World) -> None:
    """The three steps of an empty team, each followed, until there is nothing left to be told."""
    anna = world.cloud.person("Anna Anfang", credits_micros=0)
    one = world.enter(anna, "overview", "/t")
    one.is_at("Overview")
    expect(one.page.locator("li.step[data-done]")).to_have_count(0)
    one.picture("nothing-yet")
    one.follow("Add credits")
    one.is_at("Billing")
    world.cloud.grant(anna.team, 60_000_000)
    one.open("Overview")
    expect(one.page.locator("li.step[data-done]")).to_contain_text("$60.00 are there.")
    one.follow("Add a key")
    one.page.get_by_role("link", name="Add a key").first.click()
    one.fill({"Public key": new_public_key()})
    one.press("Add the key")
    one.open("Overview")
    expect(one.page.locator("li.step[data-done]")).to_have_count(2)
    one.picture("two-steps")
    one.follow("Look at the catalogue")
    one.follow("Choose 1 × L40S")
    one.press("Launch")
    one.page.get_by_role("heading", level=1).wait_for()
    one.open("Overview")
    expect(one.page.get_by_text("Three steps to a machine")).to_have_count(0)
    expect(one.page.locator("#fleet tbody tr")).to_contain_text("deploying")
    world.cloud.settle()
    expect(one.page.locator("#fleet tbody tr")).to_contain_text("running")
    expect(one.page.locator("#vitals")).to_contain_text("days")
    one.picture("one-runs")
    one.is_content()


def test_adding_credits(world: World) -> None:
    """By a saved card: a preset, an amount of one's own, one that is too small; payments and the transactions."""
    card = world.shop.card()
    assert card
    olga = world.enter(world.stage.olga, "credits", "/t/speech-group")
    olga.open("Billing")
    before = Decimal(olga.sum("Balance"))
    expect(olga.page.locator("#cards")).to_contain_text("visa ending in 4242")
    expect(olga.page.locator("#balances")).to_contain_text("Vision Lab")
    olga.picture("billing")
    olga.page.get_by_label("$200", exact=True).check()
    olga.choose("Paid by", "4242")
    olga.press("Add credits")
    expect(olga.page.locator("#payment")).to_contain_text("on its way")
    world.cloud.run("payments")
    expect(olga.page.locator("#payment")).to_contain_text("The credits are on the balance of Speech Group")
    olga.picture("paid")
    olga.follow("Back to billing")
    assert Decimal(olga.sum("Balance")) == before + 200
    olga.fill({"Or another amount": "14.99"})
    olga.press("Add credits")
    olga.is_told("Or another amount", re.compile("15"))
    olga.picture("too-little")
    olga.fill({"Or another amount": "$1,250.50"})
    olga.choose("Paid by", "4242")
    olga.press("Add credits")
    world.cloud.run("payments")
    expect(olga.page.locator("#payment")).to_contain_text("paid")
    olga.open("Billing")
    assert Decimal(olga.sum("Balance")) == before + Decimal("1450.50")
    olga.tab("Payments")
    expect(olga.page.locator("main tbody tr")).to_have_count(2)
    olga.picture("payments")
    olga.tab("Transactions")
    olga.choose("Kind", "^Deposits?$")
    expect(olga.row("+$1,250.50")).to_be_visible()
    olga.picture("transactions")
    olga.is_content(400)


def test_auto_top_up(world: World) -> None:
    """What it will do is read before it is agreed to; it is on, and off again."""
    world.shop.card()
    olga = world.enter(world.stage.olga, "auto-top-up", "/t/speech-group/billing")
    olga.follow("Set up")
    olga.fill({"When the balance falls below": "4", "Charge this much": "50", "Most in a month": "200"})
    olga.press("Review")
    olga.is_told("When the balance falls below", re.compile("5"))
    olga.picture("too-low")
    olga.fill({"When the balance falls below": "20"})
    olga.press("Review")
    expect(olga.page.get_by_role("status")).to_contain_text("I agree that Forebay charges")
    olga.page.get_by_label("I agree to this").check()
    olga.picture("agree")
    olga.press("Turn on")
    olga.reads("Auto top-up is on.")
    expect(olga.page.locator("#auto-top-up")).to_contain_text("$50.00")
    olga.picture("on")
    olga.press("Turn off")
    expect(olga.page.locator("#auto-top-up .badge").first).to_have_text("off")
    olga.is_content(400)


def test_usage_that_comes_while_one_looks(world: World) -> None:
    """A page that was empty gets its lines and its chart, and the chart goes on with them."""
    nell = world.cloud.person("Nell New", credits_micros=100 * DOLLAR)
    stage, lab, key = world.stage, world.stage.lab, world.stage.key
    one = world.enter(nell, "usage-comes", "/t")
    one.open("Billing")
    one.tab("Usage")
    expect(one.page.get_by_text("Nothing was charged")).to_be_visible()
    made = world.cloud.post("/api/ssh-keys", nell.key, {"name": "laptop", "publicKey": new_public_key()}).ok(201)
    try:
        stage.lab, stage.key = nell.team, str(made["id"])
        stage.launch(nell, "l40s-1", "first")
    finally:
        stage.lab, stage.key = lab, key
    for spent in ("$0.87", "$1.74"):
        stage.spend(1)
        expect(one.page.locator("#spent .u-legend")).to_contain_text(spent)
        expect(one.page.locator("#spent canvas")).to_have_count(1)
        expect(one.page.locator("#lines")).to_contain_text(spent)
    one.picture("drawn")
    one.is_content()


def test_usage_and_statements(world: World) -> None:
    """What was spent on what, as a table, as a file, and as a document; and credits that move to another team."""
    olga = world.enter(world.stage.olga, "usage")
    olga.open("Billing")
    olga.tab("Usage")
    expect(olga.page.locator(".chart canvas")).to_be_visible()
    olga.picture("by-day")
    in_all = Decimal(olga.sum("Total"))
    for group, word in (
        ("Member", "Mia Member"),
        ("GPU type", "H100 SXM5"),
        ("Deployment", "train-0"),
        ("Label", "vision"),
    ):
        olga.choose("By", f"^{group}$")
        if group == "Label":
            olga.fill({"Label": "project"})
        expect(olga.row(word)).to_be_visible()
        sums = olga.page.locator("td[data-label='Total'] data")
        values = sums.evaluate_all("all => all.map(one => one.value || one.getAttribute('value'))")
        assert sum(map(Decimal, values)) == in_all, group
        olga.picture(f"by-{group.lower().replace(' ', '-')}")
    name, content = downloaded(olga.page, olga.page.get_by_role("link", name="CSV"))
    assert name.endswith(".csv")
    assert "vision" in content.decode()
    olga.tab("Statements")
    olga.picture("statements")
    name, content = downloaded(olga.page, olga.page.get_by_role("link", name="PDF").first)
    assert (name.endswith(".pdf"), content[:5]) == (True, b"%PDF-")
    olga.tab("Credits")
    before = Decimal(olga.sum("Balance"))
    olga.follow("Move credits")
    olga.choose("To", "Speech Group")
    olga.fill({"Amount": "1,000,000"})
    olga.press("Move credits")
    expect(olga.page.locator("main [role=alert], main .wrong").first).to_be_visible()
    olga.picture("too-much")
    olga.fill({"Amount": "10.50"})
    olga.press("Move credits")
    olga.reads("$10.50 moved.")
    assert Decimal(olga.sum("Balance")) == before - Decimal("10.50")
    olga.picture("moved")
    olga.is_content(400, 402)
