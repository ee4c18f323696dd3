"""`/api/deployments`: what a machine looks like on the wire through its life, and the lists of them."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from forebay.compute.base import LaunchSpec
from forebay.compute.memory import host_key_of
from forebay.domain.people.roles import Role
from tests.api.cloud import ABSENT, Cloud, new_public_key

pytestmark = pytest.mark.slow

FIELDS = {
    "id", "name", "providerId", "gpuModelId", "gpuType", "offerId", "gpuCount", "region", "operatingSystem",
    "instanceType", "sshKeyId", "tempSshKeyId", "sshKeyName", "sshKeyFingerprint", "ipAddress", "user", "status",
    "startedAt", "stoppedAt", "lastCreditDeduction", "totalCost", "hourlyRate", "originalHourlyRate",
    "discountPercentage", "hasDiscount", "vcpus", "memory", "storage", "sshCommand", "sshPort", "portForwards",
    "hostKeys", "ports", "volumeIds", "kubernetesAddon", "createdAt", "teamId", "createdBy", "error", "labels",
    "accruedCost", "terminateAt", "maxCost", "autoStopMinutes", "autoStopAction",
}  # fmt: skip
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_a_new_machine_is_deploying_and_cannot_be_reached_yet(cloud: Cloud) -> None:
    pat = cloud.person()
    key = cloud.ssh_key(pat.team, pat)
    order = cloud.order(pat.team, key, name="trainer", labels={"run": "7"})
    made = cloud.post("/api/deployments", pat.key, order).ok(201)
    assert set(made) == FIELDS
    assert re.fullmatch("[0-9a-f]{24}", made["id"])
    assert MOMENT.fullmatch(made["createdAt"])
    known = cloud.get(f"/api/ssh-keys/{key}", pat.key).ok()
    assert made == {
        "id": made["id"], "name": "trainer", "providerId": "memory", "gpuModelId": "CPU", "gpuType": "cpu",
        "offerId": "memory-small", "gpuCount": 0, "region": "here", "operatingSystem": "Debian 12",
        "instanceType": "DEDICATED", "sshKeyId": key, "tempSshKeyId": None, "sshKeyName": "a laptop",
        "sshKeyFingerprint": known["fingerprint"], "ipAddress": None, "user": None, "status": "deploying",
        "startedAt": None, "stoppedAt": None, "lastCreditDeduction": None, "totalCost": 0.0, "hourlyRate": 3.6,
        "originalHourlyRate": 3.6, "discountPercentage": 0.0, "hasDiscount": False, "vcpus": 2, "memory": 4,
        "storage": 20, "sshCommand": None, "sshPort": None, "portForwards": [], "hostKeys": [], "ports": [],
        "volumeIds": [], "kubernetesAddon": None, "createdAt": made["createdAt"], "teamId": pat.team,
        "createdBy": pat.id, "error": None, "labels": {"run": "7"}, "accruedCost": 0.0, "terminateAt": None,
        "maxCost": None, "autoStopMinutes": None, "autoStopAction": None,
    }  # fmt: skip
    assert cloud.get(f"/api/deployments/{made['id']}", pat.key).ok() == made


def test_how_to_get_in_is_told_all_at_once_when_ssh_answers(cloud: Cloud) -> None:
    pat = cloud.person()
    made = cloud.launch(pat)
    cloud.provider.is_silent = True
    cloud.run("deployments")
    cloud.provider.is_silent = False
    waiting = cloud.get(f"/api/deployments/{made['id']}", pat.key).ok()
    assert waiting["status"] == "deploying"
    assert {waiting[name] for name in ("ipAddress", "user", "sshPort", "sshCommand", "startedAt")} == {None}
    cloud.clock.forward(seconds=60)
    cloud.settle()
    running = cloud.get(f"/api/deployments/{made['id']}", pat.key).ok()
    assert running["status"] == "running"
    assert (running["ipAddress"], running["user"]) == ("192.0.2.1", "root")
    assert running["sshCommand"] == f"ssh -p {running['sshPort']} root@192.0.2.1"
    assert running["portForwards"] == [{"external": running["sshPort"], "internal": 22}]
    assert MOMENT.fullmatch(running["startedAt"])


def test_host_keys_are_told_as_openssh_prints_them_and_what_is_no_key_is_passed_over(
    cloud: Cloud, tmp_path: Path
) -> None:
    pat = cloud.person()
    made = cloud.launch(pat)
    real, file = host_key_of(made["id"]), tmp_path / "key.pub"
    strange = (
        "",
        "ssh-ed25519",
        "ssh-ed25519 !",
        "ssh-rsa AAAA",
        f"ssh-rsa {real.split()[1]}",
        f"{real}\n{real}",
        "\0 x",
    )
    told = cloud.provider.launch

    def launch(spec: LaunchSpec) -> None:
        told(spec)
        machine = cloud.provider.machines[spec.deployment_id]
        machine.instance = msgspec.structs.replace(machine.instance, host_keys=(*strange, real))

    cloud.provider.launch = launch  # type: ignore[method-assign]
    cloud.settle()
    shown = cloud.get(f"/api/deployments/{made['id']}", pat.key).ok()
    file.write_text(f"{real}\n")
    printed = subprocess.run(["ssh-keygen", "-lf", file], check=True, capture_output=True, text=True).stdout.split()
    assert shown["hostKeys"] == [{"type": "ssh-ed25519", "fingerprint": printed[1], "publicKey": real}]
    assert cloud.get("/api/deployments", pat.key).ok()[0]["hostKeys"] == shown["hostKeys"]
    cloud.post(f"/api/deployments/{made['id']}/stop", pat.key).ok()
    assert cloud.get(f"/api/deployments/{made['id']}", pat.key).ok()["hostKeys"] == shown["hostKeys"]


def test_a_launch_that_fails_says_why(cloud: Cloud) -> None:
    pat = cloud.person()
    made = cloud.launch(pat)
    cloud.provider.is_silent = True
    for _ in range(8):
        cloud.clock.forward(minutes=1)
        cloud.run("deployments")
    cloud.provider.is_silent = False
    cloud.settle()
    failed = cloud.get(f"/api/deployments/{made['id']}", pat.key).ok()
    assert (failed["status"], failed["totalCost"]) == ("failed", 0.0)
    assert "SSH" in failed["error"]
    assert made["id"] not in cloud.provider.machines


def test_cost_accrues_by_the_second_and_ends_exactly(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/deployments/{cloud.running(pat)['id']}"
    for seconds, cost in ((1, 0.001), (59, 0.06), (7, 0.067)):
        cloud.clock.forward(seconds=seconds)
        assert cloud.get(path, pat.key).ok()["accruedCost"] == cost
    assert cloud.get(path, pat.key).ok()["totalCost"] == 0.0
    cloud.run("sightings")
    cloud.run("cycle")
    charged = cloud.get(path, pat.key).ok()
    assert charged["totalCost"] == charged["accruedCost"] == 0.067
    assert MOMENT.fullmatch(charged["lastCreditDeduction"])
    cloud.clock.forward(seconds=3)
    assert cloud.send("DELETE", path, pat.key).ok()["message"] == "Instance destruction initiated"
    cloud.clock.forward(minutes=1)
    cloud.settle()
    ended = cloud.get(path, pat.key)
    assert b'"totalCost":0.07,' in ended.body
    assert ended.ok()["accruedCost"] == 0.07
    assert cloud.get("/api/balance", pat.key).ok()["teams"][0]["balance"] == 99.93


def test_lists_are_newest_first_and_filtered_by_status(cloud: Cloud) -> None:
    pat = cloud.person()
    ended, stopped, running = (cloud.running(pat)["id"] for _ in range(3))
    cloud.send("DELETE", f"/api/deployments/{ended}", pat.key).ok()
    cloud.post(f"/api/deployments/{stopped}/stop", pat.key).ok()
    deploying = cloud.launch(pat)["id"]
    lost = cloud.running(pat)["id"]
    cloud.provider.lose(lost)
    cloud.clock.forward(minutes=1)
    for _ in range(3):
        cloud.run("sightings")
        cloud.run("deployments")

    def listed(query: str = "") -> list[str]:
        return [machine["id"] for machine in cloud.get(f"/api/deployments{query}", pat.key).ok()]

    assert listed() == [lost, deploying, running, stopped, ended]
    assert listed("?status=active") == [deploying, running, stopped]
    assert listed("?status=inactive") == [lost, ended]
    assert listed("?status=running") == [deploying, running]
    assert listed("?status=stopped") == [stopped]
    assert listed("?status=terminated") == [ended]
    assert listed("?status=terminated-provider") == [lost]
    assert listed("?status=failed") == listed("?status=deploying") == []
    assert listed("?status=running&status=stopped") == [stopped], "the last one counts"
    assert listed("?status=") == listed()
    refusal = cloud.get("/api/deployments?status=gone", pat.key).refused(400, "VALIDATION_ERROR")
    assert set(refusal["details"]) == {"status"}


def test_a_list_says_the_same_as_each_machine_alone(cloud: Cloud) -> None:
    pat = cloud.person()
    machines = [cloud.running(pat, name=name)["id"] for name in ("one", 'two \N{SNOWMAN} "quoted" \\')]
    cloud.clock.forward(seconds=1234)
    listed = cloud.get("/api/deployments", pat.key).ok()
    assert listed == [cloud.get(f"/api/deployments/{machine}", pat.key).ok() for machine in machines[::-1]]
    assert set(listed[0]) == FIELDS


def test_lists_are_of_one_team(cloud: Cloud) -> None:
    pat = cloud.person()
    other = cloud.team(pat, credits_micros=100_000_000)
    here, there = cloud.launch(pat)["id"], cloud.launch(pat, other)["id"]
    for query, expected in (("", here), (f"?teamId={pat.team}", here), (f"?teamId={other}", there)):
        assert [machine["id"] for machine in cloud.get(f"/api/deployments{query}", pat.key).ok()] == [expected]
    # A session looks at the person's current team, and moving that never moves the key.
    cloud.send("PUT", "/api/me/current-team", pat.session, {"teamId": other}).ok()
    assert [machine["id"] for machine in cloud.get("/api/deployments", pat.session).ok()] == [there]
    assert [machine["id"] for machine in cloud.get("/api/deployments", pat.key).ok()] == [here]
    stranger = cloud.person()
    foreign = cloud.get(f"/api/deployments?teamId={pat.team}", stranger.key)
    absent = cloud.get(f"/api/deployments?teamId={ABSENT}", stranger.key)
    assert (foreign.status, foreign.body) == (absent.status, absent.body)
    foreign.refused(404, "NOT_FOUND")


def test_lists_can_be_of_one_person(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    own = cloud.launch(pat)["id"]
    theirs = cloud.launch(mia, pat.team)["id"]
    for person, expected in ((pat.id, [own]), (mia.id, [theirs]), (ABSENT, []), ("nobody", []), ("%27--", [])):
        found = cloud.get(f"/api/deployments?userId={person}", pat.key).ok()
        assert [machine["id"] for machine in found] == expected
    both = cloud.get(f"/api/deployments?userId={mia.id}&status=active", pat.key).ok()
    assert [machine["createdBy"] for machine in both] == [mia.id]


def test_many_machines_are_all_listed(own_cloud: Cloud) -> None:
    pat = own_cloud.person(credits_micros=1_000_000_000)
    order = own_cloud.order(pat.team, own_cloud.ssh_key(pat.team, pat))
    made = [own_cloud.post("/api/deployments", pat.key, order).ok(201)["id"] for _ in range(103)]
    assert [machine["id"] for machine in own_cloud.get("/api/deployments", pat.key).ok()] == made[::-1]


def test_a_machine_can_be_renamed_and_relabelled(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/deployments/{cloud.launch(pat, name='one', labels={'a': 'b'})['id']}"
    assert cloud.send("PATCH", path, pat.key, {"name": "  two "}).ok()["name"] == "two"
    changed = cloud.send("PATCH", path, pat.key, {"labels": {"c": ""}}).ok()
    assert (changed["name"], changed["labels"]) == ("two", {"c": ""})
    assert cloud.send("PATCH", path, pat.key, {"labels": {}}).ok()["labels"] == {}
    assert cloud.send("PATCH", path, pat.key, {}).ok() == cloud.get(path, pat.key).ok()
    assert cloud.send("PATCH", path, pat.key, {"name": None}).ok()["name"] == "two"
    refusal = cloud.send("PATCH", path, pat.key, {"name": "", "labels": {"": "x"}}).json
    assert refusal["code"] == "VALIDATION_ERROR"
    assert cloud.get(path, pat.key).ok()["name"] == "two"


def test_a_public_key_in_the_order_is_kept_for_this_machine_alone(cloud: Cloud) -> None:
    pat = cloud.person()
    line = new_public_key()
    order = cloud.order(pat.team, "", sshKeyId=None, ssh_public_key=line)
    shown = cloud.post("/api/deployments", pat.key, order).ok(201)
    assert shown["sshKeyId"] is None
    assert re.fullmatch("[0-9a-f]{24}", shown["tempSshKeyId"])
    assert shown["sshKeyFingerprint"].startswith("SHA256:")
    assert cloud.get("/api/ssh-keys", pat.key).ok() == []
    cloud.settle()
    assert cloud.provider.machines[shown["id"]].keys[0].split()[1] == line.split()[1]


def test_cloud_init_reaches_the_machine_in_its_own_order(cloud: Cloud) -> None:
    pat = cloud.person()
    file = {"path": "/etc/motd", "content": "aGk=", "owner": "root:root", "permissions": "0644", "encoding": "b64"}
    made = cloud.launch(pat, cloudInit={"packages": ["htop"], "runcmd": ["touch /done"], "writeFiles": [file]})
    cloud.settle()
    given = cloud.provider.machines[made["id"]].spec.cloud_init
    assert msgspec.to_builtins(given) == {
        "packages": ("htop",), "runcmd": ("touch /done",), "write_files": (file,)
    }  # fmt: skip


def test_the_timeline_is_paged_and_newest_first(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat)
    page = cloud.get(f"/api/deployments/{machine['id']}/events?limit=1", pat.key).ok()
    assert (page["page"], page["limit"], len(page["events"])) == (1, 1, 1)
    assert page["total"] == page["totalPages"] >= 2
    kinds = [event["kind"] for event in cloud.get(f"/api/deployments/{machine['id']}/events", pat.key).ok()["events"]]
    assert (kinds[0], kinds[-1]) == ("running", "accepted")
    assert set(page["events"][0]) == {"id", "at", "kind", "message"}


def test_stop_and_start_keep_the_machine(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat)
    path = f"/api/deployments/{machine['id']}"
    cloud.post(f"{path}/start", pat.key).refused(409, "NOT_STOPPED")
    stopped = cloud.post(f"{path}/stop", pat.key).ok()
    assert stopped["status"] == "stopped"
    cloud.settle()
    cloud.post(f"{path}/stop", pat.key).refused(409, "NOT_RUNNING")
    cloud.clock.forward(seconds=100)
    # Ten micro-dollars a second for the disk.
    assert cloud.get(path, pat.key).ok()["accruedCost"] == 0.001
    assert cloud.post(f"{path}/start", pat.key).ok()["status"] == "deploying"
    cloud.settle()
    again = cloud.get(path, pat.key).ok()
    assert again["status"] == "running"
    assert again["id"] == machine["id"]
    assert cloud.provider.machines[machine["id"]].starts == 2
