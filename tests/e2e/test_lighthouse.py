"""Every page as Lighthouse judges it by default, on a phone with a slow line: quick, and otherwise without a flaw."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lighthouse.judge import FOLDER, Judge, Verdict, judging
from tests.lighthouse.pages import EVERY_PAGE, HEAVIEST, address, session
from tests.web.stage import Stage

LEAST_OF_PERFORMANCE = 95


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with judging() as found:
        yield found


def least(category: str) -> float:
    """What a page must have."""
    return LEAST_OF_PERFORMANCE if category == "performance" else 100


def wrong_with(verdict: Verdict) -> list[str]:
    """Which scores are short, and by what."""
    print(verdict.scores)
    assert {"performance", "accessibility", "best-practices", "seo"} <= set(verdict.scores)
    short = [f"{category}: {score}" for category, score in verdict.scores.items() if score < least(category)]
    return [*short, *verdict.lost] if short else []


@pytest.mark.parametrize("name", HEAVIEST)
def test_a_page_is_quick_and_otherwise_without_a_flaw(judge: Judge, stage: Stage, url: str, name: str) -> None:
    assert wrong_with(judge.look(url + address(stage, name), session(stage, name), least=least)) == []


@pytest.mark.prove
@pytest.mark.parametrize("name", [name for name in EVERY_PAGE if name not in HEAVIEST])
def test_every_page_is(judge: Judge, stage: Stage, url: str, name: str) -> None:
    assert wrong_with(judge.look(url + address(stage, name), session(stage, name), least=least)) == []


def test_where_lighthouse_cannot_be_had_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_bytes((FOLDER / "package.json").read_bytes())
    (tmp_path / "package-lock.json").write_bytes((FOLDER / "package-lock.json").read_bytes())
    nowhere = {"registry": "http://127.0.0.1:9", "cache": str(tmp_path / "cache"), "fetch_retries": "0"}
    found = subprocess.run(
        [FOLDER.parent.parent / "scripts" / "npm-ci", tmp_path],
        env=os.environ | {f"npm_config_{name}": value for name, value in nowhere.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0
    assert "ECONNREFUSED" in found.stderr
