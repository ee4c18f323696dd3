"""A test whose browser answers no more is done again; one whose page is busy for ever has failed; others are run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TESTS = """
from pathlib import Path
from tests.e2e.test_browser import browser

def test_that_hangs_once(browser):
    mark, page = Path(__file__).with_suffix(".mark"), browser.new_page()
    if not mark.exists():
        mark.touch()
        page.evaluate("new Promise(() => 0)")

def test_whose_page_is_stuck(browser):
    browser.new_page().evaluate("for (;;) {}")

def test_that_ends(browser):
    assert browser.new_page().evaluate("6 * 7") == 42
"""


@pytest.mark.prove
def test_what_hangs_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "test_three.py"
    file.write_text(TESTS)
    options: list[str | Path] = ["-c", ROOT / "pyproject.toml", "-p", "tests.e2e.watchdog", "-p", "no:cacheprovider"]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-v", "-o", "faulthandler_timeout=20", file],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "test_that_hangs_once is done once more" in found.stderr
    assert "has not ended within 9 s, and a process of its browser is at work" in found.stderr
    assert 'page.evaluate("new Promise(() => 0)")' in found.stderr, "it says where the test stood"
    assert "1 failed, 2 passed" in found.stdout
