"""Launching from the dashboard: what it would come to, what stands in the way, and once."""

import contextlib
import io
import json
import shlex
from html import unescape
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from forebay.domain.people.roles import MemberMode, Role
from forebay.errors import BadRequest
from forebay.storage.tables import deployments
from forebay.web import cloud_init
from forebay.web.launch_forms import labels_of
from tests.api.cloud import Cloud, Person, new_public_key
from tests.web.browser import Browser, with_session

FORM = "/deploy/new"
OFFER = {"offerId": "memory-small", "operatingSystem": "Debian 12"}


def slug_of(browser: Browser) -> str:
    return browser.get("/t").headers["location"]


@pytest.fixture
def pat(cloud: Cloud) -> Person:
    return cloud.person("Pat")


def machines(cloud: Cloud, person: Person) -> list[Any]:
    with cloud.database.read() as connection:
        mine = sa.select(deployments).where(deployments.c.team_id == person.team).order_by(deployments.c.id)
        return list(connection.execute(mine))


def test_a_machine_is_launched_once_however_often_the_button_is_pressed(cloud: Cloud, pat: Person) -> None:
    key = cloud.ssh_key(pat.team, pat)
    browser = with_session(cloud, pat)
    base = slug_of(browser)
    page = browser.get(f"{base}{FORM}?offerId=memory-small")
    assert "Held at launch" in page.text
    fields = {"name": "first", "sshKeyId": key, "labels": "project=a, run=1", "operatingSystem": "Debian 12"}
    config = "#cloud-config\npackages: [git]\nruncmd:\n  - [echo, two words]\n"
    browser.submit(f"{base}{FORM}", **fields, cloudInit=config)
    assert browser.page.status_code == 303, browser.page.text
    first = browser.page.headers["location"]
    assert "The launch is accepted" in browser.get(first).text
    assert "The launch is accepted" not in browser.get(first).text, "said once"
    assert [row.name for row in machines(cloud, pat)] == ["first"]
    [made] = machines(cloud, pat)
    assert made.labels == {"project": "a", "run": "1"}
    assert made.cloud_init == {"packages": ["git"], "runcmd": ["echo 'two words'"], "write_files": []}

    again = browser.get(f"{base}{FORM}?again={made.id}")
    for kept in ('value="first"', "project=a, run=1", "echo", key):
        assert kept in again.text
    sent = {**OFFER, "sshKeyId": key, "name": "second", "once": "a word of the form"}
    csrf = again.text.partition('name="csrf" value="')[2].partition('"')[0]
    answers = [browser.post(f"{base}{FORM}", {"csrf": csrf, **sent}).headers["location"] for _ in range(3)]
    assert len(set(answers)) == 1
    assert [row.name for row in machines(cloud, pat)] == ["first", "second"]


def test_what_stands_in_the_way_stands_beside_its_field(cloud: Cloud) -> None:
    poor = cloud.person("Poor", credits_micros=0)
    browser = with_session(cloud, poor)
    base = slug_of(browser)
    browser.get(f"{base}{FORM}?offerId=memory-small")
    refused = browser.submit(f"{base}{FORM}", sshKeyId="another", ssh_public_key=new_public_key(), **OFFER)
    assert (refused.status_code, "balance" in refused.text) == (402, True)
    for field, value, words in (
        ("name", "x" * 61, "1 to 60 characters"),
        ("ssh_public_key", "no key", "ssh_public_key-problem"),
        ("cloudInit", "users: [root]", "Only packages, write_files and runcmd"),
        ("labels", "without", "write key=value"),
        ("operatingSystem", "Plan 9", "Must be one of"),
    ):
        browser.get(f"{base}{FORM}?offerId=memory-small")
        fields = {**OFFER, "sshKeyId": "another", "ssh_public_key": new_public_key(), field: value}
        page = browser.submit(f"{base}{FORM}", **fields)
        assert (page.status_code, words in page.text) == (400, True), (field, page.text)
        preview = browser.submit(f"{base}/deploy/new", **fields)
        assert preview.status_code == 400
    assert machines(cloud, poor) == []
    gone = browser.get(f"{base}{FORM}?offerId=gone")
    assert (gone.status_code, gone.headers["location"]) == (303, f"{base}/deploy")


