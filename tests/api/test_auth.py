"""`/api/auth`: making an account, proving its address, signing in and out; and what none of it tells a stranger."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people import accounts
from forebay.storage.tables import mail_tokens, mails, sessions
from tests.api.cloud import ABSENT, Cloud, numbers
from tests.api.wire import Answer

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"


def new_email() -> str:
    return f"new-{next(numbers)}@example.org"


def sign_up(cloud: Cloud, email: str, password: str = PASSWORD, name: str = "Nora New") -> Answer:
    return cloud.post("/api/auth/sign-up", body={"email": email, "password": password, "name": name})


def sign_in(cloud: Cloud, email: str, password: str = PASSWORD) -> Answer:
    return cloud.post("/api/auth/sign-in", body={"email": email, "password": password})


def mailed(cloud: Cloud, email: str) -> list[str]:
    with cloud.database.read() as connection:
        rows = connection.execute(sa.select(mails.c.text).where(mails.c.recipient == email).order_by(mails.c.id))
        return [str(row.text) for row in rows]


def token_of(text: str) -> str:
    found = re.search(r"http://forebay\.test/verify\?token=(\S+)", text)
    assert found, text
    return found[1]


def newcomer(cloud: Cloud) -> tuple[str, Any]:
    """Somebody who has done all of it: their address and what signing in answered."""
    email = new_email()
    sign_up(cloud, email).ok(202)
    cloud.post("/api/auth/verify", body={"token": token_of(mailed(cloud, email)[0])}).ok()
    return email, sign_in(cloud, email).ok()


def test_from_nothing_to_a_team_of_ones_own(cloud: Cloud) -> None:
    email = new_email()
    assert set(sign_up(cloud, f" {email.upper().replace('EXAMPLE.ORG', 'Example.ORG')} ").ok(202)) == {"message"}
    [text] = mailed(cloud, email.upper().replace("EXAMPLE.ORG", "example.org"))
    sign_in(cloud, email).refused(403, "ADDRESS_NOT_VERIFIED")
    cloud.post("/api/auth/verify", body={"token": token_of(text)}).ok()
    session = sign_in(cloud, email).ok()
    assert set(session) == {"token", "sessionId", "expiresAt", "userId", "currentTeamId"}
    me = cloud.get("/api/me", session["token"]).ok()
    assert (me["id"], me["name"], me["apiAccess"]) == (session["userId"], "Nora New", "none")
    [team] = cloud.get("/api/teams", session["token"]).ok()["teams"]
    assert (team["id"], team["name"], team["role"]) == (session["currentTeamId"], "Nora New's team", "owner")
    assert cloud.get("/api/balance", session["token"]).ok()["teams"][0]["balance"] == 0.0


def test_an_address_with_an_account_gets_the_same_answer_and_another_mail(cloud: Cloud) -> None:
    email, session = newcomer(cloud)
    again, fresh = sign_up(cloud, email, password="another password", name="Mallory"), sign_up(cloud, new_email())
    assert (again.status, again.headers, again.body) == (fresh.status, fresh.headers, fresh.body)
    text = mailed(cloud, email)[-1]
    assert "already" in text
    assert "token" not in text
    assert "Mallory" not in text
    sign_in(cloud, email, "another password").refused(401, "WRONG_CREDENTIALS")
    assert cloud.get("/api/me", session["token"]).ok()["name"] == "Nora New"


def test_until_the_address_is_proved_the_last_sign_up_counts(cloud: Cloud) -> None:
    email = new_email()
    sign_up(cloud, email, "mallory's password", "Mallory").ok(202)
    sign_up(cloud, email).ok(202)
    first, second = map(token_of, mailed(cloud, email))
    cloud.post("/api/auth/verify", body={"token": first}).refused(400, "LINK_EXPIRED")
    cloud.post("/api/auth/verify", body={"token": second}).ok()
    sign_in(cloud, email, "mallory's password").refused(401, "WRONG_CREDENTIALS")
    assert sign_in(cloud, email).status == 200


def test_a_link_is_good_once_and_for_a_day(cloud: Cloud) -> None:
    email = new_email()
    sign_up(cloud, email).ok(202)
    token = token_of(mailed(cloud, email)[0])
    with cloud.database.read() as connection:
        assert token not in str(connection.execute(sa.select(mail_tokens)).all())
    cloud.clock.forward(hours=23, minutes=59, seconds=59)
    for bad in (token[:-1], token + "x", token.swapcase(), "", " ", "\u202e", "a" * 200):
        cloud.post("/api/auth/verify", body={"token": bad}).refused(400, "LINK_EXPIRED")
    cloud.post("/api/auth/verify", body={"token": token}).ok()
    cloud.post("/api/auth/verify", body={"token": token}).refused(400, "LINK_EXPIRED")
    late = new_email()
    sign_up(cloud, late).ok(202)
    cloud.clock.forward(days=1)
    body = {"token": token_of(mailed(cloud, late)[0])}
    cloud.post("/api/auth/verify", body=body).refused(400, "LINK_EXPIRED")
    sign_in(cloud, late).refused(403, "ADDRESS_NOT_VERIFIED")


def test_wrong_credentials_say_nothing_about_the_account(cloud: Cloud) -> None:
    email, _ = newcomer(cloud)
    unproved = new_email()
    sign_up(cloud, unproved).ok(202)
    answers = [
        sign_in(cloud, email, "wrong password"),
        sign_in(cloud, new_email(), PASSWORD),
        sign_in(cloud, unproved, "wrong password"),
        sign_in(cloud, email, PASSWORD + " "),
        sign_in(cloud, email, PASSWORD.upper()),
        sign_in(cloud, email, "a" * 1024),
        sign_in(cloud, "no address", PASSWORD),
        sign_in(cloud, "\u202e", PASSWORD),
        sign_in(cloud, "' OR 1=1 --", PASSWORD),
    ]
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}
    answers[0].refused(401, "WRONG_CREDENTIALS")


def test_sessions_are_listed_and_end(cloud: Cloud) -> None:
    email, first = newcomer(cloud)
    cloud.clock.forward(minutes=1)
    second = sign_in(cloud, email).ok()
    listed = cloud.get("/api/auth/sessions", second["token"]).ok()["sessions"]
    assert [(session["id"], session["isCurrent"]) for session in listed] == [
        (second["sessionId"], True), (first["sessionId"], False),
    ]  # fmt: skip
    assert set(listed[0]) == {
        "id", "createdAt", "expiresAt", "lastSeenAt", "address", "userAgent", "kind", "methods", "isCurrent",
    }  # fmt: skip
    assert (listed[0]["kind"], listed[0]["methods"]) == ("program", "password")
    assert listed[0]["address"] == "192.0.2.7"
    stranger = cloud.person()
    for session in (first["sessionId"], ABSENT, "x", "%00", "%ED%A0%80"):
        cloud.send("DELETE", f"/api/auth/sessions/{session}", stranger.session).refused(404, "NOT_FOUND")
    cloud.send("DELETE", f"/api/auth/sessions/{first['sessionId']}", second["token"]).ok()
    cloud.get("/api/me", first["token"]).refused(401, "UNAUTHORIZED")
    cloud.post("/api/auth/sign-out", second["token"]).ok()
    cloud.get("/api/me", second["token"]).refused(401, "UNAUTHORIZED")
    cloud.post("/api/auth/sign-out", second["token"]).refused(401, "UNAUTHORIZED")


def test_all_other_sessions_end_at_once(cloud: Cloud) -> None:
    email, first = newcomer(cloud)
    others = [sign_in(cloud, email).ok()["token"] for _ in range(3)]
    assert "3 other" in cloud.send("DELETE", "/api/auth/sessions", first["token"]).ok()["message"]
    for token in others:
        cloud.get("/api/me", token).refused(401, "UNAUTHORIZED")
    assert len(cloud.get("/api/auth/sessions", first["token"]).ok()["sessions"]) == 1


def test_a_session_ends_by_itself(cloud: Cloud) -> None:
    _, session = newcomer(cloud)
    cloud.clock.forward(days=cloud.settings.session_idle_days, seconds=-1)
    cloud.get("/api/me", session["token"]).ok()
    cloud.clock.forward(seconds=1)
    cloud.get("/api/me", session["token"]).refused(401, "UNAUTHORIZED")


def test_the_database_knows_neither_passwords_nor_tokens(cloud: Cloud) -> None:
    email, session = newcomer(cloud)
    with cloud.database.read() as connection:
        account = accounts.by_email(connection, email)
        text = str(connection.execute(sa.select(sessions)).all())
    assert account is not None
    assert account.password_hash is not None
    assert account.password_hash.startswith("$argon2id$v=19$m=19456,")
    assert session["token"] not in text


def test_bad_fields_are_named(cloud: Cloud) -> None:
    good = {"email": "x@example.org", "password": PASSWORD, "name": "X"}
    for body, fields in (
        ({}, {"email", "password", "name"}),
        ({"email": 1, "password": [], "name": None}, {"email", "password", "name"}),
        (good | {"password": "short"}, {"password"}),
        (good | {"password": "a" * 129}, {"password"}),
        (good | {"name": " "}, {"name"}),
        (good | {"name": "a" * 121}, {"name"}),
        (good | {"name": "a\nBcc: x@example.org"}, {"name"}),
        (good | {"Email": "y@example.org"}, {"Email"}),
        *((good | {"email": bad}, {"email"}) for bad in (
            "", "x", "x@", "@example.org", "x@y z.org", "a@b@example.org", "x@[127.0.0.1]",
            "x@example.org\nBcc: y@example.org", "a" * 65 + "@example.org", "x@" + "a" * 300 + ".org", "x@localhost",
            "x@\u202eexample.org", "\ufdfa" * 60 + "@example.org", "\ufdfa" * 21 + "@example.org",
        )),
    ):  # fmt: skip
        refusal = cloud.post("/api/auth/sign-up", body=body).refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == fields, body


def test_names_and_addresses_of_all_scripts(cloud: Cloud) -> None:
    for local, name in (
        ("jos\u00e9", "Jos\u00e9"),
        ("\u7528\u6237", "\u7528\u6237"),
        ("x+tag", "\N{ROCKET}" * 120),
        ("a'b", "'"),
    ):
        email = f"{local}{next(numbers)}@example.org"
        sign_up(cloud, email, name=name).ok(202)
        cloud.post("/api/auth/verify", body={"token": token_of(mailed(cloud, email)[0])}).ok()
        session = sign_in(cloud, email).ok()
        assert cloud.get("/api/me", session["token"]).ok()["name"] == name
        assert cloud.get("/api/teams", session["token"]).ok()["teams"][0]["slug"]


def test_by_invitation_only(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(sign_up="invited")
    sign_up(cloud, "guest@example.org").refused(403, "INVITATION_NEEDED")
    with cloud.database.begin() as connection:
        accounts.invite_to_sign_up(connection, "Guest@example.org", now=cloud.clock.now())
    sign_up(cloud, "other@example.org").refused(403, "INVITATION_NEEDED")
    sign_up(cloud, "guest@example.org").ok(202)
    cloud.clock.forward(days=7)
    sign_up(cloud, "guest@example.org").refused(403, "INVITATION_NEEDED")


def test_ten_sign_ups_at_once_with_one_address_make_one_account(cloud: Cloud) -> None:
    email = new_email()
    body = {"email": email, "password": PASSWORD, "name": "N"}
    answers = cloud.at_once([cloud.request("POST", "/api/auth/sign-up", body=body) for _ in range(10)])
    assert {answer.status for answer in answers} == {202}
    last = mailed(cloud, email)[-1]
    cloud.post("/api/auth/verify", body={"token": token_of(last)}).ok()
    assert len(cloud.get("/api/teams", sign_in(cloud, email).ok()["token"]).ok()["teams"]) == 1


def test_a_mailbox_is_not_filled_by_signing_up(cloud: Cloud) -> None:
    email, _ = newcomer(cloud)
    before = len(mailed(cloud, email))
    for _ in range(25):
        sign_up(cloud, email).ok(202)
    assert len(mailed(cloud, email)) == 20
    assert before == 1
    cloud.clock.forward(hours=1)
    sign_up(cloud, email).ok(202)
    assert len(mailed(cloud, email)) == 21


def test_where_the_mail_was_opened_the_person_is_known(cloud: Cloud) -> None:
    email = new_email()
    sign_up(cloud, email).ok(202)
    body = {"token": token_of(mailed(cloud, email)[0])}
    cloud.post("/api/auth/verify", body=body, peer="198.51.31.7").ok()
    for number in range(30):
        wrong = {"email": email, "password": "wrong password"}
        cloud.post("/api/auth/sign-in", body=wrong, peer=f"203.2.{number}.9")
    right = {"email": email, "password": PASSWORD}
    cloud.post("/api/auth/sign-in", body=right, peer="198.51.32.7").refused(429, "RATE_LIMIT_EXCEEDED")
    cloud.post("/api/auth/sign-in", body=right, peer="198.51.31.8").ok()
