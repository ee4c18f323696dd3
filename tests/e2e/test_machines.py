"""What people find on their machines, and who doesn't get in."""

import subprocess
from pathlib import Path

from tests.e2e.cloud import Client, Cloud, eventually


def test_a_stopped_machine_keeps_its_disk_and_costs_it(demo: Cloud, owner: Client) -> None:
    machine = demo.launch(owner)
    path = f"/api/deployments/{machine['id']}"
    demo.says(machine, "echo kept > /root/file && sync")
    assert owner.post(f"{path}/stop").status_code == 200
    demo.await_quiet()
    stopped = owner.deployment(machine["id"])
    assert stopped["status"] == "stopped"
    assert (stopped["ipAddress"], stopped["sshPort"], stopped["sshCommand"]) == (None, None, None)
    assert demo.containers()[machine["id"]] == "exited"
    assert owner.post(f"{path}/start").status_code == 200
    again = owner.await_status(machine["id"], "running")
    assert demo.says(again, "cat /root/file") == "kept"
    assert owner.delete(path).status_code == 200
    demo.await_quiet()
    kinds = [kind for (kind,) in demo.rows(f"SELECT resource_type FROM segments WHERE resource_id = '{machine['id']}'")]
    assert sorted(kinds) == ["compute", "compute", "storage"]
    assert demo.violations() == []


def test_a_key_that_is_not_the_machine_s_does_not_get_in(demo: Cloud, owner: Client, tmp_path: Path) -> None:
    machine = demo.launch(owner)
    strange = tmp_path / "strange"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(strange)], check=True)
    refused = demo.ssh(machine, "true", key=strange)
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr
    assert demo.says(machine, "echo in") == "in"
    assert owner.delete(f"/api/deployments/{machine['id']}").status_code == 200


def test_cloud_init_goes_in_its_own_order_and_tells_how_it_ended(demo: Cloud, owner: Client) -> None:
    cloud_init = {
        "writeFiles": [
            {"path": "/root/order", "content": "file\n", "permissions": "0600"},
            {"path": "/root/coded", "content": "ZW5jb2RlZA==", "encoding": "b64"},
        ],
        "runcmd": ["echo command >> /root/order", "test -f /root/coded && touch /root/done"],
    }
    machine = demo.launch(owner, cloudInit=cloud_init)
    broken = demo.launch(owner, cloudInit={"runcmd": ["false"]})
    eventually(lambda: demo.ssh(machine, "test -f /root/done").returncode == 0, "first boot is over", every=0.5)
    assert (
        demo.says(machine, "cat /root/order; stat -c %a /root/order; cat /root/coded") == "file\ncommand\n600\nencoded"
    )

    def outcome(deployment_id: str) -> str | None:
        events = owner.get(f"/api/deployments/{deployment_id}/events?limit=100")["events"]
        return next((event["kind"] for event in events if event["kind"].startswith("cloud-init")), None)

    assert eventually(lambda: outcome(machine["id"]), "its outcome is known", every=0.5) == "cloud-init-done"
    assert eventually(lambda: outcome(broken["id"]), "its outcome is known", every=0.5) == "cloud-init-failed"
    for deployment in (machine, broken):
        assert owner.delete(f"/api/deployments/{deployment['id']}").status_code == 200
    demo.await_quiet()


def test_a_machine_that_ends_from_inside_is_started_again(demo: Cloud, owner: Client) -> None:
    machine = demo.launch(owner)
    demo.says(machine, "echo kept > /root/file && sync")
    demo.ssh(machine, "kill 1")
    eventually(
        lambda: len(demo.rows(f"SELECT 1 FROM segments WHERE resource_id = '{machine['id']}'")) == 2,
        "it was seen to have stopped, and started",
    )
    again = owner.await_status(machine["id"], "running")
    assert demo.says(again, "cat /root/file") == "kept"
    assert owner.delete(f"/api/deployments/{machine['id']}").status_code == 200
    demo.await_quiet()
    assert demo.violations() == []


def test_a_machine_that_was_taken_away_is_terminated_by_the_provider(demo: Cloud, owner: Client) -> None:
    machine = demo.launch(owner)
    [name] = subprocess.run(
        ["podman", "ps", "-q", "--filter", f"label=io.forebay.deployment={machine['id']}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    subprocess.run(["podman", "rm", "--force", "--time", "0", name], capture_output=True, check=True)
    found = owner.await_status(machine["id"], "terminated-provider")
    assert found["stoppedAt"] is not None
    demo.await_quiet()
    assert demo.violations() == []


def test_a_key_deleted_from_the_team_opens_no_machine_any_more(demo: Cloud, owner: Client, tmp_path: Path) -> None:
    private = tmp_path / "leaving"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(private)], check=True)
    team = demo.facts["teams"][0]["id"]
    added = owner.post(
        "/api/ssh-keys", {"name": "leaving", "publicKey": private.with_suffix(".pub").read_text(), "teamId": team}
    ).json()
    machine = demo.launch(owner, sshKeyId=added["id"])
    assert demo.ssh(machine, "echo in", key=private).returncode == 0
    assert owner.delete(f"/api/ssh-keys/{added['id']}").status_code == 200

    def is_shut_out() -> bool:
        return "Permission denied" in demo.ssh(machine, "true", key=private).stderr

    eventually(is_shut_out, "the key opens the machine no more", within=60, every=0.2)
    assert owner.deployment(machine["id"])["status"] == "running"
    assert demo.containers()[machine["id"]] == "running"
    events = owner.get(f"/api/deployments/{machine['id']}/events?limit=100")["events"]
    assert "ssh-key-removed" in [event["kind"] for event in events]
    assert owner.delete(f"/api/deployments/{machine['id']}").status_code == 200
