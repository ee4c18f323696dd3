"""Keys from files, as a browser without a script sends them: read, bounded, and refused beside their field."""

import html
import re
from typing import Any

import pytest

from forebay.web.uploads import MOST_BYTES, MOST_FIELD_BYTES
from tests.api.cloud import Cloud, new_public_key
from tests.web.browser import Browser, Forms, with_session

PRIVATE = b"-----BEGIN OPENSSH PRIVATE KEY-----\nMCowBQYDK2VwAyEA\n"


def chosen(browser: Browser, page: str, field: str, file: Any, action: str = "", **fields: str) -> str:
    """Choose a file in the form of that page, send it, and read what comes."""
    form = Forms(browser.get(page).text).found[page.partition("?")[0]]
    answer = browser.post(action or page, {**form, **fields}, files={field: file})
    return html.unescape(answer.text)


def beside(page: str, field: str) -> str:
    found = re.search(rf'id="{field}(-\d+)?-problem" class="wrong">([^<]*)<', page)
    return found[2] if found else ""


def test_a_key_is_taken_from_its_file(cloud: Cloud) -> None:
    pat = cloud.person("Pat")
    browser = with_session(cloud, pat)
    browser.get("/t")
    page = browser.page.headers["location"] + "/ssh-keys/add"
    assert 'enctype="multipart/form-data"' in browser.get(page).text
    lines = [new_public_key().replace("someone@somewhere", f"from@file-{number}") for number in range(3)]
    for raw in (f"{lines[0]}\n".encode(), lines[1].encode("utf-16"), lines[2].encode("utf-8-sig")):
        assert chosen(browser, page, "publicKeyFile", ("id.pub", raw)) == ""
        assert (browser.page.status_code, browser.page.headers["location"]) == (303, page.removesuffix("/add"))
    names = [key["name"] for key in cloud.get("/api/ssh-keys", pat.key).ok()]
    assert sorted(names) == ["from@file-0", "from@file-1", "from@file-2"]
    # None chosen: the browser sends a file without a name.
    assert chosen(browser, page, "publicKeyFile", ("", b""), publicKey=new_public_key(), name="pasted") == ""
    again = chosen(browser, page, "publicKeyFile", ("id.pub", lines[0].encode()))
    assert "already" in again
    assert lines[0] in again, "a good key needn't be chosen again"


def test_what_is_no_key_is_refused_beside_the_file(cloud: Cloud) -> None:
    browser = with_session(cloud, cloud.person("Pat"))
    browser.get("/t")
    page = browser.page.headers["location"] + "/ssh-keys/add"
    for raw, said in (
        (PRIVATE, "This is a private key"),
        (b"\x7fELF\xff\xfe\x00", "The file <i>.pub holds no text"),
        (b"", "<i>.pub is empty"),
        (b"x" * 20_000, "<i>.pub is too large"),
        (b"x" * (MOST_BYTES - 10_000), "<i>.pub is too large"),
    ):
        found = chosen(browser, page, "publicKeyFile", ("<i>.pub", raw), name="kept")
        assert browser.page.status_code == 400
        assert "<i>" not in browser.page.text
        assert said in found
        assert beside(browser.page.text, "publicKeyFile"), said
        assert ('value="kept"' in found, "MCowBQYD" in found) == (True, False)
    both = chosen(browser, page, "publicKeyFile", ("id.pub", new_public_key().encode()), publicKey=new_public_key())
    assert "both pasted and taken from a file. Keep one of them." in both
    assert chosen(browser, page, "publicKeyFile", ("a.iso", b"x" * MOST_BYTES)) != ""
    assert browser.page.status_code == 413


def test_a_key_is_added_from_its_file_while_launching(cloud: Cloud) -> None:
    pat = cloud.person("Pat")
    browser = with_session(cloud, pat)
    browser.get("/t")
    base = browser.page.headers["location"]
    offer = re.findall(r'href="([^"]*/deploy/new\?[^"]*)"', browser.get(f"{base}/deploy").text)[0]
    page, keys = html.unescape(offer), f"{base}/deploy/keys"
    wrong = chosen(browser, page, "newKeyFile", ("id.pub", PRIVATE), keys, name="kept-name")
    assert ("private key" in beside(wrong, "newKeyFile"), 'value="kept-name"' in wrong) == (True, True)
    line = new_public_key()
    assert "is added to the team, and chosen." in chosen(browser, page, "newKeyFile", ("i", line.encode()), keys)
    assert len(cloud.get("/api/ssh-keys", pat.key).ok()) == 1


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_what_is_no_form_is_no_form(cloud: Cloud, kind: str) -> None:
    browser = with_session(cloud, cloud.person())
    path = "/theme"
    for body in (b"", b"--x", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n--x--"):
        answer = browser.send("POST", path, content=body, headers={"content-type": kind})
        assert (answer.status_code, "form" in answer.text) == (400, True), body
    assert browser.post(path, {"theme": "dark"}, files={"a": ("b", b"c")}).status_code == 403, "its page is asked for"
    csrf = Forms(browser.get("/account").text).found["/sign-out"]["csrf"]
    assert browser.post(path, {"theme": "dark", "csrf": csrf}, files={"a": ("b", b"c")}).status_code == 303
    too_large = browser.post(path, {"theme": "x" * MOST_FIELD_BYTES, "csrf": csrf}, files={"a": ("b", b"c")})
    assert too_large.status_code == 413
    many = browser.post(path, {f"field-{n}": "x" for n in range(60)}, files={"a": ("b", b"c")})
    assert many.status_code == 400
