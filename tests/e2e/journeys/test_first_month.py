"""The whole of it: two people who have never heard of each other's cloud, on a server with real machines and a bank.

Olga signs up, makes a team, invites Mia, pays, launches, works on the machine by SSH and in the browser, ends it, and
reads what it cost; Mia, in a browser of her own with the other size and colours, may look, and sees it happen.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, expect

from forebay.domain.money import audit
from forebay.payments.base import Event
from forebay.storage.database import Database
from tests import servers
from tests.api.pdf_text import texts
from tests.e2e.cloud import ADDRESS, Process, remove
from tests.e2e.journeys.people import Person, chromium, downloaded, in_looks, opposite
from tests.e2e.test_browser import PASSWORD, mailed
from tests.payments.bank import SECRET
from tests.payments.checkout_page import CheckoutPage
from tests.payments.relay import Relay, body_of

SIGNING = "whsec_of_no_use_elsewhere"
DECLINED, GOOD = "4000 0000 0000 9995", "4242 4242 4242 4242"
OLGA, MIA = "olga@example.org", "mia@example.org"


class Site(NamedTuple):
    """A server that people have just been told of."""

    url: str
    data: Path
    key: Path
    """The private half of Olga's key pair; the public one lies beside it."""

    @property
    def database(self) -> str:
        return f"sqlite:///{self.data / 'forebay.db'}"

    def tell(self, page_id: str) -> None:
        """Bring what Stripe says when somebody is done with a page."""
        now = datetime.now(UTC)
        kind = "checkout.session.completed"
        done = Event(id=f"evt_{page_id}", type=kind, object_id=page_id, payment_id="", occurred_at=now)
        Relay(self.deliver, SIGNING, lambda: now).send(body_of(done))

    def deliver(self, body: bytes, signature: str) -> int:
        headers = {"stripe-signature": signature}
        return httpx.post(f"{self.url}/api/stripe/webhook", content=body, headers=headers).status_code


@pytest.fixture
def site(base_image: None, tmp_path: Path) -> Iterator[Site]:
    port, data, key = servers.free_port(), tmp_path / "data", tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "olga@laptop", "-f", key], check=True)
    found = Site(f"http://localhost:{port}", data, key)
    with servers.stripe_world() as world, CheckoutPage(world.port, account := world.account(), found.tell) as bank:
        settings = {
            "public_url": found.url,
            "cycle_seconds": "2",
            "local_vcpu_micros": "3600000",
            "local_memory_gb_micros": "0",
            "company_name": "Iron & Sons",
            "stripe_secret_key": SECRET,
            "stripe_webhook_secret": SIGNING,
            "stripe_api_base": bank.to(account),
        }
        server = Process(["serve", "--port", str(port), "--data-dir", data], tmp_path / "server", settings)
        server.start()
        try:
            server.says(ADDRESS)
            yield found
        finally:
            server.end()
            bank.bank.close()
            database = Database(found.database, connections=1)
            with database.read() as connection:
                cloud_id = str(connection.exec_driver_sql("SELECT id FROM cloud").scalar_one())
            database.close()
            remove(cloud_id)


