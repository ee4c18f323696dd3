"""What a page holds, read as a browser reads it, and everything that can be reached from it.

A form is read with all that it would send if nobody filled anything in; pressing a button sends that. A snapshot puts
the database back to where it was, so that every button of every page can be pressed.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import msgspec
import sqlalchemy as sa

from forebay.storage.tables import metadata
from tests.api.cloud import Cloud
from tests.web.browser import Browser

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
IDS = re.compile(r"[0-9a-f]{24}")


class Element(msgspec.Struct):
    """One opening tag."""

    tag: str
    given: dict[str, str]


class Field(msgspec.Struct):
    """Something that a form sends, as it stands when the page is opened."""

    name: str
    kind: str
    value: str | None
    """None: it is not sent as long as nobody ticks it."""
    options: list[str] = msgspec.field(default_factory=list)
    is_filled_in: bool = False
    """A person types into it."""
    is_required: bool = False
    id: str = ""
    label: str = ""


class Form(msgspec.Struct):
    """A form with its buttons: each by its own name, value and address, if it has some."""

    method: str
    action: str
    given: dict[str, str]
    fields: list[Field] = msgspec.field(default_factory=list)
    buttons: list[dict[str, str]] = msgspec.field(default_factory=list)

    @property
    def sends(self) -> dict[str, str]:
        """What is sent without anything having been filled in."""
        return {field.name: field.value for field in self.fields if field.value is not None}

    def presses(self) -> Iterator[tuple[str, dict[str, str]]]:
        """What each button sends, and where to."""
        for button in self.buttons:
            if "disabled" in button:
                continue
            own = {button["name"]: button.get("value", "")} if button.get("name") else {}
            yield button.get("formaction") or self.action, {**self.sends, **own}


class Sheet(HTMLParser):
    """A page: its elements, links, forms and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        """What stands inside of <script> and <style>."""
        self.open: list[str] = []
        self.form: Form | None = None
        self.label, self.labels = "", dict[str, str]()
        self.field: Field | None = None
        self.feed(text)
        self.close()
        for field in (field for form in self.forms for field in form.fields):
            field.label = self.labels.get(field.id, "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append(Element(tag, given))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "label":
            self.label = given.get("for", "")
        if tag == "a" and "href" in given:
            self.links.append(given["href"].partition("#")[0])
        elif tag == "form":
            self.form = Form(given.get("method", "get").lower(), given.get("action", ""), given)
            self.forms.append(self.form)
        elif self.form is not None:
            self.take(self.form, tag, given)
        elif "form" in given:
            # A control outside of the form that it belongs to.
            self.take(next(form for form in self.forms if form.given.get("id") == given["form"]), tag, given)

    def take(self, form: Form, tag: str, given: dict[str, str]) -> None:
        """A control of the form that is open."""
        kind = given.get("type", "submit" if tag == "button" else "text")
        if tag in ("button", "input") and kind == "submit":
            form.buttons.append(given)
        if tag == "option" and self.field is not None:
            option = given.get("value", "")
            self.field.options.append(option)
            if "selected" in given or self.field.value is None:
                self.field.value = option
        if tag not in ("input", "select", "textarea") or not given.get("name") or kind == "submit":
            return
        value: str | None = given.get("value", "")
        if kind in ("checkbox", "radio"):
            value = (given.get("value", "on")) if "checked" in given else None
        field = Field(given["name"], tag if tag != "input" else kind, None if tag == "select" else value)
        field.is_filled_in = kind not in ("hidden", "checkbox", "radio") and tag != "select"
        field.is_required, field.id = "required" in given, given.get("id", "")
        if kind in ("checkbox", "radio"):
            field.options.append(given.get("value", "on"))
        form.fields.append(field)
        self.field = field if tag in ("select", "textarea") else None

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass
        if tag == "form":
            self.form = None
        elif tag in ("select", "textarea"):
            if self.field is not None and self.field.kind == "textarea" and self.field.value:
                self.field.value = self.field.value.removeprefix("\n")
            self.field = None

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.scripts.append(data)
            return
        self.text.append(data)
        if self.field is not None and self.field.kind == "textarea":
            self.field.value = (self.field.value or "") + data
        if self.open and self.open[-1] == "label":
            self.labels[self.label] = self.labels.get(self.label, "") + data

    @property
    def is_whole(self) -> bool:
        """Whether this is a page of ours, and no part of one."""
        tags = [element.tag for element in self.elements]
        return tags[:2] == ["html", "head"] and "body" in tags and "main" in tags


def is_html(answer: httpx.Response) -> bool:
    return str(answer.headers.get("content-type", "")).startswith("text/html")


def shape(path: str) -> str:
    """The path with a mark in the place of each id: pages of the same shape are made by the same lines."""
    return IDS.sub("{id}", path.partition("?")[0])


class Visited(msgspec.Struct):
    """A page that somebody came to."""

    path: str
    answer: httpx.Response
    sheet: Sheet | None
    """None: it is no HTML."""


def crawl(browser: Browser, starts: Iterable[str], *, most_of_a_shape: int = 3) -> Iterator[Visited]:
    """All pages that are led to from these, and of those that differ in ids and queries alone only some."""
    waiting, seen, of_shape = list(starts), set[str](), dict[str, int]()
    while waiting:
        here = waiting.pop(0)
        if here in seen or not re.fullmatch(r"/[!-~]*", here) or here.startswith(("/api/", "/healthz")):
            continue
        seen.add(here)
        counted = of_shape[shape(here)] = of_shape.get(shape(here), 0) + 1
        if counted > most_of_a_shape:
            continue
        answer = browser.get(here)
        sheet = Sheet(answer.text) if is_html(answer) and answer.content else None
        yield Visited(here, answer, sheet)
        if answer.status_code == 303:
            waiting.append(answer.headers["location"])
        if sheet is not None:
            waiting += sheet.links
            waiting += [form.action for form in sheet.forms if form.method == "get"]


class Snapshot:
    """The database of a cloud on SQLite as it was, to be put back."""

    def __init__(self, cloud: Cloud) -> None:
        self.kept = sqlite3.connect(":memory:", check_same_thread=False)
        self.live = sqlite3.connect(str(cloud.database.reader.url.database), timeout=10, check_same_thread=False)
        self.version = self.version_of_live()
        self.live.backup(self.kept)

    def version_of_live(self) -> Any:
        """Another after every change that was not made by `put_back`."""
        return self.live.execute("PRAGMA data_version").fetchone()

    def put_back(self) -> None:
        """Undo what was done since; where that is nothing, this costs nothing."""
        version = self.version_of_live()
        if version != self.version:
            self.kept.backup(self.live)
            self.version = version


LOOKED = {"sessions": {"last_seen_at", "expires_at"}, "api_keys": {"last_used_at", "last_used_from"}}
"""What looking may change: when somebody was here last, and with that until when their session lasts."""


def rows(cloud: Cloud) -> dict[str, list[tuple[Any, ...]]]:
    """All that the database holds, but for who was here last, and who looked."""
    found = {}
    with cloud.database.read() as connection:
        for table in metadata.sorted_tables:
            columns = [column for column in table.columns if column.name not in LOOKED.get(table.name, ())]
            statement = sa.select(*columns)
            if table.name == "activity":
                statement = statement.where(table.c.action != "operator.look")
            found[table.name] = sorted((tuple(row) for row in connection.execute(statement)), key=repr)
    return found
