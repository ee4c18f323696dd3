"""`POST /api/deployments`: everything it says no to, and that a no leaves nothing behind."""

from typing import Any

import msgspec
import pytest

from forebay.compute.memory import POOL
from tests.api.cloud import ABSENT, DOLLAR, Cloud, Person, new_public_key

pytestmark = pytest.mark.slow


def refused(cloud: Cloud, pat: Person, status: int, code: str, **more: Any) -> Any:
    """The refusal of an order that differs so from a good one. Nothing may be left of it."""
    order = cloud.order(pat.team, more.pop("ssh_key", None) or cloud.ssh_key(pat.team, pat)) | more
    order = {name: value for name, value in order.items() if value is not ...}
    before = cloud.get("/api/deployments", pat.key).ok()
    refusal = cloud.post("/api/deployments", pat.key, order).refused(status, code)
    assert cloud.get("/api/deployments", pat.key).ok() == before
    return refusal


def test_all_fields_must_come_from_one_offer(cloud: Cloud) -> None:
    pat = cloud.person()
    for field, value in (
        ("provider", "local"), ("gpuType", "h100"), ("gpuCount", 1), ("region", "there"), ("region", ""),
        ("region", "HERE"), ("operatingSystem", "debian 12"), ("operatingSystem", "Debian 12 "),
        ("operatingSystem", "TempleOS"), ("operatingSystem", "\N{PILE OF POO}"), ("instanceType", "SPOT"),
    ):  # fmt: skip
        refusal = refused(cloud, pat, 400, "OFFER_MISMATCH", **{field: value})
        assert set(refusal["details"]) == {field}
    refusal = refused(cloud, pat, 400, "OFFER_MISMATCH", region="there", operatingSystem="x", gpuCount=3)
    assert refusal["details"] == {
        "region": "must be 'here' for this offer",
        "operatingSystem": "must be one of Debian 12",
        "gpuCount": "must be 0 for this offer",
    }


def test_another_offers_fields_do_not_fit(cloud: Cloud) -> None:
    pat = cloud.person()
    refusal = refused(cloud, pat, 400, "OFFER_MISMATCH", offerId="memory-gpu")
    assert set(refusal["details"]) == {"gpuType", "gpuCount"}
    for offer in ("small", "memory-nothing", "", "memory-small ", "' OR 1=1", "\N{ELEPHANT}" * 500):
        refusal = refused(cloud, pat, 400, "UNKNOWN_OFFER", offerId=offer)
        assert set(refusal["details"]) == {"offerId"}


def test_the_team_must_be_named(cloud: Cloud) -> None:
    pat = cloud.person()
    for team in (..., None, ""):
        refusal = refused(cloud, pat, 400, "TEAM_REQUIRED", teamId=team)
        assert refusal["error"] == "Team ID is required for authenticated deployments"
        assert refusal["details"] == {"teamId": "required"}


def test_another_teams_id_is_nobodys(cloud: Cloud) -> None:
    pat, other = cloud.person(), cloud.person()
    answers = [refused(cloud, pat, 404, "NOT_FOUND", teamId=team) for team in (other.team, ABSENT, "x", "0" * 10_000)]
    assert answers == [answers[0]] * 4


def test_missing_fields_are_named_all_at_once(cloud: Cloud) -> None:
    pat = cloud.person()
    refusal = cloud.post("/api/deployments", pat.key, {}).refused(400, "VALIDATION_ERROR")
    assert refusal["details"] == dict.fromkeys(
        ("provider", "offerId", "gpuType", "gpuCount", "region", "operatingSystem", "instanceType"), "required"
    )


def test_wrong_types_are_named_all_at_once(cloud: Cloud) -> None:
    pat = cloud.person()
    wrong = {
        "provider": 1, "offerId": ["memory-small"], "gpuType": None, "gpuCount": "0", "region": {}, "teamId": 5,
        "operatingSystem": True, "instanceType": 1.5, "sshKeyId": 7, "ssh_public_key": [], "name": {},
        "labels": {"a": 1}, "cloudInit": {"packages": "htop", "runcmd": [1]}, "volumeIds": "x", "ports": ["80"],
        "maxCost": "5", "autoStopMinutes": 1.5, "terminateAt": 7,
    }  # fmt: skip
    refusal = cloud.post("/api/deployments", pat.key, wrong).refused(400, "VALIDATION_ERROR")
    assert set(refusal["details"]) == set(wrong)
    assert all(isinstance(reason, str) and reason for reason in refusal["details"].values())


