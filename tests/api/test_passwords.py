"""Forgotten passwords, new ones, and what either ends."""

import re
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller

from forebay.domain.people import sessions
from forebay.domain.people import sign_in as people_sign_in
from forebay.storage.tables import activity, mail_tokens
from tests.api.cloud import Cloud
from tests.api.proving import (
    PASSWORD,
    account,
    begin,
    done,
    give,
    link_of,
    mailed,
    new_email,
    sign_in,
    with_app,
    with_password,
)
from tests.api.wire import Answer
from tests.test_mail import Inbox, OnFreePort

pytestmark = pytest.mark.slow

NEW = "another lovely word"


def forgot(cloud: Cloud, email: str) -> Answer:
    return cloud.post("/api/auth/forgot-password", body={"email": email})


def reset(cloud: Cloud, token: str, password: str = NEW, **more: str) -> Answer:
    return cloud.post("/api/auth/reset-password", body={"token": token, "password": password}, **more)


def link(cloud: Cloud, email: str) -> str:
    """The token of a fresh link."""
    forgot(cloud, email).ok(202)
    return link_of(mailed(cloud, email)[-1].text, "reset")


def test_asking_tells_nobody_whether_there_is_an_account(cloud: Cloud) -> None:
    person, nobody = with_password(cloud), new_email()
    answers = [forgot(cloud, email) for email in (person.email, person.email.upper(), nobody, "no address", "\u202e")]
    assert {(answer.status, answer.body) for answer in answers} == {(202, answers[0].body)}
    assert len(mailed(cloud, person.email)) == 2
    assert mailed(cloud, nobody) == []
    with cloud.database.read() as connection:
        rows = connection.execute(sa.select(activity).where(activity.c.action == "account.forgot-password")).all()
        assert len([row for row in rows if row.object_id == person.id]) == 2
        assert nobody not in str(rows)


def test_a_new_password_ends_sessions_and_leaves_keys_and_second_factors(cloud: Cloud) -> None:
    owner = with_app(cloud)
    half = begin(cloud, owner.person.email)
    token = link(cloud, owner.person.email)
    reset(cloud, token).ok()
    cloud.get("/api/me", owner.session).refused(401, "UNAUTHORIZED")
    give(cloud, half, owner.codes[0]).refused(400, "STEP_EXPIRED")
    assert cloud.get("/api/me", owner.person.key).status == 200
    sign_in(cloud, owner.person.email, PASSWORD).refused(401, "WRONG_CREDENTIALS")
    answer = sign_in(cloud, owner.person.email, NEW).ok()
    assert set(answer) == {"secondFactor"}
    give(cloud, answer["secondFactor"]["token"], owner.codes[0]).ok()
    last = mailed(cloud, owner.person.email)[-1]
    assert last.subject == "Your password was replaced"
    assert "API keys go on working" in last.text
    assert "token=" not in last.text
    assert "account.reset-password" in [action for action, _ in done(cloud, owner.person.id)]


def test_a_link_is_good_for_an_hour_to_the_second_and_once(cloud: Cloud) -> None:
    person = with_password(cloud)
    token = link(cloud, person.email)
    with cloud.database.read() as connection:
        assert token not in str(connection.execute(sa.select(mail_tokens)).all())
    cloud.clock.forward(seconds=3599)
    reset(cloud, token, "short").refused(400, "VALIDATION_ERROR")
    reset(cloud, token, "password12345").refused(400, "VALIDATION_ERROR")
    for bad in (token[:-1], token + "x", token.swapcase(), "", "\u202e"):
        reset(cloud, bad).refused(400, "LINK_EXPIRED")
    reset(cloud, token).ok()
    reset(cloud, token, "yet another word").refused(400, "LINK_EXPIRED")
    late = link(cloud, person.email)
    cloud.clock.forward(hours=1)
    reset(cloud, late).refused(400, "LINK_EXPIRED")


def test_one_used_link_kills_the_others_and_a_link_to_sign_up_is_none(cloud: Cloud) -> None:
    person, newcomer = with_password(cloud), new_email()
    first, second = link(cloud, person.email), link(cloud, person.email)
    reset(cloud, second).ok()
    reset(cloud, first).refused(400, "LINK_EXPIRED")
    cloud.post("/api/auth/sign-up", body={"email": newcomer, "password": PASSWORD, "name": "N"}).ok(202)
    reset(cloud, link_of(mailed(cloud, newcomer)[0].text, "verify")).refused(400, "LINK_EXPIRED")
    token = link(cloud, newcomer)
    cloud.post("/api/auth/verify", body={"token": token}).refused(400, "LINK_EXPIRED")
    reset(cloud, token).ok()
    assert sign_in(cloud, newcomer, NEW).status == 200, "the link has proved the address"


