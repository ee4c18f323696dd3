"""`/api/teams`, `/api/balance` and `/api/me`: who asks, which teams they reach, and what is in them."""

import pytest

from forebay.domain.people.roles import MemberMode, Role
from tests.api.cloud import ABSENT, DOLLAR, Cloud, Person


@pytest.fixture
def mia(cloud: Cloud) -> tuple[Person, str, str]:
    """A member of a read-only team and an admin of another, beside her own team."""
    mia, owner = cloud.person("Mia", credits_micros=1_234_567), cloud.person("Olga")
    lab = cloud.team(owner, mode=MemberMode.read_only, credits_micros=50 * DOLLAR)
    shop = cloud.team(owner)
    cloud.join(lab, mia, Role.member)
    cloud.join(shop, mia, Role.admin)
    return mia, lab, shop


def test_all_my_teams_with_my_role(cloud: Cloud, mia: tuple[Person, str, str]) -> None:
    person, lab, shop = mia
    found = cloud.get("/api/teams", person.key).ok()
    assert set(found) == {"teams"}
    assert [(team["id"], team["role"], team["memberMode"], team["isCurrentTeam"]) for team in found["teams"]] == [
        (person.team, "owner", "deploy-only", True),
        (lab, "member", "read-only", False),
        (shop, "admin", "deploy-only", False),
    ]
    assert set(found["teams"][0]) == {"id", "name", "slug", "role", "memberMode", "isCurrentTeam", "createdAt"}
    assert found["teams"][0]["name"] == "Mia's team"
    for team in found["teams"]:
        assert cloud.get(f"/api/teams/{team['id']}", person.key).ok() == team


def test_the_balances_of_all_my_teams(cloud: Cloud, mia: tuple[Person, str, str]) -> None:
    person, lab, shop = mia
    answer = cloud.get("/api/balance", person.key)
    found = answer.ok()
    assert found["currency"] == "USD"
    assert [tuple(team.values())[:5] for team in found["teams"]] == [
        (person.team, "Mia's team", 1.234567, True, "owner"),
        (lab, found["teams"][1]["teamName"], 50.0, False, "member"),
        (shop, found["teams"][2]["teamName"], 0.0, False, "admin"),
    ]
    assert list(found["teams"][0]) == [
        "teamId", "teamName", "balance", "isCurrentTeam", "role", "held", "available", "burnPerHour", "runwaySeconds",
    ]  # fmt: skip
    assert b'"balance":1.234567,' in answer.body


def test_a_held_credit_is_still_in_the_balance(cloud: Cloud) -> None:
    pat = cloud.person(credits_micros=3 * DOLLAR)
    cloud.launch(pat)
    assert cloud.get("/api/balance", pat.key).ok()["teams"][0]["balance"] == 3.0


def test_large_balances_are_exact(cloud: Cloud) -> None:
    pat = cloud.person(credits_micros=999_999_999_999_999)
    answer = cloud.get("/api/balance", pat.key)
    assert b'"balance":999999999.999999,' in answer.body


def test_a_narrowed_key_sees_its_teams_alone(cloud: Cloud, mia: tuple[Person, str, str]) -> None:
    person, lab, shop = mia
    key = cloud.key(person.id, lab, team_ids=[lab])
    assert [team["id"] for team in cloud.get("/api/teams", key).ok()["teams"]] == [lab]
    assert [team["teamId"] for team in cloud.get("/api/balance", key).ok()["teams"]] == [lab]
    assert cloud.get("/api/me", key).ok()["currentTeamId"] == lab
    hidden = cloud.get(f"/api/teams/{shop}", key)
    absent = cloud.get(f"/api/teams/{ABSENT}", key)
    assert hidden.refused(404, "NOT_FOUND") == absent.refused(404, "NOT_FOUND")


def test_another_team_is_nobodys(cloud: Cloud) -> None:
    pat, other = cloud.person(), cloud.person(is_operator=True)
    answers = [
        cloud.get(f"/api/teams/{team}", other.key)
        for team in (pat.team, ABSENT, "x", "%00", "%FF", pat.team.upper(), "0" * 4000)
    ]
    assert {answer.body for answer in answers} == {answers[0].body}
    assert answers[0].refused(404, "NOT_FOUND")["error"] == "Team not found"


def test_me(cloud: Cloud) -> None:
    pat = cloud.person("Pat O'Neil \N{ROCKET}")
    expected = {
        "id": pat.id, "name": pat.name, "email": pat.email, "isOperator": False, "apiAccess": "approved",
        "currentTeamId": pat.team,
    }  # fmt: skip
    assert cloud.get("/api/me", pat.key).ok() == cloud.get("/api/me", pat.session).ok() == expected
    assert cloud.get("/api/me", cloud.person(is_operator=True).key).ok()["isOperator"] is True


def test_the_current_team_is_a_persons_and_never_moves_a_key(cloud: Cloud) -> None:
    pat, stranger = cloud.person(), cloud.person()
    other = cloud.team(pat)
    path = "/api/me/current-team"
    assert cloud.send("PUT", path, pat.session, {"teamId": other}).ok() == {"currentTeamId": other}
    assert cloud.get("/api/me", pat.session).ok()["currentTeamId"] == other
    assert cloud.get("/api/me", pat.key).ok()["currentTeamId"] == pat.team
    current = [team["isCurrentTeam"] for team in cloud.get("/api/teams", pat.session).ok()["teams"]]
    assert current == [False, True]
    cloud.send("PUT", path, pat.key, {"teamId": other}).refused(403, "SESSION_NEEDED")
    for team in (stranger.team, ABSENT, "nobody's"):
        cloud.send("PUT", path, pat.session, {"teamId": team}).refused(404, "NOT_FOUND")
    for body in ({}, {"teamId": None}, {"teamId": 7}, {"teamID": other}):
        refusal = cloud.send("PUT", path, pat.session, body).refused(400, "VALIDATION_ERROR")
        assert "teamId" in refusal["details"]
    cloud.send("PUT", path, pat.session, {"teamId": ""}).refused(400, "TEAM_REQUIRED")
    assert cloud.get("/api/me", pat.session).ok()["currentTeamId"] == other