def test_numbers_that_no_machine_has(cloud: Cloud) -> None:
    pat = cloud.person()
    key = cloud.ssh_key(pat.team, pat)
    for number in (
        "-1",
        "1025",
        "1e400",
        "-1e400",
        str(2**63),
        str(2**64),
        str(-(2**63) - 1),
        "9" * 400,
        "0.5",
        "1e-9",
    ):
        body = msgspec.json.encode(cloud.order(pat.team, key)).replace(
            b'"gpuCount":0', b'"gpuCount":' + number.encode()
        )
        assert number.encode() in body
        answer = cloud.post("/api/deployments", pat.key, raw=body)
        assert answer.status == 400, (number, answer)
        assert set(answer.json["details"]) in ({"gpuCount"}, {"body"})
    for word in (b"NaN", b"Infinity", b"-Infinity", b"0x10", b"01", b"+1", b".5", b"1."):
        body = msgspec.json.encode(cloud.order(pat.team, key)).replace(b'"gpuCount":0', b'"gpuCount":' + word)
        cloud.post("/api/deployments", pat.key, raw=body).refused(400, "MALFORMED_JSON")
    assert cloud.get("/api/deployments", pat.key).ok() == []


def test_a_misspelt_field_is_refused_and_a_foreign_one_passed_over(cloud: Cloud) -> None:
    pat = cloud.person()
    for name, meant in (
        ("sshkeyId", "sshKeyId"), ("ssh_key_id", "sshKeyId"), ("sshPublicKey", "ssh_public_key"),
        ("OfferID", "offerId"), ("cloud_init", "cloudInit"), ("max_cost", "maxCost"), ("team-id", "teamId"),
    ):  # fmt: skip
        refusal = refused(cloud, pat, 400, "VALIDATION_ERROR", **{name: "x"})
        assert refusal["details"] == {name: f"did you mean {meant}?"}
    made = cloud.launch(pat, clusterName="whatever", somethingElse=[1, {"deep": None}])
    assert made["status"] == "deploying"


def test_exactly_one_ssh_key(cloud: Cloud) -> None:
    pat = cloud.person()
    for both in ({"sshKeyId": ...}, {"ssh_public_key": new_public_key()}):
        refusal = refused(cloud, pat, 400, "VALIDATION_ERROR", **both)
        assert set(refusal["details"]) == {"sshKeyId", "ssh_public_key"}
        assert "xactly one" in refusal["error"]


def test_the_ssh_key_must_be_the_teams(cloud: Cloud) -> None:
    pat, other = cloud.person(), cloud.person()
    second = cloud.team(pat)
    deleted = cloud.ssh_key(pat.team, pat)
    cloud.send("DELETE", f"/api/ssh-keys/{deleted}", pat.key).ok()
    keys = (cloud.ssh_key(other.team, other), cloud.ssh_key(second, pat), deleted, ABSENT, "x", "\N{ELEPHANT}")
    answers = [refused(cloud, pat, 400, "UNKNOWN_SSH_KEY", sshKeyId=key) for key in keys]
    assert answers == [answers[0]] * len(keys)
    assert answers[0]["details"] == {"sshKeyId": "not a key of the team"}


def test_a_public_key_that_is_none(cloud: Cloud) -> None:
    pat = cloud.person()
    for line in ("", "hello", "ssh-ed25519", "ssh-ed25519 AAAA", new_public_key()[:40], new_public_key() + "\nx"):
        refusal = refused(cloud, pat, 400, "INVALID_SSH_KEY", sshKeyId=..., ssh_public_key=line)
        assert set(refusal["details"]) == {"ssh_public_key"}


def test_names_and_labels_that_are_no_text(cloud: Cloud) -> None:
    pat = cloud.person()
    for name in ("", " ", "a" * 61, "a\nb", "a\tb", "\x1b[31mred", "a\u202eb", "\u200f", "a\x7f", "\ufeff"):
        assert set(refused(cloud, pat, 400, "VALIDATION_ERROR", name=name)["details"]) == {"name"}
    for labels in ({"": "x"}, {"a" * 64: ""}, {"a": "b" * 256}, {"a": "b\nc"}, {"a\u202e": ""}, {"a": "\x07"},
                   {str(number): "" for number in range(33)}):  # fmt: skip
        assert set(refused(cloud, pat, 400, "VALIDATION_ERROR", labels=labels)["details"]) == {"labels"}


