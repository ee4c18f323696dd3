"""`/api/volumes`, and volumes in launches: what clients send and expect, and what the books say of it."""

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from forebay.domain.machines import audit as machine_audit
from forebay.domain.money import audit
from forebay.domain.people.roles import Role
from forebay.storage.tables import segments
from tests.api.cloud import ABSENT, DOLLAR, Cloud, Person

FIELDS = {
    "id", "volumeId", "name", "providerId", "region", "sizeInGb", "usedCapacityBytes", "status", "hourlyRate",
    "attachedToDeploymentIds", "teamId", "createdAt", "createdBy", "attachments", "error",
}  # fmt: skip
WEEK = 7 * 24
GB_HOUR = 0.0036
"""Dollars an hour for a GB, of the provider that these tests have."""


def volume(cloud: Cloud, person: Person, volume_id: str) -> Any:
    return cloud.get(f"/api/volumes/{volume_id}", person.key).ok()


def attach(cloud: Cloud, person: Person, volume_id: str, machine: str) -> Any:
    cloud.post(f"/api/volumes/{volume_id}/attach", person.key, {"deploymentId": machine}).ok()
    cloud.settle()
    return volume(cloud, person, volume_id)


def charged(cloud: Cloud, volume_id: str) -> list[tuple[int, bool]]:
    """Rate of each segment, and whether it is open, in the order of time."""
    with cloud.database.read() as connection:
        rows = connection.execute(
            sa.select(segments.c.rate_micros, segments.c.ended_at, segments.c.resource_type)
            .where(segments.c.resource_id == volume_id)
            .order_by(segments.c.started_at, segments.c.id)
        ).all()
    assert {row.resource_type for row in rows} <= {"storage"}
    return [(row.rate_micros, row.ended_at is None) for row in rows]


def violations(cloud: Cloud) -> list[Any]:
    with audit.snapshot(cloud.database) as connection:
        return list(machine_audit.run(connection))


def test_a_volume_from_its_making_to_its_end(cloud: Cloud) -> None:
    pat = cloud.person()
    body = {"name": "data", "sizeInGb": 10, "provider": "memory", "region": "here", "cloudId": "any"}
    made = cloud.post("/api/volumes", pat.key, body, retry="once").ok(201)
    assert set(made) == FIELDS
    assert (made["status"], made["providerId"], made["region"], made["sizeInGb"]) == ("creating", "memory", "here", 10)
    assert (made["id"], made["teamId"], made["createdBy"]) == (made["volumeId"], pat.team, pat.id)
    assert made["hourlyRate"] == 10 * GB_HOUR
    assert cloud.post("/api/volumes", pat.key, body, retry="once").ok(201) == made
    assert charged(cloud, made["id"]) == []
    cloud.settle()
    assert volume(cloud, pat, made["id"]) == made | {"status": "available"}
    assert charged(cloud, made["id"]) == [(36_000, True)]
    cloud.clock.forward(hours=1)
    cloud.provider.write(made["id"], 4096)
    cloud.run("cycle")
    assert volume(cloud, pat, made["id"])["usedCapacityBytes"] == 4096
    grown = cloud.send("PATCH", f"/api/volumes/{made['id']}", pat.key, {"name": "more", "sizeInGb": 20}).ok()
    assert (grown["name"], grown["sizeInGb"], grown["hourlyRate"]) == ("more", 20, 20 * GB_HOUR)
    assert charged(cloud, made["id"]) == [(36_000, True)]
    cloud.settle()
    assert charged(cloud, made["id"]) == [(36_000, False), (72_000, True)]
    cloud.clock.forward(hours=1)
    cloud.run("cycle")
    assert cloud.send("DELETE", f"/api/volumes/{made['id']}", pat.key).ok() == {"success": True}
    assert volume(cloud, pat, made["id"])["status"] == "deleting"
    assert charged(cloud, made["id"]) == [(36_000, False), (72_000, False)]
    cloud.settle()
    assert volume(cloud, pat, made["id"])["status"] == "deleted"
    cloud.send("DELETE", f"/api/volumes/{made['id']}", pat.key).refused(409, "VOLUME_ENDED")
    assert cloud.provider.volumes.get(made["id"]) is None
    found = cloud.get(f"/api/teams/{pat.team}/usage?groupBy=volume", pat.key).ok()["usage"]
    assert [(each["key"], each["name"], each["storageCost"]) for each in found] == [(made["id"], "more", 0.108)]
    by_person = cloud.get(f"/api/teams/{pat.team}/usage?groupBy=member", pat.key).ok()["usage"]
    assert [(each["key"], each["storageCost"]) for each in by_person] == [(pat.id, 0.108)]
    assert [row.action for row in cloud.activity(pat.team) if row.object_type == "volume"] == [
        "volume.create", "volume.rename", "volume.grow", "volume.delete",
    ]  # fmt: skip
    assert [each["name"] for each in cloud.get("/api/me/export", cloud.session(pat.id)).ok()["volumes"]] == ["more"]
    assert violations(cloud) == []


