"""`terminateAt`, `maxCost` and `autoStopMinutes`: decided at a launch or later, shown as they are, taken off again."""

from datetime import timedelta
from typing import Any

from forebay.domain.people.roles import Role
from tests.api.cloud import Cloud

TERMS = ("terminateAt", "maxCost", "autoStopMinutes", "autoStopAction")


def terms(answer: Any) -> tuple[Any, ...]:
    return tuple(answer[name] for name in TERMS)


def test_they_are_shown_changed_and_taken_off(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    at = (cloud.clock.now() + timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    wish: dict[str, Any] = {"terminateAt": at.replace("Z", "+00:00"), "maxCost": 12.345678, "autoStopMinutes": 30}
    made = cloud.launch(pat, **wish)
    assert terms(made) == (at, 12.345678, 30, "stop")
    cloud.settle()
    path = f"/api/deployments/{made['id']}"
    assert terms(cloud.get(path, pat.key).ok()) == terms(made)
    [listed] = cloud.get("/api/deployments", pat.key).ok()
    assert terms(listed) == terms(made)
    cloud.send("PATCH", path, mia.key, {"maxCost": 1}).refused(403, "FORBIDDEN")
    changed = cloud.send("PATCH", path, pat.key, {"maxCost": 5, "autoStopAction": "terminate", "name": "x"}).ok()
    assert (terms(changed), changed["name"]) == ((at, 5.0, 30, "terminate"), "x")
    for name, rest in (
        ("maxCost", (at, None, 30, "terminate")), ("autoStopMinutes", (at, None, None, None)),
        ("terminateAt", (None, None, None, None)), ("terminateAt", (None, None, None, None)),
    ):  # fmt: skip
        assert terms(cloud.send("PATCH", path, pat.key, {name: None}).ok()) == rest
    said = [event["message"] for event in cloud.get(f"{path}/events", pat.key).ok()["events"]]
    assert said[0] == "Pat has decided: no termination is planned."
    assert (
        said[3]
        == "Pat has decided: it is terminated at a cost of $5.00; it is terminated when it was idle for 30 minutes."
    )
    done = [row for row in cloud.activity(pat.team) if row.action == "deployment.schedule"]
    assert [row.details for row in done][:2] == [
        {"max_cost_micros": 5_000_000, "auto_stop_action": "terminate"}, {"max_cost_micros": None}
    ]  # fmt: skip
    assert len(done) == 4, "what changes nothing is no change"
    cloud.send("DELETE", path, pat.key).ok()
    cloud.send("PATCH", path, pat.key, {"maxCost": 5}).refused(409, "ENDED")
    assert cloud.send("PATCH", path, pat.key, dict.fromkeys(TERMS)).ok()["status"] == "terminated"


def test_what_cannot_be_is_refused_with_the_reason_of_each_field(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/deployments/{cloud.running(pat)['id']}"
    past = cloud.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    wrong: tuple[tuple[dict[str, Any], set[str]], ...] = (
        ({"terminateAt": "tomorrow", "maxCost": 0, "autoStopMinutes": 0, "autoStopAction": "sell"}, set(TERMS)),
        ({"terminateAt": "2030-01-01T00:00:00", "maxCost": -1}, {"terminateAt", "maxCost"}),
        ({"terminateAt": 7, "maxCost": "5", "autoStopMinutes": 43_201}, set(TERMS[:3])),
        ({"maxCost": 1e10, "autoStopMinutes": 1.5}, {"maxCost", "autoStopMinutes"}),
        ({"maxCost": 1.0000001}, {"maxCost"}),
        ({"terminateAt": past}, {"terminateAt"}),
        ({"terminateAt": "1812-01-01T00:00:00Z", "autoStopAction": "stop"}, {"terminateAt", "autoStopAction"}),
    )
    key = cloud.ssh_key(pat.team, pat)
    for body, fields in wrong:
        for answer in (
            cloud.send("PATCH", path, pat.key, body),
            cloud.post("/api/deployments", pat.key, cloud.order(pat.team, key) | body),
        ):
            assert answer.status == 400, answer
            assert set(answer.json["details"]) == fields
    assert cloud.send("PATCH", path, pat.key, {"terminateAt": "9999-12-31T23:59:59-14:00"}).ok()["terminateAt"]
    cloud.clock.forward(minutes=1)
    low = cloud.send("PATCH", path, pat.key, {"maxCost": 0.05}).refused(400, "END_NOT_POSSIBLE")
    assert "$0.06" in low["details"]["maxCost"]
    minimum = cloud.order(pat.team, key, offerId="memory-minimum", maxCost=1.199999)
    assert set(cloud.post("/api/deployments", pat.key, minimum).refused(400, "END_NOT_POSSIBLE")["details"]) == {
        "maxCost"
    }
    previewed = cloud.post("/api/deployments/preview", pat.key, minimum).ok()["refusals"]
    assert [refusal["code"] for refusal in previewed] == ["END_NOT_POSSIBLE"]
    cloud.post("/api/deployments", pat.key, minimum | {"maxCost": 1.2}).ok(201)


def test_a_cost_ends_a_machine_and_keeps_it_from_starting(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat, maxCost=0.5)
    path = f"/api/deployments/{machine['id']}"
    cloud.clock.forward(seconds=100)
    cloud.run("planned-ends")
    assert cloud.get(path, pat.key).ok()["accruedCost"] == 0.1
    cloud.post(f"{path}/stop", pat.key).ok()
    cloud.settle()
    cloud.send("PATCH", path, pat.key, {"maxCost": 0.1}).ok()
    refusal = cloud.post(f"{path}/start", pat.key).refused(409, "MAX_COST_MET")
    assert refusal["details"] == {"maxCost": 0.1, "accruedCost": 0.1}
    cloud.send("PATCH", path, pat.key, {"maxCost": 0.2}).ok()
    cloud.post(f"{path}/start", pat.key).ok()
    cloud.settle()
    cloud.clock.forward(seconds=101)
    cloud.run("planned-ends")
    ended = cloud.get(path, pat.key).ok()
    assert (ended["status"], ended["totalCost"], ended["accruedCost"]) == ("terminated", 0.2, 0.2)
    kinds = [event["kind"] for event in cloud.get(f"{path}/events", pat.key).ok()["events"]]
    assert kinds[:2] == ["terminated", "max-cost-met"]
