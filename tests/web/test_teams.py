"""A team in the dashboard: made, joined, its roles changed, left and ended; and its SSH keys."""

import re

import pytest
import sqlalchemy as sa

from forebay.domain.people.roles import Role
from forebay.storage.tables import memberships, ssh_keys, teams
from tests.api.cloud import DOLLAR, Cloud, Person, new_public_key
from tests.web.browser import Browser, link_to, with_session


@pytest.fixture
def olga(cloud: Cloud) -> Person:
    return cloud.person("Olga", credits_micros=0)


def role_of(cloud: Cloud, team: str, person: Person) -> str | None:
    with cloud.database.read() as connection:
        return connection.execute(
            sa.select(memberships.c.role).where(memberships.c.team_id == team, memberships.c.user_id == person.id)
        ).scalar()


def team_at(cloud: Cloud, base: str) -> str:
    with cloud.database.read() as connection:
        return str(connection.execute(sa.select(teams.c.id).where(teams.c.slug == base.split("/")[2])).scalar_one())


def test_a_team_from_its_beginning_to_its_end(cloud: Cloud, olga: Person) -> None:
    mia = cloud.person("Mia")
    browser = with_session(cloud, olga)
    browser.get("/teams/new")
    refused = browser.submit("/teams/new", name="www.evil.example", memberMode="deploy-only")
    assert (refused.status_code, 'id="name-problem"' in refused.text) == (400, True)
    browser.submit("/teams/new", name="Robotics", memberMode="read-only")
    base = browser.page.headers["location"]
    assert "The team is made, and yours" in browser.follow().text
    team = team_at(cloud, base)

    browser.get(f"{base}/team/invite")
    assert browser.submit(f"{base}/team/invite", email="no address", role="member").status_code == 400
    browser.submit(f"{base}/team/invite", email=mia.email, role="member")
    assert f"{mia.email} is invited" in browser.follow().text
    browser.get(f"{base}/team/invite")
    twice = browser.submit(f"{base}/team/invite", email=mia.email, role="member")
    assert (twice.status_code, "invited already" in twice.text) == (409, True)
    first = link_to(cloud, mia.email, "invitations")
    [resend] = re.findall(rf'action="({base}/team/invitations/\w+/resend)"', browser.get(f"{base}/team").text)
    browser.submit(resend)
    second = link_to(cloud, mia.email, "invitations")
    assert first != second
    theirs = with_session(cloud, mia)
    theirs.get(second)
    theirs.submit("/invitations/accept")
    assert "accepted" in browser.get(f"{base}/team").text

    browser.get(f"{base}/team/members/{mia.id}/role")
    browser.submit(f"{base}/team/members/{mia.id}/role", role="admin")
    assert role_of(cloud, team, mia) == "admin"
    browser.get(f"{base}/team/members/{olga.id}/role")
    last = browser.submit(f"{base}/team/members/{olga.id}/role", role="member")
    assert (last.status_code, role_of(cloud, team, olga)) == (409, "owner")

    browser.get(f"{base}/team/mode")
    browser.submit(f"{base}/team/mode", memberMode="deploy-only")
    browser.get(f"{base}/team/rename")
    browser.submit(f"{base}/team/rename", name="Robots & Co")
    assert "Robots &amp; Co" in browser.follow().text
    assert "renamed the team" in browser.get(f"{base}/team/activity").text
    filtered = browser.get(f"{base}/team/activity?action=invitation.&userId={mia.id}&since=2026-01-01").text
    assert ("accepted an invitation" in filtered, "renamed the team" in filtered) == (True, False)
    assert browser.get(f"{base}/team/activity?since=yesterday").status_code == 400

    browser.get(f"{base}/team/transfer")
    browser.submit(f"{base}/team/transfer", userId=mia.id, keepOwnership="yes")
    assert (role_of(cloud, team, mia), role_of(cloud, team, olga)) == ("owner", "owner")
    browser.get(f"{base}/team/leave")
    browser.submit(f"{base}/team/leave")
    assert browser.page.headers["location"] == "/t"
    assert browser.get(f"{base}/team").status_code == 404
    assert role_of(cloud, team, olga) is None

    cloud.grant(team, 5 * DOLLAR)
    theirs.get(f"{base}/team/delete")
    assert theirs.submit(f"{base}/team/delete", confirm="no").status_code == 400
    assert theirs.submit(f"{base}/team/delete", confirm="Robots & Co").status_code == 409
    theirs.submit(f"{base}/team/delete", confirm="Robots & Co", giveUpCredits="$5.00")
    assert theirs.page.status_code == 303, theirs.page.text
    assert theirs.get(f"{base}/team").status_code == 404