def test_on_machines_while_they_run_and_from_their_launch(cloud: Cloud) -> None:
    pat = cloud.person()
    first, second = cloud.volume(pat), cloud.volume(pat)
    one = cloud.running(pat, volumeIds=[first["id"]])
    two = cloud.running(pat, volumeIds=[first["id"], second["id"], first["id"]])
    assert (one["volumeIds"], two["volumeIds"]) == ([first["id"]], sorted([first["id"], second["id"]]))
    assert cloud.provider.machines[one["id"]].spec.volumes[0].name == first["name"]
    found = volume(cloud, pat, first["id"])
    assert (found["status"], found["attachedToDeploymentIds"]) == ("attached", [one["id"], two["id"]])
    assert found["attachments"][0] == {
        "deploymentId": one["id"], "path": f"/mnt/{first['name']}", "status": "attached",
    }  # fmt: skip
    assert attach(cloud, pat, second["id"], one["id"])["attachedToDeploymentIds"] == [two["id"], one["id"]]
    asked = cloud.post(f"/api/volumes/{second['id']}/detach", pat.key, {"deploymentId": two["id"]}).ok()
    assert (asked["attachedToDeploymentIds"], asked["status"]) == ([one["id"]], "attached")
    cloud.settle()
    kinds = [each["kind"] for each in cloud.get(f"/api/deployments/{two['id']}/events", pat.key).ok()["events"]]
    assert "volume-detached" in kinds
    delete = f"/api/volumes/{first['id']}"
    cloud.send("DELETE", delete, pat.key).refused(409, "VOLUME_ATTACHED")
    cloud.send("DELETE", f"/api/deployments/{one['id']}", pat.key).ok()
    cloud.send("DELETE", delete, pat.key).refused(409, "VOLUME_ATTACHED")
    cloud.settle()
    assert volume(cloud, pat, first["id"])["attachedToDeploymentIds"] == [two["id"]]
    assert volume(cloud, pat, second["id"])["status"] == "available"
    # A machine that is ending keeps nothing from its volume.
    cloud.send("DELETE", f"/api/deployments/{two['id']}", pat.key).ok()
    cloud.send("DELETE", delete, pat.key).ok()
    cloud.settle()
    assert volume(cloud, pat, first["id"])["status"] == "deleted"
    three = cloud.running(pat)
    with_machine = cloud.volume(pat, deploymentId=three["id"])
    assert (with_machine["status"], with_machine["attachedToDeploymentIds"]) == ("attached", [three["id"]])
    assert violations(cloud) == []


def test_a_volume_in_use_stays_and_says_so(cloud: Cloud) -> None:
    pat = cloud.person()
    machine = cloud.running(pat)["id"]
    made = cloud.volume(pat, deploymentId=machine)
    cloud.provider.use_volume(made["id"])
    path, body = f"/api/volumes/{made['id']}/detach", {"deploymentId": machine}
    cloud.post(path, pat.key, body).ok()
    cloud.settle()
    cloud.post(f"/api/volumes/{made['id']}/attach", pat.key, body).refused(409, "VOLUME_DETACHING")
    cloud.send("DELETE", f"/api/volumes/{made['id']}", pat.key).refused(409, "VOLUME_ATTACHED")
    cloud.clock.forward(seconds=11)
    cloud.settle()
    found = volume(cloud, pat, made["id"])
    assert (found["status"], found["attachedToDeploymentIds"]) == ("attached", [machine])
    assert "uses /mnt/" in found["error"]
    events = cloud.get(f"/api/deployments/{machine}/events", pat.key).ok()["events"]
    assert events[0]["kind"] == "volume-busy"
    cloud.provider.use_volume(made["id"], is_in_use=False)
    cloud.post(path, pat.key, body).ok()
    cloud.settle()
    found = volume(cloud, pat, made["id"])
    assert (found["status"], found["attachments"], found["error"]) == ("available", [], None)


