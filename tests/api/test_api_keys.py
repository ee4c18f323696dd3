"""`/api/api-keys`: making keys, changing and rotating them, what is shown of them, and how they end."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.api.route import Route
from forebay.domain.people import api_keys as keys
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Role
from forebay.storage.tables import activity, api_keys, mails
from tests.api.cloud import ABSENT, ROUTES, Cloud, Person, new_public_key
from tests.api.wire import Answer, Request, ask

FIELDS = {
    "id", "name", "status", "firstCharacters", "lastCharacters", "createdAt", "expiresAt", "daysLeft", "revokedAt",
    "lastUsedAt", "lastUsedFrom", "replacedBy", "currentTeamId", "mayTouchMoney", "teamIds", "permissions",
}  # fmt: skip


def make(cloud: Cloud, person: Person, **body: Any) -> Any:
    return cloud.post("/api/api-keys", cloud.session(person.id), {"name": "script"} | body).ok(201)


def listed(cloud: Cloud, person: Person, query: str = "") -> dict[str, Any]:
    """The person's keys by their ids."""
    found = cloud.get(f"/api/api-keys{query}", cloud.session(person.id)).ok()
    return {key["id"]: key for key in found["apiKeys"]}


def actions(cloud: Cloud, person: Person) -> list[tuple[str, Any]]:
    """What the activity holds of the person: what was done, and on what."""
    with cloud.database.read() as connection:
        rows = connection.execute(
            sa.select(activity.c.action, activity.c.object_id)
            .where(activity.c.user_id == person.id)
            .order_by(activity.c.id)
        )
        return [(row.action, row.object_id) for row in rows]


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


def test_making_changing_and_rotating_need_a_recent_sign_in_and_revoking_does_not(cloud: Cloud) -> None:
    pat = cloud.person()
    assert make(cloud, pat, mayTouchMoney=True)["mayTouchMoney"] is True
    made = make(cloud, pat)
    session = cloud.session(pat.id)
    path = f"/api/api-keys/{made['id']}"
    cloud.clock.forward(minutes=15)
    cloud.send("PATCH", path, session, {"name": "in time"}).ok()
    cloud.clock.forward(seconds=1)
    for method, where, body in (
        ("POST", "/api/api-keys", {"name": "x"}),
        ("PATCH", path, {"name": "x"}),
        ("POST", f"{path}/rotate", {}),
    ):
        cloud.send(method, where, session, body).refused(403, "SIGN_IN_AGAIN")
    assert listed(cloud, pat)[made["id"]]["name"] == "in time"
    cloud.send("DELETE", path, session).ok()


def test_the_number_of_keys_is_bounded(cloud: Cloud) -> None:
    pat = cloud.person()
    for _ in range(48):
        cloud.key(pat.id, pat.team)
    last = make(cloud, pat)
    cloud.post("/api/api-keys", pat.session, {"name": "x"}).refused(409, "TOO_MANY_KEYS")
    cloud.post(f"/api/api-keys/{last['id']}/rotate", pat.session, {"keepHours": 1}).refused(409, "TOO_MANY_KEYS")
    cloud.get("/api/me", last["secret"]).ok()
    cloud.post(f"/api/api-keys/{last['id']}/rotate", pat.session, {}).ok(201)
    cloud.key(pat.id, pat.team, days=1)
    cloud.send("DELETE", f"/api/api-keys/{next(iter(listed(cloud, pat)))}", pat.session).ok()
    cloud.post("/api/api-keys", pat.session, {"name": "x"}).refused(409, "TOO_MANY_KEYS")


def test_what_has_expired_does_not_count(cloud: Cloud) -> None:
    pat = cloud.person()
    for _ in range(49):
        cloud.key(pat.id, pat.team, days=1)
    cloud.post("/api/api-keys", pat.session, {"name": "x"}).refused(409, "TOO_MANY_KEYS")
    cloud.clock.forward(days=1)
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


