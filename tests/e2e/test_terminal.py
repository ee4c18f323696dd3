"""The web terminal in a real browser, into a real machine: typed, shown, resized, left, and ended with the page."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.cloud import Client, Cloud, eventually
from tests.e2e.test_browser import browser

__all__ = ["browser"]


@pytest.fixture
def machine(demo: Cloud, owner: Client) -> Iterator[str]:
    eventually(lambda: owner.get("/api/gpu-offers")["data"], "there are offers")
    found = demo.launch(owner, name="terminal-box")
    yield str(found["id"])
    owner.delete(f"/api/deployments/{found['id']}")


def session_of(demo: Cloud) -> str:
    """The owner's session, as their browser gets it."""
    person = demo.facts["people"][0]
    with httpx.Client(base_url=demo.url) as client:
        page = client.get("/sign-in").text
        [csrf] = set(re.findall(r'name="csrf" value="([0-9a-f]+)"', page))
        client.post("/sign-in", data={"csrf": csrf, "email": person["email"], "password": person["password"]})
        return str(client.cookies["forebay-session"])


def test_a_shell_in_the_browser(demo: Cloud, owner: Client, machine: str, browser: Browser) -> None:
    context = browser.new_context(base_url=demo.url, viewport={"width": 1200, "height": 800})
    context.add_cookies([{"name": "forebay-session", "value": session_of(demo), "url": demo.url}])
    page, complaints = context.new_page(), []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    team = demo.facts["teams"][0]
    page.goto(f"/t/{team['slug']}/deployments/{machine}")
    page.get_by_role("link", name="Terminal", exact=True).click()
    expect(page.locator("#terminal-state")).to_have_text("Connected")
    shown = page.locator(".xterm-rows")
    expect(shown).to_contain_text("#", timeout=20_000)
    page.keyboard.type("echo $((6*7)) $(id -un) Grüße; stty size; sleep 4321 &\n")
    expect(shown).to_contain_text("42 root Grüße", timeout=20_000)
    before = page.evaluate("document.querySelector('.xterm-rows').children.length")
    expect(shown).to_contain_text(re.compile(rf"{before} \d+"))
    page.set_viewport_size({"width": 1200, "height": 600})
    expect(page.locator(".xterm-rows > div")).not_to_have_count(before)
    after = page.evaluate("document.querySelector('.xterm-rows').children.length")
    page.keyboard.type("clear; stty size\n")
    expect(shown).to_contain_text(re.compile(rf"{after} \d+"), timeout=20_000)
    page.keyboard.type("yes\n")
    expect(shown).to_contain_text("yyyyyy")
    page.keyboard.press("Control+c")
    page.keyboard.type("clear; echo still $((1+1)) here; printf '\\033[38;2;9;200;90mgreen\\033[0m\\n'\n")
    expect(shown).to_contain_text("still 2 here", timeout=30_000)
    green = page.locator(".xterm-rows span").filter(has_text=re.compile("^green$"))
    expect(green).to_have_css("color", "rgb(9, 200, 90)")
    page.keyboard.press("Control+Shift+L")
    expect(page.get_by_role("button", name="For screen readers")).to_be_focused()
    assert complaints == []
    running = "pgrep -f 'sleep 432[1]' >/dev/null && echo runs || echo gone"
    deployment = owner.deployment(machine)
    assert demo.says(deployment, running).strip() == "runs"
    context.close()
    eventually(lambda: demo.says(deployment, running).strip() == "gone", "the shell has ended with its page")
    path = f"/api/teams/{team['id']}/activity?limit=50"

    def noted(action: str) -> list[str]:
        return [json.dumps(row, ensure_ascii=False) for row in owner.get(path)["activity"] if row["action"] == action]

    [closed] = eventually(lambda: noted("terminal.close"), "it is recorded that it was closed")
    [opened] = noted("terminal.open")
    assert machine in opened
    assert "Grüße" not in opened + closed
