"""A backup that is taken while people work is the whole cloud; a restored one serves again."""

import threading
from pathlib import Path

import httpx

from tests.e2e.cloud import ADDRESS, Client, Cloud, Process, forebay


def test_a_backup_of_a_busy_cloud_serves_again(demo: Cloud, owner: Client, tmp_path: Path) -> None:
    machine = demo.launch(owner)
    is_over = threading.Event()
    renames: list[int] = []

    def be_busy() -> None:
        while not is_over.is_set():
            answer = owner.http.patch(f"/api/deployments/{machine['id']}", json={"name": f"name {len(renames)}"})
            renames.append(answer.status_code)

    busy = threading.Thread(target=be_busy)
    busy.start()
    backup, copy = tmp_path / "backup", tmp_path / "copy"
    try:
        for number in range(2):
            made = forebay("backup", f"{backup}-{number}", "--data-dir", demo.data_dir)
            assert made.returncode == 0, made.stderr
    finally:
        is_over.set()
        busy.join()
    assert set(renames) == {200}
    assert len(renames) > 10
    assert (Path(f"{backup}-1").stat().st_mode & 0o777) == 0o600
    assert owner.delete(f"/api/deployments/{machine['id']}").status_code == 200

    assert forebay("restore", f"{backup}-1", "--data-dir", copy).returncode == 0
    audited = forebay("audit", "--data-dir", copy)
    assert (audited.returncode, audited.stdout.strip()) == (0, "The books balance.")
    # Without its provider: the machines are the running cloud's.
    again = Process(["serve", "--port", "0", "--data-dir", copy], tmp_path / "server", {"providers": ""})
    again.start()
    url = again.says(ADDRESS)
    try:
        for person in demo.facts["people"]:
            client = Client(url, person["apiKey"])
            assert client.get("/api/me")
            client.close()
        client = Client(url, demo.facts["people"][0]["apiKey"])
        assert machine["id"] in [entry["id"] for entry in client.get("/api/deployments")]
        client.close()
        sign_in = {key: demo.facts["operator"][key] for key in ("email", "password")}
        assert httpx.post(f"{url}/api/auth/sign-in", json=sign_in).status_code in (200, 201)
    finally:
        assert again.end() == 0


def test_restoring_refuses_what_would_do_harm(demo: Cloud, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    assert forebay("backup", backup, "--data-dir", demo.data_dir).returncode == 0
    again = forebay("backup", backup, "--data-dir", demo.data_dir)
    assert (again.returncode, again.stderr) == (1, f"forebay: {backup} exists already\n")

    full = tmp_path / "full"
    full.mkdir()
    (full / "letter").write_text("mine")
    refused = forebay("restore", backup, "--data-dir", full)
    assert (refused.returncode, refused.stderr) == (1, f"forebay: {full} is not empty: restore into a new folder\n")
    assert [entry.name for entry in full.iterdir()] == ["letter"]

    content = backup.read_bytes()
    for number, damaged in enumerate(
        (content[: len(content) // 2], content[:5000] + b"damage" + content[5006:], b"", b"a letter")
    ):
        bad = tmp_path / f"bad-{number}"
        bad.write_bytes(damaged)
        refused = forebay("restore", bad, "--data-dir", tmp_path / "new")
        assert refused.returncode == 1, number
        assert refused.stderr.startswith(f"forebay: {bad}"), refused.stderr
        assert refused.stderr.count("\n") == 1
        assert not (tmp_path / "new").exists()
    missing = forebay("restore", tmp_path / "missing", "--data-dir", tmp_path / "new")
    assert missing.returncode == 1
    assert "Traceback" not in missing.stderr
