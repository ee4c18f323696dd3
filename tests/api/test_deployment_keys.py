"""`/api/deployments/{id}/ssh-keys`: who may change the keys of a machine, and that what is told is what is there."""

from typing import Any

import msgspec
import pytest

from forebay.compute.base import FoundKey
from forebay.domain.people.roles import Role
from tests.api.cloud import ABSENT, Cloud, Person, new_public_key

pytestmark = pytest.mark.slow


def shown(cloud: Cloud, pat: Person, path: str) -> dict[str, Any]:
    """The keys of a machine as it is asked, by fingerprint."""
    answer = cloud.get(f"{path}/ssh-keys", pat.key).ok()
    assert (answer["readAt"] is None) is (answer["reason"] is not None)
    return {key["fingerprint"]: key for key in answer["sshKeys"]}


def states(cloud: Cloud, pat: Person, path: str) -> dict[str, str]:
    return {key["id"] or key["fingerprint"]: key["state"] for key in shown(cloud, pat, path).values()}


def test_keys_are_exchanged_while_the_machine_runs_and_each_step_is_seen(cloud: Cloud) -> None:
    pat, ann = cloud.person(), cloud.person("Ann")
    cloud.join(pat.team, ann, Role.admin)
    machine = cloud.running(pat)
    path, first, second = f"/api/deployments/{machine['id']}", machine["sshKeyId"], cloud.ssh_key(pat.team, pat)
    assert states(cloud, pat, path) == {first: "installed"}
    body = {"sshKeyIds": [second, first, second]}
    answer = cloud.send("PUT", f"{path}/ssh-keys", ann.key, body).ok()
    assert {key["id"]: key["state"] for key in answer["sshKeys"]} == {first: "unread", second: "pending"}
    assert (answer["readAt"], answer["canChange"], answer["canEndSessions"]) == (None, True, True)
    assert states(cloud, pat, path) == {first: "installed", second: "pending"}
    cloud.run("ssh-keys")
    new = next(key for key in shown(cloud, pat, path).values() if key["id"] == second)
    assert new["state"] == "installed"
    assert (new["name"], new["addedBy"]) == ("a laptop", {"id": ann.id, "name": "Ann"})
    assert new["since"] == cloud.get(f"{path}/events", pat.key).ok()["events"][0]["at"]
    cloud.send("PUT", f"{path}/ssh-keys", pat.key, {"sshKeyIds": [second]}).ok()
    assert states(cloud, pat, path) == {first: "leaving", second: "installed"}
    opened = cloud.provider.machines[machine["id"]]
    opened.sessions = [machine["sshKeyFingerprint"], machine["sshKeyFingerprint"], new["fingerprint"]]
    cloud.run("ssh-keys")
    assert states(cloud, pat, path) == {second: "installed"}
    assert opened.sessions == [new["fingerprint"]]
    events = cloud.get(f"{path}/events?limit=100", pat.key).ok()["events"]
    kinds = [event["kind"] for event in reversed(events) if event["kind"].startswith("ssh-")]
    assert kinds == [
        "ssh-keys-changed", "ssh-key-added", "ssh-keys-changed", "ssh-key-removed", "ssh-sessions-ended"
    ]  # fmt: skip
    # The same again changes nothing, and what was taken off may come back.
    before = cloud.get(f"{path}/events", pat.key).ok()["total"]
    cloud.send("PUT", f"{path}/ssh-keys", pat.key, {"sshKeyIds": [second]}).ok()
    assert cloud.get(f"{path}/events", pat.key).ok()["total"] == before
    cloud.send("PUT", f"{path}/ssh-keys", pat.key, {"sshKeyIds": [first]}).ok()
    cloud.run("ssh-keys")
    assert states(cloud, pat, path) == {first: "installed"}
    assert opened.sessions == []


def test_what_is_found_on_the_machine_is_told_by_name_or_as_unknown(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat)
    path, inside = f"/api/deployments/{machine['id']}", cloud.provider.machines[machine["id"]]
    stranger, of_team = new_public_key(), cloud.ssh_key(pat.team, pat)
    known = cloud.get(f"/api/ssh-keys/{of_team}", pat.key).ok()
    place = "/root/.ssh/authorized_keys"
    inside.by_hand = [
        FoundKey(line=stranger.replace("someone@somewhere", "at\thand \x1b[2J"), place=place),
        FoundKey(line=known["publicKey"], place=place),
        FoundKey(line="no key at all", place=place),
    ]
    found = shown(cloud, pat, path)
    assert found[machine["sshKeyFingerprint"]]["state"] == "installed"
    team_key = found[known["fingerprint"]]
    assert (team_key["state"], team_key["id"], team_key["places"]) == ("unknown", of_team, [place])
    assert (team_key["addedBy"], team_key["since"]) == (None, None)
    [other] = [key for key in found.values() if key["id"] is None]
    assert (other["state"], other["publicKey"].split()[:2]) == ("unknown", stranger.split()[:2])
    assert other["name"] == "athand [2J"
    assert len(found) == 3
    # Somebody in the machine takes Forebay's key away, and leaves one that was taken off in a file of their own.
    inside.keys = ()
    assert shown(cloud, pat, path)[machine["sshKeyFingerprint"]]["state"] == "missing"
    cloud.send("PUT", f"{path}/ssh-keys", pat.key, {"sshKeyIds": [machine["sshKeyId"], of_team]}).ok()
    cloud.run("ssh-keys")
    assert shown(cloud, pat, path)[known["fingerprint"]]["state"] == "installed"
    cloud.send("PUT", f"{path}/ssh-keys", pat.key, {"sshKeyIds": [machine["sshKeyId"]]}).ok()
    cloud.run("ssh-keys")
    assert shown(cloud, pat, path)[known["fingerprint"]]["state"] == "kept-out"
    assert inside.removed == (known["publicKey"],)


