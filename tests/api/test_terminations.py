"""`DELETE /api/deployments/{id}` and whether it is possible now: the refusals that clients know by heart."""

from datetime import timedelta

from forebay.domain.people.roles import Role
from tests.api.cloud import ABSENT, Cloud

MINIMUM = {"offerId": "memory-minimum"}


def test_a_termination_is_accepted_at_once(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat)
    path = f"/api/deployments/{machine['id']}"
    answer = cloud.send("DELETE", path, pat.key).ok()
    shown = cloud.get(path, pat.key).ok()
    assert answer == {
        "message": "Instance destruction initiated",
        "deployment": {"id": machine["id"], "status": "terminated", "stoppedAt": shown["stoppedAt"]},
    }
    assert shown["status"] == "terminated"
    assert machine["id"] in cloud.provider.machines, "nothing but the record has changed yet"
    cloud.settle()
    assert machine["id"] not in cloud.provider.machines


def test_inside_the_minimum_runtime_it_is_refused_in_the_known_words(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/deployments/{cloud.running(pat, **MINIMUM)['id']}"
    cloud.clock.forward(minutes=3, seconds=1)
    refusal = cloud.send("DELETE", path, pat.key).refused(400, "MINIMUM_RUNTIME_NOT_MET")
    assert refusal == {
        "error": "Minimum runtime not met",
        "message": "Instance must run for at least 20 minutes. Time remaining: 17 minutes.",
        "canTerminate": False,
        "timeRemaining": 17,
        "minimumRuntime": 20,
        "code": "MINIMUM_RUNTIME_NOT_MET",
        "details": {"timeRemaining": 17, "minimumRuntime": 20},
    }
    cloud.post(f"{path}/stop", pat.key).refused(400, "MINIMUM_RUNTIME_NOT_MET")
    cloud.clock.forward(minutes=16, seconds=58)
    assert cloud.send("DELETE", path, pat.key).refused(400, "MINIMUM_RUNTIME_NOT_MET")["timeRemaining"] == 1
    assert cloud.get(path, pat.key).ok()["status"] == "running"
    cloud.clock.forward(seconds=1)
    assert cloud.send("DELETE", path, pat.key).ok()["deployment"]["status"] == "terminated"


def test_can_terminate_says_when(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/deployments/{cloud.running(pat, **MINIMUM)['id']}/can-terminate"
    cloud.clock.forward(minutes=2, seconds=30)
    reason = "Instance must run for at least 20 minutes. Time remaining: 18 minutes."
    assert cloud.get(path, pat.key).ok() == {
        "canTerminate": False, "runtime": 2, "timeRemaining": 18, "minimumRuntime": 20, "reason": reason,
    }  # fmt: skip
    cloud.clock.forward(minutes=17, seconds=30)
    assert cloud.get(path, pat.key).ok() == {
        "canTerminate": True, "runtime": 20, "timeRemaining": 0, "minimumRuntime": 20,
    }  # fmt: skip


def test_a_machine_that_never_ran_can_be_terminated_for_nothing(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/deployments/{cloud.launch(pat, **MINIMUM)['id']}"
    assert cloud.get(f"{path}/can-terminate", pat.key).ok()["canTerminate"] is True
    cloud.send("DELETE", path, pat.key).ok()
    cloud.settle()
    shown = cloud.get(path, pat.key).ok()
    assert (shown["status"], shown["totalCost"], shown["accruedCost"]) == ("terminated", 0.0, 0.0)
    assert cloud.get("/api/balance", pat.key).ok()["teams"][0]["balance"] == 100.0


def test_what_has_ended_cannot_end_again(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/deployments/{cloud.running(pat)['id']}"
    cloud.send("DELETE", path, pat.key).ok()
    for _ in range(2):
        assert cloud.send("DELETE", path, pat.key).refused(400, "CANNOT_TERMINATE") == {
            "error": "Cannot terminate instance",
            "message": "Instance has already been terminated.",
            "currentStatus": "terminated",
            "canTerminate": False,
            "code": "CANNOT_TERMINATE",
            "details": {"currentStatus": "terminated"},
        }
        cloud.settle()
    ended = cloud.get(f"{path}/can-terminate", pat.key).ok()
    assert (ended["canTerminate"], ended["timeRemaining"]) == (False, 0)
    assert ended["reason"]
    cloud.post(f"{path}/stop", pat.key).refused(409, "NOT_RUNNING")
    cloud.post(f"{path}/start", pat.key).refused(409, "NOT_STOPPED")


def test_two_terminations_at_once_charge_once(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/deployments/{cloud.running(pat)['id']}"
    cloud.clock.forward(seconds=10)
    answers = cloud.at_once([cloud.request("DELETE", path, pat.key) for _ in range(6)])
    assert sorted(answer.status for answer in answers) == [200] + [400] * 5
    assert cloud.get(path, pat.key).ok()["totalCost"] == 0.01
    assert cloud.get("/api/balance", pat.key).ok()["teams"][0]["balance"] == 99.99


def test_when_allowed_is_at_once_outside_the_minimum_runtime(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/deployments/{cloud.running(pat)['id']}"
    assert set(cloud.send("DELETE", f"{path}?when=never", pat.key).json["details"]) == {"when"}
    ended = cloud.send("DELETE", f"{path}?when=allowed", pat.key).ok()
    assert ended["message"] == "Instance destruction initiated"
    assert (ended["deployment"]["status"], set(ended["deployment"])) == ("terminated", {"id", "status", "stoppedAt"})
    cloud.send("DELETE", f"{path}?when=allowed", pat.key).refused(400, "CANNOT_TERMINATE")


def test_when_allowed_is_planned_inside_the_minimum_runtime(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    kept, spared = (f"/api/deployments/{cloud.running(pat, **MINIMUM)['id']}" for _ in range(2))
    cloud.send("DELETE", f"{kept}?when=allowed", mia.key).refused(403, "FORBIDDEN")
    cloud.clock.forward(minutes=3)
    at = (cloud.clock.now() + timedelta(minutes=17)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for path in (kept, kept, spared):
        planned = cloud.send("DELETE", f"{path}?when=allowed", pat.key).ok()
        shown = cloud.get(path, pat.key).ok()
        assert planned == {
            "message": f"Instance destruction scheduled for {at}",
            "deployment": {"id": shown["id"], "status": "running", "stoppedAt": None, "terminateAt": at},
        }
        assert (shown["status"], shown["terminateAt"]) == ("running", at)
    assert cloud.send("PATCH", spared, pat.key, {"terminateAt": None}).ok()["terminateAt"] is None
    events = [event["kind"] for event in cloud.get(f"{kept}/events", pat.key).ok()["events"]]
    assert events[:2] == ["schedule", "running"], "asked twice, planned once"
    cloud.clock.forward(minutes=16, seconds=59)
    cloud.run("planned-ends")
    assert cloud.get(kept, pat.key).ok()["status"] == "running"
    cloud.clock.forward(seconds=3)
    cloud.run("planned-ends")
    ended = cloud.get(kept, pat.key).ok()
    assert (ended["status"], ended["stoppedAt"]) == ("terminated", at)
    assert cloud.get(spared, pat.key).ok()["status"] == "running"
    actions = [(row.action, row.user_id) for row in cloud.activity(pat.team) if row.object_id == ended["id"]]
    assert actions == [
        ("deployment.launch", pat.id), ("deployment.schedule", pat.id), ("deployment.terminate", None)
    ]  # fmt: skip


def test_another_teams_machine_is_nobodys(cloud: Cloud) -> None:
    pat, stranger = cloud.person(), cloud.person()
    machine = cloud.running(pat)["id"]
    for method, tail in (
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/can-terminate"), ("GET", "/events"),
        ("POST", "/stop"), ("POST", "/start"),
    ):  # fmt: skip
        body = {"name": "mine"} if method == "PATCH" else None
        answers = [
            cloud.send(method, f"/api/deployments/{wanted}{tail}", stranger.key, body)
            for wanted in (machine, ABSENT, "x", "%00", "%F0%9F%90%98", machine.upper(), f"{machine}0", "..", "%2e%2e")
        ]
        for answer in answers:
            answer.refused(404, "NOT_FOUND")
            assert answer.json["error"] in ("Deployment not found", "Route not found")
        assert (answers[0].status, answers[0].headers, answers[0].body) == (
            answers[1].status, answers[1].headers, answers[1].body,
        )  # fmt: skip
    assert cloud.get(f"/api/deployments/{machine}", pat.key).ok()["status"] == "running"
