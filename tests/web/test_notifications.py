"""The switches of what one is mailed, on their page."""

import re

from tests.api.cloud import Cloud
from tests.web.browser import Browser, with_session

PAGE = "/account/notifications"


def boxes(page: str) -> dict[str, tuple[bool, bool]]:
    """By kind whether its box is checked, and whether it can be changed."""
    found = re.findall(r'<input type="checkbox" id="([a-z.-]+)"([^>]*)>', page)
    return {kind: (" checked" in more, " disabled" not in more) for kind, more in found}


def test_kinds_are_switched_and_what_must_stay_on_does(cloud: Cloud) -> None:
    pat = cloud.person()
    browser = with_session(cloud, pat)
    assert PAGE in browser.get("/account").text
    shown = boxes(browser.get(PAGE).text)
    assert all(is_on for is_on, _ in shown.values())
    assert shown["balance.low"] == (True, False)
    assert shown["report.weekly"] == (True, True)
    # A browser sends the boxes that are checked: all that can be changed but one.
    kept = {kind: "on" for kind, (_, may_change) in shown.items() if may_change and kind != "report.weekly"}
    csrf = re.findall(r'name="csrf" value="([^"]+)"', browser.page.text)[-1]
    assert browser.post(PAGE, {"csrf": csrf, **kept}).status_code == 303
    assert "Saved." in browser.follow().text
    assert [kind for kind, (is_on, _) in boxes(browser.page.text).items() if not is_on] == ["report.weekly"]
    listed = cloud.get("/api/me/notifications", pat.session).ok()["kinds"]
    assert [each["kind"] for each in listed if not each["isOn"]] == ["report.weekly"]


def test_the_link_in_a_mail_leads_here_after_signing_in(cloud: Cloud) -> None:
    pat = cloud.person()
    answer = Browser(cloud).get(PAGE)
    assert (answer.status_code, PAGE in answer.headers["location"]) == (303, True)
    cloud.post("/api/gpu-offers/memory-small/watch", pat.session, {}).ok(201)
    assert "memory-small" in with_session(cloud, pat).get(PAGE).text
