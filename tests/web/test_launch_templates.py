"""Templates and keys in the launch form, all without a script: what is filled in is never lost."""

from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people.roles import MemberMode, Role
from forebay.storage.tables import deployments, offers, ssh_keys, volume_regions
from tests.api.cloud import DOLLAR, Cloud, Person, new_public_key
from tests.web.browser import Browser, Filled, with_session

FILLED = {
    "name": "train-{n}", "labels": "project=vision", "ports": "8888, 6006", "operatingSystem": "Debian 12",
    "autoStopMinutes": "30", "autoStopAction": "stop", "cloudInit": "#cloud-config\npackages: [git]\n",
}  # fmt: skip


@pytest.fixture
def pat(cloud: Cloud) -> Person:
    return cloud.person("Pat", credits_micros=1000 * DOLLAR)


def base_of(browser: Browser) -> str:
    return browser.get("/t").headers["location"]


def send(browser: Browser, form: str, action: str, **more: str) -> Any:
    """Press a button of the form: one that leads where the form does, or elsewhere."""
    return browser.post(action, Filled(browser.page.text, form).fields | more)


def templates(cloud: Cloud, person: Person, team: str | None = None) -> Any:
    found: Any = cloud.get(f"/api/teams/{team or person.team}/templates", person.key).ok()["templates"]
    return found


def holds(page: Any, *words: str) -> None:
    text = unescape(page.text)
    assert page.status_code < 500
    for word in words:
        assert word in text, word


def test_what_is_filled_in_is_saved_opened_replaced_renamed_and_deleted(cloud: Cloud, pat: Person) -> None:
    cloud.ssh_key(pat.team, pat)
    browser = with_session(cloud, pat)
    base = base_of(browser)
    form = f"{base}/deploy/new"
    assert "Templates" not in browser.get(f"{base}/deploy").text.partition('id="offers"')[0].partition("<main")[2]
    holds(browser.get(f"{base}/deploy/templates"), "No templates yet")
    browser.get(f"{form}?offerId=memory-small")
    saved = send(browser, form, f"{base}/deploy/templates", **FILLED, templateName="Nightly <b>")
    assert saved.status_code == 200, saved.text
    holds(saved, "Nightly <b> is saved: the team finds it on Deploy.", "project=vision", 'value="train-{n}"')
    twin = send(browser, form, f"{base}/deploy/templates", labels="a=b", templateName="nightly <B>")
    assert twin.status_code == 400
    holds(twin, "called 'Nightly <b>' already. Choose another name, or replace it.", "Replace “Nightly <b>”", "a=b")
    [template] = templates(cloud, pat)
    assert (template["labels"], template["ports"], template["autoStopMinutes"]) == (
        {"project": "vision"},
        [8888, 6006],
        30,
    )
    send(browser, form, f"{base}/deploy/templates", replace=template["id"])
    holds(browser.page, "Nightly <b> is replaced.")
    assert [each["labels"] for each in templates(cloud, pat)] == [{"a": "b"}]

    entries = browser.get(f"{base}/palette").json()["entries"]
    assert [each["name"] for each in entries if each["kind"] == "Template"] == ["Nightly <b>"]
    holds(browser.get(f"{base}/deploy"), "Nightly <b>", "$3.60", "never", f"?template={template['id']}")
    opened = browser.get(f"{form}?template={template['id']}")
    holds(opened, "From the template", 'value="train-{n}"', "train-1", "a=b", "8888, 6006", "- git", "Replace “Nightly")
    with cloud.database.read() as connection:
        assert connection.execute(sa.select(deployments.c.id).where(deployments.c.team_id == pat.team)).all() == []
    send(browser, form, form)
    assert browser.page.status_code == 303, browser.page.text
    [machine] = cloud.get(f"/api/deployments?teamId={pat.team}", pat.key).ok()
    assert (machine["name"], machine["labels"], machine["ports"]) == ("train-1", {"a": "b"}, [8888, 6006])
    assert templates(cloud, pat)[0]["lastUsedAt"] is not None
    kept = f"{base}/deploy/templates/new"
    holds(browser.get(f"{kept}?from={machine['id']}"), "cloud-init included")
    assert browser.submit(kept, name="Nightly <b>").status_code == 409
    holds(browser.page, "Choose another name.")
    browser.submit(kept, name="as it was")
    holds(browser.follow(), "as it was is saved")
    own = next(each for each in templates(cloud, pat) if each["name"] == "as it was")
    browser.get(f"{base}/deploy/templates/{own['id']}/rename")
    assert browser.submit(f"{base}/deploy/templates/{own['id']}/rename", name="").status_code == 400
    browser.submit(f"{base}/deploy/templates/{own['id']}/rename", name="another")
    holds(browser.follow(), "another is renamed")
    browser.get(f"{base}/deploy/templates/{own['id']}/delete")
    browser.submit(f"{base}/deploy/templates/{own['id']}/delete")
    holds(browser.follow(), "another is deleted")
    assert browser.get(f"{form}?template={own['id']}").status_code == 404


