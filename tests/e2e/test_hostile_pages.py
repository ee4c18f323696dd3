"""Attacks in a real browser: names that are scripts, addresses that lead away, our pages and forms on other sites, and
what a machine prints into the terminal."""

import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Dialog, Page, WebSocketRoute, expect, sync_playwright

from tests.api.wire import Loop
from tests.web.browser import with_session
from tests.web.crawl import Snapshot, crawl
from tests.web.furnished import furnished
from tests.web.hostile import PAYLOADS, Poison
from tests.web.stage import Stage
from tests.web.test_addresses import ELSEWHERE

IS_PROVING = bool(os.environ.get("PROVE"))
TURNS = range(len(PAYLOADS)) if IS_PROVING else (4,)
"""Every page with every payload where there is time, else each third page."""
WATCH = """
addEventListener("securitypolicyviolation", (event) => told(`${event.violatedDirective} ${event.blockedURI}`));
"""
LIVES = """() => [
  window.evil !== undefined && "a script ran",
  document.querySelector("[evil], x-evil, main script, main style, [onerror], [onload], [onfocus]") && "an element",
  location.hostname !== "127.0.0.1" && "it went to " + location.href,
].filter(Boolean)"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Stage]:
    loop = Loop()
    with furnished(tmp_path_factory.mktemp("stage"), sqlite_template, loop) as stage:
        yield stage
    loop.close()


@pytest.fixture(scope="module")
def url(stage: Stage) -> Iterator[str]:
    with stage.cloud.served() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield found
        found.close()


class Watched:
    """Somebody's browser, that notes each dialog, and each thing that the page's policy had to stop."""

    def __init__(self, chromium: Browser, url: str, stage: Stage, who: str) -> None:
        self.context = chromium.new_context(base_url=url)
        session = stage.cloud.session(getattr(stage, who).id)
        self.context.add_cookies([{"name": "forebay-session", "value": session, "url": url}])
        self.told: list[str] = []
        self.context.expose_function("told", self.note)
        self.context.add_init_script(WATCH)
        self.page: Page = self.context.new_page()
        self.page.on("dialog", self.dismiss)

    def note(self, what: str) -> None:
        self.told.append(what)

    def dismiss(self, dialog: Any) -> None:
        self.told.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def look(self, path: str) -> list[str]:
        """What came to life at this address."""
        self.told.clear()
        self.page.goto(path, wait_until="load")
        return [*self.page.evaluate(LIVES), *self.told]


@pytest.mark.grows
@pytest.mark.parametrize("turn", TURNS)
def test_no_name_comes_to_life(stage: Stage, url: str, chromium: Browser, turn: int) -> None:
    before, wrong = Snapshot(stage.cloud), []
    try:
        Poison(stage).spread(turn)
        for who, starts in (("olga", ["/t/vision-lab", "/account"]), ("otto", ["/operator"])):
            walked = list(crawl(with_session(stage.cloud, getattr(stage, who)), starts, most_of_a_shape=1))
            pages = [each.path for each in walked if each.sheet is not None][:: None if IS_PROVING else 3]
            person = Watched(chromium, url, stage, who)
            wrong += [(path, found) for path in pages if (found := person.look(path))]
            assert len(pages) > 10
            person.context.close()
        wrong += in_what_scripts_show(Watched(chromium, url, stage, "olga"), stage)
    finally:
        before.put_back()
    assert wrong == []


def in_what_scripts_show(olga: Watched, stage: Stage) -> list[tuple[str, list[str]]]:
    """The palette, a question over the page, what a launch comes to, and parts that keep themselves up to date."""
    page, wrong = olga.page, []
    nasty = f"/t/vision-lab/deployments/{stage.machines['nasty']}"
    wrong.append(("the page", olga.look(nasty)))
    page.keyboard.press("Control+k")
    expect(page.get_by_role("option").first).to_be_visible()
    wrong.append(("the palette", [*page.evaluate(LIVES), *olga.told]))
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Terminate").click()
    expect(page.locator("dialog.dialog")).to_contain_text("is lost", timeout=20_000)
    wrong.append(("a question", [*page.evaluate(LIVES), *olga.told]))
    wrong.append(("the form", olga.look(f"/t/vision-lab/deploy/new?again={stage.machines['equipped']}")))
    with page.expect_response("**/deploy/preview"):
        page.get_by_label("Labels").fill(f"project={PAYLOADS[0]}")
        page.get_by_label("Labels").blur()
    page.wait_for_timeout(200)
    wrong.append(("the preview", [*page.evaluate(LIVES), *olga.told]))
    olga.context.close()
    return [(where, found) for where, found in wrong if found]


def test_nobody_is_led_away(stage: Stage, url: str, chromium: Browser) -> None:
    olga = Watched(chromium, url, stage, "olga")
    asked: list[str] = []
    olga.page.on("request", lambda request: asked.append(request.url))
    for evil in ELSEWHERE:
        olga.page.goto(f"/sign-in?next={quote(evil, safe='')}", wait_until="commit")
    assert len(asked) > len(ELSEWHERE)
    assert [found for found in asked if not found.startswith((f"{url}/", "data:"))] == []
    olga.context.close()


@pytest.fixture
def elsewhere(url: str) -> Iterator[str]:
    """Another site, which shows pages of ours in its frames and has forms that go to us."""
    paths = ("/", "/sign-in", "/t/vision-lab", "/account", "/static/forebay.svg", "/nowhere", "/healthz", "/api/me")
    frames = "".join(f'<iframe src="{url}{path}"></iframe>' for path in paths) + '<iframe src="/bare"></iframe>'
    form = f'<form method="post" action="{url}/sign-out"><input name="csrf" value="x"><button>Win</button></form>'

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!doctype html><title>elsewhere</title>{'' if self.path == '/bare' else form + frames}".encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing: it is not what is tested."""

    server = HTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_site_shows_nothing_of_ours_and_sends_no_form(
    stage: Stage, url: str, chromium: Browser, elsewhere: str
) -> None:
    olga = Watched(chromium, url, stage, "olga")
    page = olga.page
    page.goto(elsewhere, wait_until="load")
    frames = [frame for frame in page.frames if frame.parent_frame is not None]
    assert len(frames) == 9
    assert [frame.url for frame in frames if frame.url.startswith(url)] == []
    assert any(frame.url == f"{elsewhere}bare" for frame in frames), "a frame that may be shown is"
    page.get_by_role("button", name="Win").click()
    expect(page.get_by_role("alert")).to_contain_text("did not come from this site")
    page.goto("/account")
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    olga.context.close()