def test_what_can_not_be_is_refused_with_the_reason(cloud: Cloud) -> None:
    pat, other = cloud.person(), cloud.person()
    made, machine = cloud.volume(pat), cloud.running(pat)["id"]
    body = {"name": "data", "sizeInGb": 10, "provider": "memory"}
    for wrong, field in (
        ({"name": "Data"}, "name"),
        ({"name": "a/../b"}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"sizeInGb": 0}, "sizeInGb"),
        ({"sizeInGb": 1001}, "sizeInGb"),
        ({"sizeInGb": "10"}, "sizeInGb"),
        ({"provider": "nobody"}, "provider"),
        ({"region": "nowhere"}, "region"),
    ):
        refused = cloud.post("/api/volumes", pat.key, body | wrong)
        assert field in refused.refused(400, refused.json["code"])["details"]
    cloud.post("/api/volumes", pat.key, body | {"name": made["name"]}).refused(409, "VOLUME_NAME_TAKEN")
    for theirs in ({"deploymentId": ABSENT}, {"deploymentId": cloud.running(other)["id"]}, {"teamId": other.team}):
        cloud.post("/api/volumes", pat.key, body | theirs).refused(404, "NOT_FOUND")
    path = f"/api/volumes/{made['id']}"
    cloud.send("PATCH", path, pat.key, {"sizeInGb": 9}).refused(400, "VOLUME_SHRINKS")
    cloud.send("PATCH", path, pat.key, {"name": cloud.volume(pat)["name"]}).refused(409, "VOLUME_NAME_TAKEN")
    assert cloud.send("PATCH", path, pat.key, {"sizeInGb": 10, "name": made["name"]}).ok() == made
    cloud.post(f"{path}/attach", pat.key, {"deploymentId": ABSENT}).refused(404, "NOT_FOUND")
    cloud.post(f"{path}/attach", pat.key, {}).refused(400, "VALIDATION_ERROR")
    cloud.post(f"{path}/detach", pat.key, {"deploymentId": machine}).refused(409, "VOLUME_NOT_ATTACHED")
    cloud.get("/api/volumes?status=lost", pat.key).refused(400, "VALIDATION_ERROR")
    order = cloud.order(pat.team, cloud.ssh_key(pat.team, pat), volumeIds=[made["id"]])
    preview = cloud.post("/api/deployments/preview", pat.key, order).ok()
    assert (preview["canLaunch"], preview["volumesCost"]["perHour"]) == (True, 10 * GB_HOUR)
    for missing in (ABSENT, cloud.volume(other)["id"]):
        order = cloud.order(pat.team, cloud.ssh_key(pat.team, pat), volumeIds=[missing])
        cloud.post("/api/deployments", pat.key, order).refused(404, "NOT_FOUND")
        preview = cloud.post("/api/deployments/preview", pat.key, order).ok()
        assert [each["code"] for each in preview["refusals"]] == ["NOT_FOUND"]
        cloud.get(f"/api/volumes/{missing}", pat.key).refused(404, "NOT_FOUND")
    cloud.send("DELETE", f"/api/deployments/{machine}", pat.key).ok()
    cloud.post(f"{path}/attach", pat.key, {"deploymentId": machine}).refused(409, "MACHINE_ENDED")


def test_a_week_of_credits_and_an_unfrozen_team_are_needed(cloud: Cloud) -> None:
    week_micros = 10 * 3600 * WEEK
    pat = cloud.person(credits_micros=week_micros - 1)
    operator = cloud.person(is_operator=True)
    body = {"name": "data", "sizeInGb": 10, "provider": "memory"}
    refused = cloud.post("/api/volumes", pat.key, body).refused(402, "INSUFFICIENT_BALANCE")
    assert refused["details"]["required"] == pytest.approx(week_micros / DOLLAR)
    cloud.grant(pat.team, 1)
    made = cloud.volume(pat)
    path = f"/api/volumes/{made['id']}"
    cloud.send("PATCH", path, pat.key, {"sizeInGb": 11}).refused(402, "INSUFFICIENT_BALANCE")
    cloud.grant(pat.team, 10 * DOLLAR)
    cloud.post(f"/api/operator/teams/{pat.team}/freeze", operator.session, {"reason": "x"}).ok()
    cloud.send("PATCH", path, pat.key, {"sizeInGb": 11}).refused(403, "TEAM_FROZEN")
    cloud.post("/api/volumes", pat.key, body | {"name": "more"}).refused(403, "TEAM_FROZEN")
    cloud.send("PATCH", path, pat.key, {"name": "renamed"}).ok()
    assert violations(cloud) == []


