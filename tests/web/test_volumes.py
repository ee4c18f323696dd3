"""Volumes in the dashboard: made, grown, put on a machine and taken off, deleted."""

import re

from forebay.domain.people.roles import MemberMode, Role
from tests.api.cloud import Cloud
from tests.web.browser import with_session


def test_a_volume_from_its_making_to_its_end(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    machine = cloud.running(olga, name="trainer")
    browser = with_session(cloud, olga)
    base = browser.get("/t").headers["location"]
    assert "No volumes yet" in browser.get(f"{base}/volumes").text
    for field, value, words in (
        ("name", "Not This", "1 to 60 lowercase letters"),
        ("sizeInGb", "1.5", "A whole number of GB"),
        ("sizeInGb", "5000000", "GB in Here"),
        ("region", "memory/there", "Must be one of"),
    ):
        browser.get(f"{base}/volumes/create")
        fields = {"name": "datasets", "sizeInGb": "10", "region": "memory/here", field: value}
        page = browser.submit(f"{base}/volumes/create", **fields)
        assert (page.status_code, words in page.text) == (400, True), page.text
    browser.get(f"{base}/volumes/create")
    browser.submit(f"{base}/volumes/create", name="datasets", sizeInGb="10", region="memory/here")
    assert "datasets is being made" in browser.follow().text
    cloud.run("volumes")
    text = browser.get(f"{base}/volumes").text
    [here] = set(re.findall(rf"({base}/volumes/\w{{24}})/change", text))
    browser.get(f"{here}/change")
    shrunk = browser.submit(f"{here}/change", name="datasets", sizeInGb="5")
    assert (shrunk.status_code, "volumes only grow" in shrunk.text) == (400, True)
    browser.get(f"{here}/change")
    browser.submit(f"{here}/change", name="datasets-2", sizeInGb="20")
    cloud.run("volumes")
    assert "of 20 GB" in browser.get(f"{base}/volumes").text

    assert "trainer" in browser.get(f"{here}/attach").text
    browser.submit(f"{here}/attach", deploymentId=machine["id"])
    cloud.run("volumes")
    text = browser.get(f"{base}/volumes").text
    assert f"{here}/detach?deploymentId={machine['id']}" in text
    assert "/mnt/datasets-2" in browser.get(f"{base}/deployments/{machine['id']}").text
    browser.get(f"{here}/delete")
    busy = browser.submit(f"{here}/delete", confirm="datasets-2")
    assert busy.status_code == 409
    cloud.provider.write(here.rpartition("/")[2], 20 * 1024**3 - 1)
    browser.get(f"{here}/detach?deploymentId={machine['id']}")
    browser.submit(f"{here}/detach")
    cloud.run("volumes")
    assert "20 GB of 20 GB" in browser.get(f"{base}/volumes").text
    assert "datasets-2</strong>, 20 GB, is lost" in browser.get(f"{here}/delete").text
    assert browser.submit(f"{here}/delete", confirm="no").status_code == 400
    browser.get(f"{here}/delete")
    browser.submit(f"{here}/delete", confirm="datasets-2")
    assert "is deleted" in browser.follow().text
    cloud.run("volumes")
    assert "No volumes yet" in browser.get(f"{base}/volumes").text


def test_what_members_see(cloud: Cloud) -> None:
    olga, rita = cloud.person("Olga"), cloud.person("Rita")
    team = cloud.team(olga, mode=MemberMode.read_only, credits_micros=50_000_000)
    cloud.join(team, rita, Role.member)
    order = {"teamId": team, "provider": "memory", "name": "shared", "sizeInGb": 5}
    made = cloud.post("/api/volumes", olga.key, order).ok(201)["id"]
    cloud.run("volumes")
    reader = with_session(cloud, rita)
    slug = next(one["slug"] for one in cloud.get("/api/teams", rita.key).ok()["teams"] if one["id"] == team)
    page = reader.get(f"/t/{slug}/volumes").text
    assert "shared" in page
    assert made not in page, "no button that answers 403"
    assert reader.get(f"/t/{slug}/volumes/{made}/delete").status_code == 403
    assert reader.get(f"/t/{slug}/volumes/{'0' * 24}/attach").status_code == 403
    assert with_session(cloud, olga).get(f"/t/{slug}/volumes/{'0' * 24}/attach").status_code == 404
