"""`/api/teams/{id}/transactions`, and the same as a file that a spreadsheet opens without carrying anything out."""

import csv
import io

import pytest

from forebay.domain.money import ledger, spreadsheets
from tests.api.cloud import DOLLAR, Cloud, Person


@pytest.fixture
def pat(cloud: Cloud) -> Person:
    """With a grant, one whose reason is a formula, and a minute of use."""
    pat = cloud.person("Pat", credits_micros=20 * DOLLAR)
    with cloud.database.begin() as connection:
        reason = '=HYPERLINK("http://evil.example","a, b")\n2nd line'
        now = cloud.clock.now()
        ledger.grant(connection, team_id=pat.team, amount_micros=1, reason=reason, created_by=pat.id, now=now)
    return pat


def test_what_a_transaction_says(cloud: Cloud, pat: Person) -> None:
    found = cloud.get(f"/api/teams/{pat.team}/transactions", pat.session).ok()
    assert {name: found[name] for name in ("total", "page", "limit", "totalPages")} == {
        "total": 2, "page": 1, "limit": 20, "totalPages": 1,
    }  # fmt: skip
    newest, first = found["transactions"]
    assert set(first) == {
        "id", "kind", "description", "amount", "balanceAfter", "reason", "createdBy", "createdAt", "reverses",
    }  # fmt: skip
    assert (first["kind"], first["description"], first["amount"]) == ("grant", "Credits granted", 20.0)
    assert (first["createdBy"], newest["createdBy"]) == (None, {"id": pat.id, "name": "Pat"})
    assert newest["balanceAfter"] == 20.000001
    assert first["createdAt"].endswith("Z")


def test_use_is_a_transaction_that_can_be_left_out(cloud: Cloud, pat: Person) -> None:
    cloud.running(pat)
    cloud.clock.forward(minutes=1)
    cloud.run("sightings")
    cloud.run("cycle")
    path = f"/api/teams/{pat.team}/transactions"
    found = cloud.get(path, pat.session).ok()
    assert found["transactions"][0]["description"] == "Use of machines and disks"
    assert found["transactions"][0]["amount"] < 0
    assert cloud.get(f"{path}?exceptKind=usage", pat.session).ok()["total"] == found["total"] - 1 == 2
    assert cloud.get(f"{path}?kind=usage&limit=1", pat.session).ok()["totalPages"] == 1
    assert cloud.get(f"{path}?from=2030-01-01T00:00:00Z", pat.session).ok()["transactions"] == []


@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=2026-01-01T00:00:00", "kind=a%20b", "limit=0", "limit=101", "page=0", "From=x"]
)
def test_what_is_no_filter_is_refused(cloud: Cloud, pat: Person, query: str) -> None:
    cloud.get(f"/api/teams/{pat.team}/transactions?{query}", pat.session).refused(400, "VALIDATION_ERROR")


def test_the_same_as_a_file(cloud: Cloud, pat: Person) -> None:
    answer = cloud.get(f"/api/teams/{pat.team}/transactions.csv", pat.session)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="transactions-pat')
    assert answer.headers["x-content-type-options"] == "nosniff"
    newest, first = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
    assert (newest["amount"], first["amount"], newest["balance after"]) == ("0.000001", "20.000000", "20.000001")
    assert newest["reason"] == '\'=HYPERLINK("http://evil.example","a, b")\n2nd line', "no formula any more"
    assert (newest["by"], first["by"]) == ("Pat", "Forebay")


def test_more_rows_than_a_file_holds(cloud: Cloud, pat: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheets, "MOST_ROWS", 1)
    path = f"/api/teams/{pat.team}/transactions.csv"
    cloud.get(path, pat.session).refused(400, "TOO_MANY_ROWS")
    assert cloud.get(f"{path}?to=2000-01-01T00:00:00Z", pat.session).body.count(b"\r\n") == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "\u00a0=1", "\ufeff=1", "＝1"])
def test_no_text_is_a_formula(text: str) -> None:
    content = spreadsheets.table(["name", "cost"], [[text, "-1.000000"]], ours=["cost"])
    [_, row] = csv.reader(io.StringIO(content.decode(), newline=""))
    assert row == [f"'{text}", "-1.000000"], "a figure of ours stays a number"


def test_a_key_sees_them_only_if_it_may_touch_money(cloud: Cloud, pat: Person) -> None:
    path = f"/api/teams/{pat.team}/transactions"
    cloud.get(path, pat.key).refused(403, "FORBIDDEN")
    cloud.get(path, cloud.key(pat.id, pat.team, may_touch_money=True)).ok()
