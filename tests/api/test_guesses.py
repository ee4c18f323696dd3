"""Guessing passwords at the wire: slowed down to the second, told by nothing, and of no harm to the owner."""

from collections.abc import Callable
from typing import Any

import argon2
import pytest

from forebay.domain.people import credentials
from tests.api.cloud import Cloud
from tests.api.proving import PASSWORD, done, new_email, sign_in, with_password
from tests.api.wire import Answer

pytestmark = pytest.mark.slow


class Counting(argon2.PasswordHasher):
    """Argon2id as ever, and how often it was run."""

    runs = 0

    def verify(self, *arguments: Any, **more: Any) -> Any:
        self.runs += 1
        return super().verify(*arguments, **more)

    def hash(self, *arguments: Any, **more: Any) -> Any:
        self.runs += 1
        return super().hash(*arguments, **more)


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Counting:
    found = credentials.hasher
    counting = Counting(time_cost=found.time_cost, memory_cost=found.memory_cost, parallelism=found.parallelism)
    monkeypatch.setattr(credentials, "hasher", counting)
    return counting


def waits(answer: Answer) -> int:
    """The wait that a refusal names, in both of its places."""
    refusal = answer.refused(429, "RATE_LIMIT_EXCEEDED")
    assert answer.headers["retry-after"] == str(refusal["retryAfter"])
    return int(refusal["retryAfter"])


def test_waits_grow_and_end_at_their_second(cloud: Cloud, hasher: Counting) -> None:
    person = with_password(cloud)
    for _ in range(5):
        sign_in(cloud, person.email, "wrong password").refused(401, "WRONG_CREDENTIALS")
    for wait in (1, 2, 4, 8):
        runs = hasher.runs
        assert waits(sign_in(cloud, person.email, PASSWORD)) == wait, "a right one waits too"
        cloud.clock.forward(seconds=wait - 1)
        assert waits(sign_in(cloud, person.email, PASSWORD)) == 1
        assert hasher.runs == runs, "nobody's processor is used up by asking"
        cloud.clock.forward(seconds=1)
        sign_in(cloud, person.email, "wrong password").refused(401, "WRONG_CREDENTIALS")
    cloud.clock.forward(seconds=16)
    assert sign_in(cloud, person.email).status == 200
    for _ in range(4):
        sign_in(cloud, person.email, "wrong password").refused(401, "WRONG_CREDENTIALS")
    assert sign_in(cloud, person.email).status == 200, "a success has forgotten them"
    actions = [action for action, _ in done(cloud, person.id)]
    assert actions.count("account.sign-in-refused") == 13
    assert actions.count("account.sign-in") == 2


def test_an_address_without_an_account_is_answered_and_slowed_down_alike(cloud: Cloud, hasher: Counting) -> None:
    person, nobody, unproved = with_password(cloud), new_email(), new_email()
    cloud.post("/api/auth/sign-up", body={"email": unproved, "password": PASSWORD, "name": "U"}).ok(202)
    seen: list[list[Any]] = []
    for email, peer in ((person.email, "10.1.0.1"), (nobody, "10.2.0.1"), (unproved, "10.3.0.1")):
        answers = []
        for _ in range(8):
            runs = hasher.runs
            answer = sign_in(cloud, email, "wrong password", peer=peer)
            headers = {name: value for name, value in answer.headers.items() if name != "date"}
            answers.append((answer.status, headers, answer.body, hasher.runs - runs))
            if answer.status == 429:
                cloud.clock.forward(seconds=waits(answer))
        seen.append(answers)
    assert seen[0] == seen[1] == seen[2]
    assert [answer[0] for answer in seen[0]] == [401] * 5 + [429, 401, 429]
    assert [answer[3] for answer in seen[0]] == [1] * 5 + [0, 1, 0]


def test_the_owner_comes_in_while_somebody_hammers_from_elsewhere(cloud: Cloud) -> None:
    owner = with_password(cloud)
    assert sign_in(cloud, owner.email, peer="198.51.100.7").status == 200
    refused = 0
    for number in range(40):
        refused += sign_in(cloud, owner.email, "wrong password", peer=f"203.0.{number}.9").status == 429
    assert refused >= 15
    assert waits(sign_in(cloud, owner.email, peer="203.0.200.9")) > 0
    assert sign_in(cloud, owner.email, peer="198.51.100.99").status == 200, "known, by its /24"
    assert cloud.get("/api/me", owner.session).status == 200


def test_fifty_guesses_at_once_are_five(cloud: Cloud) -> None:
    person = with_password(cloud)
    body = {"email": person.email, "password": "wrong password"}
    answers = cloud.at_once([cloud.request("POST", "/api/auth/sign-in", body=body) for _ in range(50)])
    statuses = [answer.status for answer in answers]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 45


def test_it_holds_over_processes(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud()
    person = with_password(cloud)
    other = make_cloud()
    for number in range(5):
        sign_in((cloud, other)[number % 2], person.email, "wrong password").refused(401, "WRONG_CREDENTIALS")
    assert waits(sign_in(cloud, person.email)) == waits(sign_in(other, person.email)) == 1