def test_of_two_at_once_one_gets_the_link(cloud: Cloud) -> None:
    person = with_password(cloud)
    token = link(cloud, person.email)
    words = ["one lovely word", "two lovely words", "three lovely words"]
    answers = cloud.at_once(
        [cloud.request("POST", "/api/auth/reset-password", body={"token": token, "password": word}) for word in words]
    )
    assert sorted(answer.status for answer in answers) == [200, 400, 400]
    [winner] = [word for word, answer in zip(words, answers, strict=True) if answer.status == 200]
    assert [word for word in words if sign_in(cloud, person.email, word).status == 200] == [winner]


def test_a_sign_in_that_was_under_way_ends_with_the_password_it_began_with(cloud: Cloud) -> None:
    person = with_password(cloud)
    token, where = link(cloud, person.email), "192.0.2.7"
    key, now = cloud.forebay.secret_key, cloud.clock.now()
    with cloud.database.read() as connection:
        guess = people_sign_in.guess(connection, person.email, secret_key=key, now=now, address=where)
    is_right = guess.is_right(PASSWORD)
    assert is_right
    reset(cloud, token).ok()

    def finish() -> None:
        with cloud.database.begin() as connection:
            found = people_sign_in.finish_guess(connection, guess, is_right, now=now, address=where)
            people_sign_in.finish(
                connection,
                found,
                secret_key=key,
                now=now,
                days=1,
                address=where,
                user_agent="a test",
                methods="password",
            )

    with pytest.raises(people_sign_in.WrongCredentials):
        finish()
    with cloud.database.read() as connection:
        assert sessions.of_user(connection, person.id, now=now) == []


def test_everything_about_one_account_at_once_gets_its_answer(cloud: Cloud) -> None:
    """No two wait for each other in vain: PostgreSQL would end one of them, and its answer would be 503."""
    for _ in range(3):
        owner, email = with_app(cloud), new_email()
        person = owner.person
        links = [link(cloud, person.email) for _ in range(3)]
        cloud.post("/api/me/email", owner.session, {"email": email}).ok(202)
        yeses = [link_of(mailed(cloud, address)[-1].text, "change-address") for address in (person.email, email)]
        halves = [begin(cloud, person.email) for _ in range(3)]
        bodies: list[tuple[str, dict[str, str]]] = [
            *(("reset-password", {"token": token, "password": NEW}) for token in links),
            *(("change-address", {"token": token}) for token in yeses),
            *(
                ("second-factor", {"token": token, "code": code})
                for token, code in zip(halves, owner.codes, strict=False)
            ),
            *(("sign-in", {"email": person.email, "password": word}) for word in (PASSWORD, NEW, "wrong word")),
            ("forgot-password", {"email": person.email}),
        ]
        requests = [cloud.request("POST", f"/api/auth/{path}", body=body) for path, body in bodies]
        again = [cloud.request("POST", "/api/auth/step-up", owner.session, {"password": PASSWORD, "code": "1"})]
        answers = cloud.at_once([*requests, *again, *requests])
        assert {answer.status for answer in answers} <= {200, 202, 400, 401, 429}
        assert [answer.status for answer in answers[:3]].count(200) <= 1


def test_a_mailbox_is_not_filled_and_nobody_is_told(cloud: Cloud) -> None:
    person = with_password(cloud)
    bodies = {forgot(cloud, person.email).ok(202)["message"] for _ in range(8)}
    assert len(bodies) == 1
    assert len(mailed(cloud, person.email)) == 5
    cloud.clock.forward(hours=1)
    forgot(cloud, person.email).ok(202)
    assert len(mailed(cloud, person.email)) == 6


def test_where_a_link_was_opened_its_owner_is_known(cloud: Cloud) -> None:
    person = with_password(cloud)
    reset(cloud, link(cloud, person.email), peer="198.51.77.7").ok()
    for number in range(30):
        sign_in(cloud, person.email, "wrong password", peer=f"203.1.{number}.9")
    assert sign_in(cloud, person.email, NEW, peer="198.51.88.7").status == 429
    assert sign_in(cloud, person.email, NEW, peer="198.51.77.7").status == 200