TRICKS = (
    b"\x1b]52;c;ZXZpbA==\x07"  # into the clipboard: evil
    b"\x1b]0;owned\x07\x1b]2;owned\x1b\\\x1b[22t\x1b[21t\x1b[20t"  # a title, and asked back to be typed
    b"\x1b]9;owned\x07\x1b]777;notify;owned;owned\x07\x1b]1337;RequestAttention=yes\x07"
    b"\x1b]8;;javascript:document.title='owned'\x1b\\press-here\x1b]8;;\x1b\\ "
    b"\x1b]8;;https://evil.example/\x07or-here\x1b]8;;\x07 "
    b"\xff\xfe\xc0\xaf\xed\xa0\x80 <img src=x onerror=document.title='owned'> "
    b"\x1bP$qowned\x1b\\\x1b[?owned\x1b[5n\x1b[6n\x1b[c\x1b[>c\x1b]10;?\x07\x1b]4;1;?\x07 the-end\r\n"
)
KNOWN = re.compile(rb"(\x1b\[[?>]?[\d;]*[cnR]|\x1bP[01]\$r[^\x1b\r\n]{0,9}\x1b\\|\x1b\]\d+;[\w:/;]+(\x1b\\|\x07))*")
"""Answers that name the terminal, its cursor and its colours: none that was dictated, none with an Enter."""


class Machine:
    """The other end of the terminal."""

    def __init__(self) -> None:
        self.line: WebSocketRoute | None = None
        self.typed, self.asked = b"", list[dict[str, bool]]()

    def answer(self, line: WebSocketRoute) -> None:
        self.line = line
        line.on_message(self.take)

    def take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.typed += message
        else:
            self.asked.append(json.loads(message))

    def prints(self, some: bytes) -> None:
        assert self.line is not None
        self.line.send(some)


def test_what_a_machine_prints_is_shown_and_nothing_else_comes_of_it(stage: Stage, url: str, chromium: Browser) -> None:
    context = chromium.new_context(base_url=url, viewport={"width": 1440, "height": 900})
    session = stage.cloud.session(stage.olga.id)
    context.add_cookies([{"name": "forebay-session", "value": session, "url": url}])
    page, machine = context.new_page(), Machine()
    asked: list[str] = []

    def note(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    page.on("popup", lambda popup: asked.append(popup.url))
    page.on("console", lambda said: asked.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: asked.append(str(error)))
    page.route_web_socket(re.compile("/terminal"), machine.answer)
    page.goto(f"/t/vision-lab/deployments/{stage.machines['running']}/terminal")
    expect(page.locator("#terminal-state")).to_have_text("Connected")
    title, shown = page.title(), page.locator(".xterm-rows")
    page.evaluate("() => { navigator.clipboard.writeText = (text) => { window.copied = text; }; }")
    machine.prints(TRICKS)
    expect(shown).to_contain_text("the-end")
    expect(shown).to_contain_text("<img src=x onerror=")
    place = shown.locator("span", has_text="press-here").first.bounding_box()
    assert place is not None
    for x in (5, 40, 90, 130):
        page.mouse.move(place["x"] + x, place["y"] + place["height"] / 2)
        page.mouse.click(place["x"] + x, place["y"] + place["height"] / 2)
    assert (page.title(), asked) == (title, [])
    assert page.evaluate("window.copied === undefined")
    assert KNOWN.fullmatch(machine.typed), machine.typed
    assert b"owned" not in machine.typed
    # Ten megabytes at once: questions that ask for an answer each, a line without an end, and what is no text.
    for part in (b"\x1b[c\x1b[6n" * 8000, b"x" * 65536, bytes(range(256)) * 256, b"\x1b]52;c;" + b"A" * 65536):
        for _ in range(40):
            machine.prints(part)
    machine.prints(b"\x07\x1b[!p\x1b[2J\x1b[H\x1b(Bstill-here\r\n")
    expect(shown).to_contain_text("still-here", timeout=30_000)
    assert {"hold": True} in machine.asked
    assert len(machine.typed) < 20_000, "a question in a flood of them is not answered"
    page.keyboard.type("whoami")
    assert machine.typed.endswith(b"whoami")
    assert page.title() == title
    assert asked == []
    context.close()