@pytest.fixture(scope="module")
def look(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@in_looks("look", "wide-light")
def test_from_signing_up_to_the_statement(site: Site, browser: Browser, look: str) -> None:
    olga = Person(browser, site.url, look, "first-month/olga")
    mia = Person(browser, site.url, opposite(look), "first-month/mia")
    begins(olga, site)
    invites(olga, mia, site)
    pays(olga)
    adds_a_key(olga, site)
    rate = launches(olga, mia)
    works(olga, site)
    is_charged(olga)
    spent = ends(olga, mia, rate)
    reads(olga, spent)
    may_look(mia)
    olga.is_content()
    mia.is_content()
    database = Database(site.database, connections=1)
    with audit.snapshot(database) as connection:
        assert list(audit.run(connection)) == []
    database.close()


def signs_up(person: Person, site: Site, name: str, address: str) -> None:
    """An account, proved by the link in the mail, and the way in."""
    person.fill({"Your name": name, "E-mail address": address, "Password": PASSWORD})
    person.picture("sign-up")
    person.press("Make an account")
    person.is_at("Look into your mailbox")
    person.picture("look-into-your-mailbox")
    person.page.goto(mailed(site.data / "outbox", address, "verify"))
    person.press("This is my address")
    person.follow("Sign in")
    person.fill({"E-mail address": address, "Password": PASSWORD})
    person.press("Sign in")


def begins(olga: Person, site: Site) -> None:
    """From the first page to a team of her own making."""
    olga.page.goto("/")
    olga.picture("first-page")
    olga.follow("Make an account")
    signs_up(olga, site, "Olga Owner", OLGA)
    olga.is_at("Overview")
    olga.picture("overview-of-nothing")
    if olga.size == "narrow":
        olga.page.get_by_role("button", name="Teams and pages").click()
    olga.page.locator("#switcher summary").click()
    olga.picture("teams")
    olga.page.get_by_role("link", name="Create team").click()
    olga.fill({"Name": "Vision Lab"})
    olga.pick("read-only")
    olga.picture("create-team")
    olga.press("Create the team")
    olga.is_at("Overview")
    expect(olga.page).to_have_title("Overview · Vision Lab · Forebay")


def invites(olga: Person, mia: Person, site: Site) -> None:
    """Mia comes by the link in her mail, makes an account on the way, and is told what she may do before she joins."""
    olga.open("Team")
    olga.follow("Invite somebody")
    olga.fill({"E-mail address": MIA})
    olga.pick("member")
    olga.picture("invite")
    olga.press("Send the invitation")
    expect(olga.row(MIA)).to_contain_text("pending")
    olga.picture("invited")
    mia.page.goto(mailed(site.data / "outbox", MIA, "invitations"))
    mia.is_at("Olga Owner invites you to Vision Lab")
    expect(mia.page.locator("main")).to_contain_text(
        "a member: you may see the team's machines, members, balance and usage, and change nothing"
    )
    mia.picture("invitation")
    mia.follow("Make an account")
    expect(mia.page.get_by_label("E-mail address")).to_have_value(MIA)
    signs_up(mia, site, "Mia Member", MIA)
    mia.press(f"Join Vision Lab as {MIA}")
    mia.reads("You belong to Vision Lab now")
    mia.picture("joined")
    mia.follow("Go to Vision Lab")
    expect(mia.page).to_have_title("Overview · Vision Lab · Forebay")
    expect(olga.row("Mia Member")).to_contain_text("Member")
    olga.picture("she-has-joined")


def pays(olga: Person) -> None:
    """By a card, on the processor's page; the first one has no money on it."""
    olga.open("Billing")
    expect(olga.page.locator("#step")).to_be_visible()
    olga.page.get_by_label("$50", exact=True).check()
    olga.picture("billing")
    olga.press("Add credits")
    expect(olga.page.locator("#payment")).to_contain_text("waits for you")
    olga.picture("payment")
    olga.follow("Go to the payment page")
    olga.is_at("Pay $50.00")
    olga.fill({"Card number": DECLINED})
    olga.press("Pay")
    expect(olga.page.get_by_role("alert")).not_to_be_empty()
    olga.fill({"Card number": GOOD})
    olga.press("Pay")
    olga.is_at("Billing")
    expect(olga.page.locator("#vitals")).to_contain_text("$50.00")
    expect(olga.row("Payment page")).to_contain_text("paid")
    expect(olga.page.locator("#step")).to_be_hidden()
    olga.picture("paid")


def adds_a_key(olga: Person, site: Site) -> None:
    """From the file that ssh-keygen made."""
    olga.open("SSH keys")
    olga.follow("Add a key")
    olga.page.locator("dialog input[type=file]").set_input_files(f"{site.key}.pub")
    olga.picture("add-key")
    olga.press("Add the key")
    expect(olga.row("olga@laptop")).to_contain_text("SHA256:")
    olga.picture("ssh-keys")


def launches(olga: Person, mia: Person) -> Decimal:
    """What it will come to stands beside the form, and comes to pass; both pages bring themselves up to date.

    The price, in dollars an hour.
    """
    mia.open("Deployments")
    mia.picture("nothing-runs")
    olga.open("Deploy")
    olga.picture("catalogue")
    offer = olga.page.get_by_role("listitem").filter(has_text="small").first
    offered = price_of(offer.inner_text())
    offer.get_by_role("link", name=re.compile("^Choose")).click()
    olga.fill({"Name": "trial"})
    beside = olga.page.locator("#beside")
    rate = price_of(beside.inner_text())
    held, after = olga.sum("Held at launch"), olga.sum("Available after")
    assert rate == offered
    assert Decimal(after) == 50 - Decimal(held)
    expect(olga.page.locator("#as-command")).to_contain_text("--name trial")
    olga.picture("launch")
    olga.press("Launch")
    olga.is_at("trial")
    olga.picture("deploying")
    expect(olga.page.locator("#ssh-command")).to_be_visible()
    expect(olga.page.locator("#state")).to_contain_text("running")
    olga.picture("running")
    expect(mia.row("trial")).to_contain_text("running")
    expect(mia.row("trial")).to_contain_text("Olga Owner")
    mia.picture("it-runs")
    assert price_of(olga.page.locator("#figures").inner_text()) == rate
    olga.open("Billing")
    assert Decimal(olga.sum("Available")) <= Decimal(after)
    assert Decimal(olga.sum("Balance")) - Decimal(olga.sum("Available")) <= Decimal(held)
    olga.page.go_back()
    return rate


def works(olga: Person, site: Site) -> None:
    """By SSH, with what the page gives to copy, and in the terminal on the page."""
    olga.press("Copy")
    expect(olga.page.get_by_role("button", name="Copied")).to_be_visible()
    olga.page.keyboard.press("Control+k")
    olga.page.keyboard.press("Control+v")
    command = shlex.split(olga.page.get_by_role("combobox", name="Search").input_value())
    olga.page.keyboard.press("Escape")
    assert command == shlex.split(olga.page.locator("#ssh-command").inner_text())
    known = site.key.with_name("known_hosts")
    options = ["-i", str(site.key), "-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={known}"]
    done = subprocess.run([*command, *options, "hostname"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "trial\n", done.stderr
    olga.follow("Terminal")
    expect(olga.page.locator("#terminal-state")).to_have_text("Connected")
    shown = olga.page.locator(".xterm-rows")
    expect(shown).to_contain_text("#")
    olga.page.keyboard.type("echo $((1234*5)) at $(hostname)\n")
    expect(shown).to_contain_text("6170 at trial")
    olga.picture("terminal")


def is_charged(olga: Person) -> None:
    """While it runs, within a cycle."""
    olga.open("Billing")
    olga.tab("Usage")
    olga.page.get_by_label("By", exact=True).select_option(label="Deployment")
    expect(olga.row("trial")).to_be_visible()
    assert Decimal(olga.sum("Total")) > 0
    olga.picture("usage")
    olga.row("trial").get_by_role("link").click()


def ends(olga: Person, mia: Person, rate: Decimal) -> Decimal:
    """By the question over the page. What it cost, in dollars: its seconds, at the price that was shown before."""
    olga.follow("Terminate")
    olga.is_asked("Everything on the disk of trial is lost")
    olga.picture("terminate")
    olga.press("Terminate it")
    olga.reads("It costs nothing from this second on")
    expect(olga.page.locator("#state")).to_contain_text("terminated")
    cost = Decimal(olga.sum("Cost so far"))
    olga.picture("terminated")
    expect(mia.page.locator("#machines")).to_contain_text("Nothing runs")
    mia.picture("it-has-ended")
    olga.open("Billing")
    assert Decimal(olga.sum("Balance")) == Decimal(olga.sum("Available")) == 50 - cost
    olga.tab("Usage")
    olga.page.get_by_label("By", exact=True).select_option(label="Deployment")
    expect(olga.row("trial")).to_be_visible()
    name, csv = downloaded(olga.page, olga.page.get_by_role("link", name="CSV"))
    assert name.endswith(".csv")
    [line] = [line for line in csv.decode().splitlines() if "trial" in line]
    assert olga.sum("Total") == str(cost)
    seconds = cost * 3600 / rate
    assert seconds == seconds.to_integral_value(), "to the second, at the price that was shown"
    assert str(int(seconds)) in line.split(",")
    return cost


def reads(olga: Person, cost: Decimal) -> None:
    """The statement of the month: what came in, what went out, and what is left."""
    olga.tab("Statements")
    olga.picture("statements")
    name, document = downloaded(olga.page, olga.page.get_by_role("link", name="PDF").first)
    assert name.endswith(".pdf")
    shown = texts(document)
    assert any("Vision Lab" in text for text in shown)
    assert any("Iron & Sons" in text for text in shown)
    assert Decimal(shown[shown.index("Closing balance") + 1]) == 50 - cost
    assert "50.000000" in shown
    assert "trial" in shown
    olga.tab("Transactions")
    expect(olga.row("Deposit")).to_contain_text("+$50.00")
    olga.picture("transactions")


def may_look(mia: Person) -> None:
    """Every way on that Mia is shown leads somewhere, and no form is there that she may not send."""
    for name in ("Overview", "Deploy", "Deployments", "Volumes", "SSH keys", "Team", "Billing"):
        mia.open(name)
        mia.picture(f"as-a-member-{name.lower().replace(' ', '-')}")
        addresses = "[...document.querySelectorAll('a[href^=\"/t/\"]')].map(one => one.href)"
        for address in sorted(set(mia.page.evaluate(addresses))):
            assert mia.page.request.get(address).status == 200, (name, address)
        forms = "[...document.querySelectorAll('form[method=post]')].map(one => new URL(one.action).pathname)"
        assert set(mia.page.evaluate(forms)) == {"/sign-out", "/theme", "/figures"}, name


def price_of(text: str) -> Decimal:
    """The first price an hour in a text, in dollars."""
    found = re.search(r"\$([\d.,]+)/h", text)
    assert found is not None, text
    return Decimal(found[1].replace(",", ""))
