"""`/api/deployments/{id}/logs`: the end of a log, what is new since a cursor, and what a machine leaves behind."""

import pytest

from forebay.compute.base import CloudInitOutcome
from tests.api.cloud import Cloud

pytestmark = pytest.mark.slow


def test_a_log_is_followed_without_a_line_lost_or_told_twice(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat)
    path, inside = f"/api/deployments/{machine['id']}/logs", cloud.provider.machines[machine["id"]]
    inside.console = "".join(f"line {number}\n" for number in range(300))
    first = cloud.get(path, pat.key).ok()
    assert (first["kind"], first["isCut"], first["isOver"]) == ("console", True, False)
    assert first["text"].splitlines()[0] == "line 100"
    short = cloud.get(f"{path}?tail=1", pat.key).ok()
    assert (short["text"], short["cursor"]) == ("line 299\n", first["cursor"])
    inside.console += "new\nhalf of"
    second = cloud.get(f"{path}?cursor={first['cursor']}", pat.key).ok()
    assert (second["text"], second["isCut"]) == ("new\n", False)
    inside.console += " a line\n"
    third = cloud.get(f"{path}?cursor={second['cursor']}", pat.key).ok()
    assert third["text"] == "half of a line\n"
    assert cloud.get(f"{path}?cursor={third['cursor']}", pat.key).ok()["text"] == ""
    # Started again it begins anew: what the cursor meant is past.
    inside.starts, inside.console = 2, "start 2\n"
    anew = cloud.get(f"{path}?cursor={third['cursor']}", pat.key).ok()
    assert (anew["text"], anew["isCut"]) == ("start 2\n", True)
    for cursor in ("-", "x", "1-zz", "1--5", "2-ffffffff", "%F0%9F%92%A9"):
        assert cloud.get(f"{path}?cursor={cursor}", pat.key).ok()["text"] == "start 2\n"


def test_a_log_without_end_is_told_in_pieces(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat)
    path, inside = f"/api/deployments/{machine['id']}/logs", cloud.provider.machines[machine["id"]]
    inside.console = "begin\n" + "x" * 1_000_000
    piece = cloud.get(path, pat.key).ok()
    assert piece["isCut"]
    assert 0 < len(piece["text"]) <= 256 * 1024
    inside.console += "end\n"
    assert cloud.get(f"{path}?cursor={piece['cursor']}", pat.key).ok()["text"] == "end\n"


def test_cloud_init_s_log_is_over_when_first_boot_is_and_outlives_the_machine(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat, cloudInit={"runcmd": ["true"]})
    path, inside = f"/api/deployments/{machine['id']}/logs", cloud.provider.machines[machine["id"]]
    inside.boot_log = "one\n"
    log = cloud.get(f"{path}?kind=cloud-init", pat.key).ok()
    assert (log["text"], log["isOver"]) == ("one\n", False)
    inside.boot_log += "two\n"
    cloud.provider.outcomes[machine["id"]] = CloudInitOutcome(succeeded=True, log="one\ntwo\n")
    cloud.run("sightings")
    rest = cloud.get(f"{path}?kind=cloud-init&cursor={log['cursor']}", pat.key).ok()
    assert (rest["text"], rest["isOver"]) == ("two\n", True)
    cloud.send("DELETE", f"/api/deployments/{machine['id']}", pat.key).ok()
    cloud.settle()
    kept = cloud.get(f"{path}?kind=cloud-init", pat.key).ok()
    assert (kept["text"], kept["isOver"]) == ("one\ntwo\n", True)
    for cursor in (kept["cursor"], rest["cursor"]):
        assert cloud.get(f"{path}?kind=cloud-init&cursor={cursor}", pat.key).ok()["text"] == ""
    console = cloud.get(path, pat.key).ok()
    assert (console["text"], console["isOver"]) == ("", True)


def test_a_machine_that_cannot_be_asked_is_a_503_and_bad_questions_are_named(own_cloud: Cloud) -> None:
    cloud, pat = own_cloud, own_cloud.person()
    waiting = cloud.launch(pat)
    assert cloud.get(f"/api/deployments/{waiting['id']}/logs", pat.key).ok()["text"] == ""
    path = f"/api/deployments/{cloud.running(pat)['id']}/logs"
    for query in ("kind=dmesg", "tail=0", "tail=x", "tail=10001", f"cursor={'1' * 61}"):
        refusal = cloud.get(f"{path}?{query}", pat.key).refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == {query.split("=")[0]}
    cloud.provider.be_unreachable()
    assert "The network is down" in cloud.get(path, pat.key).refused(503, "UNAVAILABLE")["error"]
