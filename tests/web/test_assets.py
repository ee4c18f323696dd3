"""The committed style and scripts are what the build gives, and are sent so that browsers may keep them."""

import gzip
import re
import subprocess
from pathlib import Path

import pytest

from forebay.web import assets
from tests.api.cloud import Cloud
from tests.web.browser import Browser

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_what_is_committed_is_what_the_build_gives(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "assets", tmp_path], check=True)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in assets.FOLDER.iterdir()}
    assert sorted(built) == sorted(committed)
    for name, body in built.items():
        assert body == committed[name], f"{name} is not what `make assets` makes of assets/ and the templates"


def test_browsers_may_keep_what_they_asked_for_by_its_content(cloud: Cloud) -> None:
    browser = Browser(cloud)
    style = assets.ASSETS["forebay.css"]
    answer = browser.get(style.address)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == style.body
    assert browser.get("/static/forebay.css?v=old").headers["cache-control"] == "public, max-age=3600"
    plain = browser.get(style.address, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == gzip.decompress(style.packed)


def test_the_style_and_the_script_of_all_pages_are_small() -> None:
    assert sum(len(assets.ASSETS[name].packed) for name in ("forebay.css", "forebay.js", "forebay.svg")) < 20_000
    is_terminal = {name: name.startswith("terminal.") for name in assets.ASSETS}
    assert sum(len(asset.packed) for name, asset in assets.ASSETS.items() if not is_terminal[name]) < 65_000
    assert sum(len(asset.packed) for name, asset in assets.ASSETS.items() if is_terminal[name]) < 110_000


def test_what_pages_use_of_our_own_style_is_not_left_out() -> None:
    templates = "".join(path.read_text() for path in (assets.FOLDER.parent / "templates").glob("*.html"))
    given = {name for names in re.findall(r'class="([^"{]+)', templates) for name in names.split()}
    ours = "".join(path.read_text() for path in (ROOT / "assets").glob("*.css"))
    styled = given & set(re.findall(r"\.([a-z][\w-]*)", ours))
    assert len(styled) > 50
    built = set(re.findall(r"\.([a-z][\w-]*)", assets.ASSETS["forebay.css"].body.decode()))
    assert styled - built - {"terminal-head", "terminal-pad"} == set()
    assert "alert-dialog" not in built, "and what none uses is"