def test_one_name_and_the_last_room_go_to_one_of_many(own_cloud: Cloud) -> None:
    cloud = own_cloud
    people = [cloud.person(credits_micros=1000 * DOLLAR) for _ in range(4)]
    body = {"name": "data", "sizeInGb": 10, "provider": "memory"}
    same = cloud.at_once([cloud.request("POST", "/api/volumes", people[0].key, body) for _ in range(6)])
    assert sorted(answer.status for answer in same) == [201] + [409] * 5
    [region] = cloud.provider.all_regions
    cloud.provider.all_regions = (msgspec.structs.replace(region, total_gb=45),)
    cloud.run("offers")
    each = [cloud.request("POST", "/api/volumes", person.key, body | {"name": "more"}) for person in people]
    answers = cloud.at_once(each)
    assert sorted(answer.status for answer in answers) == [201, 201, 201, 400]
    assert next(answer for answer in answers if answer.status == 400).json["code"] == "NOT_ENOUGH_STOCK"
    cloud.settle()
    assert violations(cloud) == []


def test_lists_are_of_one_team_in_pages_and_by_status(cloud: Cloud) -> None:
    pat = cloud.person()
    other = cloud.team(pat, credits_micros=100 * DOLLAR)
    made = [cloud.volume(pat, size=1)["id"] for _ in range(3)]
    there = cloud.volume(pat, other)["id"]
    machine = cloud.running(pat)["id"]
    attach(cloud, pat, made[0], machine)
    cloud.send("DELETE", f"/api/volumes/{made[1]}", pat.key).ok()
    cloud.settle()

    def listed(query: str) -> list[str]:
        return [each["id"] for each in cloud.get(f"/api/volumes{query}", pat.key).ok()["volumes"]]

    page = cloud.get("/api/volumes?limit=1&page=2", pat.key).ok()
    assert {name: page[name] for name in ("total", "page", "limit", "totalPages")} == {
        "total": 2, "page": 2, "limit": 1, "totalPages": 2,
    }  # fmt: skip
    assert [each["id"] for each in page["volumes"]] == [made[0]]
    assert listed("") == [made[2], made[0]]
    assert listed("?status=attached") == [made[0]]
    assert listed("?status=available") == [made[2]]
    assert listed("?status=deleted") == [made[1]]
    assert listed(f"?teamId={other}") == [there]


def test_prices_and_regions(cloud: Cloud) -> None:
    pat = cloud.person()
    assert cloud.get("/api/volumes/pricing?provider=memory&region=here", pat.key).ok() == {
        "provider": "memory", "hourlyRatePerGb": GB_HOUR,
    }  # fmt: skip
    cloud.get("/api/volumes/pricing?provider=nobody", pat.key).refused(404, "NOT_FOUND")
    found = cloud.get("/api/volumes/regions?provider=memory", pat.key).ok()
    assert found["hasAnyOffers"]
    assert found["regions"] == [
        {
            "id": "here", "name": "Here", "hasGpuOffers": True, "minSizeGb": 1, "maxSizeGb": 1000,
            "hourlyRatePerGb": GB_HOUR, "provider": "memory", "canGrow": True, "canShare": True,
        }
    ]  # fmt: skip
    assert cloud.get("/api/volumes/regions?provider=nobody", pat.key).ok() == {"hasAnyOffers": False, "regions": []}


def test_members_attach_to_what_is_theirs_and_change_no_volume(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia")
    cloud.join(olga.team, mia, Role.member)
    made = cloud.volume(olga)
    theirs, mine = cloud.running(olga)["id"], cloud.running(mia, olga.team, volumeIds=[made["id"]])["id"]
    for verb, machine in (("attach", theirs), ("detach", theirs)):
        cloud.post(f"/api/volumes/{made['id']}/{verb}", mia.key, {"deploymentId": machine}).refused(403, "FORBIDDEN")
    cloud.post(f"/api/volumes/{made['id']}/detach", mia.key, {"deploymentId": mine}).ok()
    cloud.send("DELETE", f"/api/volumes/{made['id']}", mia.key).refused(403, "FORBIDDEN")
    body = {"name": "x", "sizeInGb": 1, "provider": "memory", "teamId": olga.team}
    cloud.post("/api/volumes", mia.key, body).refused(403, "FORBIDDEN")


def test_a_team_with_a_volume_stays(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    team = cloud.team(olga, credits_micros=100 * DOLLAR)
    made = cloud.volume(olga, team)["id"]
    path = f"/api/teams/{team}?giveUpCredits=100.00"
    cloud.send("DELETE", f"/api/volumes/{made}", olga.key).ok()
    refused = cloud.send("DELETE", path, olga.session).refused(409, "TEAM_IN_USE")
    assert [each["id"] for each in refused["details"]["teams"][0]["volumes"]] == [made]
    cloud.settle()
    cloud.send("DELETE", path, olga.session).ok()
