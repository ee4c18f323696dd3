"""Signing in with two factors, and proving again who one is."""

import logging

import pytest
import sqlalchemy as sa

from forebay.storage.tables import sign_in_steps
from tests.api.cloud import Cloud
from tests.api.proving import PASSWORD, begin, done, give, mailed, sign_in, with_app, with_password

pytestmark = pytest.mark.slow

S = "/api/auth"


def test_sign_in_asks_for_a_code_once_an_app_is_confirmed(cloud: Cloud) -> None:
    person = with_password(cloud)
    assert cloud.get(f"{S}/factors", person.session).ok() == {
        "password": True, "totp": False, "passkeys": 0, "identities": [], "recoveryCodesLeft": 0,
    }  # fmt: skip
    cloud.post(f"{S}/totp", person.session).ok()
    assert "token" in sign_in(cloud, person.email).ok(), "not confirmed yet"
    owner = with_app(cloud)
    answer = sign_in(cloud, owner.person.email).ok()
    assert set(answer) == {"secondFactor"}
    assert set(answer["secondFactor"]) == {"token", "methods", "expiresAt"}
    assert answer["secondFactor"]["methods"] == ["totp", "recovery-code"]
    session = give(cloud, answer["secondFactor"]["token"], owner.phone.code()).ok()
    assert set(session) == {"token", "sessionId", "expiresAt", "userId", "currentTeamId"}
    [newest, older] = cloud.get(f"{S}/sessions", session["token"]).ok()["sessions"]
    assert (newest["id"], newest["methods"]) == (session["sessionId"], "password+totp")
    assert older["methods"] == "password+totp", "the session that set it up"
    factors = cloud.get(f"{S}/factors", session["token"]).ok()
    assert (factors["totp"], factors["recoveryCodesLeft"]) == (True, 10)
    give(cloud, begin(cloud, owner.person.email), owner.codes[0].upper()).ok()
    assert cloud.get(f"{S}/factors", session["token"]).ok()["recoveryCodesLeft"] == 9
    assert [details["methods"] for action, details in done(cloud, owner.person.id) if action == "account.sign-in"] == [
        "password+totp",
        "password+recovery-code",
    ]


def test_half_a_sign_in_opens_nothing(cloud: Cloud) -> None:
    owner = with_app(cloud)
    token = begin(cloud, owner.person.email)
    cloud.get("/api/me", token).refused(401, "UNAUTHORIZED")
    sign_in(cloud, owner.person.email, "wrong password").refused(401, "WRONG_CREDENTIALS")
    for bad in ("", "x", token[:-1], token.swapcase()):
        give(cloud, bad, owner.phone.code()).refused(400, "STEP_EXPIRED")
    with cloud.database.read() as connection:
        assert token not in str(connection.execute(sa.select(sign_in_steps)).all())


def test_half_a_sign_in_is_good_for_five_minutes_to_the_second_and_once(cloud: Cloud) -> None:
    owner = with_app(cloud)
    token = begin(cloud, owner.person.email)
    cloud.clock.forward(seconds=269)
    give(cloud, token, owner.phone.code()).ok()
    give(cloud, token, owner.codes[0]).refused(400, "STEP_EXPIRED")
    give(cloud, begin(cloud, owner.person.email), owner.codes[0]).ok()
    token = begin(cloud, owner.person.email)
    cloud.clock.forward(seconds=270)
    give(cloud, token, owner.phone.code()).refused(400, "STEP_EXPIRED")


def test_wrong_codes_count_and_a_right_one_in_time_forgets_them(cloud: Cloud) -> None:
    owner = with_app(cloud)
    token = begin(cloud, owner.person.email)
    for _ in range(4):
        give(cloud, token, "12345").refused(401, "WRONG_CODE")
    give(cloud, token, owner.codes[0]).ok()
    token = begin(cloud, owner.person.email)
    for _ in range(5):
        give(cloud, token, owner.codes[0]).refused(401, "WRONG_CODE")
    refused = give(cloud, token, owner.codes[1])
    refused.refused(429, "RATE_LIMIT_EXCEEDED")
    assert refused.headers["retry-after"] == "1"
    cloud.clock.forward(seconds=1)
    give(cloud, token, owner.codes[1]).ok()
    [told] = [mail for mail in mailed(cloud, owner.person.email) if mail.subject == "Wrong codes for your account"]
    assert "192.0.2.7" in told.text
    assert [action for action, _ in done(cloud, owner.person.id)].count("account.sign-in-refused") == 9


def test_one_code_lets_one_of_two_in_who_come_at_once(cloud: Cloud) -> None:
    owner = with_app(cloud)
    for code in (owner.phone.code(), owner.codes[0]):
        tokens = [begin(cloud, owner.person.email) for _ in range(3)]
        answers = cloud.at_once(
            [cloud.request("POST", f"{S}/second-factor", body={"token": token, "code": code}) for token in tokens]
        )
        assert sorted(answer.status for answer in answers) == [200, 401, 401]