def test_the_last_use_is_shown(cloud: Cloud) -> None:
    pat = cloud.person()
    made = make(cloud, pat)
    assert (made["lastUsedAt"], made["lastUsedFrom"]) == (None, None)
    cloud.clock.forward(minutes=5)
    at = cloud.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    cloud.get("/api/me", made["secret"], peer="198.51.100.9").ok()
    with cloud.database.begin() as connection:
        keys.note_use(connection, cloud.door.take_uses())
    shown = listed(cloud, pat)[made["id"]]
    assert (shown["lastUsedAt"], shown["lastUsedFrom"]) == (at, "198.51.100.9")


def test_how_a_key_stands(cloud: Cloud) -> None:
    pat = cloud.person()
    forever, soon = make(cloud, pat), make(cloud, pat, expiresInDays=15)
    gone = make(cloud, pat)
    assert soon["status"] == "active"
    cloud.send("DELETE", f"/api/api-keys/{gone['id']}", pat.session).ok()
    cloud.clock.forward(seconds=86399)
    assert listed(cloud, pat)[soon["id"]]["status"] == "active"
    cloud.clock.forward(seconds=1)
    assert listed(cloud, pat)[soon["id"]]["status"] == "expiring"
    cloud.clock.forward(days=13, seconds=86399)
    assert listed(cloud, pat)[soon["id"]]["status"] == "expiring"
    cloud.clock.forward(seconds=1)
    found = listed(cloud, pat)
    assert (found[soon["id"]]["status"], found[forever["id"]]["status"]) == ("expired", "active")
    assert gone["id"] not in found
    everything = listed(cloud, pat, "?includeRevoked=true")
    assert everything[gone["id"]]["status"] == "revoked"
    assert everything[gone["id"]]["revokedAt"] is not None
    page = cloud.get("/api/api-keys?includeRevoked=true&limit=2&page=2", cloud.session(pat.id)).ok()
    assert (len(page["apiKeys"]), page["total"], page["page"], page["limit"], page["totalPages"]) == (2, 4, 2, 2, 2)


def test_a_key_is_changed_by_its_owner_alone(cloud: Cloud) -> None:
    pat, stranger = cloud.person(), cloud.person()
    second = cloud.team(pat)
    made = make(cloud, pat, permissions=["team.see"], teamIds=[pat.team], expiresInDays=3)
    path = f"/api/api-keys/{made['id']}"
    cloud.send("PATCH", path, made["secret"], {"permissions": None}).refused(403, "SESSION_NEEDED")
    cloud.send("PATCH", path, stranger.session, {"name": "mine"}).refused(404, "NOT_FOUND")
    assert listed(cloud, pat)[made["id"]] == {name: value for name, value in made.items() if name != "secret"}
    cloud.get(f"/api/teams/{second}", made["secret"]).refused(404, "NOT_FOUND")
    changed = cloud.send(
        "PATCH", path, pat.session, {"name": " b ", "teamIds": None, "teamId": second, "permissions": None}
    ).ok()
    assert (changed["name"], changed["teamIds"], changed["currentTeamId"]) == ("b", None, second)
    assert (changed["permissions"], changed["expiresAt"]) == (None, made["expiresAt"])
    cloud.get(f"/api/teams/{second}", made["secret"]).ok()
    assert cloud.get("/api/me", made["secret"]).ok()["currentTeamId"] == second
    assert cloud.send("PATCH", path, pat.session, {"expiresInDays": None}).ok()["expiresAt"] is None
    assert cloud.send("PATCH", path, pat.session, {"mayTouchMoney": True}).ok()["mayTouchMoney"] is True
    assert cloud.send("PATCH", path, pat.session, {}).ok()["name"] == "b"


