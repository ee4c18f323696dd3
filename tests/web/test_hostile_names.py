"""Whatever people, providers and processors call themselves and their things, it stays text to everyone who looks."""

import csv
import email
import email.policy
import io
import os
import re

import pytest

from forebay.domain.money import spreadsheets
from forebay.domain.people.letters import Letter
from forebay.mail import compose
from tests.web.browser import with_session
from tests.web.crawl import Sheet, Snapshot, Visited, crawl
from tests.web.hostile import FILLED_IN, MARK, NO_TEXT, PAYLOADS, SAME, Poison, columns_of, texts
from tests.web.stage import Stage

pytestmark = pytest.mark.slow
TURNS = range(len(PAYLOADS)) if os.environ.get("PROVE") else (0, 7)
ON_NO_PAGE = columns_of(
    {
        "told by mail, by webhook or by the API alone": """
            auto_top_ups: consent_text
            budgets: subject
            card_set_ups: error_code
            cards: payment_method_id
            deployments: gpu_type host_keys reclaim_reason
            identities: subject
            launch_templates: gpu_type
            mail_tokens: used_from
            mails: error subject
            notifications: details lines title
            offers: found
            orphans: team_id
            passkeys: transports
            payment_attempts: client_key
            payments: card_words payment_intent_id
            price_changes: said_by
            webhook_deliveries: body
            webhook_events: object_id outcome related_id type
        """
    }
)
"""All other columns are found on some page, so that the test knows that it has looked where they are shown."""


def test_every_text_of_the_tables_is_attacked_or_has_a_reason() -> None:
    attacked, spared = columns_of(FILLED_IN), columns_of(NO_TEXT)
    assert set(attacked) & set(spared) == set()
    assert {*attacked, *spared, *SAME} == set(texts())


@pytest.mark.grows
@pytest.mark.parametrize("turn", TURNS)
def test_what_is_written_stays_text(full_stage: Stage, snapshot: Snapshot, turn: int) -> None:
    poison = Poison(full_stage)
    poison.spread(turn)
    seen: set[str] = set()
    machines = full_stage.machines
    first = [f"/t/vision-lab/deployments/{machines['nasty']}", f"/t/vision-lab/deploy/new?again={machines['equipped']}"]
    for person, starts in (
        (full_stage.olga, [*first, "/t/vision-lab", "/account"]),
        (full_stage.adam, ["/t/vision-lab"]),
        (full_stage.otto, ["/operator"]),
    ):
        for found in crawl(with_session(full_stage.cloud, person), starts, most_of_a_shape=2):
            seen |= set(re.findall(r"c(\d+)c", look_at(found)))
    if turn == 0:
        shown = {name for name, number in poison.numbers.items() if str(number) in seen}
        assert set(columns_of(FILLED_IN)) - shown <= set(ON_NO_PAGE)


def look_at(found: Visited) -> str:
    """The source of a page or a file, in which nothing has come to life."""
    answer = found.answer
    # An id may be anything, but not everything can be asked for: what we call something has neither of these.
    is_attacked = "%" in found.path or "WWWW" in found.path
    expected = (200, 303, 400, 404) if is_attacked else (200, 303)
    assert answer.status_code in expected, (found.path, answer.status_code)
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/csv"):
        for row in csv.reader(io.StringIO(answer.text)):
            for cell in row:
                assert not cell.startswith(spreadsheets.FORMULA) or re.fullmatch(r"[-+]?\d+\.\d{6}", cell), cell
    elif kind == "application/pdf":
        assert answer.content.startswith(b"%PDF")
        assert not re.search(rb"/(JavaScript|JS|Launch|URI|EmbeddedFile)\b", answer.content)
    if "content-disposition" in answer.headers:
        assert re.fullmatch(r'attachment; filename="[a-z0-9.-]+"', answer.headers["content-disposition"])
    if found.sheet is not None:
        assert dead(found.sheet) == [], found.path
    return answer.text if kind.startswith(("text/", "application/json")) else ""


def dead(sheet: Sheet) -> list[str]:
    """What came to life after all, or would if it were clicked."""
    wrong = [text for text in sheet.scripts if text.strip()]
    for element in sheet.elements:
        for name, value in element.given.items():
            if name in (MARK, "style") or name.startswith("on") or element.tag.startswith("x-"):
                wrong.append(f"<{element.tag} {name}>")
            if name in ADDRESSES and not re.fullmatch(r"(/|#)(?![/\\])[!-;=?-~]*|", value):
                wrong.append(f"<{element.tag} {name}={value!r}>")
    if "22071" in "".join(sheet.text):
        wrong.append("a template within the template")
    return wrong


ADDRESSES = {
    "href", "src", "action", "formaction", "data-address", "data-live", "data-options", "hx-get", "hx-post",
    "srcset", "poster", "data", "cite", "ping", "background",
}  # fmt: skip
"""Attributes that hold an address: a path of ours, whole, in letters that an address may hold."""


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_mail_says_it_as_text_and_its_subject_is_one_line(payload: str) -> None:
    letter = Letter(
        subject=f"{payload} is frozen", name=payload, paragraphs=[payload, f"by {payload}"], label=payload,
        link="https://cloud.test/t", after=[payload],
    )  # fmt: skip
    sent = compose("Forebay <a@cloud.test>", "id", "olga@example.org", letter.subject, letter.text(), letter.html())
    read = email.message_from_bytes(sent.as_bytes(), policy=email.policy.default)
    assert sorted(read.keys()) == sorted(
        ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    )
    html = read.get_body(("html",))
    assert html is not None
    sheet = Sheet(html.get_content())
    assert all(element.given.pop("style", "") is not None for element in sheet.elements)
    links = {element.given.pop("href") for element in sheet.elements if "href" in element.given}
    assert (dead(sheet), links) == ([], {"https://cloud.test/t"})