def test_one_half_sign_in_becomes_one_session_of_two_codes_at_once(cloud: Cloud) -> None:
    owner = with_app(cloud)
    token = begin(cloud, owner.person.email)
    answers = cloud.at_once(
        [cloud.request("POST", f"{S}/second-factor", body={"token": token, "code": code}) for code in owner.codes[:2]]
    )
    assert sorted(answer.status for answer in answers) == [200, 400]
    assert cloud.get(f"{S}/factors", owner.session).ok()["recoveryCodesLeft"] == 9, "the other code was not used up"


def test_setting_up_and_taking_away_need_a_recent_sign_in_and_are_told_by_mail(cloud: Cloud) -> None:
    owner = with_app(cloud)
    cloud.clock.forward(minutes=15, seconds=1)
    for method, path, body in (
        ("POST", f"{S}/totp", None),
        ("POST", f"{S}/totp/confirm", {"code": "123456"}),
        ("DELETE", f"{S}/totp", {"code": owner.codes[0]}),
        ("POST", f"{S}/recovery-codes", None),
    ):
        cloud.send(method, path, owner.session, body).refused(403, "SIGN_IN_AGAIN")
    fresh = give(cloud, begin(cloud, owner.person.email), owner.codes[0]).ok()["token"]
    cloud.post(f"{S}/totp", fresh).refused(409, "TOTP_SET_UP")
    codes = cloud.post(f"{S}/recovery-codes", fresh).ok()["recoveryCodes"]
    cloud.send("DELETE", f"{S}/totp", fresh, {"code": owner.codes[1]}).refused(401, "WRONG_CODE")
    cloud.send("DELETE", f"{S}/totp", fresh, {"code": codes[0]}).ok()
    cloud.send("DELETE", f"{S}/totp", fresh, {"code": codes[1]}).refused(409, "NO_TOTP")
    cloud.post(f"{S}/recovery-codes", fresh).refused(409, "NO_TOTP")
    assert "token" in sign_in(cloud, owner.person.email).ok()
    told = mailed(cloud, owner.person.email)
    assert [mail.subject for mail in told] == [
        "An authenticator app was set up",
        "New recovery codes",
        "The authenticator app was taken away",
    ]
    assert all("192.0.2.7" in mail.text and mail.html for mail in told)
    assert not any(code in mail.text for mail in told for code in codes)


def test_proving_again_is_as_strong_as_signing_in(cloud: Cloud) -> None:
    owner = with_app(cloud)
    cloud.clock.forward(minutes=15, seconds=1)
    cloud.post(f"{S}/recovery-codes", owner.session).refused(403, "SIGN_IN_AGAIN")
    for body, missing in (
        ({}, {"password", "code"}),
        ({"password": PASSWORD}, {"code"}),
        ({"code": owner.codes[0]}, {"password"}),
    ):
        refusal = cloud.post(f"{S}/step-up", owner.session, body).refused(400, "PROOF_INCOMPLETE")
        assert set(refusal["details"]) == missing
    both = {"password": PASSWORD, "code": owner.codes[0]}
    cloud.post(f"{S}/step-up", owner.session, both | {"password": "wrong one"}).refused(401, "WRONG_CREDENTIALS")
    cloud.post(f"{S}/step-up", owner.session, both | {"code": "12345"}).refused(401, "WRONG_CODE")
    cloud.post(f"{S}/step-up", owner.person.key, both).refused(403, "SESSION_NEEDED")
    proved = cloud.post(f"{S}/step-up", owner.session, both).ok()
    cloud.get("/api/me", owner.session).refused(401, "UNAUTHORIZED")
    cloud.post(f"{S}/recovery-codes", proved["token"]).ok()
    cloud.clock.forward(minutes=15)
    cloud.post(f"{S}/recovery-codes", proved["token"]).ok()
    cloud.clock.forward(seconds=1)
    cloud.post(f"{S}/recovery-codes", proved["token"]).refused(403, "SIGN_IN_AGAIN")


def test_proving_again_is_slowed_down_with_signing_in(cloud: Cloud) -> None:
    person = with_password(cloud)
    for number in range(5):
        if number % 2:
            sign_in(cloud, person.email, "wrong password").refused(401, "WRONG_CREDENTIALS")
        else:
            body = {"password": "wrong password"}
            cloud.post(f"{S}/step-up", person.session, body).refused(401, "WRONG_CREDENTIALS")
    cloud.post(f"{S}/step-up", person.session, {"password": PASSWORD}).refused(429, "RATE_LIMIT_EXCEEDED")
    cloud.clock.forward(seconds=1)
    cloud.post(f"{S}/step-up", person.session, {"password": PASSWORD}).ok()


def test_an_account_without_any_of_it_signs_in_again(cloud: Cloud) -> None:
    person = cloud.person()
    refusal = cloud.post(f"{S}/step-up", person.session, {"password": PASSWORD}).refused(400, "PROOF_INCOMPLETE")
    assert set(refusal["details"]) == {"passkey"}


def test_no_secret_reaches_a_log(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        owner = with_app(cloud)
        token = begin(cloud, owner.person.email)
        give(cloud, token, "12345")
        session = give(cloud, token, owner.codes[0]).ok()["token"]
    text = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "second-factor" in text
    for secret in (token, session, *owner.codes, PASSWORD, owner.phone.app.secret):
        assert secret not in text
    assert owner.codes[0] not in str(done(cloud, owner.person.id))
