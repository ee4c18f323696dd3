"""Starting again after the credits ran out, on the command line."""

from tests.api.cloud import DOLLAR, Cloud
from tests.cli.conftest import Run


def test_machines_start_again_as_far_as_the_credits_last(cloud: Cloud, run: Run) -> None:
    pat = cloud.person("Pat", credits_micros=10 * DOLLAR)
    machines = [cloud.running(pat, name=name) for name in ("train", "serve")]
    cloud.clock.forward(hours=2)
    cloud.run("sightings")
    cloud.run("cycle")
    cloud.settle()
    refused = run("start-again", token=pat.key)
    assert (refused.status, refused.out.count("Insufficient balance")) == (1, 2), refused
    cloud.grant(pat.team, 100 * DOLLAR)
    started = run("start-again", "--json", token=pat.key)
    assert started.status == 0, started
    assert [machine["id"] for machine in started.json["started"]] == [machine["id"] for machine in machines]
    assert run("start-again", token=pat.key).status == 0, "there is nothing left to start"
