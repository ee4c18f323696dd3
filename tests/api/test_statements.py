"""`/api/teams/{id}/statements`: months, and each as a PDF document whose figures are the ledger's."""

import pytest

from forebay.domain.machines import statement_pdf
from forebay.domain.money.amounts import in_dollars
from forebay.storage.tables import teams
from tests.api.cloud import DOLLAR, Cloud, Person
from tests.api.pdf_text import texts

pytestmark = pytest.mark.slow


@pytest.fixture
def pat(cloud: Cloud) -> Person:
    """With a machine that has run for an hour in this month."""
    pat = cloud.person("Pat", credits_micros=50 * DOLLAR)
    cloud.running(pat, name="train")
    cloud.clock.forward(hours=1)
    cloud.run("sightings")
    cloud.run("cycle")
    return pat


def month(cloud: Cloud) -> str:
    return cloud.clock.now().strftime("%Y-%m")


def statement(cloud: Cloud, person: Person, of: str | None = None) -> bytes:
    key = cloud.key(person.id, person.team, may_touch_money=True)
    answer = cloud.get(f"/api/teams/{person.team}/statements/{of or month(cloud)}", key)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].endswith(f'-{of or month(cloud)}.pdf"')
    return answer.body


def after(words: str, found: list[str]) -> str:
    """What stands behind these words."""
    return found[found.index(words) + 1]


def test_a_month_as_a_document(cloud: Cloud, pat: Person) -> None:
    found = texts(statement(cloud, pat))
    balance = cloud.get(f"/api/teams/{pat.team}/billing", pat.session).ok()["balance"]
    assert after("Opening balance", found) == "0.000000"
    assert after("Credits granted", found) == "50.000000"
    assert after("Closing balance", found) == f"{balance:.6f}"
    assert after("Use of machines and disks", found) == in_dollars(round(balance * DOLLAR) - 50 * DOLLAR)
    assert "train" in found
    assert any("the month is not over yet" in line for line in found)
    assert any(line.startswith(f"Pat's team ({pat.team}") for line in found)


def test_the_company_stands_on_it(cloud: Cloud, pat: Person) -> None:
    settings = cloud.door.services.settings
    assert "Forebay" in texts(statement(cloud, pat))
    object.__setattr__(settings, "company_name", "Ångström Compute OÜ")
    object.__setattr__(settings, "company_vat_number", "EE123456789")
    try:
        found = texts(statement(cloud, pat))
        assert found[:2] == ["Ångström Compute OÜ", "VAT number EE123456789"]
    finally:
        object.__setattr__(settings, "company_name", "")
        object.__setattr__(settings, "company_vat_number", "")


def test_the_same_figures_are_the_same_bytes(cloud: Cloud, pat: Person) -> None:
    this = month(cloud)
    cloud.clock.forward(days=40)
    first = statement(cloud, pat, this)
    cloud.clock.forward(days=400)
    assert statement(cloud, pat, this) == first
    months = cloud.get(f"/api/teams/{pat.team}/statements?limit=2", cloud.session(pat.id)).ok()
    assert (months["total"], months["totalPages"], len(months["statements"])) == (15, 8, 2)
    [now, before] = months["statements"]
    assert (now["month"], now["isComplete"], before["isComplete"], before["to"]) == (
        month(cloud), False, True, now["from"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Zoë Ωмега", "Zoë Ωмега"),
        ("東京 lab", "\ufffd\ufffd lab"),
        ("עברית", "\ufffd" * 5),
        ("🚀\u200d(\\", "\ufffd\ufffd(\\"),
        ("Z" + "\u0301" * 60, None),
        ("x" * 80, "x" * 80),
    ],
)
def test_names_in_any_script(cloud: Cloud, pat: Person, name: str, shown: str | None) -> None:
    with cloud.database.begin() as connection:
        connection.execute(teams.update().where(teams.c.id == pat.team).values(name=name))
    found = "".join(texts(statement(cloud, pat)))
    if shown is not None:
        assert f"{shown} ({pat.team}" in found or shown in found


def test_a_long_table_has_its_names_on_every_page_and_an_end(
    cloud: Cloud, pat: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement_pdf, "MOST_ROWS", 60)
    for _ in range(70):
        cloud.grant(pat.team, 1)
    found = texts(statement(cloud, pat))
    assert found.count("Reason") == 2
    assert any(line.startswith("and 11 more") for line in found)
    assert after("Credits granted", found) == "50.000070", "the summary has them all"


def test_what_is_no_month(cloud: Cloud, pat: Person) -> None:
    for none in ("2026-02", "2999-01", "2026-13", "x", "2026-03-01", "0000-00"):
        cloud.get(f"/api/teams/{pat.team}/statements/{none}", pat.session).refused(404, "NOT_FOUND")
    cloud.get(f"/api/teams/{pat.team}/statements/{month(cloud)}", pat.key).refused(403, "FORBIDDEN")
