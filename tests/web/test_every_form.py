"""Every form of every page, as everybody sees it: pressed as it stands, filled in wrongly, forged, and too late.

The forms are found by walking through the pages. After each press the stage is put back to where it was.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from tests.api.cloud import Cloud, new_public_key
from tests.web.browser import PASSWORD, Browser, with_session
from tests.web.crawl import Form, Sheet, Snapshot, Visited, crawl, is_html, rows, shape
from tests.web.hostile import PAYLOADS
from tests.web.stage import Stage
from tests.web.test_hostile_names import dead

pytestmark = pytest.mark.slow
PEOPLE = ("olga", "adam", "mia", "rita", "otto")
BY_SCRIPT = ("/account/passkeys", "/sign-in/passkey", "/step-up/passkey")
"""Passkeys alone need a script: their forms are hidden from whoever has none."""

ENDS_IT = re.compile(
    r"/sign-out|/step-up|/account/(delete|password|sessions/.*)|/t/[^/]+/team/(delete|leave)|.*/end-sessions"
)
"""What nobody does anything after."""
VALUES = {
    "amount": "20", "code": "123456", "email": "somebody@example.org", "name": "another name", "newPassword": PASSWORD,
    "password": PASSWORD, "percent": "5", "public_key": new_public_key(), "publicKey": new_public_key(),
    "reason": "because", "url": "https://hooks.example.org/y",
}  # fmt: skip
"""What somebody fills in, by the name of the field."""


KEPT = {"forebay-session", "forebay-visitor"}
"""The cookies that forms are bound to."""
IS_PROVING = bool(os.environ.get("PROVE"))
"""Each field is filled in wrongly in every way where there is time, else in one."""


class Found(msgspec.Struct):
    """A form, and the page it is on."""

    page: str
    form: Form


def starts(stage: Stage, who: str) -> list[str]:
    """Where a person's way through the pages begins."""
    own = {"otto": "/operator", "rita": "/t/speech-group"}.get(who, "/t/vision-lab")
    return [own, "/account", "/step-up", "/cli"]


class Visitor:
    """Somebody who walks through the pages, signed in or not, and can go back to before each press of a button."""

    def __init__(self, stage: Stage, who: str, begins: list[str] | None = None) -> None:
        self.browser = with_session(stage.cloud, getattr(stage, who)) if who else Browser(stage.cloud)
        begins = begins or starts(stage, who)
        self.browser.get(begins[0])
        self.cookies = {name: str(self.browser.http.cookies.get(name)) for name in KEPT & {*self.browser.http.cookies}}
        self.visited = list(crawl(self.browser, begins, most_of_a_shape=4))
        # With a session that was seen just now: what is refused writes nothing then, and there is nothing to put back.
        self.before = Snapshot(stage.cloud)

    def press(self, action: str, sent: dict[str, str], **more: Any) -> httpx.Response:
        """Send the form, and undo what it did."""
        answer = self.browser.post(action, sent, **more)
        self.go_back()
        return answer

    def go_back(self) -> None:
        self.before.put_back()
        self.browser.http.cookies.clear()
        for name, value in self.cookies.items():
            self.browser.http.cookies.set(name, value, domain="forebay.test")


def forms(visited: list[Visited], method: str = "post", *, of_each_team: bool = False) -> Iterator[Found]:
    """Each form once, by where it leads and what it holds; teams have the same ones, if not always the same buttons."""
    seen = set()
    for each in visited:
        for form in each.sheet.forms if each.sheet is not None else ():
            where = shape(form.action) if of_each_team else re.sub(r"^/t/[^/]+", "/t", shape(form.action))
            key = (where, tuple(sorted(field.name for field in form.fields)), len(form.buttons))
            if form.method == method and key not in seen:
                seen.add(key)
                yield Found(each.path, form)


def filled_in(form: Form, sent: dict[str, str]) -> dict[str, str]:
    """What is sent once somebody has filled in what has to be."""
    found = dict(sent)
    for field in form.fields:
        if field.is_filled_in and not found.get(field.name):
            asked = re.search(r"Type (.*) to go on", field.label, re.S)
            known = VALUES.get(field.name, "" if not field.is_required else "something")
            found[field.name] = asked[1].strip() if asked else known
    return found


