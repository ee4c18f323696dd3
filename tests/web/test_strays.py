"""Who comes to an address that there is not: a person reads it on a page of ours, a program in the API's envelope."""

import logging
from typing import Any

import pytest
from litestar import get

from forebay.api import server
from forebay.errors import ForebayError
from tests.api.cloud import Cloud
from tests.web.browser import Browser, with_session
from tests.web.crawl import Sheet

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ODD = "/<script>alert(1)</script>/%3Cimg%20src=x%20onerror=alert(1)%3E"


@pytest.mark.parametrize("path", ["/nothing", "/t/nothing/at/all", ODD, "/apis", "/nothing?next=//evil.example&q=<b>"])
def test_a_browser_gets_the_page_for_it(cloud: Cloud, path: str) -> None:
    pat = cloud.person("Pat")
    for browser, way in ((Browser(cloud), "/"), (with_session(cloud, pat), "/t")):
        answer = browser.get(path, headers=BROWSER)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        sheet = Sheet(answer.text)
        assert (sheet.is_whole, way in sheet.links) == (True, True)
        assert ("<h1>Not found</h1>" in answer.text, "Sign out" in answer.text) == (True, way == "/t")
        assert [word for word in ("script>", "onerror", "evil", "<b>") if word in answer.text] == []
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert browser.send("HEAD", path, headers=BROWSER).status_code == 404


def test_a_program_gets_the_envelope(cloud: Cloud) -> None:
    browser = with_session(cloud, cloud.person())
    for path, headers in (
        ("/nothing", {}),
        ("/nothing", {"accept": "application/json"}),
        ("/api/nothing", BROWSER),
        ("/api", BROWSER),
    ):
        answer = browser.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_a_page_that_is_only_for_forms_says_so(cloud: Cloud) -> None:
    browser = with_session(cloud, cloud.person())
    browser.get("/t")
    for path in ("/sign-out", f"{browser.page.headers['location']}/deploy/preview"):
        answer = browser.get(path, headers=BROWSER)
        assert (answer.status_code, "POST" in answer.headers["allow"]) == (405, True)
        assert "GET is not possible here." in answer.text
        assert Sheet(answer.text).is_whole
    assert browser.send("DELETE", "/sign-out", headers={"accept": "*/*"}).json()["code"] == "METHOD_NOT_ALLOWED"


def test_what_nobody_has_thought_of_is_said_in_our_words(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    @get("/breaks")
    async def breaks() -> None:
        raise RuntimeError("what only we may read")

    async def show(request: Any, error: ForebayError) -> Any:
        return server.Answer(error.status, {"content-type": "text/html"}, f"<p>{error.sentence}</p>".encode())

    browser = Browser(cloud, application=server.build(cloud.door, [breaks], show))
    with caplog.at_level(logging.ERROR):
        for headers in (BROWSER, {}):
            answer = cloud.loop.run(browser.http.get("/breaks", headers=headers))
            assert (answer.status_code, "Nothing was changed." in answer.text) == (500, True)
            assert answer.text.startswith("<p>" if headers else '{"error":')
            assert "what only we may read" not in answer.text
    assert "RuntimeError" in caplog.text
