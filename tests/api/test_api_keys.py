"""`/api/api-keys` and `/api/api-access`: making keys, what is shown of them, and how they end."""

from typing import Any

import sqlalchemy as sa

from forebay.domain.people import accounts
from forebay.domain.people.roles import Role
from forebay.storage.tables import api_keys, mails
from tests.api.cloud import ABSENT, Cloud, Person

FIELDS = {
    "id", "name", "firstCharacters", "lastCharacters", "createdAt", "expiresAt", "daysLeft", "lastUsedAt",
    "currentTeamId", "mayTouchMoney", "teamIds", "permissions",
}  # fmt: skip


def make(cloud: Cloud, person: Person, **body: Any) -> Any:
    return cloud.post("/api/api-keys", person.session, {"name": "script"} | body).ok(201)


def test_a_key_is_shown_once(cloud: Cloud) -> None:
    pat = cloud.person()
    made = make(cloud, pat, expiresInDays=30)
    assert set(made) == FIELDS | {"secret"}
    assert made["secret"].startswith("fby_pk_")
    assert made["secret"].startswith(made["firstCharacters"])
    assert made["secret"].endswith(made["lastCharacters"])
    assert len(made["firstCharacters"]) + len(made["lastCharacters"]) < 16
    assert (made["daysLeft"], made["currentTeamId"], made["mayTouchMoney"]) == (30, pat.team, False)
    assert cloud.get("/api/me", made["secret"]).ok()["id"] == pat.id
    listed = cloud.get("/api/api-keys", pat.session)
    assert made["secret"].encode() not in listed.body
    [shown, _] = listed.ok()["apiKeys"]
    assert shown == {name: value for name, value in made.items() if name != "secret"}


def test_the_database_does_not_know_the_secret(cloud: Cloud) -> None:
    secret = make(cloud, cloud.person())["secret"]
    with cloud.database.read() as connection:
        text = str(connection.execute(sa.select(api_keys)).all())
    assert secret not in text
    assert secret[11:-4] not in text


def test_a_revoked_key_ends_at_once(cloud: Cloud) -> None:
    pat = cloud.person()
    made = make(cloud, pat)
    assert cloud.send("DELETE", f"/api/api-keys/{made['id']}", pat.session).ok() == {"success": True}
    cloud.get("/api/me", made["secret"]).refused(401, "UNAUTHORIZED")
    assert made["id"] not in [key["id"] for key in cloud.get("/api/api-keys", pat.session).ok()["apiKeys"]]
    cloud.send("DELETE", f"/api/api-keys/{made['id']}", pat.session).refused(404, "NOT_FOUND")


def test_an_expired_key_is_like_none(cloud: Cloud) -> None:
    pat = cloud.person()
    made = make(cloud, pat, expiresInDays=2)
    cloud.clock.forward(days=1, seconds=1)
    assert cloud.get("/api/api-keys", pat.session).ok()["apiKeys"][0]["daysLeft"] == 0
    cloud.clock.forward(hours=23, minutes=59, seconds=58)
    cloud.get("/api/me", made["secret"]).ok()
    cloud.clock.forward(seconds=1)
    expired, none = cloud.get("/api/me", made["secret"]), cloud.get("/api/me")
    assert expired.refused(401, "UNAUTHORIZED") == none.refused(401, "UNAUTHORIZED")
    assert cloud.get("/api/api-keys", pat.session).ok()["apiKeys"][0]["daysLeft"] == 0


def test_another_persons_key_is_nobodys(cloud: Cloud) -> None:
    pat, stranger = cloud.person(), cloud.person()
    made = make(cloud, pat)
    for key in (made["id"], ABSENT, "x", "%00", "%ED%A0%80", "a" * 5000):
        refusal = cloud.send("DELETE", f"/api/api-keys/{key}", stranger.session).refused(404, "NOT_FOUND")
        assert refusal["error"] == ("Resource not found" if key == "%00" else "API key not found")
    cloud.get("/api/me", made["secret"]).ok()


def test_keys_are_made_by_people_not_by_keys(cloud: Cloud) -> None:
    pat = cloud.person()
    for method, path, body in (
        ("GET", "/api/api-keys", None), ("POST", "/api/api-keys", {"name": "x"}),
        ("DELETE", f"/api/api-keys/{ABSENT}", None), ("POST", "/api/api-access", None),
    ):  # fmt: skip
        cloud.send(method, path, pat.key, body).refused(403, "SESSION_NEEDED")


