"""What holds for every page of a team: who gets in, what it is made of, that nothing on it is out of reach."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa

from forebay.domain.people.access import Caller
from forebay.domain.people.roles import MemberMode, Permission, Reach, Role, reach
from forebay.storage.tables import deployments
from tests.api.cloud import ABSENT, Cloud, Person
from tests.web.browser import Browser, Forms, with_session
from tests.web.dashboard_pages import LEADS_ON, PAGES
from tests.web.stage import NASTY, Stage

pytestmark = pytest.mark.slow
LOOKED_AT = sorted(path for method, path in PAGES if method == "GET" and not path.endswith(("/live", "/settings")))
QUERIES = {
    "/t/{slug}/deploy/new": "?offerId=memory-h100-1",
    "/t/{slug}/deploy/templates/new": "?from={deployment_id}",
}
"""What a page must be asked with to be there."""
SENT = sorted(path for method, path in PAGES if method == "POST")


@pytest.fixture(scope="module")
def stage(cloud: Cloud) -> Stage:
    return Stage(cloud)


class Links(HTMLParser):
    """Where the links of a page lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.add((dict(attrs).get("href") or "").partition("#")[0])


def address(stage: Stage, path: str, slug: str = "vision-lab") -> str:
    """A path of the table with everything in it that it names."""
    things = {
        "slug": slug,
        "deployment_id": stage.machines["running"],
        "key_id": stage.key,
        "webhook_id": stage.webhook,
        "budget_id": stage.budget,
        "user_id": stage.mia.id,
        "invitation_id": ABSENT,
        "volume_id": stage.volume,
        "template_id": stage.template,
    }
    return (path + QUERIES.get(path, "")).format_map(things | stage.money)


def browsers(stage: Stage) -> Iterator[tuple[Browser, Role, MemberMode, str, Person]]:
    """Everybody, in a team where they belong."""
    for person, role, mode, slug in (
        (stage.olga, Role.owner, MemberMode.deploy_only, "vision-lab"),
        (stage.adam, Role.admin, MemberMode.deploy_only, "vision-lab"),
        (stage.mia, Role.member, MemberMode.deploy_only, "vision-lab"),
        (stage.rita, Role.member, MemberMode.read_only, "speech-group"),
    ):
        yield with_session(stage.cloud, person), role, mode, slug, person


@pytest.mark.parametrize("path", LOOKED_AT)
def test_who_may_look(cloud: Cloud, stage: Stage, path: str) -> None:
    here = address(stage, path)
    nobody = Browser(cloud).get(here)
    assert (nobody.status_code, nobody.headers["location"].partition("?")[0]) == (303, "/sign-in")
    for stranger in (stage.rita, stage.otto):
        refused = with_session(cloud, stranger).get(here)
        assert refused.status_code == 404
        assert "Vision Lab" not in refused.text
    needed = PAGES["GET", path]
    for browser, role, mode, slug, _ in browsers(stage):
        if slug != "vision-lab" and "_id}" in path + QUERIES.get(path, ""):
            continue
        answer = browser.get(address(stage, path, slug))
        how_far = reach(needed, role, mode)
        is_allowed = how_far is Reach.all or (
            how_far is Reach.own and ("{volume_id}" in path or path.endswith("/templates/new"))
        )
        assert answer.status_code == ((303 if path in LEADS_ON else 200) if is_allowed else 403), (role, answer.text)
        if not is_allowed:
            assert str(needed) in answer.text


def test_who_may_send(cloud: Cloud, stage: Stage) -> None:
    for path in SENT:
        needed, here = PAGES["POST", path], address(stage, path)
        forged = with_session(cloud, stage.olga).post(here, {"csrf": "0" * 64})
        assert (forged.status_code, "did not come from this site" in forged.text) == (403, True)
        stranger = with_session(cloud, stage.otto)
        assert stranger.post(here, {"csrf": csrf(stranger)}).status_code == 404
        for browser, role, mode, slug, _ in browsers(stage):
            if reach(needed, role, mode) is None and not (slug != "vision-lab" and "_id}" in path):
                answer = browser.post(address(stage, path, slug), {"csrf": csrf(browser)})
                assert (answer.status_code, str(needed) in answer.text) == (403, True), (role, answer.text)


def csrf(browser: Browser) -> str:
    return Forms(browser.get("/account").text).found["/sign-out"]["csrf"]


@pytest.mark.parametrize("path", [path for path in LOOKED_AT if path not in LEADS_ON])
def test_what_a_page_is_made_of(cloud: Cloud, stage: Stage, path: str) -> None:
    page = with_session(cloud, stage.olga).get(address(stage, path))
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'")
    assert not re.search(r"<style|\sstyle=|\son\w+=\"|javascript:|<script(?! src=)", page.text.replace("&lt;", ""))
    assert not re.search(r"(?:src|href|action)=\"(?!/|#)", page.text)
    if page.headers["content-type"].startswith("text/html"):
        assert NASTY not in page.text
        assert 'href="/t/speech-group"' in page.text, "the team switcher"