def test_a_change_must_fit_together(cloud: Cloud) -> None:
    pat, other = cloud.person(), cloud.person()
    second = cloud.team(pat)
    made = make(cloud, pat, teamIds=[pat.team])
    path = f"/api/api-keys/{made['id']}"
    for body, fields in (
        ({"teamId": second}, {"teamId"}),
        ({"teamIds": [second]}, {"teamId"}),
        ({"teamIds": [pat.team, other.team]}, {"teamIds"}),
        ({"teamId": other.team, "teamIds": None}, {"teamId"}),
        ({"teamId": None}, {"teamId"}),
        ({"permissions": ["everything"]}, {"permissions"}),
        ({"permissions": []}, {"permissions"}),
        ({"name": " "}, {"name"}), ({"name": "a\x07"}, {"name"}), ({"name": None}, {"name"}),
        ({"expiresInDays": 0}, {"expiresInDays"}), ({"keepHours": 1, "team_ids": None}, {"team_ids"}),
    ):  # fmt: skip
        refusal = cloud.send("PATCH", path, pat.session, body).refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == fields, body
    assert listed(cloud, pat)[made["id"]] == {name: value for name, value in made.items() if name != "secret"}


def test_nothing_brings_back_what_has_ended(cloud: Cloud) -> None:
    pat = cloud.person()
    revoked, expired = make(cloud, pat), make(cloud, pat, expiresInDays=1)
    cloud.send("DELETE", f"/api/api-keys/{revoked['id']}", pat.session).ok()
    cloud.clock.forward(days=1)
    session = cloud.session(pat.id)
    for key, code in ((revoked, "KEY_REVOKED"), (expired, "KEY_EXPIRED")):
        path = f"/api/api-keys/{key['id']}"
        cloud.send("PATCH", path, session, {"expiresInDays": 30}).refused(409, code)
        cloud.post(f"{path}/rotate", session, {"keepHours": 24}).refused(409, code)
        cloud.get("/api/me", key["secret"]).refused(401, "UNAUTHORIZED")


def test_a_rotated_key_is_as_narrow_and_lives_as_long(cloud: Cloud) -> None:
    pat = cloud.person()
    old = make(cloud, pat, teamIds=[pat.team], permissions=["team.see"], expiresInDays=10, mayTouchMoney=True)
    cloud.clock.forward(days=4)
    rotated = cloud.post(f"/api/api-keys/{old['id']}/rotate", cloud.session(pat.id), {}, retry="r").ok(201)
    assert set(rotated) == FIELDS | {"secret", "oldKey"}
    same = ("name", "teamIds", "permissions", "mayTouchMoney", "currentTeamId")
    assert {name: rotated[name] for name in same} == {name: old[name] for name in same}
    assert rotated["daysLeft"] == 10
    assert rotated["oldKey"]["replacedBy"] == rotated["id"]
    assert rotated["oldKey"]["status"] == "revoked"
    cloud.get("/api/me", old["secret"]).refused(401, "UNAUTHORIZED")
    cloud.get("/api/me", rotated["secret"]).ok()
    again = cloud.post(f"/api/api-keys/{old['id']}/rotate", cloud.session(pat.id), {}, retry="r")
    again.refused(409, "ALREADY_DONE")
    assert rotated["secret"].encode() not in again.body
    cloud.post(f"/api/api-keys/{old['id']}/rotate", cloud.session(pat.id), {}).refused(409, "KEY_REPLACED")


@pytest.mark.parametrize(("days", "hours"), [(None, 24), (2, 24), (1, 1)])
def test_the_old_key_is_good_for_so_many_hours_and_not_a_second_more(
    cloud: Cloud, days: int | None, hours: int
) -> None:
    pat = cloud.person()
    old = make(cloud, pat, expiresInDays=days)
    rotated = cloud.post(f"/api/api-keys/{old['id']}/rotate", pat.session, {"keepHours": hours}).ok(201)
    path = f"/api/api-keys/{old['id']}"
    cloud.send("PATCH", path, pat.session, {"expiresInDays": 30}).refused(409, "KEY_REPLACED")
    cloud.post(f"{path}/rotate", pat.session, {"keepHours": 24}).refused(409, "KEY_REPLACED")
    cloud.clock.forward(hours=hours, seconds=-1)
    cloud.get("/api/me", old["secret"]).ok()
    assert listed(cloud, pat)[old["id"]]["status"] == "expiring"
    cloud.clock.forward(seconds=1)
    cloud.get("/api/me", old["secret"]).refused(401, "UNAUTHORIZED")
    cloud.get("/api/me", rotated["secret"]).ok()


