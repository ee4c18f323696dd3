"""A browser without a script: it keeps cookies, reads forms out of pages and sends them back."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import sqlalchemy as sa

from forebay.domain.people import credentials
from forebay.storage.tables import mails, users
from tests.api.cloud import URL, Cloud, Person

PASSWORD = "a lamp beside the river"
NETWORKS = iter(range(1, 60_000))


class Forms(HTMLParser):
    """The forms of a page: by action the fields that they hold already."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self.open: dict[str, str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("method") == "post":
            self.open = self.found.setdefault(given["action"], {})
        elif tag == "input" and self.open is not None and given.get("name"):
            self.open[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.open = None


class Filled(HTMLParser):
    """One form of a page as a browser sends it: what is chosen and written, and of the boxes those with a check."""

    def __init__(self, page: str, action: str) -> None:
        super().__init__()
        self.action, self.is_in, self.select, self.writing = action, False, "", ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name, value = given.get("name", ""), given.get("value", "")
        if tag == "form":
            self.is_in = given.get("action") == self.action
        elif not self.is_in:
            return
        elif tag == "input" and name and (given.get("type") != "checkbox" or "checked" in given):
            self.fields[name] = value
        elif tag == "select":
            self.select = name
        elif tag == "option" and (self.select not in self.fields or "selected" in given):
            self.fields[self.select] = value
        elif tag == "textarea":
            self.writing, self.fields[name] = name, ""

    def handle_data(self, data: str) -> None:
        if self.writing:
            self.fields[self.writing] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.is_in = False
        elif tag == "textarea":
            self.writing = ""


class Browser:
    """Somebody's browser."""

    def __init__(self, cloud: Cloud, *, url: str = URL, application: Any = None) -> None:
        self.cloud = cloud
        served: Any = application or cloud.application
        # A network of its own, so that nobody is slowed down by what another test has guessed.
        number = next(NETWORKS)
        transport = httpx.ASGITransport(served, client=(f"10.{number // 250}.{number % 250}.9", 40_000))
        self.http = httpx.AsyncClient(transport=transport, base_url=url, headers={"user-agent": "a browser"})
        self.page: httpx.Response

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        found = self.cloud.loop.run(self.http.request(method, path, **more))
        assert isinstance(found, httpx.Response)
        assert found.status_code != 500, found.text
        self.page = found
        return found

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.send("GET", path, **more)

    def post(self, path: str, form: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.send("POST", path, data=form or {}, **more)

    def submit(self, action: str, **fields: str) -> httpx.Response:
        """Fill in the form of the present page that goes there, and send it."""
        forms = Forms(self.page.text).found
        assert action in forms, (action, sorted(forms), self.page.status_code)
        return self.post(action, {**forms[action], **fields})

    def follow(self) -> httpx.Response:
        """Go where the present answer leads."""
        assert self.page.status_code == 303, (self.page.status_code, self.page.text)
        return self.get(self.page.headers["location"])

    def sign_in(self, email: str, password: str = PASSWORD, next_path: str = "") -> httpx.Response:
        self.get("/sign-in" + (f"?next={next_path}" if next_path else ""))
        return self.submit("/sign-in", email=email, password=password)

    @property
    def session(self) -> str:
        """The token in the session's cookie."""
        return str(self.http.cookies.get("forebay-session") or self.http.cookies.get("__Host-forebay-session") or "")


def with_session(cloud: Cloud, person: Person) -> Browser:
    """The person's browser, signed in just now, without the time that passwords take."""
    browser = Browser(cloud)
    browser.http.cookies.set("forebay-session", cloud.session(person.id), domain="forebay.test")
    return browser


def give_password(cloud: Cloud, person: Person, password: str = PASSWORD) -> None:
    with cloud.database.begin() as connection:
        hashed = credentials.hash_password(password)
        connection.execute(sa.update(users).where(users.c.id == person.id).values(password_hash=hashed))


def signed_in(cloud: Cloud, person: Person) -> Browser:
    """The person's browser, signed in with their password."""
    give_password(cloud, person)
    browser = Browser(cloud)
    answer = browser.sign_in(person.email)
    assert (answer.status_code, answer.headers["location"]) == (303, "/t"), answer.text
    return browser


def link_to(cloud: Cloud, email: str, page: str) -> str:
    """The path of the newest link to a page that was mailed there."""
    with cloud.database.read() as connection:
        rows = connection.execute(sa.select(mails.c.text).where(mails.c.recipient == email).order_by(mails.c.id.desc()))
        for row in rows:
            found = re.search(rf"http://forebay\.test(/{page}\?token=\S+)", row.text)
            if found:
                return found[1]
    raise AssertionError(f"no link to {page} for {email}")
