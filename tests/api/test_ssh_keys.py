"""`/api/ssh-keys`."""

import subprocess
from pathlib import Path

import pytest

from forebay.domain.people.roles import Role
from tests.api.cloud import ABSENT, Cloud, new_public_key


def test_a_key_has_every_field_that_clients_read(cloud: Cloud) -> None:
    pat = cloud.person()
    line = new_public_key()
    made = cloud.post("/api/ssh-keys", pat.key, {"name": " laptop ", "publicKey": f"{line}\n"}).ok(201)
    assert set(made) == {"id", "name", "publicKey", "fingerprint", "createdAt", "teamId"}
    assert (made["name"], made["publicKey"], made["teamId"]) == ("laptop", line, pat.team)
    assert cloud.get(f"/api/ssh-keys/{made['id']}", pat.key).ok() == made
    assert cloud.get("/api/ssh-keys", pat.key).ok() == [made]


@pytest.mark.parametrize("kind", [("ed25519",), ("rsa", "-b", "2048"), ("ecdsa", "-b", "384"), ("ecdsa", "-b", "521")])
def test_the_fingerprint_is_what_openssh_prints(cloud: Cloud, tmp_path: Path, kind: tuple[str, ...]) -> None:
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", "a comment", "-f", file], check=True)
    printed = subprocess.run(["ssh-keygen", "-lf", file], check=True, capture_output=True, text=True).stdout
    pat = cloud.person()
    body = {"name": "key", "publicKey": file.with_suffix(".pub").read_text()}
    assert cloud.post("/api/ssh-keys", pat.key, body).ok(201)["fingerprint"] == printed.split()[1]
    refusal = cloud.post("/api/ssh-keys", pat.key, {"name": "key", "publicKey": file.read_text()})
    assert "private key" in refusal.refused(400, "INVALID_SSH_KEY")["error"]
    assert file.read_text().splitlines()[1] not in refusal.body.decode()


def test_a_team_has_a_key_once(cloud: Cloud) -> None:
    pat = cloud.person()
    line = new_public_key()
    first = cloud.post("/api/ssh-keys", pat.key, {"name": "one", "publicKey": line}).ok(201)
    again = line.rsplit(" ", 1)[0] + " another comment"
    refusal = cloud.post("/api/ssh-keys", pat.key, {"name": "two", "publicKey": again}).refused(409, "SSH_KEY_EXISTS")
    assert refusal["details"] == {"id": first["id"], "fingerprint": first["fingerprint"]}
    other = cloud.team(pat)
    cloud.post("/api/ssh-keys", pat.key, {"name": "one", "publicKey": line, "teamId": other}).ok(201)
    cloud.send("DELETE", f"/api/ssh-keys/{first['id']}", pat.key).ok()
    cloud.post("/api/ssh-keys", pat.key, {"name": "two", "publicKey": line}).ok(201)


def test_one_key_many_times_at_once_is_added_once(cloud: Cloud) -> None:
    pat = cloud.person()
    body = {"name": "one", "publicKey": new_public_key()}
    answers = cloud.at_once([cloud.request("POST", "/api/ssh-keys", pat.key, body) for _ in range(8)])
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    assert len(cloud.get("/api/ssh-keys", pat.key).ok()) == 1


def test_lists_are_of_one_team_newest_first(cloud: Cloud) -> None:
    pat = cloud.person()
    other = cloud.team(pat)
    one, two, there = cloud.ssh_key(pat.team, pat), cloud.ssh_key(pat.team, pat), cloud.ssh_key(other, pat)
    assert [key["id"] for key in cloud.get("/api/ssh-keys", pat.key).ok()] == [two, one]
    assert [key["id"] for key in cloud.get(f"/api/ssh-keys?teamId={other}", pat.key).ok()] == [there]
    for team in (cloud.person().team, ABSENT, "x", "%00", "0" * 5000):
        answer = cloud.get(f"/api/ssh-keys?teamId={team}", pat.key)
        if team == "%00":
            answer.refused(400, "VALIDATION_ERROR")
        else:
            assert answer.refused(404, "NOT_FOUND")["error"] == "Team not found"