def test_a_machine_that_cannot_be_asked_says_so(own_cloud: Cloud) -> None:
    cloud, pat = own_cloud, own_cloud.person()
    waiting = f"/api/deployments/{cloud.launch(pat)['id']}/ssh-keys"
    assert cloud.get(waiting, pat.key).ok()["reason"] == "The machine isn't there yet."
    machine = cloud.running(pat)
    path = f"/api/deployments/{machine['id']}/ssh-keys"
    cloud.provider.be_unreachable()
    answer = cloud.get(path, pat.key).ok()
    assert [key["state"] for key in answer["sshKeys"]] == ["unread"]
    assert "The network is down" in answer["reason"]
    cloud.provider.be_back()
    cloud.provider.capabilities = msgspec.structs.replace(
        cloud.provider.capabilities, live_keys=False, session_ends=False
    )
    cloud.run("offers")
    answer = cloud.get(path, pat.key).ok()
    assert (answer["canChange"], answer["canEndSessions"], answer["readAt"]) == (False, False, None)
    other = {"sshKeyIds": [cloud.ssh_key(pat.team, pat)]}
    cloud.send("PUT", path, pat.key, other).refused(400, "LIVE_KEYS_UNSUPPORTED")
    cloud.send("DELETE", path.removesuffix("/ssh-keys"), pat.key).ok()
    assert cloud.get(path, pat.key).ok()["reason"] == "The machine has ended."
    cloud.send("PUT", path, pat.key, other).refused(409, "NOT_ACTIVE")


def test_only_keys_of_the_team_and_the_machine_s_own_are_taken(cloud: Cloud) -> None:
    pat, stranger = cloud.person(), cloud.person()
    machine = cloud.running(pat, ssh_public_key=new_public_key(), sshKeyId=None)
    other = cloud.running(pat, ssh_public_key=new_public_key(), sshKeyId=None)
    path, key = f"/api/deployments/{machine['id']}/ssh-keys", cloud.ssh_key(pat.team, pat)
    deleted = cloud.ssh_key(pat.team, pat)
    cloud.send("DELETE", f"/api/ssh-keys/{deleted}", pat.key).ok()
    for bad in (cloud.ssh_key(stranger.team, stranger), ABSENT, "x", "", deleted, other["tempSshKeyId"], key.upper()):
        refusal = cloud.send("PUT", path, pat.key, {"sshKeyIds": [key, bad]}).refused(400, "UNKNOWN_SSH_KEY")
        assert set(refusal["details"]) == {"sshKeyIds"}
    cloud.send("PUT", path, pat.key, {}).refused(400, "VALIDATION_ERROR")
    bad_lists: tuple[Any, ...] = ([], None, key, [1], [key] * 101, ["x"] * 1001)
    for ids in bad_lists:
        refusal = cloud.send("PUT", path, pat.key, {"sshKeyIds": ids}).refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == {"sshKeyIds"}
    cloud.send("PUT", path, pat.key, {"sshKeyIds": [machine["tempSshKeyId"], key]}).ok()
    cloud.send("PUT", path, stranger.key, {"sshKeyIds": [key]}).refused(404, "NOT_FOUND")


def test_a_member_changes_the_keys_of_their_own_machines_alone(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    key = cloud.ssh_key(pat.team, pat)
    hers = cloud.post("/api/deployments", mia.key, cloud.order(pat.team, key)).ok(201)
    his = cloud.running(pat)
    cloud.send("PUT", f"/api/deployments/{hers['id']}/ssh-keys", mia.key, {"sshKeyIds": [key]}).ok()
    refusal = cloud.send("PUT", f"/api/deployments/{his['id']}/ssh-keys", mia.key, {"sshKeyIds": [key]})
    assert refusal.refused(403, "FORBIDDEN")["details"]["permission"] == "deployments.operate"
    assert cloud.get(f"/api/deployments/{his['id']}/ssh-keys", mia.key).ok()["sshKeys"]
    cloud.get(f"/api/deployments/{his['id']}/logs", mia.key).refused(403, "FORBIDDEN")


def test_keys_of_an_off_boarded_person_leave_what_they_were_added_to_later(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.admin)
    machine = cloud.running(pat)
    hers = cloud.ssh_key(pat.team, mia)
    path = f"/api/deployments/{machine['id']}"
    cloud.send("PUT", f"{path}/ssh-keys", pat.key, {"sshKeyIds": [machine["sshKeyId"], hers]}).ok()
    cloud.run("ssh-keys")
    assert states(cloud, pat, path)[hers] == "installed"
    inside = cloud.provider.machines[machine["id"]]
    inside.sessions = [cloud.get(f"/api/ssh-keys/{hers}", pat.key).ok()["fingerprint"]]
    left = cloud.post(f"/api/teams/{pat.team}/members/{mia.id}/off-board", pat.session, {}).ok()
    assert [entry["id"] for entry in left["done"]["machines"]] == [machine["id"]]
    cloud.run("ssh-keys")
    assert states(cloud, pat, path) == {machine["sshKeyId"]: "installed"}
    assert inside.sessions == []
