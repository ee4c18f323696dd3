"""The story of a team without any JavaScript: from signing up to a machine's end, and what it cost."""

import re
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import expect

from tests.api.cloud import new_public_key
from tests.e2e.journeys.people import Person, downloaded, in_looks
from tests.e2e.journeys.world import World
from tests.web.browser import PASSWORD, link_to

pytestmark = in_looks("world", "narrow-dark")


def signs_up(world: World, one: Person, name: str, address: str) -> None:
    one.fill({"Your name": name, "E-mail address": address, "Password": PASSWORD})
    one.press("Make an account")
    one.page.goto(link_to(world.cloud, address, "verify"))
    one.press("This is my address")
    one.follow("Sign in")
    one.fill({"E-mail address": address, "Password": PASSWORD})
    one.press("Sign in")


def test_a_team_without_scripts(world: World, tmp_path: Path) -> None:
    nora = world.visitor("without-scripts", java_script_enabled=False)
    nora.page.goto("/sign-up")
    signs_up(world, nora, "Nora Noscript", "nora@example.org")
    nora.is_at("Overview")
    nora.picture("overview")
    nora.follow("Add a key")
    nora.page.locator("main").get_by_role("link", name="Add a key").first.click()
    nora.is_at("Add an SSH key")
    nora.fill({"Public key": "no key"})
    nora.press("Add the key")
    nora.is_told("Public key", re.compile("key"))
    nora.picture("no-key")
    nora.fill({"Public key": ""})
    (tmp_path / "id.pub").write_text(new_public_key())
    nora.field("Or the .pub file").set_input_files(tmp_path / "id.pub")
    nora.press("Add the key")
    nora.reads("is added")

    nora.open("Team")
    nora.follow("Invite somebody")
    nora.is_at("Invite somebody")
    nora.fill({"E-mail address": "nils@example.org"})
    nora.press("Send the invitation")
    nora.reads("nils@example.org is invited")
    nils = world.visitor("without-scripts-invited", java_script_enabled=False)
    nils.page.goto(link_to(world.cloud, "nils@example.org", "invitations"))
    nils.follow("Make an account")
    signs_up(world, nils, "Nils", "nils@example.org")
    nils.press("Join Nora Noscript's team as nils@example.org")
    nils.reads("You belong to Nora Noscript's team now")
    nils.picture("joined")

    nora.open("Billing")
    nora.fill({"Or another amount": "10"})
    nora.press("Add credits")
    nora.is_told("Or another amount", re.compile("15"))
    nora.picture("too-little")
    nora.fill({"Or another amount": "75"})
    nora.press("Add credits")
    world.cloud.run("payments")
    nora.page.reload()
    expect(nora.page.get_by_role("link", name="Go to the payment page")).to_be_visible()
    nora.picture("payment")
    pays(world)
    nora.open("Billing")
    assert nora.sum("Balance") == "75"

    nora.open("Deploy")
    nora.choose("Region", "helsinki")
    nora.press("Apply")
    nora.follow("Choose 1 × L40S")
    nora.fill({"Name": "plain"})
    nora.press("Reckon again")
    expect(nora.page.locator("#as-command")).to_contain_text("--name plain")
    assert Decimal(nora.sum("Available after")) < 75
    nora.picture("reckoned")
    nora.press("Launch")
    nora.is_at("plain")
    world.cloud.settle()
    nora.page.reload()
    expect(nora.page.locator("#ssh-command")).to_contain_text("ssh ")
    nora.picture("running")
    nils.page.goto("/t")
    world.stage.spend(1)
    nora.follow("Terminate")
    nora.is_at("Terminate plain")
    nora.picture("terminate")
    nora.press("Terminate it")
    nora.reads("It costs nothing from this second on")
    cost = Decimal(nora.sum("Cost so far"))
    assert cost >= Decimal("0.8675")
    nora.open("Billing")
    assert Decimal(nora.sum("Balance")) == 75 - cost
    nora.tab("Statements")
    _, document = downloaded(nora.page, nora.page.get_by_role("link", name="PDF").first)
    assert document.startswith(b"%PDF-")
    nora.is_content(400)
    nils.is_content()


def pays(world: World) -> None:
    """On the page of the processor, which is only remembered here: with the newest order on it."""
    processor = world.shop.processor
    processor.pay(list(processor.pages)[-1])
    world.cloud.clock.forward(minutes=2)
    world.cloud.run("payments")