def test_a_template_that_is_deleted_meanwhile_stops_no_launch(cloud: Cloud, pat: Person) -> None:
    key = cloud.ssh_key(pat.team, pat)
    made = cloud.post(
        f"/api/teams/{pat.team}/templates", pat.key, {"name": "x", "offerId": "memory-small", "sshKeyId": key}
    ).ok(201)
    browser = with_session(cloud, pat)
    base = base_of(browser)
    browser.get(f"{base}/deploy/new?template={made['id']}")
    cloud.send("DELETE", f"/api/teams/{pat.team}/templates/{made['id']}", pat.key).ok()
    assert send(browser, f"{base}/deploy/new", f"{base}/deploy/new").status_code == 303, browser.page.text


def test_what_is_gone_is_said_beside_its_field(own_cloud: Cloud) -> None:
    cloud, pat = own_cloud, own_cloud.person("Pat", credits_micros=1000 * DOLLAR)
    key, data = cloud.ssh_key(pat.team, pat), cloud.volume(pat, name="data")
    body = {
        "name": "old", "offerId": "memory-small", "sshKeyId": key, "volumeIds": [data["id"]], "ports": [1],
        "cloudInit": {"runcmd": ["ls"]}, "labels": {"a": "b"}, "autoStopMinutes": 30,
    }  # fmt: skip
    made = cloud.post(f"/api/teams/{pat.team}/templates", pat.key, body).ok(201)
    machine = cloud.running(pat, name="holder", volumeIds=[data["id"]])
    cloud.send("DELETE", f"/api/ssh-keys/{key}", pat.key).ok()
    small = sa.update(offers).where(offers.c.id == "memory-small")
    with cloud.database.begin() as connection:
        connection.execute(sa.update(volume_regions).values(can_share=False))
        gone = {"supports_cloud_init": False, "supports_ports": False, "supports_pause": False}
        connection.execute(small.values(os_options=["Debian 13"], **gone))
    browser = with_session(cloud, pat)
    base = base_of(browser)
    form = f"{base}/deploy/new"
    page = browser.get(f"{form}?template={made['id']}")
    holds(
        page, "Debian 12 is not offered here any more. Another one is chosen here.", "The key a laptop was deleted",
        "The volume data is attached to holder now.", "This offer does not support cloud-init. It is left out.",
        "This offer can't expose ports. They are left out.", "Auto-stop is left out.", "a=b",
    )  # fmt: skip
    assert send(browser, form, form).status_code == 303, "what can't be there is left out"
    with cloud.database.begin() as connection:
        connection.execute(small.values(is_listed=False))
    for query in (f"template={made['id']}", f"again={machine['id']}"):
        holds(
            browser.get(f"{form}?{query}"), "The offer memory-small is not on the list any more", 'value="memory-gpu"'
        )
    holds(browser.get(f"{base}/deploy/templates"), "offer gone", "not on the list any more")
    browser.get(f"{form}?template={made['id']}")
    moved = send(browser, form, f"{base}/deploy/preview", labels="c=d", choose="memory-gpu")
    holds(moved, "c=d", "$36.00")
    assert Filled(moved.text, form).fields["offerId"] == "memory-gpu"
    assert send(browser, form, form).status_code == 303, browser.page.text