def test_nobody_is_led_to_a_refusal(cloud: Cloud, stage: Stage) -> None:
    for browser, role, mode, slug, person in browsers(stage):
        seen: set[str] = set()
        waiting = {f"/t/{slug}"}
        while waiting:
            here = waiting.pop()
            seen.add(here)
            page = browser.get(here)
            assert page.status_code in (200, 303), (role, here, page.status_code)
            if page.status_code == 303:
                continue
            waiting |= {link for link in Links(page.text).found if link.startswith(f"/t/{slug}")} - seen
            for action in Forms(page.text).found:
                pattern = next((one for one in SENT if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), action)), None)
                if pattern is not None:
                    found = reach(PAGES["POST", pattern], role, mode)
                    # Which volumes go on which machines the form itself says: those of theirs.
                    thing = [*action.split("/"), ""][4]
                    is_own = "/volumes/" in action or thing in own_machines(cloud, person) | {"templates"}
                    assert found is Reach.all or (found is Reach.own and is_own), (role, here, action)
        assert len(seen) >= 3


def own_machines(cloud: Cloud, person: Person) -> set[str]:
    with cloud.database.read() as connection:
        mine = sa.select(deployments.c.id).where(deployments.c.created_by == person.id)
        return set(connection.execute(mine).scalars())


# However many machines, people and rows there are; any other page makes do with 12.
QUERIES_OF = {
    "/t/{slug}/deploy/new": 30,  # a launch is previewed by each of its checks
    "/t/{slug}/deploy": 17,  # the offers, and the templates with their keys, volumes and makers
    "/t/{slug}/deploy/templates": 16,
}


def test_no_page_asks_for_each_row_by_itself(cloud: Cloud, stage: Stage) -> None:
    browser = with_session(cloud, stage.olga)
    counted: list[str] = []

    def count(*values: object) -> None:
        counted.append(str(values[2]))

    sa.event.listen(cloud.database.reader, "before_cursor_execute", count)
    try:
        for path in set(LOOKED_AT) - LEADS_ON:
            browser.get(address(stage, path))
            counted.clear()
            assert browser.get(address(stage, path)).status_code == 200
            assert len(counted) <= QUERIES_OF.get(path, 12), (path, counted)
    finally:
        sa.event.remove(cloud.database.reader, "before_cursor_execute", count)


def test_light_dark_and_as_the_system(cloud: Cloud, stage: Stage) -> None:
    browser = with_session(cloud, stage.olga)
    assert "data-theme" not in browser.get("/t/vision-lab").text
    for theme, shown in (("dark", 'data-theme="dark"'), ("light", 'data-theme="light"'), ("system", "<html lang")):
        browser.submit("/theme", theme=theme)
        assert browser.page.headers["location"] == "/t/vision-lab"
        assert shown in browser.follow().text
    assert "data-theme" not in browser.page.text
    browser.http.cookies.set("forebay-theme", 'x" onload="', domain="forebay.test")
    assert "onload" not in browser.get("/t/vision-lab").text


def test_one_begins_in_the_team_that_was_looked_at_last(cloud: Cloud, stage: Stage) -> None:
    browser = with_session(cloud, stage.mia)
    own = browser.get("/t").headers["location"]
    assert own.startswith("/t/mia-member")
    browser.get("/t/vision-lab")
    assert browser.get("/t").headers["location"] == "/t/vision-lab"
    browser.http.cookies.set("forebay-team", "speech-group", domain="forebay.test")
    assert browser.get("/t").headers["location"] == own, "no team of theirs"
    for slug in ("no-such-team", "..%2f..", "%00", "a" * 200, "VISION-LAB"):
        assert browser.get(f"/t/{slug}").status_code == 404


def test_what_was_refused_is_in_the_activity(cloud: Cloud, stage: Stage) -> None:
    with_session(cloud, stage.rita).get("/t/vision-lab")
    cloud.clock.forward(minutes=2)
    denials = cloud.door.take_denials(None)
    mine = [one for one in denials if one.caller.user_id == stage.rita.id and one.team_id == stage.lab]
    assert mine
    assert isinstance(mine[0].caller, Caller)


def test_the_activity_names_the_machines(cloud: Cloud, stage: Stage) -> None:
    page = with_session(cloud, stage.olga).get("/t/vision-lab/team/activity?action=deployment.").text
    assert "llm-pretraining</a>" in page
    assert "the machine</a>" not in page


def test_the_last_activity_reads_as_one_says_it(cloud: Cloud, stage: Stage) -> None:
    """The name of a machine stands where "a machine" stood."""
    browser = with_session(cloud, stage.olga)
    machine = stage.launch(stage.olga, "rtx-2", "trainer")
    stage.end(machine)
    page = re.sub(r"<[^>]*>", "", browser.get("/t/vision-lab").text)
    assert re.search(r"Olga Owner launched\s+trainer", page)
    assert re.search(r"Olga Owner terminated\s+trainer", page)
    assert " a machine trainer" not in page


def test_what_the_palette_finds(cloud: Cloud, stage: Stage) -> None:
    found = with_session(cloud, stage.olga).get("/t/vision-lab/palette").json()["entries"]
    kinds = {entry["kind"] for entry in found}
    assert kinds == {"Page", "Action", "Machine", "Template", "Team"}
    assert {"Overview", "llm-pretraining", "Speech Group"} <= {entry["name"] for entry in found}
    assert all(entry["address"].startswith("/") for entry in found)


def test_permissions_of_the_table_are_known() -> None:
    assert set(PAGES.values()) <= set(Permission)