def test_rotating_never_makes_the_old_key_live_longer(cloud: Cloud) -> None:
    pat = cloud.person()
    old = make(cloud, pat, expiresInDays=1)
    cloud.clock.forward(hours=23)
    rotated = cloud.post(f"/api/api-keys/{old['id']}/rotate", cloud.session(pat.id), {"keepHours": 24}).ok(201)
    assert rotated["oldKey"]["expiresAt"] == old["expiresAt"]
    cloud.clock.forward(hours=1)
    cloud.get("/api/me", old["secret"]).refused(401, "UNAUTHORIZED")
    for hours in (-1, 25, 1.5, "1", None):
        refusal = cloud.post(
            f"/api/api-keys/{rotated['id']}/rotate", cloud.session(pat.id), {"keepHours": hours}
        ).refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == {"keepHours"}


def test_a_rotated_key_can_be_revoked_before_its_time(cloud: Cloud) -> None:
    pat = cloud.person()
    old = make(cloud, pat)
    cloud.post(f"/api/api-keys/{old['id']}/rotate", pat.session, {"keepHours": 24}).ok(201)
    cloud.send("DELETE", f"/api/api-keys/{old['id']}", pat.session).ok()
    cloud.get("/api/me", old["secret"]).refused(401, "UNAUTHORIZED")


def test_of_two_who_rotate_a_key_at_once_one_does(cloud: Cloud) -> None:
    pat = cloud.person()
    old = make(cloud, pat)
    answers = cloud.at_once(
        [cloud.request("POST", f"/api/api-keys/{old['id']}/rotate", pat.session, {"keepHours": 1}) for _ in range(4)]
    )
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    [won] = [answer.json for answer in answers if answer.status == 201]
    assert set(listed(cloud, pat)) >= {old["id"], won["id"]}
    assert len(listed(cloud, pat)) == 3


def test_what_is_done_with_keys_is_recorded_and_told(cloud: Cloud) -> None:
    pat = cloud.person()
    made = make(cloud, pat, name="nightly.example.com")
    cloud.send("PATCH", f"/api/api-keys/{made['id']}", pat.session, {"name": "nightly"}).ok()
    rotated = cloud.post(f"/api/api-keys/{made['id']}/rotate", pat.session, {}).ok(201)
    cloud.send("DELETE", f"/api/api-keys/{rotated['id']}", pat.session).ok()
    assert actions(cloud, pat) == [
        ("api-key.create", made["id"]),
        ("api-key.change", made["id"]),
        ("api-key.rotate", made["id"]),
        ("api-key.revoke", rotated["id"]),
    ]
    with cloud.database.read() as connection:
        sent = connection.execute(sa.select(mails).where(mails.c.recipient == pat.email).order_by(mails.c.id)).all()
        kept = str(connection.execute(sa.select(activity)).all()) + str(sent)
    assert [mail.subject for mail in sent] == [
        "A new API key was made: nightly\u2024example\u2024com",
        "An API key was rotated: nightly",
    ]
    assert "192.0.2.7" in sent[0].text
    for secret in (made["secret"], rotated["secret"]):
        assert secret not in kept
        assert secret[11:-4] not in kept


CURRENT = [declared for declared in ROUTES if declared.target is Target.current]