def test_changing_it_needs_the_present_one_and_ends_other_sessions(cloud: Cloud) -> None:
    person = with_password(cloud)
    other = cloud.session(person.id)
    path = "/api/auth/password"
    refusal = cloud.post(path, person.session, {"password": NEW}).refused(400, "VALIDATION_ERROR")
    assert set(refusal["details"]) == {"currentPassword"}
    body = {"password": NEW, "currentPassword": PASSWORD}
    cloud.post(path, person.session, body | {"currentPassword": NEW}).refused(401, "WRONG_CREDENTIALS")
    weak = cloud.post(path, person.session, body | {"password": "qwertyuiop"}).refused(400, "VALIDATION_ERROR")
    assert set(weak["details"]) == {"password"}
    cloud.post(path, person.key, body).refused(403, "SESSION_NEEDED")
    cloud.post(path, person.session, body).ok()
    assert cloud.get("/api/me", person.session).status == 200
    cloud.get("/api/me", other).refused(401, "UNAUTHORIZED")
    third = sign_in(cloud, person.email, NEW).ok()["token"]
    back = {"password": PASSWORD, "currentPassword": NEW, "endOtherSessions": False}
    cloud.post(path, person.session, back).ok()
    assert cloud.get("/api/me", third).status == 200
    assert [mail.subject for mail in mailed(cloud, person.email)] == ["Your password was changed"] * 2


def test_an_account_without_one_gets_its_first_under_a_recent_sign_in(cloud: Cloud) -> None:
    person = cloud.person()
    cloud.clock.forward(minutes=15, seconds=1)
    cloud.post("/api/auth/password", person.session, {"password": NEW}).refused(403, "SIGN_IN_AGAIN")
    cloud.post("/api/auth/password", cloud.session(person.id), {"password": NEW}).ok()
    assert sign_in(cloud, person.email, NEW).status == 200


def test_stolen_passwords_are_refused_at_sign_up_too(cloud: Cloud) -> None:
    for password in ("qwertyuiop", "Password1234!", "forebay-2026", "zorblatt-99"):
        body = {"email": "zorblatt@example.org", "password": password, "name": "Z"}
        refusal = cloud.post("/api/auth/sign-up", body=body).refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == {"password"}


@pytest.fixture
def mail_server() -> Iterator[Controller]:
    controller = OnFreePort(Inbox(), hostname="127.0.0.1", port=0)
    controller.start()
    yield controller
    controller.stop()


def arrived(cloud: Cloud, server: OnFreePort, page: str) -> str:
    """The token of the link in the newest mail that has arrived, read off its HTML as off its text."""
    cloud.run("mails")
    parts = {part.get_content_type(): part for part in server.handler.found[-1].walk()}
    texts = [str(parts[kind].get_payload(decode=True), "utf-8") for kind in ("text/plain", "text/html")]
    [token] = {match[1] for text in texts for match in re.finditer(rf'/{page}\?token=([^"\s<]+)', text)}
    return token


def test_from_sign_up_to_a_new_password_through_a_mail_server(
    make_cloud: Callable[..., Cloud], mail_server: OnFreePort
) -> None:
    cloud = make_cloud(smtp_url=f"smtp://127.0.0.1:{mail_server.port}", mail_from="Forebay <noreply@cloud.test>")
    body = {"email": "ann@example.org", "password": PASSWORD, "name": "Ann"}
    cloud.post("/api/auth/sign-up", body=body).ok(202)
    cloud.post("/api/auth/verify", body={"token": arrived(cloud, mail_server, "verify")}).ok()
    session = sign_in(cloud, "ann@example.org").ok()["token"]
    forgot(cloud, "ann@example.org").ok(202)
    reset(cloud, arrived(cloud, mail_server, "reset")).ok()
    cloud.get("/api/me", session).refused(401, "UNAUTHORIZED")
    session = sign_in(cloud, "ann@example.org", NEW).ok()["token"]
    cloud.run("mails")
    cloud.post("/api/me/email", session, {"email": "ann@example.net"}).ok(202)
    cloud.run("mails")
    for message in mail_server.handler.found[-2:]:
        mail_server.handler.found.append(message)
        answer = cloud.post(
            "/api/auth/change-address", body={"token": arrived(cloud, mail_server, "change-address")}
        ).ok()
    assert answer["isDone"]
    assert account(cloud, "ann@example.net").name == "Ann"
    cloud.run("mails")
    assert [message["X-RcptTo"] for message in mail_server.handler.found[-2:]] == ["ann@example.org", "ann@example.net"]
    assert sign_in(cloud, "ann@example.net", NEW).status == 200