def test_a_person_leaves_and_the_report_says_what_went_along(cloud: Cloud, olga: Person) -> None:
    adam = cloud.person("Adam")
    cloud.join(olga.team, adam, Role.admin)
    cloud.grant(olga.team, 50 * DOLLAR)
    kept = cloud.ssh_key(olga.team, adam)
    machine = cloud.running(adam, olga.team, name="left-behind")
    browser = with_session(cloud, olga)
    base = browser.get("/t").headers["location"]
    page = browser.get(f"{base}/team/members/{adam.id}/remove")
    assert "left-behind" in page.text
    wrong = browser.submit(f"{base}/team/members/{adam.id}/remove", confirm="somebody@example.org")
    assert (wrong.status_code, "That is not their address" in wrong.text) == (400, True)
    done = browser.post(
        f"{base}/team/members/{adam.id}/remove",
        {"csrf": csrf(browser), "confirm": adam.email.upper(), f"keep-{kept}": "yes"},
    )
    assert done.status_code == 200
    for words in ("Adam is removed", "1 SSH key left the team", machine["id"], "What is left for you to decide"):
        assert words in done.text
    assert role_of(cloud, olga.team, adam) is None


def csrf(browser: Browser) -> str:
    return browser.page.text.partition('name="csrf" value="')[2].partition('"')[0]


def test_ssh_keys(cloud: Cloud, olga: Person) -> None:
    browser = with_session(cloud, olga)
    base = browser.get("/t").headers["location"]
    assert "No keys yet" in browser.get(f"{base}/ssh-keys").text
    browser.get(f"{base}/ssh-keys/add")
    wrong = browser.submit(f"{base}/ssh-keys/add", publicKey="-----BEGIN OPENSSH PRIVATE KEY-----")
    assert (wrong.status_code, 'id="publicKey-problem"' in wrong.text) == (400, True)
    line = new_public_key()
    browser.get(f"{base}/ssh-keys/add")
    browser.submit(f"{base}/ssh-keys/add", publicKey=line)
    page = browser.follow().text
    assert "someone@somewhere" in page, "named after the comment in it"
    browser.get(f"{base}/ssh-keys/add")
    twice = browser.submit(f"{base}/ssh-keys/add", publicKey=line, name="other")
    assert (twice.status_code, "has this key already" in twice.text) == (409, True)
    cloud.grant(olga.team, 50 * DOLLAR)
    with cloud.database.read() as connection:
        mine = sa.select(ssh_keys.c.id).where(ssh_keys.c.team_id == olga.team)
        key = str(connection.execute(mine).scalar_one())
    cloud.post("/api/deployments", olga.key, cloud.order(olga.team, key, name="opened-by-it")).ok(201)
    assert "opened-by-it" in browser.get(f"{base}/ssh-keys").text
    assert "opened-by-it" in browser.get(f"{base}/ssh-keys/{key}/delete").text
    browser.submit(f"{base}/ssh-keys/{key}/delete")
    assert "is deleted" in browser.follow().text
    done = [row.action for row in cloud.activity(olga.team)]
    assert done[-1] == "ssh-key.delete"
    assert "ssh-key.add" in done
