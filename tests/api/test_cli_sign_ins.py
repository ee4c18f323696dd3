"""Programs sign in through the browser: one session, for who approved, never stronger or fresher than theirs."""

import re
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people import access, cli_sign_ins
from forebay.domain.people.access import Caller, Credential, Target
from forebay.domain.people.credentials import hash_token
from forebay.errors import NotFound
from forebay.storage.tables import activity, sessions, sign_in_steps
from tests.api.cloud import Cloud, Person


def begin(cloud: Cloud, name: str = "forebay on a laptop") -> Any:
    return cloud.post("/api/auth/cli", body={"name": name}).ok()


def ask(cloud: Cloud, begun: Any) -> Any:
    cloud.clock.forward(seconds=begun["interval"])
    return cloud.post("/api/auth/cli/token", body={"deviceToken": begun["deviceToken"]})


def caller(cloud: Cloud, session: str) -> Caller:
    credential = Credential(hash_token(session, cloud.forebay.secret_key), False, "192.0.2.9")
    with cloud.database.read() as connection:
        return access.enter(connection, credential, Target.nothing, None, now=cloud.clock.now())[0]


def decide(cloud: Cloud, person: Person, code: str, *, is_approved: bool = True, session: str = "") -> None:
    decision = cli_sign_ins.approve if is_approved else cli_sign_ins.deny
    who = caller(cloud, session or person.session)
    with cloud.database.begin() as connection:
        decision(connection, who, code, cloud.forebay.secret_key, now=cloud.clock.now())


def test_a_program_gets_one_session_once_its_user_has_approved(cloud: Cloud) -> None:
    pat = cloud.person()
    begun = begin(cloud)
    assert set(begun) == {"deviceToken", "userCode", "verifyUrl", "expiresIn", "interval"}
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", begun["userCode"])
    assert begun["verifyUrl"] == f"http://forebay.test/cli?code={begun['userCode']}"
    assert begun["expiresIn"] == 600
    assert ask(cloud, begun).ok() == {"status": "pending"}
    decide(cloud, pat, begun["userCode"].lower().replace("-", " "))
    found = ask(cloud, begun).ok()
    assert (found["status"], found["userId"], found["currentTeamId"]) == ("approved", pat.id, pat.team)
    assert cloud.get("/api/me", found["token"]).ok()["id"] == pat.id
    with cloud.database.read() as connection:
        row = connection.execute(sa.select(sessions).where(sessions.c.id == found["sessionId"])).one()
        done = connection.execute(sa.select(activity).where(activity.c.action == "cli.approve")).all()
        kept = str(connection.execute(sa.select(sign_in_steps)).all()) + str(done)
    assert (row.kind, row.user_agent, row.address) == ("cli", "forebay on a laptop", "192.0.2.7")
    assert done[-1].user_id == pat.id
    for secret in (begun["deviceToken"], begun["userCode"], begun["userCode"].replace("-", ""), found["token"]):
        assert secret not in kept
    ask(cloud, begun).refused(400, "STEP_EXPIRED")


def test_what_was_denied_or_took_too_long_is_over(cloud: Cloud) -> None:
    pat = cloud.person()
    denied, late = begin(cloud), begin(cloud)
    decide(cloud, pat, denied["userCode"], is_approved=False)
    ask(cloud, denied).refused(400, "SIGN_IN_DENIED")
    with pytest.raises(NotFound):
        decide(cloud, pat, denied["userCode"])
    cloud.clock.forward(seconds=599 - 2 * 3)
    assert ask(cloud, late).ok() == {"status": "pending"}
    cloud.clock.forward(seconds=1)
    cloud.post("/api/auth/cli/token", body={"deviceToken": late["deviceToken"]}).refused(400, "STEP_EXPIRED")
    with pytest.raises(NotFound):
        decide(cloud, pat, late["userCode"])


def test_whoever_asks_too_often_is_told_to_wait(cloud: Cloud) -> None:
    begun = begin(cloud)
    body = {"deviceToken": begun["deviceToken"]}
    assert cloud.post("/api/auth/cli/token", body=body).ok() == {"status": "pending"}
    refused = cloud.post("/api/auth/cli/token", body=body)
    assert refused.refused(429, "RATE_LIMIT_EXCEEDED")["retryAfter"] == 1
    assert refused.headers["retry-after"] == "1"
    cloud.clock.forward(seconds=1)
    assert cloud.post("/api/auth/cli/token", body=body).ok() == {"status": "pending"}


def test_the_session_is_neither_fresher_nor_stronger_than_the_one_that_approved(cloud: Cloud) -> None:
    pat = cloud.person()
    with cloud.database.begin() as connection:
        connection.execute(sa.update(sessions).where(sessions.c.user_id == pat.id).values(methods="password+totp"))
    cloud.clock.forward(minutes=20)
    begun = begin(cloud)
    decide(cloud, pat, begun["userCode"])
    token = ask(cloud, begun).ok()["token"]
    who = caller(cloud, token)
    assert who.has_two_factors
    assert who.signed_in_at == caller(cloud, pat.session).signed_in_at


def test_no_session_comes_of_one_that_has_ended(cloud: Cloud) -> None:
    pat = cloud.person()
    begun = begin(cloud)
    decide(cloud, pat, begun["userCode"])
    cloud.post("/api/auth/sign-out", pat.session).ok()
    ask(cloud, begun).refused(400, "SIGN_IN_DENIED")


def test_two_who_ask_at_once_get_one_session(cloud: Cloud) -> None:
    pat = cloud.person()
    begun = begin(cloud)
    decide(cloud, pat, begun["userCode"])
    request = cloud.request("POST", "/api/auth/cli/token", None, {"deviceToken": begun["deviceToken"]})
    answers = cloud.at_once([request] * 6)
    assert sorted(answer.status for answer in answers) == [200] + [400] * 5


@pytest.mark.parametrize("name", ["", " ", "\u202eevil", "a\nb\x07", "x" * 121])
def test_names_that_cannot_be_shown_are_refused(cloud: Cloud, name: str) -> None:
    cloud.post("/api/auth/cli", body={"name": name}).refused(400, "VALIDATION_ERROR")
