"""The pages: they render, run no script, and a link alone changes nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from litestar.testing import TestClient

from forebay.app import Forebay, build_api
from forebay.domain.people import accounts
from forebay.settings import Settings
from forebay.storage.database import Database
from forebay.storage.tables import users


@pytest.fixture
def forebay(tmp_path: Path, database_url: str) -> Iterator[Forebay]:
    opened = Forebay(Settings(data_dir=tmp_path / "data", database_url=database_url, providers=()))
    yield opened
    opened.close()


@pytest.fixture
def client(forebay: Forebay) -> Iterator[TestClient[Any]]:
    asgi, _ = build_api(forebay, "https://cloud.test")
    with TestClient(asgi) as opened:
        yield opened


def verified(database: Database, user_id: str) -> bool:
    with database.read() as connection:
        return connection.execute(sa.select(users.c.verified_at).where(users.c.id == user_id)).scalar() is not None


def test_the_first_page_says_where_things_are(client: TestClient[Any]) -> None:
    page = client.get("/", headers={"host": "evil.example"})
    assert page.status_code == 200
    for place in ("https://cloud.test/api", "https://cloud.test/api/openapi.json", "forebay --help"):
        assert place in page.text
    assert "evil.example" not in page.text
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert set(re.findall(r'(?:src|href)="(?!/)([^"]*)"', page.text)) == set()


def test_opening_the_link_changes_nothing_and_the_button_proves_the_address(
    forebay: Forebay, client: TestClient[Any]
) -> None:
    with forebay.database.begin() as connection:
        now = forebay.clock.now()
        account, _ = accounts.create(connection, email="ann@x.test", name="Ann", password_hash="h", now=now)
        token = accounts.new_verification(connection, account, forebay.secret_key, now=now)
    page = client.get("/verify", params={"token": token})
    assert token in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not verified(forebay.database, account.id)
    assert "is proved" in client.post("/verify", data={"token": token}).text
    assert verified(forebay.database, account.id)
    again = client.post("/verify", data={"token": token})
    assert (again.status_code, "not good any more" in again.text) == (400, True)


@pytest.mark.parametrize("token", ["", "x", '"><script>alert(1)</script>', "é" * 300])
def test_what_is_no_token_is_shown_as_text_and_refused(client: TestClient[Any], token: str) -> None:
    assert "<script>" not in client.get("/verify", params={"token": token}).text
    assert client.post("/verify", data={"token": token}).status_code == 400


def test_a_form_too_large_is_refused(client: TestClient[Any]) -> None:
    assert client.post("/verify", data={"token": "x" * 10_000}).status_code == 413


def test_the_style_is_ours(client: TestClient[Any]) -> None:
    style = client.get("/static/forebay.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "http" not in style.text
