"""Keys from elsewhere in the dashboard, as a browser without a script takes them, from a server on this machine."""

import html
import re
from collections.abc import Callable

from tests.api.cloud import Cloud, new_public_key
from tests.receiver import paged, receiver
from tests.web.browser import with_session
from tests.web.stage import NASTY


def test_whose_then_which_then_added(cloud: Cloud) -> None:
    pat = cloud.person("Pat")
    browser = with_session(cloud, pat)
    browser.get("/t")
    at = browser.page.headers["location"] + "/ssh-keys"
    assert f'href="{at}/import"' in browser.get(at).text
    old, new, other = (new_public_key().rpartition(" ")[0] for _ in range(3))
    mine = cloud.post("/api/ssh-keys", pat.key, {"name": "laptop", "publicKey": old}).ok(201)
    url = "https://github.test/octocat.keys"
    cloud.shelf.put(url, old, f"{new} {NASTY}", other, "ssh-dss AAAAB3")
    browser.get(f"{at}/import")
    wrong = browser.submit(f"{at}/import", source="GitHub", user="no/body")
    assert (wrong.status_code, 'id="user-problem"' in wrong.text) == (400, True)
    unknown = browser.submit(f"{at}/import", source="GitHub", user="ghost")
    assert 'class="wrong">GitHub knows no ghost.' in unknown.text
    assert 'value="ghost"' in unknown.text
    found = browser.submit(f"{at}/import", source="GitHub", user="octocat")
    assert found.status_code == 200
    assert NASTY not in found.text
    assert html.escape(NASTY)[:20] in found.text
    assert "as laptop" in found.text
    assert mine["fingerprint"] in found.text
    assert "OpenSSH does not take DSA keys any more" in html.unescape(found.text)
    boxes = re.findall(r'type="checkbox" name="(pick-[^"]+)" value="yes"( checked)?', found.text)
    assert [checked for _, checked in boxes] == ["", ""], "whoever adds a key has chosen it"
    add = f"{at}/import/add"
    fields = {"csrf": browser_form(found.text, add), "source": "GitHub", "user": "octocat"}
    nothing = browser.post(add, fields)
    assert (nothing.status_code, "Choose one at least." in nothing.text, boxes[0][0] in nothing.text) == (
        400,
        True,
        True,
    )
    pick = {html.unescape(boxes[0][0]): "yes"}
    browser.post(add, fields | pick)
    assert "1 key of octocat at GitHub is added." in browser.follow().text
    assert "Pat" in browser.page.text
    browser.post(add, fields | pick)
    assert "Nothing new was added. 1 was there already." in browser.follow().text
    assert len(cloud.get("/api/ssh-keys", pat.key).ok()) == 2
    shown = html.unescape(browser.get(at.replace("/ssh-keys", "/team/activity")).text)
    assert "added an SSH key from octocat at GitHub" in shown


def browser_form(page: str, action: str) -> str:
    """The token in the form that goes there."""
    [token] = re.findall(rf'action="{action}">.*?name="csrf" value="([^"]+)"', page, re.S)
    return str(token)


def test_a_source_that_fails_is_named_beside_its_field_and_asked_slower_and_slower(cloud: Cloud) -> None:
    pat = cloud.person("Pat")
    browser = with_session(cloud, pat)
    browser.get("/t")
    at = browser.page.headers["location"] + "/ssh-keys/import"
    cloud.shelf.reason = "no answer within 5 seconds"
    browser.get(at)
    down = browser.submit(at, source="GitHub", user="octocat")
    cloud.shelf.reason = ""
    assert (down.status_code, 'id="source-problem"' in down.text) == (503, True)
    assert "GitHub can't be asked now: no answer within 5 seconds." in html.unescape(down.text)
    for _ in range(29):
        browser.submit(at, source="GitHub", user="ghost")
    slow = browser.submit(at, source="GitHub", user="ghost")
    assert (slow.status_code, "Try again in" in slow.text) == (429, True)


def test_the_server_itself_asks_over_the_network(make_cloud: Callable[..., Cloud]) -> None:
    line = new_public_key()
    with receiver() as other:
        other.answer = lambda handler: paged(handler, f"{line}\n".encode())
        source = {
            "ssh_key_sources": (f"Near=http://127.0.0.1:{other.port}/{{user}}",),
            "ssh_key_source_allow_http": True,
        }
        for networks, status in (((), 503), (("127.0.0.0/8",), 200)):
            cloud = make_cloud(**source, ssh_key_source_open_networks=networks)
            pat = cloud.person()
            answer = cloud.post("/api/ssh-keys/lookup", pat.key, {"source": "near", "user": "pat+x"})
            assert answer.status == status
        assert answer.json["keys"][0]["publicKey"] == line
        assert [found.path for found in other.found] == ["/pat%2Bx"]


def test_without_sources_there_is_no_such_page(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(ssh_key_sources=())
    pat = cloud.person()
    browser = with_session(cloud, pat)
    browser.get("/t")
    at = browser.page.headers["location"] + "/ssh-keys"
    assert f"{at}/import" not in browser.get(at).text
    assert browser.get(f"{at}/import").status_code == 404
    assert cloud.get("/api/ssh-key-sources", pat.key).ok() == {"sources": []}
    body = {"source": "GitHub", "user": "octocat"}
    assert "no sources" in cloud.post("/api/ssh-keys/lookup", pat.key, body).refused(400, "NO_SUCH_SOURCE")["error"]
