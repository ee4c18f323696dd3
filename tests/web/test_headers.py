"""What every answer says about itself: pages and errors, files, assets, streams, redirects, and the API's own."""

import re

import httpx
import pytest

from tests.api.cloud import ABSENT, Cloud
from tests.web.browser import Browser, with_session
from tests.web.crawl import Snapshot, crawl, is_html
from tests.web.stage import Stage

pytestmark = pytest.mark.slow
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
OTHERS = (
    ("GET", "/nowhere", 404),
    ("GET", "/t/no-such-team", 404),
    ("GET", "/t/vision-lab/nothing", 404),
    ("GET", f"/t/vision-lab/deployments/{ABSENT}", 404),
    ("GET", "/%00", 404),
    ("GET", "/sign-in?next=%ff", 400),
    ("POST", "/sign-in", 400),
    ("PUT", "/sign-in", 405),
    ("DELETE", "/t/vision-lab", 405),
    ("GET", "/t", 303),
    ("GET", "/operator", 404),
    ("HEAD", "/", 200),
    ("GET", "/static/forebay.js", 200),
    ("GET", "/static/forebay.svg?v=1", 200),
    ("GET", "/static/nothing.js", 404),
    ("GET", "/healthz", 200),
    ("GET", "/metrics", 404),
    ("GET", "/api/openapi.json", 200),
    ("GET", "/api/gpu-offers", 200),
    ("GET", "/api/teams", 401),
    ("GET", "/api/nothing", 404),
    ("OPTIONS", "/api/teams", 204),
)


def wrong_with(answer: httpx.Response) -> list[str]:
    """What of it is missing or too much."""
    found = [name for name, value in ALWAYS.items() if answer.headers.get(name) != value]
    if "camera=()" not in answer.headers.get("permissions-policy", ""):
        found.append("permissions-policy")
    policy = dict(
        part.strip().partition(" ")[::2] for part in answer.headers.get("content-security-policy", "").split(";")
    )
    if (policy.get("default-src"), policy.get("frame-ancestors")) != ("'none'", "'none'"):
        found.append("content-security-policy")
    allowed = {"'self'", "'none'"}
    wide = {source for name, each in policy.items() if name != "form-action" for source in each.split()} - allowed
    to = set(policy.get("form-action", "'self'").split()) - allowed
    found += [f"the policy has {source}" for source in wide]
    found += [f"forms go to {source}" for source in to if not re.fullmatch(r"https://[a-z0-9.:-]+", source)]
    if is_html(answer) and (policy.get("base-uri"), "script-src" in policy) != ("'none'", True):
        found.append("base-uri")
    is_asset = answer.request.url.path.startswith("/static/") and answer.status_code == 200
    if is_asset != answer.headers.get("cache-control", "").startswith("public"):
        found.append("cache-control")
    return found


def test_every_page_and_file(full_stage: Stage, snapshot: Snapshot) -> None:
    kinds = set()
    for person, start in ((full_stage.olga, "/t/vision-lab"), (full_stage.otto, "/operator"), (None, "/sign-in")):
        browser = Browser(full_stage.cloud) if person is None else with_session(full_stage.cloud, person)
        for found in crawl(browser, [start, "/account"], most_of_a_shape=1):
            assert wrong_with(found.answer) == [], found.path
            kinds.add((found.answer.headers.get("content-type") or "").partition(";")[0])
    assert {"text/html", "text/csv", "application/pdf"} <= kinds


def test_every_other_answer(full_stage: Stage) -> None:
    browser = with_session(full_stage.cloud, full_stage.olga)
    for method, path, status in OTHERS:
        answer = browser.send(method, path)
        assert (answer.status_code, wrong_with(answer)) == (status, []), path


def test_a_provider_that_people_sign_in_with_is_where_forms_may_go(full_stage: Stage) -> None:
    policy = Browser(full_stage.cloud).get("/sign-in").headers["content-security-policy"]
    assert "form-action 'self' https://corp.test;" in policy


def test_a_stream_says_it_too(own_cloud: Cloud) -> None:
    olga = own_cloud.person("Olga")
    base = with_session(own_cloud, olga).get("/t").headers["location"]
    with (
        own_cloud.served() as port,
        httpx.stream("GET", f"http://127.0.0.1:{port}{base}/live", cookies={"forebay-session": olga.session}) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        assert wrong_with(answer) == []
