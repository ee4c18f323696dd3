"""What pages read from a machine itself: its logs, and the keys that are on it."""

import pytest

from tests.api.cloud import Cloud, Person
from tests.web.browser import Browser, with_session

pytestmark = pytest.mark.slow


@pytest.fixture
def pat(cloud: Cloud) -> Person:
    return cloud.person()


def opened(cloud: Cloud, pat: Person) -> tuple[Browser, str, str]:
    """The person's browser, the path of a machine of theirs, and its id."""
    machine = cloud.running(pat, name="train")["id"]
    browser = with_session(cloud, pat)
    return browser, f"{browser.get('/t').headers['location']}/deployments/{machine}", machine


def test_keys_are_shown_as_they_are_on_the_machine_and_chosen(cloud: Cloud, pat: Person) -> None:
    browser, here, machine = opened(cloud, pat)
    page = browser.get(f"{here}/ssh-keys").text
    assert "installed" in page
    [first] = cloud.get(f"/api/deployments/{machine}/ssh-keys", pat.key).ok()["sshKeys"]
    other = cloud.ssh_key(pat.team, pat)
    browser.get(f"{here}/ssh-keys")
    browser.submit(f"{here}/ssh-keys", **{f"key-{first['id']}": "yes", f"key-{other}": "yes"})
    cloud.run("ssh-keys")
    assert browser.follow().text.count(">installed<") == 2
    token = browser.get(f"{here}/ssh-keys").text.split('name="csrf" value="')[1].split('"')[0]
    refused = browser.post(f"{here}/ssh-keys", {"csrf": token})
    assert (refused.status_code, "One key at least" in refused.text) == (400, True)
    refused = browser.post(f"{here}/ssh-keys", {"csrf": token, f"key-{'0' * 24}": "yes"})
    assert (refused.status_code, "does not exist in this team" in refused.text) == (400, True)


def test_logs_are_the_end_of_what_the_machine_wrote(cloud: Cloud, pat: Person) -> None:
    browser, here, machine = opened(cloud, pat)
    said = cloud.get(f"/api/deployments/{machine}/logs", pat.key).ok()["text"]
    page = browser.get(f"{here}/logs")
    assert page.status_code == 200
    assert said.strip().splitlines()[-1] in page.text if said.strip() else "Nothing here" in page.text
    assert browser.get(f"{here}/logs?kind=cloud-init").status_code == 200
    assert browser.get(f"{here}/logs?kind=secrets").status_code == 400
    cloud.provider.be_unreachable()
    try:
        for path in ("logs", "ssh-keys"):
            page = browser.get(f"{here}/{path}")
            assert (page.status_code, 'data-variant="warning"' in page.text) == (200, True), path
    finally:
        cloud.provider.be_back()
