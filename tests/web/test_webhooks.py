"""A team's webhooks in the dashboard, from the secret that is shown once to what came of a test."""

import re

import httpx

from tests.api.cloud import Cloud
from tests.receiver import receiver
from tests.web.browser import Browser, Forms, with_session


def test_a_webhook_from_its_secret_to_its_end(cloud: Cloud) -> None:
    pat = cloud.person("Pat")
    browser = with_session(cloud, pat)
    browser.get("/t")
    at = browser.page.headers["location"] + "/team/webhooks"
    assert "No webhooks yet" in browser.get(at).text
    browser.get(f"{at}/add")
    refused = add(browser, at, url="https://10.0.0.1/", name="chat")
    assert (refused.status_code, "It is not on the public network" in refused.text) == (400, True)
    with receiver() as other:
        add(browser, at, url=other.url, name="chat", **{"limit.met": "on"})
        [secret] = re.findall(r"whsec_[\w+/=]+", browser.page.text)
        [here] = set(re.findall(rf"{at}/[0-9a-f]{{24}}", browser.page.text))
        assert secret not in browser.get(here).text
        assert "limit.met" in browser.page.text
        browser.submit(f"{here}/test")
        assert "A test is on its way" in browser.follow().text
        cloud.run("webhooks")
        assert "1: delivered" in browser.get(here).text
    browser.submit(f"{here}/disable")
    assert "disabled by hand" in browser.follow().text
    browser.submit(f"{here}/enable")
    assert "Enabled" in browser.follow().text
    assert secret not in browser.submit(f"{here}/rotate").text
    assert "whsec_" in browser.page.text
    browser.get(f"{here}/delete")
    browser.submit(f"{here}/delete")
    assert "The webhook is deleted." in browser.follow().text
    assert cloud.get(f"/api/teams/{pat.team}/webhooks", pat.key).ok() == {"webhooks": []}


def add(browser: Browser, at: str, **fields: str) -> httpx.Response:
    """Fill in the form: a box that isn't checked isn't sent."""
    assert 'type="checkbox" id="limit.met"' in browser.page.text
    csrf = Forms(browser.page.text).found[f"{at}/add"]["csrf"]
    return browser.post(f"{at}/add", {"csrf": csrf, **fields})