def test_narrowing_only_to_what_is_mine(cloud: Cloud) -> None:
    pat, other = cloud.person(), cloud.person()
    second = cloud.team(pat)
    made = make(cloud, pat, teamId=second, teamIds=[second], permissions=["team.see", "deployments.launch"])
    assert (made["teamIds"], made["permissions"]) == ([second], ["team.see", "deployments.launch"])
    for body, fields in (
        ({"teamId": other.team}, {"teamId"}),
        ({"teamId": ABSENT}, {"teamId"}),
        ({"teamIds": [other.team]}, {"teamIds"}),
        ({"teamIds": [second]}, {"teamId"}),
        ({"permissions": ["everything"]}, {"permissions"}),
        ({"teamId": "x", "teamIds": ["y"], "name": "a\nb"}, {"teamId", "teamIds", "name"}),
        ({"teamIds": []}, {"teamIds"}),
        ({"name": ""}, {"name"}), ({"name": "a" * 81}, {"name"}), ({"name": " "}, {"name"}), ({"name": 5}, {"name"}),
        ({"expiresInDays": 0}, {"expiresInDays"}), ({"expiresInDays": 3651}, {"expiresInDays"}),
        ({"expiresInDays": 2**63}, {"expiresInDays"}), ({"expiresInDays": 1.5}, {"expiresInDays"}),
        ({"mayTouchMoney": "yes"}, {"mayTouchMoney"}), ({"teamID": second}, {"teamID"}),
    ):  # fmt: skip
        refusal = cloud.post("/api/api-keys", pat.session, {"name": "x"} | body).refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == fields, body
    assert len(cloud.get("/api/api-keys", pat.session).ok()["apiKeys"]) == 2


def test_a_key_that_may_touch_money_needs_a_recent_sign_in(cloud: Cloud) -> None:
    pat = cloud.person()
    assert make(cloud, pat, mayTouchMoney=True)["mayTouchMoney"] is True
    cloud.clock.forward(minutes=15, seconds=1)
    cloud.post("/api/api-keys", pat.session, {"name": "x", "mayTouchMoney": True}).refused(403, "SIGN_IN_AGAIN")
    make(cloud, pat)


def test_the_number_of_keys_is_bounded(cloud: Cloud) -> None:
    pat = cloud.person()
    for _ in range(49):
        make(cloud, pat)
    cloud.post("/api/api-keys", pat.session, {"name": "x"}).refused(409, "TOO_MANY_KEYS")


def test_api_access_is_asked_for_and_given_by_an_operator(cloud: Cloud) -> None:
    pat, operator = cloud.person(), cloud.person("Otto", is_operator=True)
    with cloud.database.begin() as connection:
        accounts.set_api_access(connection, pat.id, "none", reason=None, now=cloud.clock.now())
    assert cloud.get("/api/api-access", pat.session).ok()["status"] == "none"
    refusal = cloud.post("/api/api-keys", pat.session, {"name": "x"}).refused(403, "API_ACCESS_NEEDED")
    assert refusal["details"] == {"status": "none"}
    for _ in range(2):
        assert cloud.post("/api/api-access", pat.session).ok()["status"] == "requested"
    with cloud.database.read() as connection:
        sent = connection.execute(sa.select(mails.c.text).where(mails.c.recipient == operator.email)).all()
    assert len(sent) == 1
    assert pat.email in sent[0].text
    cloud.post("/api/api-keys", pat.session, {"name": "x"}).refused(403, "API_ACCESS_NEEDED")
    with cloud.database.begin() as connection:
        accounts.set_api_access(connection, pat.id, "approved", reason=None, now=cloud.clock.now())
    assert cloud.get("/api/api-access", pat.key).ok()["status"] == "approved"
    assert cloud.post("/api/api-access", pat.session).ok()["status"] == "approved"
    make(cloud, pat)


def test_a_key_whose_team_was_left_asks_for_a_team(cloud: Cloud) -> None:
    pat, owner = cloud.person(), cloud.person()
    cloud.join(owner.team, pat, Role.admin)
    key = cloud.key(pat.id, owner.team)
    assert cloud.get("/api/ssh-keys", key).ok() == []
    cloud.leave(owner.team, pat)
    for path in ("/api/ssh-keys", "/api/deployments"):
        refusal = cloud.get(path, key).refused(400, "TEAM_REQUIRED")
        assert refusal["details"] == {"teamId": "required"}
        assert cloud.get(f"{path}?teamId={pat.team}", key).ok() == []
        cloud.get(f"{path}?teamId={owner.team}", key).refused(404, "NOT_FOUND")


def test_the_last_use_is_noted(cloud: Cloud) -> None:
    pat = cloud.person()
    made = make(cloud, pat)
    cloud.clock.forward(minutes=5)
    cloud.get("/api/me", made["secret"], peer="198.51.100.9").ok()
    uses = {key: (at, address) for key, at, address in cloud.door.take_uses()}
    assert uses[made["id"]] == (cloud.clock.now(), "198.51.100.9")