@pytest.mark.parametrize("who", PEOPLE)
def test_no_button_answers_403_and_none_needs_a_script(full_stage: Stage, snapshot: Snapshot, who: str) -> None:
    visitor = Visitor(full_stage, who)
    wrong: list[Any] = [
        (each.path, each.answer.status_code) for each in visitor.visited if each.answer.status_code > 303
    ]
    done, pressed = set(), 0
    for each in forms(visitor.visited, of_each_team=True):
        assert each.form.buttons, each
        for action, sent in each.form.presses():
            for form in (sent, filled_in(each.form, sent)):
                answer = visitor.press(action, form)
                pressed += 1
                if answer.status_code == 303:
                    done.add(shape(action))
                if answer.status_code in (403, 404) or not is_for_people(answer, each.form):
                    wrong.append((each.page, action, answer.status_code, said(answer)))
    assert wrong == [], "\n".join(map(str, wrong))
    assert (pressed > 30, len(done) > 10) == (True, True)
    for each in forms(visitor.visited, "get"):
        answer = visitor.browser.get(each.form.action, params=each.form.sends)
        assert (answer.status_code, is_html(answer)) == (200, True)


@pytest.mark.parametrize("who", ["olga", "otto"])
def test_only_forms_and_links_do_something(full_stage: Stage, snapshot: Snapshot, who: str) -> None:
    """What our script adds to them, it adds to something that works without it; other buttons wait for it, hidden."""
    browser, wrong = with_session(full_stage.cloud, getattr(full_stage, who)), []
    for each in crawl(browser, starts(full_stage, who), most_of_a_shape=2):
        for element in each.sheet.elements if each.sheet is not None else ():
            given = element.given
            is_sent = element.tag == "form" and "action" in given and given.get("method") in ("get", "post")
            is_link = element.tag == "a" and "href" in given
            is_sent |= element.tag == "button" and given.get("type") == "submit" and "formaction" in given
            if {"hx-get", "hx-post", "hx-put", "hx-patch", "hx-delete", "data-asks"} & set(given):
                wrong += [(each.path, given)] if not is_sent and not is_link else []
            is_waiting = "hidden" in given or "popovertarget" in given or each.path.endswith("/terminal")
            if element.tag == "button" and given.get("type") == "button" and not is_waiting:
                wrong.append((each.path, given))
    assert wrong == []


def is_for_people(answer: httpx.Response, form: Form) -> bool:
    """Whether a browser without a script can show what came: another page, a whole page, or a file."""
    if form.action in BY_SCRIPT:
        return "hidden" in form.given
    if answer.status_code == 303:
        return answer.headers["location"].startswith("/")
    if "content-disposition" in answer.headers:
        return answer.status_code == 200
    return is_html(answer) and Sheet(answer.text).is_whole


def said(answer: httpx.Response) -> str:
    found = re.search(r'role="alert"[^>]*>(.{0,300})', answer.text, re.S)
    return re.sub(r"<[^>]*>", " ", found[1]) if found else answer.text[:100]


@pytest.mark.grows
@pytest.mark.parametrize("who", ["olga", "otto"])
def test_what_is_filled_in_wrongly_is_shown_again_with_the_reason(
    full_stage: Stage, snapshot: Snapshot, who: str
) -> None:
    visitor, tried = Visitor(full_stage, who), 0
    wrong: list[Any] = []
    for each in forms(visitor.visited):
        presses = [*each.form.presses()]
        if each.form.action in BY_SCRIPT or not presses:
            continue
        action, sent = presses[0]
        whole = filled_in(each.form, sent)
        for field in each.form.fields:
            for value in PAYLOADS if IS_PROVING else PAYLOADS[tried % len(PAYLOADS) :][:1]:
                if field.name == "csrf":
                    continue
                tried += 1
                answer = visitor.press(action, {**whole, field.name: value})
                if answer.status_code in (403, 405) or not is_for_people(answer, each.form):
                    wrong.append((each.page, action, field.name, answer.status_code, said(answer)))
                if answer.status_code >= 400 and is_html(answer):
                    wrong += [(action, field.name, *each) for each in amiss(each.form, field.name, whole, answer)]
    assert wrong == [], "\n".join(map(str, wrong))
    assert tried > 50


