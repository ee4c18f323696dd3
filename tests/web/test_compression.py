"""Pages are compressed, and what is secret in them can't be told by how long they come out."""

import re
import zlib

from forebay.web import compression
from tests.api.cloud import Cloud
from tests.web.browser import Browser, Forms, with_session

TOKEN = bytes(range(32))


def raw(browser: Browser, path: str, **headers: str) -> tuple[bytes, str]:
    """What is sent, and how it is encoded."""

    async def ask() -> tuple[bytes, str]:
        async with browser.http.stream("GET", path, headers=headers) as answer:
            sent = b"".join([part async for part in answer.aiter_raw()])
            return sent, answer.headers.get("content-encoding", "")

    found: tuple[bytes, str] = browser.cloud.loop.run(ask())
    return found


def test_a_page_is_sent_compressed(cloud: Cloud) -> None:
    olga = with_session(cloud, cloud.person())
    plain, how = raw(olga, "/account", **{"accept-encoding": "identity"})
    assert how == ""
    sent, how = raw(olga, "/account", **{"accept-encoding": "gzip, deflate, br"})
    assert how == "gzip"
    assert len(sent) < len(plain) / 3
    without_token = [re.sub(rb'name="csrf" value="\w+"', b"", page) for page in (plain, zlib.decompress(sent, 31))]
    assert without_token[0] == without_token[1]
    assert olga.get("/account").headers["vary"] == "accept-encoding, sec-fetch-site"


def test_over_https_only_for_requests_that_no_other_site_began(cloud: Cloud) -> None:
    takes = {"accept-encoding": "gzip"}
    for site, is_compressed in (
        ("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False), ("", False), ("new", False)
    ):  # fmt: skip
        assert compression.may_compress({**takes, "sec-fetch-site": site}, is_https=True) is is_compressed, site
    assert not compression.may_compress(takes, is_https=True)
    assert compression.may_compress(takes, is_https=False)
    assert not compression.may_compress({**takes, "sec-fetch-site": "cross-site"}, is_https=False)
    olga = with_session(cloud, cloud.person())
    assert raw(olga, "/account", **takes, **{"sec-fetch-site": "cross-site"})[1] == ""
    assert raw(olga, "/account", **takes, **{"sec-fetch-site": "same-origin"})[1] == "gzip"


def test_the_token_of_forms_is_never_written_twice_the_same(cloud: Cloud) -> None:
    olga = with_session(cloud, cloud.person())
    pages = [olga.get("/account").text for _ in range(20)]
    tokens = [Forms(page).found["/sign-out"]["csrf"] for page in pages]
    halves = {half for token in tokens for half in (token[:64], token[64:])}
    assert len(halves) == 40
    assert len({compression.unmask(token) for token in tokens}) == 1
    assert all(
        set(re.findall(r'name="csrf" value="(\w+)"', page)) == {token}
        for page, token in zip(pages, tokens, strict=True)
    )
    assert olga.post("/theme", {"csrf": tokens[0], "theme": "dark"}).status_code == 303
    assert olga.post("/theme", {"csrf": tokens[0], "theme": "dark"}).status_code == 303, "and all of them are good"


def test_what_is_no_masked_token_is_none() -> None:
    assert compression.unmask(compression.mask(TOKEN)) == TOKEN
    for text in ("", "0", "zz" * 64, TOKEN.hex(), "00" * 63, "00" * 65, "é" * 128, "00 " * 63):
        assert compression.unmask(text) == b"", text
