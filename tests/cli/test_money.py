"""What teams have and what it went to, on the command line."""

from pathlib import Path

import pytest

from forebay.cli.figures import dollars, lasting, moment
from tests.api.cloud import DOLLAR, Cloud, Person
from tests.api.pdf_text import texts
from tests.cli.conftest import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def pat(cloud: Cloud) -> Person:
    """With a machine that has run for an hour."""
    pat = cloud.person("Pat", credits_micros=50 * DOLLAR)
    cloud.running(pat, name="train", labels={"project": "a"})
    cloud.clock.forward(hours=1)
    cloud.run("sightings")
    cloud.run("cycle")
    return pat


def test_balance(cloud: Cloud, run: Run, pat: Person) -> None:
    shown = run("balance", token=pat.key)
    assert shown.status == 0, shown
    assert "Pat's team" in shown.out
    assert run("balance", "--json", token=pat.key).json == cloud.get("/api/balance", pat.key).ok()


def test_usage(cloud: Cloud, run: Run, pat: Person) -> None:
    asked = run("usage", "--by", "deployment", "--json", token=pat.key).json
    assert [use["name"] for use in asked["usage"]] == ["train"]
    shown = run("usage", "--by", "label:project", token=pat.key)
    assert shown.status == 0, shown
    assert "in all" in shown.out
    assert dollars(asked["cost"]) in shown.out
    assert run("usage", "--since", "2030-01-01", "--until", "2030-02-01", "--json", token=pat.key).json["usage"] == []
    assert run("usage", "--csv", token=pat.key).out.startswith("day,name,cost")
    assert run("usage", "--by", "week", token=pat.key).status == 1


def test_transactions(cloud: Cloud, run: Run, pat: Person) -> None:
    shown = run("transactions", "--except-use", token=pat.session)
    assert shown.status == 0, shown
    assert "Credits granted" in shown.out
    assert "Use of machines" not in shown.out
    assert run("transactions", "--kind", "usage", "--json", token=pat.session).json["total"] >= 1
    assert run("transactions", "--csv", token=pat.session).out.startswith("time,kind")
    refused = run("transactions", token=pat.key)
    assert (refused.status, "billing.manage" in refused.err) == (4, True), refused


def test_statements(cloud: Cloud, run: Run, pat: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    month = cloud.clock.now().strftime("%Y-%m")
    assert month in run("statement", token=pat.session).out
    saved = run("statement", month, token=pat.session)
    assert saved.status == 0, saved
    [path] = tmp_path.glob("statement-*.pdf")
    assert path.name in saved.out
    assert "Closing balance" in texts(path.read_bytes())
    again = run("statement", month, token=pat.session)
    assert (again.status, "can't be written" in again.err) == (1, True), again
    assert run("statement", month, "-o", tmp_path / "other.pdf", token=pat.session).status == 0
    assert (tmp_path / "other.pdf").read_bytes() == path.read_bytes()
    assert run("statement", "2001-01", token=pat.session).status == 4
    assert run("statement", month, "--json", token=pat.session).status == 2


def test_moving_credits(cloud: Cloud, run: Run, pat: Person) -> None:
    made = run("teams", "create", "Blue Lab", "--json", token=pat.session).json
    assert run("move-credits", "5", "blue lab", token=pat.session).status == 3, "signed in an hour ago"
    token = cloud.session(pat.id)
    said = run("move-credits", "$5.25", "blue lab", token=token)
    assert said.status == 0, said
    assert said.out.startswith("Blue Lab has $5.25 more; Pat's team has $")
    assert run("move-credits", "1000", made["slug"], token=token).status == 1
    assert run("move-credits", "1", "nowhere", token=token).status == 4


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0.0, "$0.00"), (-1234.5, "-$1,234.50"), (0.000001, "$0.000001"), (12.345, "$12.345"), (1e9, "$1,000,000,000.00")],
)
def test_amounts(amount: float, words: str) -> None:
    assert dollars(amount) == words


def test_times() -> None:
    assert [lasting(seconds) for seconds in (0, 119, 120, 7200, 172_800)] == [
        "0 seconds", "119 seconds", "2 minutes", "2 hours", "2 days",
    ]  # fmt: skip
    assert moment("2026-03-01") == "2026-03-01T00:00:00Z"
    assert moment("2026-03-01T12:00:00Z") == "2026-03-01T12:00:00Z"
    assert moment(None) is None
