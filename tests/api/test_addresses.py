"""Changing one's address: both mailboxes agree, or nothing happens."""

import pytest
import sqlalchemy as sa

from forebay.storage.tables import email_changes
from tests.api.cloud import Cloud, Person
from tests.api.proving import done, link_of, mailed, new_email, sign_in, with_password
from tests.api.wire import Answer

pytestmark = pytest.mark.slow


def ask(cloud: Cloud, person: Person, email: str) -> Answer:
    return cloud.post("/api/me/email", person.session, {"email": email})


def agree(cloud: Cloud, token: str) -> Answer:
    return cloud.post("/api/auth/change-address", body={"token": token})


def tokens(cloud: Cloud, person: Person, email: str) -> tuple[str, str]:
    """The links to the present address and to the new one, of a change that was asked for now."""
    ask(cloud, person, email).ok(202)
    return tuple(link_of(mailed(cloud, address)[-1].text, "change-address") for address in (person.email, email))  # type: ignore[return-value]


@pytest.mark.parametrize("old_comes_first", [True, False])
def test_it_happens_when_both_have_agreed_in_either_order(cloud: Cloud, old_comes_first: bool) -> None:
    person, email = with_password(cloud), new_email()
    first, last = tokens(cloud, person, email)[:: 1 if old_comes_first else -1]
    assert agree(cloud, first).ok()["isDone"] is False
    assert cloud.get("/api/me", person.session).ok()["email"] == person.email
    agree(cloud, first).refused(400, "LINK_EXPIRED")
    assert agree(cloud, last).ok()["isDone"] is True
    assert cloud.get("/api/me", person.session).ok()["email"] == email, "sessions stay"
    agree(cloud, last).refused(400, "LINK_EXPIRED")
    sign_in(cloud, person.email).refused(401, "WRONG_CREDENTIALS")
    assert sign_in(cloud, email).status == 200
    for address in (person.email, email):
        told = mailed(cloud, address)[-1]
        assert told.subject == "Your address was changed"
        assert email in told.text
    assert "account.address-changed" in [action for action, _ in done(cloud, person.id)]


def test_links_are_good_for_a_day_to_the_second(cloud: Cloud) -> None:
    person, email = with_password(cloud), new_email()
    old, new = tokens(cloud, person, email)
    cloud.clock.forward(days=1, seconds=-1)
    agree(cloud, old).ok()
    cloud.clock.forward(seconds=1)
    agree(cloud, new).refused(400, "LINK_EXPIRED")
    with cloud.database.read() as connection:
        text = str(connection.execute(sa.select(email_changes)).all())
    assert old not in text
    assert new not in text


def test_another_change_or_giving_up_kills_the_links(cloud: Cloud) -> None:
    person, email, other = with_password(cloud), new_email(), new_email()
    first = tokens(cloud, person, email)
    second = tokens(cloud, person, other)
    for token in first:
        agree(cloud, token).refused(400, "LINK_EXPIRED")
    cloud.send("DELETE", "/api/me/email", person.session).ok()
    cloud.send("DELETE", "/api/me/email", person.session).refused(404, "NOT_FOUND")
    for token in second:
        agree(cloud, token).refused(400, "LINK_EXPIRED")


def test_an_address_that_has_an_account_is_told_and_nobody_else(cloud: Cloud) -> None:
    person, other, free = with_password(cloud), with_password(cloud), new_email()
    answers = [ask(cloud, person, email) for email in (other.email.upper(), free)]
    assert (answers[0].status, answers[0].body) == (answers[1].status, answers[1].body)
    assert mailed(cloud, other.email)[-1].subject == "This address has an account"
    assert "token=" not in mailed(cloud, other.email)[-1].text
    assert person.email not in mailed(cloud, other.email)[-1].text
    assert [mail.subject for mail in mailed(cloud, person.email)] == ["Change your address?"] * 2


def test_an_address_that_was_taken_meanwhile_is_refused_like_any_dead_link(cloud: Cloud) -> None:
    person, rival, email = with_password(cloud), with_password(cloud), new_email()
    old, new = tokens(cloud, person, email)
    theirs = tokens(cloud, rival, email)
    agree(cloud, old).ok()
    for token in theirs:
        agree(cloud, token).ok()
    agree(cloud, new).refused(400, "LINK_EXPIRED")
    assert cloud.get("/api/me", person.session).ok()["email"] == person.email
    assert cloud.get("/api/me", rival.session).ok()["email"] == email


def test_both_at_once_change_it_once(cloud: Cloud) -> None:
    person, email = with_password(cloud), new_email()
    both = tokens(cloud, person, email)
    requests = [cloud.request("POST", "/api/auth/change-address", body={"token": token}) for token in (*both, *both)]
    answers = cloud.at_once(requests)
    assert sorted(answer.status for answer in answers) == [200, 200, 400, 400]
    assert [answer.json["isDone"] for answer in answers if answer.status == 200].count(True) == 1
    assert [mail.subject for mail in mailed(cloud, email)].count("Your address was changed") == 1


def test_what_is_no_new_address_is_refused_and_so_is_the_sixth_a_day(cloud: Cloud) -> None:
    person = with_password(cloud)
    for bad in (person.email, person.email.upper(), "no address", "a@b@example.org", "x@example.org\nBcc: y@z.org"):
        assert set(ask(cloud, person, bad).refused(400, "VALIDATION_ERROR")["details"]) == {"email"}
    for _ in range(5):
        ask(cloud, person, new_email()).ok(202)
    refused = ask(cloud, person, new_email())
    refused.refused(429, "RATE_LIMIT_EXCEEDED")
    cloud.clock.forward(seconds=86_400)
    stale = cloud.post("/api/me/email", person.session, {"email": new_email()})
    stale.refused(403, "SIGN_IN_AGAIN")
    cloud.post("/api/me/email", cloud.session(person.id), {"email": new_email()}).ok(202)


def test_a_reset_gives_a_change_up_that_somebody_began_in_my_session(cloud: Cloud) -> None:
    person, thief = with_password(cloud), new_email()
    old, new = tokens(cloud, person, thief)
    agree(cloud, new).ok()
    cloud.post("/api/auth/forgot-password", body={"email": person.email}).ok(202)
    token = link_of(mailed(cloud, person.email)[-1].text, "reset")
    cloud.post("/api/auth/reset-password", body={"token": token, "password": "another lovely word"}).ok()
    agree(cloud, old).refused(400, "LINK_EXPIRED")


def test_a_new_name(cloud: Cloud) -> None:
    person = with_password(cloud)
    assert cloud.send("PATCH", "/api/me", person.session, {"name": "  Zo\u00eb "}).ok()["name"] == "Zo\u00eb"
    assert cloud.get("/api/me", person.session).ok()["name"] == "Zo\u00eb"
    cloud.send("PATCH", "/api/me", person.session, {"name": "a\nb"}).refused(400, "VALIDATION_ERROR")
    cloud.send("PATCH", "/api/me", person.key, {"name": "x"}).refused(403, "SESSION_NEEDED")
