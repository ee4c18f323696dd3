"""Templates of a team: saved, launched again, and told apart from what has become of what they name."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.machines.launch_templates import MOST_TEMPLATES
from forebay.domain.people.roles import MemberMode, Permission, Role
from forebay.storage.tables import launch_templates, offers, volume_regions
from tests.api.cloud import DOLLAR, Cloud, Person

pytestmark = pytest.mark.slow

SECRET = "export TOKEN=heron-by-the-lake"
FIRST_BOOT = {
    "packages": ["git"],
    "runcmd": [SECRET],
    "writeFiles": [{"path": "/etc/x", "content": "y", "owner": "", "permissions": "0600", "encoding": ""}],
}
FULL: dict[str, Any] = {
    "offerId": "memory-small",
    "operatingSystem": "Debian 12",
    "deploymentName": "train-{date}-{n}",
    "labels": {"project": "vision"},
    "ports": [8888],
    "terminateAfterMinutes": 480,
    "maxCost": 12.5,
    "autoStopMinutes": 30,
    "autoStopAction": "terminate",
    "cloudInit": FIRST_BOOT,
}


@pytest.fixture
def pat(cloud: Cloud) -> Person:
    return cloud.person("Pat", credits_micros=1000 * DOLLAR)


def path(team: str, template: Any = None) -> str:
    return f"/api/teams/{team}/templates" + ("" if template is None else f"/{template['id']}")


def save(cloud: Cloud, person: Person, name: str, **more: Any) -> Any:
    body = {"name": name, "offerId": "memory-small"} | more
    return cloud.post(path(person.team), person.key, body).ok(201)


def shown(cloud: Cloud, person: Person, template: Any) -> Any:
    return cloud.get(path(template["teamId"], template), person.key).ok()


def problems(found: Any) -> dict[str, str]:
    return {each["field"]: each["message"] for each in found["problems"]}


def test_what_is_saved_launches_again_as_it_stands(cloud: Cloud, pat: Person) -> None:
    key, volume = cloud.ssh_key(pat.team, pat), cloud.volume(pat, name="data")["id"]
    made = save(cloud, pat, " Nightly training ", **FULL, sshKeyId=key, volumeIds=[volume, volume])
    assert (made["name"], made["instanceType"], made["region"]) == ("Nightly training", "DEDICATED", "here")
    assert (made["lastUsedAt"], made["problems"], made["volumeIds"], made["hasCloudInit"]) == (None, [], [volume], True)
    whole = shown(cloud, pat, made)
    assert whole["cloudInit"] == FIRST_BOOT
    launch, today = whole["launch"], cloud.clock.now()
    assert launch["name"] == f"train-{today:%Y-%m-%d}-1"
    machine = cloud.post("/api/deployments", pat.key, launch).ok(201)
    for field in ("name", "labels", "ports", "maxCost", "autoStopMinutes", "autoStopAction", "terminateAt"):
        assert machine[field] == launch[field], field
    assert (machine["sshKeyId"], machine["volumeIds"], machine["hourlyRate"]) == (key, [volume], made["hourlyRate"])
    cloud.settle()
    spec = cloud.provider.machines[machine["id"]].spec
    assert spec.cloud_init is not None
    assert (spec.cloud_init.packages, spec.cloud_init.runcmd) == (("git",), (SECRET,))
    used = shown(cloud, pat, made)
    assert used["lastUsedAt"] == f"{today:%Y-%m-%dT%H:%M:%SZ}"
    assert used["launch"]["name"] == f"train-{today:%Y-%m-%d}-2"
    assert problems(used) == {}, "here a volume can be on several machines"
    rows = [row for row in cloud.activity(pat.team) if row.action.startswith(("template.", "deployment.launch"))]
    assert [row.action for row in rows] == ["template.create", "deployment.launch"]
    assert rows[1].details["template"] == "Nightly training"
    preview = cloud.post("/api/deployments/preview", pat.key, launch | {"templateId": "0" * 24}).ok()
    assert "UNKNOWN_TEMPLATE" in [each["code"] for each in preview["refusals"]]
    other = cloud.person("Other")
    stolen = cloud.order(other.team, cloud.ssh_key(other.team, other), templateId=made["id"])
    assert cloud.post("/api/deployments", other.key, stolen).json["code"] == "UNKNOWN_TEMPLATE"


def test_names_are_once_in_a_team_and_changes_are_whole(cloud: Cloud, pat: Person) -> None:
    made = save(cloud, pat, "Straße", **FULL)
    twin = cloud.post(path(pat.team), pat.key, {"name": "STRASSE", "offerId": "memory-small"})
    assert (twin.status, twin.json["code"], twin.json["details"]) == (
        409,
        "TEMPLATE_EXISTS",
        {"id": made["id"], "name": "Straße"},
    )
    other = save(cloud, pat, "other")
    here = path(pat.team, other)
    assert cloud.send("PATCH", here, pat.key, {"name": "strasse"}).status == 409
    assert cloud.send("PATCH", here, pat.key, {"name": "OTHER"}).ok()["name"] == "OTHER"
    changed = cloud.send("PATCH", here, pat.key, {"labels": {"a": "b"}, "maxCost": 3, "ports": [1]}).ok()
    assert (changed["labels"], changed["maxCost"], changed["ports"]) == ({"a": "b"}, 3, [1])
    moved = cloud.send("PATCH", here, pat.key, {"offerId": "memory-gpu", "labels": None, "ports": None}).ok()
    assert (moved["gpuCount"], moved["labels"], moved["ports"], moved["maxCost"]) == (1, {}, [], 3)
    for wrong in ({}, {"name": ""}, {"offerId": "none"}, {"autoStopAction": "stop"}, {"region": "there"}):
        refused = cloud.send("PATCH", here, pat.key, wrong)
        assert (refused.status, shown(cloud, pat, other)["maxCost"]) == (400, 3), wrong
    assert [each["name"] for each in cloud.get(path(pat.team), pat.key).ok()["templates"]] == ["OTHER", "Straße"]
    cloud.send("DELETE", here, pat.key).ok()
    assert cloud.get(here, pat.key).status == 404
    assert cloud.send("DELETE", here, pat.key).status == 404
    changes = [row.details for row in cloud.activity(pat.team) if row.action == "template.change"]
    assert changes[1]["changed"] == ["labels", "max_cost_micros", "ports"]


WRONG: tuple[tuple[Any, str], ...] = (
    ({"offerId": "none"}, "offerId"), ({"offerId": None}, "offerId"), ({"name": "x" * 61}, "name"),
    ({"name": "a\u200bb"}, "name"), ({"operatingSystem": "Plan 9"}, "operatingSystem"),
    ({"region": "there"}, "region"), ({"instanceType": "SPOT"}, "instanceType"),
    ({"sshKeyId": "0" * 24}, "sshKeyId"), ({"deploymentName": ""}, "deploymentName"),
    ({"deploymentName": "x" * 61}, "deploymentName"), ({"deploymentName": "x" * 53 + "{date}"}, "deploymentName"),
    ({"labels": {"": "x"}}, "labels"), ({"ports": [22]}, "ports"), ({"autoStopAction": "stop"}, "autoStopAction"),
    ({"terminateAfterMinutes": 0}, "terminateAfterMinutes"), ({"maxCost": -1}, "maxCost"),
    ({"cloudInit": {"users": []}}, "cloudInit"), ({"volumeIds": ["x"] * 101}, "volumeIds"),
)  # fmt: skip


def test_what_can_not_be_meant_is_refused_beside_its_field(cloud: Cloud) -> None:
    pat = cloud.person()
    for wrong, field in WRONG:
        refused = cloud.post(path(pat.team), pat.key, {"name": "x", "offerId": "memory-small"} | wrong)
        assert (refused.status, field in refused.json["details"]) == (400, True), (wrong, refused.json)
    strange = {"name": "x", "offerId": "memory-small", "volumeIds": ["0" * 24]}
    assert cloud.post(path(pat.team), pat.key, strange).status == 404
    assert cloud.get(path(pat.team), pat.key).ok() == {"templates": []}


def test_a_machine_that_there_was_is_saved_as_it_was(cloud: Cloud, pat: Person) -> None:
    volume = cloud.volume(pat)["id"]
    at = f"{cloud.clock.now() + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    order: dict[str, Any] = {
        "cloudInit": FIRST_BOOT, "labels": {"a": "b"}, "ports": [80], "volumeIds": [volume], "maxCost": 5,
        "terminateAt": at,
    }  # fmt: skip
    machine = cloud.running(pat, **order)["id"]
    cloud.clock.forward(hours=1)
    cloud.send("DELETE", f"/api/deployments/{machine}", pat.key).ok()
    cloud.settle()
    made = cloud.post(path(pat.team), pat.key, {"name": "again", "deploymentId": machine, "maxCost": None}).ok(201)
    assert (made["terminateAfterMinutes"], made["maxCost"], made["ports"]) == (120, None, [80])
    assert (made["labels"], made["volumeIds"], problems(made)) == ({"a": "b"}, [volume], {})
    assert shown(cloud, pat, made)["cloudInit"] == FIRST_BOOT
    other = cloud.person()
    assert cloud.post(path(other.team), other.key, {"name": "x", "deploymentId": machine}).status == 404


def test_what_is_gone_is_said_in_words_and_the_rest_stays(own_cloud: Cloud) -> None:
    cloud, pat = own_cloud, own_cloud.person("Pat", credits_micros=1000 * DOLLAR)
    key, lost, data = cloud.ssh_key(pat.team, pat), cloud.volume(pat, name="lost"), cloud.volume(pat, name="data")
    made = save(cloud, pat, "old", **FULL, sshKeyId=key, volumeIds=[lost["id"], data["id"]])
    holder = cloud.running(pat, name="holder", volumeIds=[data["id"]])
    cloud.send("DELETE", f"/api/volumes/{lost['id']}", pat.key).ok()
    cloud.send("DELETE", f"/api/ssh-keys/{key}", pat.key).ok()
    with cloud.database.begin() as connection:
        connection.execute(sa.update(volume_regions).values(can_share=False))
        of_it = sa.update(offers).where(offers.c.id == "memory-small")
        connection.execute(of_it.values(os_options=["Debian 13"], supports_cloud_init=False, supports_ports=False))
    found = shown(cloud, pat, made)
    assert set(problems(found)) == {"operatingSystem", "cloudInit", "ports", "sshKeyId", "volumeIds"}
    assert problems(found)["volumeIds"] == "The volume lost was deleted. The volume data is attached to holder now."
    assert "was deleted from the team" in problems(found)["sshKeyId"]
    refused = cloud.post("/api/deployments", pat.key, found["launch"])
    assert (refused.status, refused.json["code"]) == (400, "OFFER_MISMATCH")
    with cloud.database.begin() as connection:
        connection.execute(sa.update(offers).where(offers.c.id == "memory-small").values(is_listed=False))
    found = shown(cloud, pat, made)
    assert (found["hourlyRate"], found["inStock"], found["gpuType"]) == (None, 0, made["gpuType"])
    assert cloud.post("/api/deployments", pat.key, found["launch"]).json["code"] == "UNKNOWN_OFFER"
    assert set(problems(found)) == {"offerId", "sshKeyId", "volumeIds"}
    here = path(pat.team, made)
    assert cloud.send("PATCH", here, pat.key, {"name": "older", "labels": {}}).ok()["name"] == "older"
    mended = cloud.send("PATCH", here, pat.key, {"offerId": "memory-gpu", "sshKeyId": None, "volumeIds": []}).ok()
    assert mended["problems"] == []
    again = cloud.post(path(pat.team), pat.key, {"name": "of it", "deploymentId": holder["id"]}).ok(201)
    assert set(problems(again)) == {"offerId", "volumeIds"}


def test_first_boot_is_for_those_who_may_launch(cloud: Cloud, pat: Person) -> None:
    rita, mia = cloud.person("Rita"), cloud.person("Mia")
    reading = cloud.team(pat, mode=MemberMode.read_only)
    for team, person in ((reading, rita), (pat.team, mia)):
        cloud.join(team, person, Role.member)
    body = {"name": "secret", **FULL}
    made = cloud.post(path(reading), pat.key, body).ok(201)
    found = shown(cloud, rita, made)
    assert (found["hasCloudInit"], found["cloudInit"], found["launch"]) == (True, None, None)
    looking = cloud.key(pat.id, reading, permissions=[Permission.see])
    assert cloud.get(path(reading, made), looking).ok()["cloudInit"] is None
    mine = cloud.post(path(pat.team), pat.key, body).ok(201)
    assert shown(cloud, mia, mine)["cloudInit"] == FIRST_BOOT
    refused = cloud.send("PATCH", path(pat.team, mine), mia.key, {"name": "mine"})
    assert (refused.status, refused.json["details"]["permission"]) == (403, "templates.manage")
    theirs = cloud.post(path(pat.team), mia.key, {"name": "Mia's", "offerId": "memory-small"}).ok(201)
    cloud.send("PATCH", path(pat.team, theirs), pat.key, {"cloudInit": FIRST_BOOT}).ok()
    kept = [str(cloud.get("/api/me/export", pat.session).ok()), str(cloud.activity(pat.team))]
    for text in (*kept, str(cloud.get(path(pat.team), mia.key).ok())):
        assert "secret" in text
        assert "heron-by-the-lake" not in text
    cloud.leave(pat.team, mia)
    assert cloud.send("DELETE", path(pat.team, theirs), mia.key).status == 404
    assert [each["id"] for each in cloud.get(path(pat.team), pat.key).ok()["templates"]] == [theirs["id"], mine["id"]]


def test_a_hundred_are_the_most_and_one_name_is_won_once(cloud: Cloud) -> None:
    pat = cloud.person(credits_micros=0)
    body = {"name": "won", "offerId": "memory-small"}
    answers = cloud.at_once([cloud.request("POST", path(pat.team), pat.key, body) for _ in range(6)])
    assert sorted(answer.status for answer in answers) == [201, *[409] * 5]
    with cloud.database.begin() as connection:
        [row] = connection.execute(sa.select(launch_templates).where(launch_templates.c.team_id == pat.team)).mappings()
        for number in range(1, MOST_TEMPLATES - 1):
            more = {"id": f"{number:024x}", "name": f"t{number}", "name_key": f"t{number}"}
            connection.execute(sa.insert(launch_templates).values(**(dict(row) | more)))
    last = [{"name": f"last-{number}", "offerId": "memory-small"} for number in range(6)]
    answers = cloud.at_once([cloud.request("POST", path(pat.team), pat.key, body) for body in last])
    assert sorted(answer.status for answer in answers) == [201, *[409] * 5]
    assert {answer.json["code"] for answer in answers if answer.status == 409} == {"TOO_MANY_TEMPLATES"}
    assert len(cloud.get(path(pat.team), pat.key).ok()["templates"]) == MOST_TEMPLATES
    renames = [
        cloud.request("PATCH", path(pat.team, {"id": f"{number:024x}"}), pat.key, {"name": "Same"})
        for number in (1, 2, 3)
    ]
    assert sorted(answer.status for answer in cloud.at_once(renames)) == [200, 409, 409]
    cloud.send("DELETE", f"/api/teams/{pat.team}", pat.session).ok()
    with cloud.database.read() as connection:
        mine = sa.select(launch_templates.c.id).where(launch_templates.c.team_id == pat.team)
        assert connection.execute(mine).all() == []
