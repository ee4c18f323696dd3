"""`/api/teams/{id}/usage`: who and what the credits went to."""

import csv
import io
from typing import Any

import pytest

from forebay.domain.people.roles import Role
from tests.api.cloud import Cloud, Person

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(cloud: Cloud) -> tuple[Person, Person]:
    """Olga's team, where she ran a machine for an hour with a label and Mia another for half an hour."""
    olga, mia = cloud.person("Olga"), cloud.person("=Mia")
    cloud.join(olga.team, mia, Role.member)
    first = cloud.running(olga, name="train", labels={"project": "=a"})
    charge(cloud, 30)
    cloud.post("/api/deployments", mia.key, cloud.order(olga.team, cloud.ssh_key(olga.team, olga), name="look")).ok(201)
    cloud.settle()
    charge(cloud, 30)
    cloud.send("DELETE", f"/api/deployments/{first['id']}", olga.key).ok()
    return olga, mia


def charge(cloud: Cloud, minutes: int) -> None:
    cloud.clock.forward(minutes=minutes)
    cloud.run("sightings")
    cloud.run("cycle")


def groups(cloud: Cloud, olga: Person, group_by: str) -> dict[str | None, Any]:
    found = cloud.get(f"/api/teams/{olga.team}/usage?groupBy={group_by}", olga.key).ok()
    assert found["cost"] == pytest.approx(sum(use["cost"] for use in found["usage"]))
    return {use["name"] or use["key"]: use for use in found["usage"]}


def test_who_and_what_the_credits_went_to(cloud: Cloud, lab: tuple[Person, Person]) -> None:
    olga, mia = lab
    rate = cloud.get("/api/gpu-offers?search=cpu").ok()["data"][0]["offers"][0]["price"]
    found = cloud.get(f"/api/teams/{olga.team}/usage", olga.key).ok()
    assert set(found) == {
        "groupBy", "from", "to", "timeZone", "cost", "computeCost", "storageCost", "machineSeconds", "usage",
        "total", "page", "limit", "totalPages",
    }  # fmt: skip
    assert (found["groupBy"], found["from"], found["timeZone"]) == ("day", "2026-03-01T00:00:00Z", "UTC")
    assert found["cost"] == found["computeCost"] == pytest.approx(1.5 * rate, rel=0.01)
    people = groups(cloud, olga, "member")
    assert set(people) == {"Olga", "=Mia"}
    assert people["=Mia"]["key"] == mia.id
    assert people["Olga"]["machineSeconds"] == 3600
    assert list(groups(cloud, olga, "deployment")) == ["train", "look"], "the dearest first"
    assert set(groups(cloud, olga, "label:project")) == {"=a", None}
    assert len(groups(cloud, olga, "gpuType")) == 1
    assert groups(cloud, olga, "volume")[None]["cost"] == found["cost"]
    balance = next(team for team in cloud.get("/api/balance", olga.key).ok()["teams"] if team["teamId"] == olga.team)
    assert round(found["cost"] + balance["balance"], 6) == 100.0
    page = cloud.get(f"/api/teams/{olga.team}/usage?groupBy=deployment&limit=1&page=2", olga.key).ok()
    assert [use["name"] for use in page["usage"]] == ["look"]
    assert (page["total"], page["totalPages"], page["cost"]) == (2, 2, found["cost"])


def test_the_same_as_a_file(cloud: Cloud, lab: tuple[Person, Person]) -> None:
    olga, _ = lab
    answer = cloud.get(f"/api/teams/{olga.team}/usage.csv?groupBy=member", olga.key)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert [row["name"] for row in rows] == ["Olga", "'=Mia"]
    assert rows[0]["machine seconds"] == "3600"
    labels = cloud.get(f"/api/teams/{olga.team}/usage.csv?groupBy=label%3Aproject", olga.key).body.decode()
    assert "'=a" in labels


@pytest.mark.parametrize(
    "query", ["groupBy=week", "groupBy=label:", "groupBy=label", "from=2026-03-01", "to=now", "limit=1001"]
)
def test_what_is_no_stretch_is_refused(cloud: Cloud, query: str) -> None:
    olga = cloud.person("Olga")
    cloud.get(f"/api/teams/{olga.team}/usage?{query}", olga.key).refused(400, "VALIDATION_ERROR")


def test_the_ends_of_time(cloud: Cloud, lab: tuple[Person, Person]) -> None:
    olga, _ = lab
    edges = "from=0001-01-01T00:00:00%2B14:00&to=9999-12-31T23:59:59-14:00"
    for group_by in ("day", "member"):
        found = cloud.get(f"/api/teams/{olga.team}/usage?groupBy={group_by}&{edges}", olga.key).ok()
        assert found["cost"] == cloud.get(f"/api/teams/{olga.team}/usage", olga.key).ok()["cost"] > 0
    backwards = "from=2027-01-01T00:00:00Z&to=2026-01-01T00:00:00Z"
    assert cloud.get(f"/api/teams/{olga.team}/usage?{backwards}", olga.key).ok()["usage"] == []