def test_a_key_is_added_where_one_launches(cloud: Cloud, pat: Person) -> None:
    browser = with_session(cloud, pat)
    base = base_of(browser)
    form, add = f"{base}/deploy/new", f"{base}/deploy/keys"
    browser.get(f"{form}?offerId=memory-small")
    for wrong, words in (
        (("nonsense", ""), "One line like the .pub file holds"),
        ((new_public_key(), "x\x07"), "1 to 120"),
    ):
        page = send(browser, form, add, **FILLED, newKey=wrong[0], newKeyName=wrong[1])
        assert page.status_code == 400
        holds(page, words, "project=vision", 'value="train-{n}"', "packages: [git]")
    private = send(browser, form, add, **FILLED, newKey="-----BEGIN OPENSSH PRIVATE KEY-----", newKeyName="")
    holds(private, "This is a private key")
    line = new_public_key()
    page = send(browser, form, add, **FILLED, newKey=line, newKeyName="my <i>laptop</i>")
    assert page.status_code == 200
    holds(page, "my <i>laptop</i> is added to the team, and chosen.", "project=vision", "packages: [git]")
    [key] = cloud.get(f"/api/ssh-keys?teamId={pat.team}", pat.key).ok()
    filled = Filled(page.text, form).fields
    assert (filled["sshKeyId"], filled["newKey"], filled["newKeyName"], filled["name"]) == (
        key["id"],
        "",
        "",
        "train-{n}",
    )
    assert [row.action for row in cloud.activity(pat.team)].count("ssh-key.add") == 1
    again = send(browser, form, add, sshKeyId="another", newKey=line)
    holds(again, "The team has this key already, as 'my <i>laptop</i>'. It is chosen.")
    assert Filled(again.text, form).fields["sshKeyId"] == key["id"]
    send(browser, form, form)
    assert browser.page.status_code == 303, browser.page.text
    with cloud.database.read() as connection:
        kept = connection.execute(sa.select(ssh_keys.c.is_temporary).where(ssh_keys.c.team_id == pat.team)).scalars()
        assert list(kept) == [False]


def test_who_may_not_is_told_who_may(cloud: Cloud, pat: Person) -> None:
    mia, rita = cloud.person("Mia"), cloud.person("Rita")
    reading = cloud.team(pat, mode=MemberMode.read_only)
    cloud.join(pat.team, mia, Role.member)
    cloud.join(reading, rita, Role.member)
    body = {"name": "Pat's", "offerId": "memory-small", "cloudInit": {"runcmd": ["a secret"]}}
    made = cloud.post(f"/api/teams/{pat.team}/templates", pat.key, body).ok(201)
    cloud.post(f"/api/teams/{reading}/templates", pat.key, body).ok(201)
    with cloud.database.read() as connection:
        slugs = {row.id: row.slug for row in connection.execute(sa.text("select id, slug from teams"))}
    theirs, looked = f"/t/{slugs[pat.team]}", f"/t/{slugs[reading]}"
    browser = with_session(cloud, mia)
    page = browser.get(f"{theirs}/deploy/new?template={made['id']}")
    holds(page, "Keys are added to the team by: owner, admin.", "a secret", "Save as a template")
    assert "Add this key" not in page.text
    assert "Replace “" not in page.text
    form = f"{theirs}/deploy/new"
    assert send(browser, form, f"{theirs}/deploy/keys", newKey=new_public_key()).status_code == 403
    browser.get(f"{form}?template={made['id']}")
    assert send(browser, form, f"{theirs}/deploy/templates", replace=made["id"]).status_code == 403
    browser.get(f"{form}?template={made['id']}")
    send(browser, form, f"{theirs}/deploy/templates", templateName="Mia's", sshKeyId="another")
    holds(browser.page, "Mia's is saved", "The key for this machine alone is not kept in it.")
    listed = browser.get(f"{theirs}/deploy/templates").text
    assert f"{made['id']}/delete" not in listed
    assert listed.count("/delete") == 1
    reader = with_session(cloud, rita)
    page = reader.get(f"{looked}/deploy/templates")
    holds(page, "Pat's", "$3.60")
    for word in ("a secret", "?template=", "/delete", "/rename"):
        assert word not in page.text + reader.get(f"{looked}/deploy").text
