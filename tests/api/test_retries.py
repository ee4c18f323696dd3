"""`Idempotency-Key`: a repeated POST has one effect and one answer, whatever happens in between."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people import retries
from forebay.domain.people.retries import RetryKey
from forebay.domain.people.roles import Role
from forebay.errors import ForebayError, Unavailable
from forebay.storage.tables import idempotency_keys
from tests.api.cloud import Cloud, Person, new_public_key
from tests.api.wire import Answer

PATH = "/api/deployments"


@pytest.fixture
def pat(cloud: Cloud) -> Person:
    return cloud.person()


@pytest.fixture
def order(cloud: Cloud, pat: Person) -> dict[str, Any]:
    return cloud.order(pat.team, cloud.ssh_key(pat.team, pat))


def machines(cloud: Cloud, person: Person) -> list[str]:
    return [machine["id"] for machine in cloud.get(PATH, person.key).ok()]


def test_the_same_request_gets_the_same_answer(cloud: Cloud, pat: Person, order: dict[str, Any]) -> None:
    first = cloud.post(PATH, pat.key, order, retry="a")
    cloud.settle()
    again = cloud.post(PATH, pat.key, order, retry="a")
    assert again.status == first.status == 201
    assert again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert machines(cloud, pat) == [first.json["id"]]


def test_without_the_header_or_with_another_key_it_is_another_request(
    cloud: Cloud, pat: Person, order: dict[str, Any]
) -> None:
    for retry in (None, None, "a", "b", "A", "a-b"):
        cloud.post(PATH, pat.key, order, retry=retry).ok(201)
    assert len(machines(cloud, pat)) == 6


def test_another_body_is_refused(cloud: Cloud, pat: Person, order: dict[str, Any]) -> None:
    cloud.post(PATH, pat.key, order, retry="a").ok(201)
    cloud.post(PATH, pat.key, order | {"name": "x"}, retry="a").refused(409, "IDEMPOTENCY_KEY_REUSED")
    assert len(machines(cloud, pat)) == 1


def test_a_key_belongs_to_an_account_and_a_path(cloud: Cloud, pat: Person, order: dict[str, Any]) -> None:
    other = cloud.person()
    first = cloud.post(PATH, pat.key, order, retry="a").ok(201)
    mine = cloud.post(PATH, other.key, cloud.order(other.team, cloud.ssh_key(other.team, other)), retry="a").ok(201)
    assert mine["createdBy"] == other.id
    body = {"name": "x", "publicKey": new_public_key()}
    assert cloud.post("/api/ssh-keys", pat.key, body, retry="a").ok(201)["name"] == "x"
    # Another credential of the same account repeats the same request.
    assert cloud.post(PATH, pat.session, order, retry="a").ok(201) == first


def test_it_does_not_count_where_nothing_is_created(cloud: Cloud, pat: Person, order: dict[str, Any]) -> None:
    path = f"{PATH}/{cloud.running(pat)['id']}"
    for name in ("one", "two"):
        assert cloud.send("PATCH", path, pat.key, {"name": name}, retry="a").ok()["name"] == name
    assert cloud.get(path, pat.key, retry="a").ok()["name"] == "two"
    cloud.post(f"{path}/stop", pat.key, retry="a").ok()
    cloud.settle()
    cloud.post(f"{path}/start", pat.key, retry="a").ok()
    cloud.settle()
    assert cloud.post(f"{path}/stop", pat.key, retry="a").ok()["status"] == "stopped", "the first answer"
    assert cloud.get(path, pat.key).ok()["status"] == "running", "and no second stop"


def test_keys_that_cannot_be_used(cloud: Cloud, pat: Person, order: dict[str, Any]) -> None:
    for retry in ("", " ", "a b", "a" * 256, "\x01", "a\x7f", "\x80", "\xe9", "\t"):
        refusal = cloud.post(PATH, pat.key, order, retry=retry).refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == {"Idempotency-Key"}
    for retry in ("a" * 255, "'OR(1=1)--", "%00"):
        assert (
            cloud.post(PATH, pat.key, order, retry=retry).ok(201)["id"]
            == cloud.post(PATH, pat.key, order, retry=retry).ok(201)["id"]
        )


def test_a_refusal_is_kept_too(cloud: Cloud, order: dict[str, Any], pat: Person) -> None:
    poor = cloud.person(credits_micros=0)
    order = cloud.order(poor.team, cloud.ssh_key(poor.team, poor))
    first = cloud.post(PATH, poor.key, order, retry="a")
    first.refused(402, "INSUFFICIENT_BALANCE")
    cloud.grant(poor.team, 100_000_000)
    again = cloud.post(PATH, poor.key, order, retry="a")
    assert (again.status, again.body) == (402, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    cloud.post(PATH, poor.key, order, retry="b").ok(201)


def test_after_a_day_the_key_is_free(cloud: Cloud, pat: Person, order: dict[str, Any]) -> None:
    first = cloud.post(PATH, pat.key, order, retry="a").ok(201)["id"]
    cloud.clock.forward(hours=23, minutes=59)
    assert cloud.post(PATH, pat.key, order, retry="a").ok(201)["id"] == first
    cloud.clock.forward(minutes=1)
    assert cloud.post(PATH, pat.key, order, retry="a").ok(201)["id"] != first


def test_a_secret_is_never_shown_twice(cloud: Cloud, pat: Person) -> None:
    first = cloud.post("/api/api-keys", pat.session, {"name": "x"}, retry="a").ok(201)
    for _ in range(2):
        again = cloud.post("/api/api-keys", pat.session, {"name": "x"}, retry="a")
        again.refused(409, "ALREADY_DONE")
        assert first["secret"].encode() not in again.body
    with cloud.database.read() as connection:
        assert first["secret"] not in str(connection.execute(sa.select(idempotency_keys)).all())
    assert len(cloud.get("/api/api-keys", pat.session).ok()["apiKeys"]) == 2
    wrong = cloud.post("/api/api-keys", pat.session, {"name": ""}, retry="b")
    assert cloud.post("/api/api-keys", pat.session, {"name": ""}, retry="b").body == wrong.body


def test_ten_at_once_make_one_machine(cloud: Cloud, pat: Person, order: dict[str, Any]) -> None:
    request = cloud.request("POST", PATH, pat.key, order, retry="a")
    answers = cloud.at_once([request] * 10)
    made = {answer.json["id"] for answer in answers if answer.status == 201}
    assert len(made) == 1
    for answer in answers:
        if answer.status != 201:
            answer.refused(409, "IN_PROGRESS")
    assert machines(cloud, pat) == list(made)
    assert cloud.post(PATH, pat.key, order, retry="a").ok(201)["id"] in made


def test_while_the_first_runs_the_second_is_told_so(
    cloud: Cloud, pat: Person, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    commit_once = cloud.door.commit_once

    def slowly(*arguments: Any) -> Any:
        began.set()
        assert go_on.wait(30)
        return commit_once(*arguments)

    monkeypatch.setattr(cloud.door, "commit_once", slowly)
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(cloud.post, PATH, pat.key, order, retry="a")
        assert began.wait(30)
        cloud.post(PATH, pat.key, order, retry="a").refused(409, "IN_PROGRESS")
        cloud.post(PATH, pat.key, order | {"name": "x"}, retry="a").refused(409, "IDEMPOTENCY_KEY_REUSED")
        go_on.set()
        made = first.result(30).ok(201)["id"]
    assert cloud.post(PATH, pat.key, order, retry="a").ok(201)["id"] == made
    assert machines(cloud, pat) == [made]


def abandon(cloud: Cloud, pat: Person, order: dict[str, Any], retry: str) -> RetryKey:
    """A claim whose process died before the effect."""
    found: list[RetryKey] = []
    make = cloud.door.retry

    def keep(*arguments: Any) -> RetryKey | None:
        key = make(*arguments)
        assert key is not None
        found.append(key)
        raise Unavailable("Cut off here.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloud.door, "retry", keep)
        cloud.post(PATH, pat.key, order, retry=retry).refused(503, "UNAVAILABLE")
    with cloud.database.begin() as connection:
        assert isinstance(retries.begin(connection, found[0], now=cloud.clock.now()), str)
    return found[0]


def test_a_claim_of_a_process_that_died_ends_by_itself(cloud: Cloud, pat: Person, order: dict[str, Any]) -> None:
    abandon(cloud, pat, order, "a")
    cloud.clock.forward(seconds=119)
    cloud.post(PATH, pat.key, order, retry="a").refused(409, "IN_PROGRESS")
    assert machines(cloud, pat) == []
    cloud.clock.forward(seconds=1)
    answers = cloud.at_once([cloud.request("POST", PATH, pat.key, order, retry="a")] * 5)
    assert {answer.status for answer in answers} <= {201, 409}
    assert len(machines(cloud, pat)) == 1


def test_whoever_lost_the_claim_has_no_effect(
    cloud: Cloud, pat: Person, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_once = cloud.door.commit_once
    answers: list[Answer] = []

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(cloud.door, "commit_once", commit_once)
        cloud.clock.forward(seconds=121)
        answers.append(cloud.post(PATH, pat.key, order, retry="a"))
        return commit_once(*arguments)

    monkeypatch.setattr(cloud.door, "commit_once", late)
    cloud.post(PATH, pat.key, order, retry="a").refused(409, "IN_PROGRESS")
    made = answers[0].ok(201)["id"]
    assert machines(cloud, pat) == [made]
    assert cloud.post(PATH, pat.key, order, retry="a").ok(201)["id"] == made


@pytest.mark.parametrize("failure", [Unavailable("Not now."), RuntimeError("a fault of ours")])
def test_what_failed_on_our_side_is_not_kept(
    cloud: Cloud, pat: Person, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: Any) -> Any:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(cloud.door, "invoke", fail)
        answer = cloud.post(PATH, pat.key, order, retry="a")
    assert answer.status == (failure.status if isinstance(failure, ForebayError) else 500)
    assert b"fault of ours" not in answer.body
    cloud.post(PATH, pat.key, order, retry="a").ok(201)


def test_a_replay_is_for_those_who_may_still_ask(cloud: Cloud, pat: Person) -> None:
    mia = cloud.person("Mia")
    cloud.join(pat.team, mia, Role.admin)
    order = cloud.order(pat.team, cloud.ssh_key(pat.team, pat))
    narrow = cloud.key(mia.id, mia.team, team_ids=[mia.team])
    looking = cloud.key(mia.id, pat.team, permissions=["team.see"])
    cloud.post(PATH, mia.key, order, retry="a").ok(201)
    cloud.post(PATH, mia.key, order, retry="a").ok(201)
    cloud.post(PATH, narrow, order, retry="a").refused(404, "NOT_FOUND")
    cloud.post(PATH, looking, order, retry="a").refused(403, "FORBIDDEN")
    cloud.leave(pat.team, mia)
    cloud.post(PATH, mia.key, order, retry="a").refused(404, "NOT_FOUND")