def test_names_and_labels_of_all_scripts(cloud: Cloud) -> None:
    pat = cloud.person()
    for text in ("Z\u0308ahler", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627", "\u8bad\u7ec3",
                 "\N{ROCKET}", "a" * 60, "' OR 1=1 --", "<script>", "%00", "\\u0000"):  # fmt: skip
        made = cloud.launch(pat, name=text, labels={text: text})
        shown = cloud.get(f"/api/deployments/{made['id']}", pat.key).ok()
        assert shown["labels"] == {text: text}
        assert shown["name"] == text
    cloud.settle()
    decomposed = cloud.launch(pat, name="A\u0308")
    assert decomposed["name"] == "\u00c4", "the same name is the same text, however it was typed"


def test_characters_that_no_database_keeps(cloud: Cloud) -> None:
    pat = cloud.person()
    key = cloud.ssh_key(pat.team, pat)
    for field in ("name", "offerId", "teamId", "sshKeyId", "operatingSystem", "unknown"):
        for bad in (b"\\u0000", b"\\ud800", b"a\\udfff"):
            order = cloud.order(pat.team, key) | {field: "HERE!"}
            body = msgspec.json.encode(order).replace(b"HERE!", bad)
            refusal = cloud.post("/api/deployments", pat.key, raw=body)
            assert refusal.status == 400, refusal
            assert set(refusal.json["details"]) <= {field, "body"}
    body = msgspec.json.encode(cloud.order(pat.team, key, labels={"HERE!": "x"})).replace(b"HERE!", b"\\u0000")
    assert cloud.post("/api/deployments", pat.key, raw=body).status == 400
    raw = msgspec.json.encode(cloud.order(pat.team, key, name="HERE!"))
    for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b"\n"):
        cloud.post("/api/deployments", pat.key, raw=raw.replace(b"HERE!", bad)).refused(400, "MALFORMED_JSON")


def test_what_comes_later_is_refused_by_name(cloud: Cloud) -> None:
    pat = cloud.person()
    later: dict[str, Any] = {"kubernetesAddon": {"version": "1.30"}}
    for name, value in later.items():
        refusal = refused(cloud, pat, 400, "NOT_SUPPORTED", **{name: value})
        assert set(refusal["details"]) == {name}
        assert name in refusal["error"]
    assert set(refused(cloud, pat, 400, "NOT_SUPPORTED", **later)["details"]) == set(later)
    machine = cloud.launch(pat, ports=[], volumeIds=[], kubernetesAddon={})
    nothing = dict.fromkeys((*later, "name", "labels", "cloudInit", "ssh_public_key"))
    key = cloud.ssh_key(pat.team, pat)
    cloud.post("/api/deployments", pat.key, cloud.order(pat.team, key) | nothing).ok(201)
    path = f"/api/deployments/{machine['id']}"
    refusal = cloud.send("PATCH", path, pat.key, {"ports": [80]}).refused(400, "NOT_SUPPORTED")
    assert set(refusal["details"]) == {"ports"}
    assert cloud.send("PATCH", path, pat.key, dict.fromkeys(later)).ok()["id"] == machine["id"]


def test_ports_are_exposed_each_once_and_not_too_many(own_cloud: Cloud) -> None:
    cloud, pat = own_cloud, own_cloud.person()
    for ports in ([0], [65536], [-1], [22], [8080, 22], [80, 443, 80], list(range(8000, 8017)), [10**30]):
        refusal = refused(cloud, pat, 400, "VALIDATION_ERROR", ports=ports)
        assert set(refusal["details"]) == {"ports"}
        assert "ports" in refusal["error"]
    most = list(range(8000, 8016))
    machine = cloud.running(pat, ports=most)
    assert machine["ports"] == most
    forwards = machine["portForwards"]
    assert forwards[0] == {"external": machine["sshPort"], "internal": 22}
    assert [forward["internal"] for forward in forwards[1:]] == most
    assert len({forward["external"] for forward in forwards}) == 17
    path = f"/api/deployments/{machine['id']}"
    told = next(event for event in cloud.get(f"{path}/events", pat.key).ok()["events"] if event["kind"] == "ports")
    assert f"port 8000 at 192.0.2.1:{forwards[1]['external']}" in told["message"]
    cloud.post(f"{path}/stop", pat.key).ok()
    cloud.settle()
    stopped = cloud.get(path, pat.key).ok()
    assert (stopped["ports"], stopped["portForwards"]) == (most, [])
    cloud.post(f"{path}/start", pat.key).ok()
    cloud.settle()
    assert cloud.get(path, pat.key).ok()["portForwards"] == forwards
    refusal = cloud.send("PATCH", path, pat.key, {"ports": [80]}).refused(400, "NOT_SUPPORTED")
    assert set(refusal["details"]) == {"ports"}
    own_cloud.provider.capabilities = msgspec.structs.replace(own_cloud.provider.capabilities, ports=False)
    own_cloud.run("offers")
    assert set(refused(cloud, pat, 400, "OFFER_MISMATCH", ports=[80])["details"]) == {"ports"}
    assert cloud.launch(pat, ports=[])["ports"] == []


