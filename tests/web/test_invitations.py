"""Invitations and programs on the pages: nothing happens by opening a link; the button is for the right person."""

from typing import Any

from tests.api.cloud import Cloud, Person, numbers
from tests.web.browser import PASSWORD, Browser, link_to, with_session


def invite(cloud: Cloud, owner: Person, email: str, role: str = "member") -> str:
    """The path of the link."""
    body = {"email": email, "role": role}
    cloud.post(f"/api/teams/{owner.team}/invitations", cloud.session(owner.id), body).ok(201)
    return link_to(cloud, email, "invitations")


def belongs(cloud: Cloud, owner: Person, session: str) -> bool:
    return owner.team in [team["id"] for team in cloud.get("/api/teams", session).ok()["teams"]]


def test_who_invites_into_what_to_do_what_is_said_before_the_button(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia")
    link = invite(cloud, olga, mia.email)
    browser = with_session(cloud, mia)
    page = browser.get(link).text
    for text in ("Olga", olga.email, "team", mia.email, "a member: you may launch machines"):
        assert text in page
    assert not belongs(cloud, olga, mia.session)
    assert "You belong to" in browser.submit("/invitations/accept").text
    assert belongs(cloud, olga, mia.session)
    again = browser.get(link)
    assert "was accepted already" in again.text
    assert "/invitations/accept" not in again.text


def test_another_person_cannot_accept_it(cloud: Cloud) -> None:
    olga, eve = cloud.person("Olga"), cloud.person("Eve")
    link = invite(cloud, olga, f"mia-{next(numbers)}@example.org")
    browser = with_session(cloud, eve)
    browser.get(link)
    refused = browser.submit("/invitations/accept")
    assert (refused.status_code, "sent to another address" in refused.text) == (403, True)
    assert not belongs(cloud, olga, eve.session)
    (denial,) = [each for each in cloud.door.take_denials(None) if each.team_id == olga.team]
    assert (denial.caller.user_id, denial.request, denial.permission, denial.count) == (
        eve.id, "POST /invitations/accept", "INVITATION_NOT_YOURS", 1,
    )  # fmt: skip


def test_without_an_account_one_signs_up_and_lands_in_the_team(cloud: Cloud) -> None:
    olga, email = cloud.person("Olga"), f"nora-{next(numbers)}@example.org"
    link = invite(cloud, olga, email, "admin")
    browser = Browser(cloud)
    page = browser.get(link)
    assert "/sign-in?next=/invitations%3Ftoken%3D" in page.text
    browser.get("/sign-up", params={"next": link, "email": email})
    assert f'value="{email}"' in browser.page.text
    browser.submit("/sign-up", name="Nora", password=PASSWORD)
    browser.get(link_to(cloud, email, "verify"))
    browser.submit("/verify")
    assert browser.sign_in(email).headers["location"] == link
    browser.follow()
    browser.submit("/invitations/accept")
    assert belongs(cloud, olga, browser.session)


def test_no_is_said_with_the_link_alone(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    link = invite(cloud, olga, f"mia-{next(numbers)}@example.org")
    browser = Browser(cloud)
    browser.get(link)
    assert "declined the invitation" in browser.submit("/invitations/decline").text
    browser.get(link)
    assert "was declined already" in browser.page.text


def begin(cloud: Cloud) -> Any:
    return cloud.post("/api/auth/cli", body={"name": "forebay on a laptop"}).ok()


def poll(cloud: Cloud, begun: Any) -> Any:
    cloud.clock.forward(seconds=1)
    return cloud.post("/api/auth/cli/token", body={"deviceToken": begun["deviceToken"]})


def test_a_program_is_let_in_by_the_button_alone(cloud: Cloud) -> None:
    pat = cloud.person()
    browser, begun = with_session(cloud, pat), begin(cloud)
    page = browser.get(begun["verifyUrl"].removeprefix("http://forebay.test"))
    for text in (begun["userCode"], "forebay on a laptop", "192.0.2.7", pat.email):
        assert text in page.text
    assert poll(cloud, begun).ok() == {"status": "pending"}
    assert "Approved" in browser.submit("/cli", decision="approve").text
    assert poll(cloud, begun).ok()["userId"] == pat.id
    account = browser.get("/account").text
    assert "Command line" in account
    assert "forebay on a laptop" in account


def test_anything_but_approve_is_no(cloud: Cloud) -> None:
    for decision in ("deny", "", "APPROVE"):
        browser, begun = with_session(cloud, cloud.person()), begin(cloud)
        browser.get(f"/cli?code={begun['userCode']}")
        assert "was not let in" in browser.submit("/cli", decision=decision).text
        poll(cloud, begun).refused(400, "SIGN_IN_DENIED")
        assert browser.get(f"/cli?code={begun['userCode']}").status_code == 404


def test_a_code_nobody_waits_for(cloud: Cloud) -> None:
    browser = with_session(cloud, cloud.person())
    for code in ("BCDF-GHJK", "x", "é" * 8, "' OR 1=1"):
        page = browser.get("/cli", params={"code": code})
        assert (page.status_code, "is not known" in page.text) == (404, True)
    late = begin(cloud)
    browser.get(f"/cli?code={late['userCode']}")
    cloud.clock.forward(minutes=10)
    assert browser.submit("/cli", decision="approve").status_code == 404