def amiss(form: Form, name: str, sent: dict[str, str], answer: httpx.Response) -> Iterator[tuple[str, str]]:
    """What is wrong with the page that says what is wrong with a field."""
    sheet = Sheet(answer.text)
    yield from (("alive", one) for one in dead(sheet))
    if not any(one.given.get("role") == "alert" or "wrong" in one.given.get("class", "") for one in sheet.elements):
        yield "unsaid", said(answer)
    again = next((each for each in sheet.forms if each.action == form.action), None)
    if again is None:
        # What the form was about is gone, or never was: a page says so.
        return
    shown = {field.name: field.value for field in again.fields}
    for field in form.fields:
        is_kept = (
            field.is_filled_in
            and field.name not in (name, "password", "code", "confirm")
            and "assword" not in field.name
        )
        if is_kept and sent.get(field.name) and field.name in shown and shown[field.name] != sent[field.name]:
            yield "not kept", field.name


@pytest.mark.parametrize("who", ["olga", "otto"])
def test_no_form_is_carried_out_that_does_not_come_from_its_page(
    full_stage: Stage, snapshot: Snapshot, who: str
) -> None:
    visitor = Visitor(full_stage, who)
    other = with_session(full_stage.cloud, full_stage.adam)
    theirs = next(form for form in Sheet(other.get("/account").text).forms if form.action == "/sign-out").sends["csrf"]
    before, forged = rows(full_stage.cloud), 0
    for each in forms(visitor.visited):
        for action, sent in each.form.presses():
            whole = filled_in(each.form, sent)
            without = {name: value for name, value in whole.items() if name != "csrf"}
            for form, headers in (
                (without | {"csrf": ""}, {}),
                (without | {"csrf": theirs}, {}),
                (whole, {"sec-fetch-site": "cross-site"}),
                (whole, {"sec-fetch-site": "same-site"}),
                (whole, {"origin": "https://evil.example"}),
            ):
                answer = visitor.browser.post(action, form, headers=headers)
                assert (answer.status_code, "did not come from this site" in answer.text) == (403, True), action
                forged += 1
    after = rows(full_stage.cloud)
    assert [name for name in before if before[name] != after[name]] == []
    assert forged > 100


@pytest.mark.parametrize("who", PEOPLE)
def test_looking_changes_nothing(full_stage: Stage, snapshot: Snapshot, who: str) -> None:
    browser = with_session(full_stage.cloud, getattr(full_stage, who))
    before = rows(full_stage.cloud)
    for each in crawl(browser, starts(full_stage, who), most_of_a_shape=2):
        assert browser.send("HEAD", each.path).content == b""
    after = rows(full_stage.cloud)
    assert [name for name in before if before[name] != after[name]] == []


@pytest.mark.parametrize("who", ["olga", "mia", "otto"])
def test_a_button_that_is_pressed_too_late_says_so(full_stage: Stage, snapshot: Snapshot, who: str) -> None:
    visitor, wrong, statuses = Visitor(full_stage, who), [], set()
    waiting = [each for each in forms(visitor.visited) if not ENDS_IT.fullmatch(each.form.action)]
    for each in waiting:
        for action, sent in each.form.presses():
            visitor.browser.post(action, filled_in(each.form, sent))
    full_stage.cloud.settle()
    for each in waiting:
        for action, sent in each.form.presses():
            answer = visitor.browser.post(action, filled_in(each.form, sent))
            statuses.add(answer.status_code)
            if answer.status_code in (403, 405) or not is_for_people(answer, each.form):
                wrong.append((each.page, action, answer.status_code, said(answer)))
    assert wrong == [], "\n".join(map(str, wrong))
    assert {303, 404, 409} <= statuses


def test_nothing_that_is_sent_is_too_much(cloud: Cloud) -> None:
    """Also for PostgreSQL, which keeps no text longer than its column and no number larger."""
    stage, sent = Stage(cloud), 0
    for who in ("olga", "otto"):
        browser = with_session(cloud, getattr(stage, who))
        found = [*forms(list(crawl(browser, starts(stage, who), most_of_a_shape=2)))]
        for each in found:
            if ENDS_IT.fullmatch(each.form.action):
                continue
            for value in ("\U0001f600" * 3000, "9" * 30):
                form = {
                    field.name: field.value or value if field.name in ("csrf", "once") else value
                    for field in each.form.fields
                }
                assert browser.post(each.form.action, form).status_code < 500
                sent += 1
    assert sent > 50
