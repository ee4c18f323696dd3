"""A team's webhooks, from the event to a real receiver on loopback, which this cloud's operator has opened."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people import webhook_deliveries
from forebay.domain.people.roles import Role
from forebay.storage.tables import mails, webhook_attempts, webhooks
from forebay.storage.tables import webhook_deliveries as deliveries
from forebay.worker.webhooks import WebhookReconciler
from tests.api.cloud import ABSENT, Cloud, Person
from tests.receiver import Receiver, receiver

AGAIN = webhook_deliveries.AGAIN_SECONDS


@pytest.fixture
def other() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def add(cloud: Cloud, person: Person, other: Receiver, **more: Any) -> Any:
    return cloud.post(f"/api/teams/{person.team}/webhooks", person.session, {"url": other.url, **more}).ok(201)


def path(made: Any, more: str = "") -> str:
    return f"/api/teams/{made['teamId']}/webhooks/{made['id']}{more}"


def tell(cloud: Cloud) -> None:
    """Hand on what happened, and send what that comes to."""
    cloud.run("notifications")
    for _ in range(20):
        cloud.run("webhooks")


def sent(cloud: Cloud, person: Person, made: Any) -> Any:
    return cloud.get(path(made, "/deliveries"), person.session).ok()["deliveries"]


def is_signed(received: Any, secret: str) -> bool:
    """As the documentation tells receivers to check it, written down anew."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode() + received.body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(expected, each) for each in received.headers["webhook-signature"].split())


def test_a_machine_that_runs_is_told_signed_and_once(cloud: Cloud, other: Receiver) -> None:
    pat = cloud.person()
    made = add(cloud, pat, other, name="chat", kinds=["deployment.running"])
    machine = cloud.running(pat, name="<!channel> @here & heron")
    tell(cloud)
    tell(cloud)
    [received] = other.found
    assert is_signed(received, made["secret"])
    assert not is_signed(received, "whsec_" + base64.b64encode(b"x" * 32).decode())
    assert received.headers["webhook-timestamp"] == str(int(cloud.clock.now().timestamp()))
    assert received.headers["content-type"] == "application/json"
    event = received.json["event"]
    assert (event["type"], event["id"]) == ("deployment.running", received.headers["webhook-id"])
    assert event["team"]["id"] == pat.team
    assert event["data"]["deployment"]["id"] == machine["id"]
    assert event["data"]["deployment"]["name"] == "<!channel> @here & heron", "programs get it as it is"
    assert "<!channel>" not in received.json["text"], "a chat doesn't"
    assert "@here" not in str(received.json["blocks"])
    assert all(block["type"] == "section" for block in received.json["blocks"])
    [delivery] = sent(cloud, pat, made)
    assert (delivery["state"], delivery["eventId"], delivery["kind"]) == ("delivered", event["id"], event["type"])
    [attempt] = delivery["attempts"]
    assert (attempt["number"], attempt["statusCode"], attempt["reason"]) == (1, 200, "delivered")


def test_each_webhook_gets_its_kinds_and_all_know_an_event_by_one_id(cloud: Cloud, other: Receiver) -> None:
    pat = cloud.person()
    first, second = (
        add(cloud, pat, other, name="all"),
        add(cloud, pat, other, name="runs", kinds=["deployment.running"]),
    )
    add(cloud, pat, other, name="failures", kinds=["deployment.failed", "limit.met"])
    assert (first["kinds"], second["kinds"]) == (None, ["deployment.running"])
    add(cloud, cloud.person(), other, name="another team's")
    cloud.running(pat)
    tell(cloud)
    assert len(other.found) == 2
    assert len({received.headers["webhook-id"] for received in other.found}) == 1
    for received in other.found:
        assert is_signed(received, first["secret"]) is not is_signed(received, second["secret"]), "each its own"