@pytest.mark.parametrize("declared", CURRENT, ids=lambda declared: f"{declared.method} {declared.path}")
def test_a_narrowed_key_without_a_team_is_refused_where_one_must_be_named(cloud: Cloud, declared: Route) -> None:
    """Never carried out in, nor billed to, the team that its owner or the key happens to look at."""
    owner = cloud.person()
    elsewhere = cloud.team(owner, credits_micros=10_000_000)
    key = cloud.key(owner.id, owner.team, team_ids=[elsewhere])
    make_body = BODIES.get((declared.method, declared.path))
    path = declared.path.replace("{offer_id}", "memory-small")
    cloud.shelf.put("https://github.test/octocat.keys", new_public_key())
    if declared.method == "DELETE":
        cloud.post(path, owner.session, {"teamId": elsewhere}).ok(201)

    def ask(team: str | None) -> Answer:
        body = None if make_body is None else make_body(team)
        query = f"?teamId={team}" if declared.target_from == "query:teamId" and team else ""
        return cloud.send(declared.method, path + query, key, body)

    refusal = ask(None).refused(400, "TEAM_REQUIRED")
    assert refusal["details"] == {"teamId": "required"}
    ask(owner.team).refused(404, "NOT_FOUND")
    assert ask(elsewhere).status == declared.status


BODIES: dict[tuple[str, str], Callable[[str | None], Any]] = {
    ("POST", "/api/ssh-keys"): lambda team: {"name": "x", "publicKey": new_public_key(), "teamId": team},
    ("POST", "/api/ssh-keys/lookup"): lambda team: {"source": "GitHub", "user": "octocat", "teamId": team},
    ("POST", "/api/ssh-keys/import"): lambda team: {"source": "GitHub", "user": "octocat", "teamId": team},
    ("POST", "/api/volumes"): lambda team: {"name": "x", "sizeInGb": 1, "provider": "memory", "teamId": team},
    ("POST", "/api/gpu-offers/{offer_id}/watch"): lambda team: {"teamId": team},
}
"""What is sent to those of them that take a body."""


def test_a_launch_without_a_team_is_refused_whatever_the_key(cloud: Cloud) -> None:
    owner = cloud.person()
    narrowed = cloud.key(owner.id, owner.team, team_ids=[owner.team])
    order = cloud.order(owner.team, cloud.ssh_key(owner.team, owner))
    for key in (owner.key, owner.session, narrowed):
        refusal = cloud.post("/api/deployments", key, order | {"teamId": None}).refused(400, "TEAM_REQUIRED")
        assert refusal["error"] == "Team ID is required for authenticated deployments"
    assert cloud.get("/api/deployments", owner.key).ok() == []


def test_not_one_request_that_starts_after_the_revocation_was_answered_succeeds(cloud: Cloud) -> None:
    """Truly at once: requests of every kind go on while the key is revoked, and after it."""
    pat = cloud.person()
    made = make(cloud, pat)
    found: list[tuple[float, int]] = []
    answered: list[float] = []

    async def knock(request: Request) -> None:
        while not answered or len([at for at, _ in found if at > answered[0]]) < 60:
            began = time.monotonic()
            answer = await ask(cloud.application, request)
            found.append((began, answer.status))
            await asyncio.sleep(0)  # what is answered on the event loop leaves no room for others

    async def revoke() -> None:
        while sum(status < 400 for _, status in found) < 30:
            await asyncio.sleep(0)
        answer = await ask(cloud.application, cloud.request("DELETE", f"/api/api-keys/{made['id']}", pat.session))
        assert answer.status == 200
        answered.append(time.monotonic())

    async def all_of_it() -> None:
        secret = made["secret"]
        body = {"name": "x", "publicKey": new_public_key()}
        requests = [
            cloud.request("GET", "/api/me", secret),
            cloud.request("GET", "/api/teams", secret),
            cloud.request("GET", "/api/deployments", secret),
            cloud.request("POST", "/api/ssh-keys", secret, body),
        ]
        await asyncio.gather(revoke(), *(knock(request) for request in requests * 2))

    cloud.loop.run(all_of_it())
    before = [status for at, status in found if at < answered[0]]
    after = [status for at, status in found if at > answered[0]]
    assert len(after) >= 60
    assert set(after) == {401}
    assert sum(status < 300 for status in before) >= 30