def test_the_same_by_a_program(own_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, pat = own_cloud, own_cloud.person("Pat")
    key = cloud.ssh_key(pat.team, pat)
    browser = with_session(cloud, pat)
    base = slug_of(browser)
    page = browser.get(f"{base}{FORM}?offerId=memory-small&sshKeyId={key}&name=it's+%22mine%22")

    def shown(name: str) -> str:
        return unescape(page.text.partition(f'id="as-{name}" tabindex="0">')[2].partition("</pre>")[0])

    words = shlex.split(shown("curl").replace("$(uuidgen)", "x"))
    body = json.loads(words[words.index("-d") + 1])
    assert words[1] == "http://forebay.test/api/deployments"
    assert cloud.post("/api/deployments", pat.key, body).ok(201)["name"] == 'it\'s "mine"'
    monkeypatch.setenv("FOREBAY_API_KEY", pat.key)
    with cloud.served() as port, contextlib.redirect_stdout(io.StringIO()) as said:
        exec(shown("python").replace("http://forebay.test", f"http://127.0.0.1:{port}"), {})
    assert machines(cloud, pat)[-1].id == said.getvalue().strip()


def test_the_catalogue_and_its_filters(cloud: Cloud) -> None:
    rita, olga = cloud.person("Rita"), cloud.person("Olga")
    team = cloud.team(olga, mode=MemberMode.read_only)
    cloud.join(team, rita, Role.member)
    browser = with_session(cloud, olga)
    base = slug_of(browser)
    assert "memory-gpu" in browser.get(f"{base}/deploy").text
    for query, is_shown in (
        ("gpuCount=1", True), ("gpuCount=0", False), ("gpuMemory=80", True), ("gpuMemory=141", False),
        ("most=36", True), ("most=35.99", False), ("region=here", True), ("region=there", False),
        ("search=h100", True), ("search=a100", False), ("available=yes", True), ("instanceType=SPOT", False),
        ("sort=-highestPrice&view=table", True), ("most=NaN", True), ("gpuCount=x&sort=y&view=z&most=1e99", True),
    ):  # fmt: skip
        page = browser.get(f"{base}/deploy?{query}")
        assert (page.status_code, "offerId=memory-gpu" in page.text) == (200, is_shown), query
    reader = with_session(cloud, rita)
    with cloud.database.read() as connection:
        slug = connection.execute(sa.text("select slug from teams where id = :id"), {"id": team}).scalar_one()
    page = reader.get(f"/t/{slug}/deploy")
    assert "You may look, and not launch" in page.text
    assert "/deploy/new" not in page.text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("#cloud-config\n", None),
        ("packages: []", None),
        ("packages: [git]\n", {"packages": ["git"], "runcmd": [], "write_files": []}),
        ("runcmd:\n- ls\n- [a, b c]", {"packages": [], "runcmd": ["ls", "a 'b c'"], "write_files": []}),
    ],
)
def test_cloud_init_as_people_paste_it(text: str, found: Any) -> None:
    assert cloud_init.parse(text) == found
    if found:
        assert cloud_init.parse(cloud_init.written(found)) == found


def test_modes_of_files_stay_what_they_are() -> None:
    found = cloud_init.parse("write_files:\n- path: /a\n  permissions: 0644\n  content: |\n    x\n") or {}
    assert found["write_files"] == [
        {"path": "/a", "content": "x\n", "owner": "", "permissions": "0644", "encoding": ""}
    ]


@pytest.mark.parametrize(
    "text",
    [
        "users: [a]", "packages: git", "- a", "a", "packages: [1, 2", "!!python/object/apply:os.system [ls]", "a:\tb:",
        "write_files: [{path: a}]", "packages: [&a [x, x], *a]", "a: &a [1]\nb: [*a, *a]", "[" * 2000, "packages: [{}]",
    ],
)  # fmt: skip
def test_what_is_no_cloud_init_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        cloud_init.parse(text)
    assert "cloudInit" in refused.value.details


def test_how_a_machine_is_to_end(cloud: Cloud, pat: Person) -> None:
    key = cloud.ssh_key(pat.team, pat)
    browser = with_session(cloud, pat)
    base = slug_of(browser)
    for field, value, words in (
        ("terminateAt", "2020-01-01T00:00", "Lies in the past"),
        ("terminateAt", "tomorrow", "A day and a time"),
        ("maxCost", "0.0000001", "An amount in dollars"),
        ("autoStopMinutes", "1.5", "Whole minutes"),
        ("ports", "http", "Numbers, with commas between"),
        ("ports", "22", "22"),
    ):
        browser.get(f"{base}{FORM}?offerId=memory-small")
        page = browser.submit(f"{base}{FORM}", **OFFER, sshKeyId=key, **{field: value})
        assert (page.status_code, words in page.text) == (400, True), (field, value)
    browser.get(f"{base}{FORM}?offerId=memory-small")
    ends = {"terminateAt": "2027-01-01T18:30", "maxCost": "$12.50", "autoStopMinutes": "90", "ports": "8888 6006"}
    here = browser.submit(f"{base}{FORM}", **OFFER, sshKeyId=key, autoStopAction="terminate", **ends).headers[
        "location"
    ]
    cloud.settle()
    text = browser.get(here).text
    for words in ("$12.50", "terminated after 90 minutes", "1 Jan 2027, 18:30:00 UTC", "Port 8888"):
        assert words in text
    kept = browser.get(f"{here}/ends").text
    for value in ("2027-01-01T18:30", "12.5", "90"):
        assert f'value="{value}"' in kept
    browser.submit(f"{here}/ends", terminateAt="", maxCost="", autoStopMinutes="x")
    assert browser.page.status_code == 400
    browser.get(f"{here}/ends")
    browser.submit(f"{here}/ends", terminateAt="", maxCost="", autoStopMinutes="")
    assert "When somebody ends it" in browser.follow().text


def test_labels_as_people_write_them() -> None:
    assert labels_of("a=1, b = two words\nc=x=y,,") == {"a": "1", "b": "two words", "c": "x=y"}
    for wrong in ("a", "=b", "a=1,b"):
        with pytest.raises(BadRequest):
            labels_of(wrong)
    assert msgspec.json.encode(labels_of("")) == b"{}"
