"""Amounts and times written out, for whoever can't point at them: a switch that this browser remembers."""

import re

from tests.web.browser import with_session
from tests.web.crawl import Snapshot
from tests.web.stage import Stage

HIDDEN = re.compile(r'<(?:data|time)[^>]* title="[^"]+"')
SHORT = re.compile(r">(just now|in a moment|(in )?\d+ (minute|hour|day)s?( ago)?)</time>")
PAGES = (
    "",
    "/deployments",
    "/billing",
    "/billing/transactions",
    "/billing/usage",
    "/billing/budgets",
    "/team/activity",
    "/volumes",
)


def test_everything_is_written_out_and_nothing_is_left_to_point_at(full_stage: Stage, snapshot: Snapshot) -> None:
    browser, base = with_session(full_stage.cloud, full_stage.olga), "/t/vision-lab"
    was = browser.get(f"{base}/billing/transactions").text
    assert HIDDEN.search(was)
    assert 'id="exactness" aria-pressed="false"' in was
    browser.submit("/figures")
    assert browser.page.headers["location"] == f"{base}/billing/transactions"
    for page in PAGES:
        shown = browser.get(base + page).text
        assert browser.page.status_code == 200, page
        assert (HIDDEN.findall(shown), "data-relative" in shown) == ([], False), page
        assert not SHORT.search(shown), page
        assert 'id="exactness" aria-pressed="true"' in shown
    found = browser.get(f"{base}/billing/transactions").text
    for title, value in re.findall(r'<data value="([^"]+)" title="([^"]+)"', was):
        assert f'<data value="{title}">{value}</data>' in found
    assert re.search(r"\d{1,2} \w{3} \d{4}, \d\d:\d\d:\d\d UTC</time>", found)
    browser.submit("/figures")
    assert HIDDEN.search(browser.get(base).text)
    browser.http.cookies.set("forebay-figures", 'x"><b>', domain="forebay.test")
    assert HIDDEN.search(browser.get(base).text)


def test_the_palette_has_the_switch(full_stage: Stage, snapshot: Snapshot) -> None:
    browser = with_session(full_stage.cloud, full_stage.olga)
    [entry] = [each for each in browser.get("/t/vision-lab/palette").json()["entries"] if "presses" in each]
    assert (entry["name"], entry["presses"]) == ("Show exact amounts and times", "exactness")
    browser.get("/t/vision-lab")
    browser.submit("/figures")
    [entry] = [each for each in browser.get("/t/vision-lab/palette").json()["entries"] if "presses" in each]
    assert entry["name"] == "Show short amounts and times"
