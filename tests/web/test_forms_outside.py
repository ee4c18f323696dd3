"""The forms of people who aren't signed in, or not yet: pressed as they stand, filled in, wrongly, and forged.

Signing in and up, a forgotten password, the links of mails, an invitation, and the program that asks to be let in.
"""

from typing import Any

import pytest

from tests.api.cloud import Cloud
from tests.web.browser import PASSWORD, Browser, link_to
from tests.web.crawl import Snapshot, is_html, rows, shape
from tests.web.hostile import PAYLOADS
from tests.web.stage import Stage
from tests.web.test_every_form import BY_SCRIPT, Visitor, amiss, filled_in, forms, is_for_people, said

pytestmark = pytest.mark.slow
FORMS = {
    "": {
        "/sign-in", "/sign-in/passkey", "/sign-in/with/corp", "/sign-up", "/verify", "/forgot", "/reset",
        "/change-address", "/invitations/decline",
    },
    "mia": {"/cli", "/invitations/accept", "/invitations/decline", "/sign-out"},
}  # fmt: skip
"""Whose forms they are, by who looks: nobody, and somebody who comes from a mail or a program."""
WITHOUT_END = {"/sign-in", "/sign-in/passkey", "/sign-in/with/corp", "/change-address"}
"""They want what nobody has here: a right password, a passkey, another site, two mails."""


def ways_in(stage: Stage, who: str) -> list[str]:
    """Links as mails and programs give them, each of them good."""
    cloud, browser = stage.cloud, Browser(stage.cloud)
    code = cloud.post("/api/auth/cli", None, {"name": "forebay on a laptop"}).ok()["userCode"]
    if who:
        owner = cloud.session(stage.rita.id)
        invited = {"email": stage.mia.email, "role": "member"}
        cloud.post(f"/api/teams/{stage.rita.team}/invitations", owner, invited).ok(201)
        return [link_to(cloud, stage.mia.email, "invitations"), f"/cli?code={code}"]
    browser.get("/sign-up")
    browser.submit("/sign-up", name="Nora", email="nora.new@example.org", password=PASSWORD)
    browser.get("/forgot")
    browser.submit("/forgot", email=stage.olga.email)
    return [
        "/sign-in", "/sign-up", "/forgot", "/change-address?token=x",
        link_to(cloud, "nora.new@example.org", "verify"), link_to(cloud, stage.olga.email, "reset"),
        link_to(cloud, "nils@example.org", "invitations"), f"/cli?code={code}",
    ]  # fmt: skip


@pytest.fixture
def visitor(full_stage: Stage, snapshot: Snapshot, request: pytest.FixtureRequest) -> Visitor:
    who = str(request.param)
    found = Visitor(full_stage, who, ways_in(full_stage, who))
    of_team = ("/t/", "/t", "/account", "/teams", "/operator", "/theme", "/figures")
    found.visited = [each for each in found.visited if not each.path.startswith(of_team)]
    return found


def kept(cloud: Cloud) -> dict[str, Any]:
    """All rows but of who was here, and how often somebody tried."""
    return {name: found for name, found in rows(cloud).items() if name not in ("sessions", "attempts")}


@pytest.mark.parametrize("visitor", ["", "mia"], indirect=True, ids=["nobody", "mia"])
def test_every_form_outside_is_carried_out_shown_again_or_refused(full_stage: Stage, visitor: Visitor) -> None:
    wrong: list[Any] = []
    done, tried, before = set(), 0, kept(full_stage.cloud)
    found = list(forms(visitor.visited))
    who = "mia" if "forebay-session" in visitor.cookies else ""
    assert FORMS[who] <= {each.form.action for each in found}
    for each in found:
        for action, sent in each.form.presses():
            whole = filled_in(each.form, sent)
            for form in (sent, whole):
                answer = visitor.press(action, form)
                if answer.status_code < 400:
                    done.add(shape(action))
                if answer.status_code in (403, 404) or not is_for_people(answer, each.form):
                    wrong.append((each.page, action, answer.status_code, said(answer)))
            for form, headers in (
                (whole | {"csrf": ""}, {}),
                (whole, {"sec-fetch-site": "cross-site"}),
                (whole, {"origin": "https://evil.example"}),
            ):
                answer = visitor.browser.post(action, form, headers=headers)
                assert (answer.status_code, "did not come from this site" in answer.text) == (403, True), action
            if action in BY_SCRIPT:
                continue
            for field in each.form.fields:
                if field.name == "csrf":
                    continue
                tried += 1
                answer = visitor.press(action, {**whole, field.name: PAYLOADS[tried % len(PAYLOADS)]})
                if answer.status_code == 405 or not is_for_people(answer, each.form):
                    wrong.append((each.page, action, field.name, answer.status_code, said(answer)))
                if answer.status_code >= 400 and is_html(answer):
                    wrong += [(action, field.name, *one) for one in amiss(each.form, field.name, whole, answer)]
    assert wrong == [], "\n".join(map(str, wrong))
    assert kept(full_stage.cloud) == before, "what was forged did nothing, and what was done is undone"
    assert FORMS[who] - done <= WITHOUT_END