def test_what_fails_is_tried_again_for_a_day_and_each_attempt_is_seen(cloud: Cloud, other: Receiver) -> None:
    pat = cloud.person()
    made = add(cloud, pat, other)
    cloud.post(path(made, "/test"), pat.session).ok(201)
    other.statuses = [500] * 20
    begun = cloud.clock.seconds
    for wait in AGAIN:
        tell(cloud)
        before = len(other.found)
        cloud.clock.forward(seconds=wait - 1)
        tell(cloud)
        assert len(other.found) == before, "not before its time"
        cloud.clock.forward(seconds=1)
    tell(cloud)
    assert 82_800 < cloud.clock.seconds - begun <= 86_400
    cloud.clock.forward(days=2)
    tell(cloud)
    assert len(other.found) == len(AGAIN) + 1
    assert len({(found.headers["webhook-id"], found.body) for found in other.found}) == 1, "the same each time"
    assert all(is_signed(found, made["secret"]) for found in other.found)
    [delivery] = sent(cloud, pat, made)
    assert (delivery["state"], delivery["nextAttemptAt"]) == ("failed", None)
    assert [attempt["number"] for attempt in delivery["attempts"]] == list(range(1, len(AGAIN) + 2))
    assert {(attempt["statusCode"], attempt["reason"]) for attempt in delivery["attempts"]} == {(500, "answered 500")}
    assert cloud.get(path(made, "/deliveries"), pat.session).ok()["total"] == 1
    cloud.post(path(made, "/test"), pat.session).ok(201)
    other.statuses = []
    tell(cloud)
    [hook] = cloud.get(f"/api/teams/{pat.team}/webhooks", pat.session).ok()["webhooks"]
    assert (hook["isEnabled"], hook["failingSince"]) == (True, None)
    assert "secret" not in hook


def test_long_failure_disables_it_with_a_mail_and_it_is_enabled_by_hand(cloud: Cloud, other: Receiver) -> None:
    pat, mia = cloud.person("Pat"), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    made = add(cloud, pat, other, name="chat")
    other.statuses = [503] * 1000
    for _ in range(4):
        cloud.post(path(made, "/test"), pat.session).ok(201)
        for wait in (*AGAIN, 1):
            tell(cloud)
            cloud.clock.forward(seconds=wait)
    cloud.run("notifications")
    [hook] = cloud.get(f"/api/teams/{pat.team}/webhooks", pat.session).ok()["webhooks"]
    assert hook["isEnabled"] is False
    assert "nothing has got through since" in hook["disabledReason"]
    assert "answered 503" in hook["disabledReason"]
    assert [subject for subject in mailed(cloud, pat) if "disabled" in subject] == ["The webhook chat was disabled"]
    assert mailed(cloud, mia) == []
    assert [row.action for row in cloud.activity(pat.team)].count("webhook.disable") == 1
    cloud.post(path(made, "/test"), pat.session).refused(409, "WEBHOOK_DISABLED")
    before = len(other.found)
    cloud.running(pat)
    tell(cloud)
    assert len(other.found) == before
    other.statuses = []
    enabled = cloud.send("PATCH", path(made), pat.session, {"isEnabled": True}).ok()
    assert (enabled["isEnabled"], enabled["failingSince"], enabled["disabledReason"]) == (True, None, None)
    cloud.post(path(made, "/test"), pat.session).ok(201)
    tell(cloud)
    assert len(other.found) == before + 1
    cloud.post(path(made, "/test"), pat.session).ok(201)
    other.statuses = [410]
    tell(cloud)
    [hook] = cloud.get(f"/api/teams/{pat.team}/webhooks", pat.session).ok()["webhooks"]
    assert hook["disabledReason"] == "it answered 410 Gone"


def mailed(cloud: Cloud, person: Person) -> list[str]:
    with cloud.database.read() as connection:
        rows = connection.execute(sa.select(mails.c.subject).where(mails.c.recipient == person.email))
        return [row.subject for row in rows]


class Died(BaseException):
    """The process ends here."""