def test_cloud_init_is_never_dropped(own_cloud: Cloud) -> None:
    pat = own_cloud.person()
    wishes: tuple[Any, ...] = (
        {"packages": [""]}, {"writeFiles": [{"path": "relative", "content": ""}]}, {"writeFiles": [{"content": ""}]},
        {"writeFiles": [{"path": "/x", "encoding": "rot13"}]}, {"writeFiles": [{"path": "/x", "permissions": "rwx"}]},
        {"write_files": []}, {"runcmd": "ls"}, [], "#cloud-config",
        {"bootcmd": ["ls"]}, {"writeFiles": [{"path": "/x", "append": True}]},
    )  # fmt: skip
    for wish in wishes:
        assert set(refused(own_cloud, pat, 400, "VALIDATION_ERROR", cloudInit=wish)["details"]) == {"cloudInit"}
    own_cloud.provider.capabilities = msgspec.structs.replace(own_cloud.provider.capabilities, cloud_init=False)
    own_cloud.run("offers")
    refusal = refused(own_cloud, pat, 400, "OFFER_MISMATCH", cloudInit={"runcmd": ["ls"]})
    assert refusal["details"] == {"cloudInit": "this offer does not support cloud-init"}
    assert own_cloud.launch(pat, cloudInit={"runcmd": []})["status"] == "deploying"


def test_no_room_is_said_in_the_words_that_clients_look_for(own_cloud: Cloud) -> None:
    own_cloud.provider.all_pools = (msgspec.structs.replace(POOL, vcpus=3),)
    own_cloud.run("offers")
    pat = own_cloud.person()
    first = own_cloud.launch(pat)
    refusal = refused(own_cloud, pat, 400, "NOT_ENOUGH_STOCK")
    assert "Not Enough Stock" in refusal["error"]
    assert refusal["details"] == {"offerId": "memory-small"}
    # The hold of the launch that was refused is back: there are credits for as many as before.
    own_cloud.settle()
    own_cloud.send("DELETE", f"/api/deployments/{first['id']}", pat.key).ok()
    refused(own_cloud, pat, 400, "NOT_ENOUGH_STOCK")
    own_cloud.settle()
    assert own_cloud.launch(pat)["status"] == "deploying"


def test_without_credits_nothing_is_launched(cloud: Cloud) -> None:
    pat = cloud.person(credits_micros=3 * DOLLAR - 1)
    refusal = refused(cloud, pat, 402, "INSUFFICIENT_BALANCE")
    assert "balance" in refusal["error"]
    assert "credit" in refusal["error"]
    assert refusal["details"] == {"required": 3.0, "available": 2.999999}
    cloud.grant(pat.team, 1)
    assert cloud.launch(pat)["status"] == "deploying"
    assert refused(cloud, pat, 402, "INSUFFICIENT_BALANCE")["details"]["available"] == 0.0


def test_ten_launches_at_once_on_credits_for_four(cloud: Cloud) -> None:
    pat = cloud.person(credits_micros=12 * DOLLAR)
    order = cloud.order(pat.team, cloud.ssh_key(pat.team, pat))
    answers = cloud.at_once([cloud.request("POST", "/api/deployments", pat.key, order) for _ in range(10)])
    assert sorted(answer.status for answer in answers) == [201] * 4 + [402] * 6
    assert len(cloud.get("/api/deployments", pat.key).ok()) == 4
