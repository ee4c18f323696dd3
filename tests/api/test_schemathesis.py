"""Requests made up from the OpenAPI document: no fault of ours, no status and no shape that the document doesn't name.

Schemathesis runs as its users run it, against a server that serves HTTP. All its checks count; one is put aside where
something is to be changed, since a request can have the right shape there and still be wrong: a link that has expired.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.cloud import Cloud, Person
from tests.api.wire import Loop

SEED = os.environ.get("SCHEMATHESIS_SEED", "20260301")
pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).with_name("schemathesis")


def configuration(cloud: Cloud, pat: Person) -> str:
    """Ids that exist, beside all those that are made up, so that more than refusals are seen."""
    machines = [cloud.running(pat)["id"] for _ in range(2)]
    return "\n".join(
        [
            "[[operations]]",
            "include-method = ['POST', 'PUT', 'PATCH', 'DELETE']",
            "checks.positive_data_acceptance.enabled = false",
            "[[operations]]",
            "include-path-regex = '^/api/deployments/.deployment_id./(events|can-terminate|start|stop)$'",
            "include-method = 'GET'",
            f"parameters = {{ 'path.deployment_id' = '{machines[0]}' }}",
            "[[operations]]",
            "include-name = 'PATCH /api/deployments/{deployment_id}'",
            f"parameters = {{ 'path.deployment_id' = '{machines[1]}' }}",
            "[[operations]]",
            "include-name = 'GET /api/ssh-keys/{key_id}'",
            f"parameters = {{ 'path.key_id' = '{cloud.ssh_key(pat.team, pat)}' }}",
            "[[operations]]",
            "include-path-regex = '^/api/volumes/.volume_id.(/(attach|detach))?$'",
            "include-method = ['GET', 'POST', 'PATCH']",
            f"parameters = {{ 'path.volume_id' = '{cloud.volume(pat)['id']}' }}",
            "[[operations]]",
            "include-path-regex = "
            "'^/api/teams/.team_id.(/(billing|usage|transactions|statements|credit-moves|templates).*)?$'",
            f"parameters = {{ 'path.team_id' = '{pat.team}' }}",
        ]
    )


@pytest.fixture(scope="module")
def address(cloud: Cloud) -> Iterator[str]:
    with cloud.served() as port:
        yield f"http://127.0.0.1:{port}"


def run(cloud: Cloud, address: str, folder: Path, who: str, *options: str, most_seconds: int = 280) -> None:
    """Run it and let it say what it found."""
    pat = cloud.person(credits_micros=100_000_000_000)
    (folder / "schemathesis.toml").write_text(configuration(cloud, pat))
    credential = {"key": pat.key, "session": pat.session}.get(who)
    more = [] if credential is None else ["--header", f"Authorization: Bearer {credential}"]
    if who == "session":
        # It would end the session that all the others need.
        more += ["--exclude-name", "POST /api/auth/sign-out"]
        more += ["--exclude-name", "DELETE /api/auth/sessions/{session_id}"]
    done = subprocess.run(
        [
            PROGRAM,
            "run",
            f"{address}/api/openapi.json",
            "--seed",
            SEED,
            "--no-color",
            *more,
            *options,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=most_seconds,
    )
    print(f"seed {SEED}", done.stdout[-3000:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert credential is None or cloud.get("/api/me", credential).status == 200, "good to the end"


QUICK = ("--phases", "coverage,fuzzing", "--max-examples", "2")


def test_what_the_document_promises(cloud: Cloud, address: str, tmp_path: Path) -> None:
    """A key here, a session there, which gets further: all of both is for `make prove`."""
    run(cloud, address, tmp_path, "key" if cloud.database.is_sqlite else "session", *QUICK)


def test_what_the_document_promises_to_nobody(loop: Loop, tmp_path: Path) -> None:
    """Nobody gets as far as the database: one kind is enough."""
    cloud = Cloud(tmp_path, f"sqlite:///{tmp_path / 'forebay.db'}", loop)
    with cloud.served() as port:
        run(cloud, f"http://127.0.0.1:{port}", tmp_path, "nobody", *QUICK)
    cloud.close()


@pytest.mark.prove
@pytest.mark.parametrize("who", ["key", "session", "nobody"])
def test_what_the_document_promises_at_length(cloud: Cloud, address: str, tmp_path: Path, who: str) -> None:
    all_phases = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "25")
    run(cloud, address, tmp_path, who, *all_phases, most_seconds=1800)