def test_deleting_answers_and_takes_it_away(cloud: Cloud) -> None:
    pat = cloud.person()
    key = cloud.ssh_key(pat.team, pat)
    assert cloud.send("DELETE", f"/api/ssh-keys/{key}", pat.key).ok() == {"success": True}
    cloud.send("DELETE", f"/api/ssh-keys/{key}", pat.key).refused(404, "NOT_FOUND")
    cloud.get(f"/api/ssh-keys/{key}", pat.key).refused(404, "NOT_FOUND")
    assert cloud.get("/api/ssh-keys", pat.key).ok() == []


def test_another_teams_key_is_nobodys(cloud: Cloud) -> None:
    pat, stranger = cloud.person(), cloud.person()
    key = cloud.ssh_key(pat.team, pat)
    for method in ("GET", "DELETE"):
        answers = [
            cloud.send(method, f"/api/ssh-keys/{wanted}", stranger.key)
            for wanted in (key, ABSENT, "x", "%00", "%ED%A0%80", key.upper())
        ]
        assert {(answer.status, answer.body) for answer in answers} == {(404, answers[0].body)}
        answers[0].refused(404, "NOT_FOUND")
    assert len(cloud.get("/api/ssh-keys", pat.key).ok()) == 1


def test_a_member_sees_keys_and_may_not_touch_them(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    key = cloud.ssh_key(pat.team, pat)
    assert cloud.get(f"/api/ssh-keys/{key}", mia.key).ok()["id"] == key
    refusal = cloud.send("DELETE", f"/api/ssh-keys/{key}", mia.key).refused(403, "FORBIDDEN")
    assert refusal["details"]["permission"] == "ssh-keys.manage"
    assert refusal["details"]["whoHasIt"] == ["owner", "admin"]
    body = {"name": "x", "publicKey": new_public_key(), "teamId": pat.team}
    cloud.post("/api/ssh-keys", mia.key, body).refused(403, "FORBIDDEN")


def test_bad_fields_are_named(cloud: Cloud) -> None:
    pat = cloud.person()
    line = new_public_key()
    assert cloud.post("/api/ssh-keys", pat.key, {}).refused(400, "VALIDATION_ERROR")["details"] == {
        "name": "required", "publicKey": "required",
    }  # fmt: skip
    wrong = {"name": 1, "publicKey": [line], "teamId": {}}
    assert set(cloud.post("/api/ssh-keys", pat.key, wrong).refused(400, "VALIDATION_ERROR")["details"]) == set(wrong)
    for name in ("", " \t", "a" * 121, "a\nb", "\u202e"):
        refusal = cloud.post("/api/ssh-keys", pat.key, {"name": name, "publicKey": line})
        assert set(refusal.refused(400, "VALIDATION_ERROR")["details"]) == {"name"}
    for bad in ("", "x", line[:-30].split()[0], f"{line}\n{line}", "ssh-dss AAAAB3NzaC1kc3M=", "a" * 20_000,
                line.replace("ssh-ed25519", "ssh-rsa"), f"from=\"*\" {line}", "\N{KEY}"):  # fmt: skip
        refusal = cloud.post("/api/ssh-keys", pat.key, {"name": "x", "publicKey": bad})
        assert set(refusal.refused(400, "INVALID_SSH_KEY")["details"]) == {"publicKey"}
    refusal = cloud.post("/api/ssh-keys", pat.key, {"name": "x", "public_key": line, "publicKey": line})
    assert refusal.refused(400, "VALIDATION_ERROR")["details"] == {"public_key": "did you mean publicKey?"}
    assert cloud.get("/api/ssh-keys", pat.key).ok() == []


def test_a_deleted_key_stays_on_the_record_of_its_machine(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat)
    cloud.send("DELETE", f"/api/ssh-keys/{machine['sshKeyId']}", pat.key).ok()
    shown = cloud.get(f"/api/deployments/{machine['id']}", pat.key).ok()
    assert (shown["sshKeyName"], shown["sshKeyFingerprint"]) == (machine["sshKeyName"], machine["sshKeyFingerprint"])