def test_cut_off_between_sending_and_noting_it_arrives_again_under_the_same_id(cloud: Cloud, other: Receiver) -> None:
    pat = cloud.person()
    made = add(cloud, pat, other)
    cloud.running(pat)
    cloud.run("notifications")
    sender = cloud.worker.reconcilers["webhooks"]
    assert isinstance(sender, WebhookReconciler)

    def die(*_: object) -> None:
        raise Died

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sender, "note", die)
        with pytest.raises(Died):
            sender.run()
    assert len(other.found) == 1
    [delivery] = sent(cloud, pat, made)
    assert [(attempt["statusCode"], attempt["reason"]) for attempt in delivery["attempts"]] == [(None, None)]
    tell(cloud)
    assert len(other.found) == 1, "somebody may still be at it"
    if cloud.settings.is_sqlite:
        with cloud.database.begin() as connection:  # as the only process there is does at its start
            webhook_deliveries.release_all(connection, now=cloud.clock.now())
    else:
        cloud.clock.forward(seconds=webhook_deliveries.SENDING_SECONDS)
    tell(cloud)
    assert len(other.found) == 2
    assert len({found.headers["webhook-id"] for found in other.found}) == 1
    [delivery] = sent(cloud, pat, made)
    assert (delivery["state"], len(delivery["attempts"])) == ("delivered", 2)


def test_an_old_failure_that_is_told_late_undoes_nothing(cloud: Cloud, other: Receiver) -> None:
    pat = cloud.person()
    made = add(cloud, pat, other)
    cloud.post(path(made, "/test"), pat.session).ok(201)
    key = cloud.forebay.secret_key
    failed = webhook_deliveries.Outcome(status_code=None, reason="no answer", milliseconds=1)
    with cloud.database.begin() as connection:
        now = cloud.clock.now()
        [first] = webhook_deliveries.take_due(connection, now=now, secret_key=key, limit=5, under_way={})
    cloud.clock.forward(seconds=webhook_deliveries.SENDING_SECONDS)
    tell(cloud)
    with cloud.database.begin() as connection:
        assert webhook_deliveries.note_outcome(connection, first, failed, now=cloud.clock.now()) is None
    [delivery] = sent(cloud, pat, made)
    assert delivery["state"] == "delivered"
    [hook] = cloud.get(f"/api/teams/{pat.team}/webhooks", pat.session).ok()["webhooks"]
    assert hook["failingSince"] is None


def test_one_that_fails_keeps_no_other_waiting(cloud: Cloud, other: Receiver) -> None:
    pat = cloud.person()
    hooks = [add(cloud, pat, other, name=str(number)) for number in range(4)]
    cloud.running(pat)
    cloud.run("notifications")
    with cloud.database.begin() as connection:
        taken = webhook_deliveries.take_due(
            connection,
            now=cloud.clock.now(),
            secret_key=cloud.forebay.secret_key,
            limit=16,
            under_way={hooks[0]["id"]: pat.team},
        )
    assert [sending.webhook_id for sending in taken] == [hooks[1]["id"]], "two of a team at once, one of a webhook"


def test_a_new_secret_signs_beside_the_old_one_for_a_while(cloud: Cloud, other: Receiver) -> None:
    pat = cloud.person()
    made = add(cloud, pat, other)
    rotated = cloud.post(path(made, "/rotate"), pat.session, {"keepHours": 2}).ok(201)
    assert rotated["secret"] not in ("", made["secret"])
    signed = []
    for hours in (0, 2):
        cloud.clock.forward(hours=hours)
        cloud.post(path(made, "/test"), pat.session).ok(201)
        tell(cloud)
        signed.append((is_signed(other.found[-1], made["secret"]), is_signed(other.found[-1], rotated["secret"])))
    assert signed == [(True, True), (False, True)]
    at_once = cloud.post(path(made, "/rotate"), pat.session, {"keepHours": 0}).ok(201)
    cloud.post(path(made, "/test"), pat.session).ok(201)
    tell(cloud)
    assert is_signed(other.found[-1], at_once["secret"])
    assert not is_signed(other.found[-1], rotated["secret"])


def test_secrets_and_addresses_are_sealed_and_no_secret_is_shown_twice(cloud: Cloud, other: Receiver) -> None:
    pat = cloud.person()
    retry = {"retry": "once"}
    body = {"url": f"{other.url}&key=hidden"}
    made = cloud.post(f"/api/teams/{pat.team}/webhooks", pat.session, body, **retry).ok(201)
    cloud.post(f"/api/teams/{pat.team}/webhooks", pat.session, body, **retry).refused(409, "ALREADY_DONE")
    assert made["url"].endswith("&key=hidden"), "who may manage them sees it"
    with cloud.database.read() as connection:
        rows = str([*connection.execute(sa.select(webhooks)).all(), *cloud.activity(pat.team)])
    assert made["secret"] not in rows
    assert made["secret"].removeprefix("whsec_") not in rows
    assert "hidden" not in rows
    assert "127.0.0.1" in rows, "the host stands in the activity"


