"""A journey through the pages in a real browser: an account, a passkey, an invitation, a program that is let in.

Pictures of each page, wide and narrow, light and dark, are left in `.cache/screenshots`.
"""

import email
import email.policy
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.cloud import ADDRESS, Process, eventually

PICTURES = Path(__file__).parent.parent.parent / ".cache" / "screenshots"
SIZES = {"wide": (1440, 900), "narrow": (390, 844)}
PASSWORD = "seven lamps beside the river"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server without machines, at an address that passkeys are possible at; and its outbox."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, data = f"http://localhost:{port}", tmp_path / "data"
    arguments: list[str | Path] = ["serve", "--port", str(port), "--data-dir", data]
    server = Process(arguments, tmp_path / "server", {"providers": "", "public_url": url, "host": "127.0.0.1"})
    server.start()
    try:
        server.says(ADDRESS)
        yield url, data / "outbox"
    finally:
        server.end()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield found
        found.close()


class Visitor:
    """Somebody with a browser of their own, and a passkey in it once they have made one."""

    def __init__(self, browser: Browser, url: str, scheme: Any = "light") -> None:
        # Without motion, as a picture that is taken amid a transition changes the size of what moves.
        self.context: BrowserContext = browser.new_context(base_url=url, color_scheme=scheme, reduced_motion="reduce")
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def plug_in(self) -> None:
        """An authenticator in the machine, whose owner is there and is recognised."""
        devtools = self.context.new_cdp_session(self.page)
        devtools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    def picture(self, name: str) -> None:
        for size, (width, height) in SIZES.items():
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.screenshot(path=PICTURES / f"{name}-{size}.png", full_page=True)
            overflow = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert overflow <= 0, f"{name} is wider than a {size} screen"

    def fill(self, **fields: str) -> None:
        for label, value in fields.items():
            self.page.get_by_label(label.replace("_", " "), exact=True).fill(value)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name).click()

    def sign_up(self, name: str, address: str) -> None:
        self.fill(Your_name=name, **{"E-mail address": address}, Password=PASSWORD)
        self.press("Make an account")
        expect(self.page.get_by_role("heading")).to_have_text("Look into your mailbox")

    @property
    def session(self) -> str:
        return next(str(one["value"]) for one in self.context.cookies() if one["name"] == "forebay-session")


def mailed(outbox: Path, address: str, page: str) -> str:
    """The newest link to a page that was mailed to the address."""

    def find() -> str | None:
        for path in sorted(outbox.glob("*"), key=lambda one: one.stat().st_mtime_ns, reverse=True):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            body = message.get_body(("plain",))
            if message["to"] == address and body is not None:
                link = re.search(rf"http://localhost:\d+(/{page}\?token=\S+)", body.get_content())
                if link:
                    return link[1]
        return None

    return str(eventually(find, f"a mail to {address}"))


def test_a_journey_through_the_pages(site: tuple[str, Path], browser: Browser) -> None:
    url, outbox = site
    PICTURES.mkdir(parents=True, exist_ok=True)
    olga = Visitor(browser, url)
    page = olga.page
    page.goto("/")
    olga.picture("home")
    page.get_by_role("link", name="Make an account").click()
    olga.picture("sign-up")
    olga.sign_up("Olga Owner", "olga@example.org")
    page.goto(mailed(outbox, "olga@example.org", "verify"))
    olga.picture("verify")
    olga.press("This is my address")
    page.locator("main").get_by_role("link", name="Sign in").click()

    olga.plug_in()
    olga.picture("sign-in")
    olga.fill(**{"E-mail address": "olga@example.org"}, Password="not this one")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_label("Password")).to_have_accessible_description(re.compile("wrong"))
    olga.picture("sign-in-wrong")
    olga.fill(Password=PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    olga.picture("overview-new")
    page.goto("/account")
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")

    olga.fill(Name_of_a_new_passkey="My laptop")
    olga.press("Add a passkey")
    expect(page.locator("#passkeys li")).to_contain_text("My laptop")
    olga.picture("account")
    olga.press("Set up an authenticator app")
    olga.picture("totp")
    olga.press("Sign out")
    page.get_by_role("link", name="Sign in").first.click()
    olga.press("Sign in with a passkey")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.goto("/account")
    expect(page.locator("#sessions")).to_contain_text("passkey")

    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {olga.session}"}) as api:
        team = api.get("/api/teams").json()["teams"][0]["id"]
        invited = {"email": "mia@example.org", "role": "admin"}
        assert api.post(f"/api/teams/{team}/invitations", json=invited).status_code == 201
    mia = Visitor(browser, url, "dark")
    mia.page.goto(mailed(outbox, "mia@example.org", "invitations"))
    mia.picture("invitation-signed-out")
    mia.page.get_by_role("link", name="Make an account").click()
    mia.sign_up("Mia Member", "mia@example.org")
    mia.page.goto(mailed(outbox, "mia@example.org", "verify"))
    mia.press("This is my address")
    mia.page.locator("main").get_by_role("link", name="Sign in").click()
    mia.fill(**{"E-mail address": "mia@example.org"}, Password=PASSWORD)
    mia.page.get_by_role("button", name="Sign in", exact=True).click()
    mia.picture("invitation")
    mia.press("Join Olga Owner's team")
    expect(mia.page.get_by_role("status")).to_contain_text("You belong to Olga Owner's team now, as an admin")
    mia.picture("joined")

    begun = httpx.post(f"{url}/api/auth/cli", json={"name": "forebay on laptop.example"}).json()
    page.goto(begun["verifyUrl"])
    expect(page.locator(".code")).to_have_text(begun["userCode"])
    olga.picture("cli")
    olga.press("Approve")
    expect(page.get_by_role("heading", level=1)).to_have_text("Approved")
    found = httpx.post(f"{url}/api/auth/cli/token", json={"deviceToken": begun["deviceToken"]}).json()
    assert found["status"] == "approved"
    me = httpx.get(f"{url}/api/me", headers={"authorization": f"Bearer {found['token']}"}).json()
    assert me["email"] == "olga@example.org"
    page.goto("/account")
    expect(page.locator("#sessions")).to_contain_text("forebay on laptop.example")
    mia.page.goto("/account")
    mia.picture("account-dark")
    mia.page.goto("/step-up")
    mia.picture("step-up")
    for visitor in (olga, mia):
        assert [said for said in visitor.complaints if "401" not in said] == []