def test_what_is_not_valid_is_refused_and_named(cloud: Cloud, other: Receiver) -> None:
    pat = cloud.person()
    made, at = add(cloud, pat, other), f"/api/teams/{pat.team}/webhooks"
    for url in ("http://10.0.0.1/", "https://[::1]/", "ftp://x.example.org/", "https://u:p@x.example.org/", "x", ""):
        code = "ADDRESS_REFUSED" if url else "VALIDATION_ERROR"
        assert "url" in cloud.post(at, pat.session, {"url": url}).refused(400, code)["details"]
        assert "url" in cloud.send("PATCH", path(made), pat.session, {"url": url}).refused(400, code)["details"]
    for kinds in ([], ["deployment.exploded"], ["webhook.disabled"], ["account.changed"]):
        wrong = cloud.post(at, pat.session, {"url": other.url, "kinds": kinds}).refused(400, "VALIDATION_ERROR")
        assert "kinds" in wrong["details"]
    for body in ({}, {"name": "\n"}, {"name": None}, {"kinds": "all"}, {"isEnabled": "no"}):
        cloud.send("PATCH", path(made), pat.session, body).refused(400, "VALIDATION_ERROR")
    cloud.post(path(made, "/rotate"), pat.session, {"keepHours": 169}).refused(400, "VALIDATION_ERROR")
    stranger = made | {"id": ABSENT}
    for method, more in (("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate"), ("GET", "/deliveries")):
        body = {"name": "x"} if method == "PATCH" else {}
        cloud.send(method, path(stranger, more), pat.session, body).refused(404, "NOT_FOUND")
    theirs = add(cloud, cloud.person(), other)
    cloud.send("DELETE", path(theirs | {"teamId": pat.team}), pat.session).refused(404, "NOT_FOUND")
    for _ in range(9):
        add(cloud, pat, other)
    cloud.post(at, pat.session, {"url": other.url}).refused(409, "TOO_MANY_WEBHOOKS")
    for _ in range(webhook_deliveries.TESTS_AN_HOUR):
        cloud.post(path(made, "/test"), pat.session).ok(201)
    cloud.post(path(made, "/test"), pat.session).refused(429, "RATE_LIMIT_EXCEEDED")


def test_nothing_is_sent_after_it_was_disabled_or_deleted_and_old_deliveries_are_forgotten(
    cloud: Cloud, other: Receiver
) -> None:
    pat = cloud.person()
    made, kept = add(cloud, pat, other), add(cloud, pat, other)
    for hook in (made, kept):
        cloud.post(path(hook, "/test"), pat.session).ok(201)
    cloud.send("PATCH", path(kept), pat.session, {"isEnabled": False}).ok()
    cloud.send("DELETE", path(made), pat.session).ok()
    tell(cloud)
    assert other.found == []
    assert [delivery["state"] for delivery in sent(cloud, pat, kept)] == ["canceled"]
    cloud.send("PATCH", path(kept), pat.session, {"isEnabled": True}).ok()
    cloud.post(path(kept, "/test"), pat.session).ok(201)
    tell(cloud)
    assert [delivery["state"] for delivery in sent(cloud, pat, kept)] == ["delivered", "canceled"]
    cloud.clock.forward(days=webhook_deliveries.KEPT_DAYS, hours=1)
    with cloud.database.begin() as connection:
        assert webhook_deliveries.forget_old(connection, now=cloud.clock.now()) >= 2
        left = connection.execute(sa.select(deliveries.c.id)).scalars().all()
        tried = connection.execute(sa.select(webhook_attempts.c.delivery_id)).scalars().all()
    assert set(tried) <= set(left)
    assert cloud.get(path(kept, "/deliveries"), pat.key).ok()["deliveries"] == []
