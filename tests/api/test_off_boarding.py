"""A person leaves a team: access there ends with the next request, and what would let them in again goes with them."""

import random
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people.roles import MemberMode, Role
from forebay.storage import tables
from tests.api.cloud import ABSENT, Cloud, Person, new_public_key


class Scene:
    """A team, its owner, and Mia, who has done much in it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.owner, self.mia = cloud.person("Olga"), cloud.person("Mia")
        self.team = cloud.team(self.owner, credits_micros=1_000_000_000)
        cloud.join(self.team, self.mia, Role.admin)

    def add_key(self, person: Person, name: str) -> Any:
        body = {"name": name, "publicKey": new_public_key(), "teamId": self.team}
        return self.cloud.post("/api/ssh-keys", person.session, body).ok(201)

    def launch(self, person: Person, ssh_key_id: str | None, **more: Any) -> str:
        order = self.cloud.order(self.team, ssh_key_id or "", **({} if ssh_key_id else {"sshKeyId": None}), **more)
        machine = self.cloud.post("/api/deployments", person.session, order).ok(201)
        self.cloud.settle()
        return str(machine["id"])

    def off_board(self, person: Person, by: Person | None = None, **body: Any) -> Any:
        path = f"/api/teams/{self.team}/members/{person.id}/off-board"
        return self.cloud.post(path, (by or self.owner).session, body)

    def keys_on(self, machine: str) -> tuple[str, ...]:
        return self.cloud.provider.machines[machine].keys


@pytest.fixture
def scene(cloud: Cloud) -> Scene:
    return Scene(cloud)


def test_it_answers_with_what_was_done_and_what_is_left(scene: Scene) -> None:
    mia, owner = scene.mia, scene.owner
    going, staying, others = scene.add_key(mia, "going"), scene.add_key(mia, "staying"), scene.add_key(owner, "others")
    on_going, on_staying = scene.launch(mia, going["id"]), scene.launch(owner, staying["id"])
    with_temporary = scene.launch(mia, None, ssh_public_key=new_public_key())
    untouched = scene.launch(mia, others["id"])
    stopped = scene.launch(mia, going["id"])
    scene.cloud.post(f"/api/deployments/{stopped}/stop", mia.session).ok()
    scene.cloud.settle()
    hook = {"url": "https://hooks.example.org/x", "name": "mine"}
    made = scene.cloud.post(f"/api/teams/{scene.team}/webhooks", mia.session, hook).ok(201)
    answer = scene.off_board(mia, keepKeyIds=[staying["id"]]).ok()
    assert answer["left"]["webhooks"] == [{"id": made["id"], "name": "mine"}]
    assert (answer["success"], answer["userId"], answer["role"]) == (True, mia.id, "admin")
    done, left = answer["done"], answer["left"]
    assert {key["name"] for key in done["removedKeys"]} >= {"going"}
    assert [key["isTemporary"] for key in done["removedKeys"]].count(True) == 1
    assert {machine["id"] for machine in done["machines"]} == {on_going, with_temporary, stopped}
    assert done["keysGoneBy"] == "2026-03-01T12:01:00Z" or done["keysGoneBy"].endswith("Z")
    assert [key["id"] for key in left["keptKeys"]] == [staying["id"]]
    assert {each["id"]: (each["status"], each["hourlyRate"]) for each in left["deployments"]} == {
        on_going: ("running", 3.6),
        with_temporary: ("running", 3.6),
        untouched: ("running", 3.6),
        stopped: ("stopped", 0.036),
    }
    names = [key["name"] for key in scene.cloud.get(f"/api/ssh-keys?teamId={scene.team}", owner.key).ok()]
    assert sorted(names) == ["others", "staying"]
    scene.cloud.run("ssh-keys")
    for machine in (on_going, with_temporary, stopped):
        assert scene.keys_on(machine) == ()
    for machine in (on_staying, untouched):
        assert len(scene.keys_on(machine)) == 1
    status = scene.cloud.get(f"/api/deployments/{on_going}", owner.key).ok()["status"]
    assert status == "running"


def test_sessions_and_keys_of_theirs_get_nothing_more_there_and_go_on_elsewhere(scene: Scene) -> None:
    cloud, mia = scene.cloud, scene.mia
    of_team = cloud.key(mia.id, scene.team)
    narrowed = cloud.key(mia.id, scene.team, team_ids=[scene.team])
    to_both = cloud.key(mia.id, mia.team, team_ids=[scene.team, mia.team])
    cloud.send("PUT", "/api/me/current-team", mia.session, {"teamId": scene.team}).ok()
    for credential in (mia.session, mia.key, of_team, narrowed, to_both):
        cloud.get(f"/api/teams/{scene.team}", credential).ok()
    answer = scene.off_board(mia).ok()
    assert answer["done"]["revokedApiKeys"] == 1
    for credential in (mia.session, mia.key, of_team, to_both):
        cloud.get(f"/api/teams/{scene.team}", credential).refused(404, "NOT_FOUND")
        cloud.get(f"/api/teams/{mia.team}", credential).ok()
    cloud.get("/api/me", narrowed).refused(401, "UNAUTHORIZED")
    # Never billed elsewhere: a key whose current team is gone must name one; a person looks at another of theirs.
    cloud.get("/api/deployments", of_team).refused(400, "TEAM_REQUIRED")
    cloud.get(f"/api/deployments?teamId={mia.team}", of_team).ok()
    assert cloud.get("/api/me", mia.session).ok()["currentTeamId"] == mia.team
    cloud.get("/api/deployments", mia.session).ok()


def test_who_has_no_other_team_looks_at_none(scene: Scene) -> None:
    cloud = scene.cloud
    loner = cloud.person("Lone")
    cloud.join(scene.team, loner, Role.member)
    cloud.send("PUT", "/api/me/current-team", loner.session, {"teamId": scene.team}).ok()
    cloud.leave(loner.team, loner)
    scene.off_board(loner).ok()
    assert cloud.get("/api/me", loner.session).ok()["currentTeamId"] is None
    cloud.get("/api/deployments", loner.session).refused(400, "TEAM_REQUIRED")


def test_a_key_that_is_kept_stays_under_every_name_it_has(scene: Scene) -> None:
    line = new_public_key()
    body = {"name": "laptop", "publicKey": line, "teamId": scene.team}
    key = scene.cloud.post("/api/ssh-keys", scene.mia.session, body).ok(201)
    machine = scene.launch(scene.mia, None, ssh_public_key=line)
    answer = scene.off_board(scene.mia, keepKeyIds=[key["id"]]).ok()
    assert answer["done"]["removedKeys"] == []
    assert answer["done"]["keysGoneBy"] is None
    scene.cloud.run("ssh-keys")
    assert len(scene.keys_on(machine)) == 1


def test_only_their_own_keys_can_be_kept(scene: Scene) -> None:
    others = scene.add_key(scene.owner, "others")
    for key in (others["id"], ABSENT, "no id"):
        refused = scene.off_board(scene.mia, keepKeyIds=[key]).refused(400, "VALIDATION_ERROR")
        assert "keepKeyIds" in refused["details"]
    scene.cloud.get(f"/api/teams/{scene.team}", scene.mia.key).ok()


def test_the_last_owner_stays(scene: Scene) -> None:
    key = scene.add_key(scene.owner, "the owner's")
    scene.off_board(scene.owner).refused(409, "LAST_OWNER")
    scene.cloud.post(f"/api/teams/{scene.team}/leave", scene.owner.session).refused(409, "LAST_OWNER")
    scene.cloud.get(f"/api/ssh-keys/{key['id']}", scene.owner.key).ok()


def test_who_is_no_member_cannot_be_taken_out(scene: Scene) -> None:
    stranger = scene.cloud.person()
    scene.off_board(stranger).refused(404, "NOT_FOUND")
    scene.off_board(scene.owner, by=scene.mia).refused(403, "FORBIDDEN")
    scene.off_board(scene.mia, by=stranger).refused(404, "NOT_FOUND")


def test_leaving_takes_ones_own_keys_along(scene: Scene) -> None:
    key = scene.add_key(scene.mia, "mine")
    machine = scene.launch(scene.mia, key["id"])
    scene.cloud.post(f"/api/teams/{scene.team}/leave", scene.mia.session).ok()
    scene.cloud.run("ssh-keys")
    assert scene.keys_on(machine) == ()
    scene.cloud.get(f"/api/teams/{scene.team}", scene.mia.session).refused(404, "NOT_FOUND")


def test_being_removed_is_the_same_as_being_off_boarded(scene: Scene) -> None:
    key = scene.add_key(scene.mia, "mine")
    machine = scene.launch(scene.mia, key["id"])
    scene.cloud.send("DELETE", f"/api/teams/{scene.team}/members/{scene.mia.id}", scene.owner.session).ok()
    scene.cloud.run("ssh-keys")
    assert scene.keys_on(machine) == ()


def test_the_activity_says_what_went(scene: Scene) -> None:
    key = scene.add_key(scene.mia, "mine")
    scene.cloud.key(scene.mia.id, scene.team, team_ids=[scene.team])
    scene.off_board(scene.mia).ok()
    rows = scene.cloud.activity(scene.team)
    found = {(row.action, row.object_id) for row in rows}
    assert {("member.remove", scene.mia.id), ("ssh-key.delete", key["id"])} <= found
    assert "api-key.revoke" in {action for action, _ in found}
    assert {row.user_id for row in rows if row.action in ("member.remove", "ssh-key.delete")} == {scene.owner.id}


def test_a_team_of_read_only_members_too(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    team = cloud.team(owner, mode=MemberMode.read_only)
    cloud.join(team, mia, Role.member)
    answer = cloud.post(f"/api/teams/{team}/members/{mia.id}/off-board", owner.session, {}).ok()
    assert answer["left"] == {"deployments": [], "keptKeys": []}


@pytest.mark.slow
def test_what_they_do_in_the_same_moment_leaves_nothing_behind(scene: Scene) -> None:
    """Launches and new keys that race with the end either come first, and are cleared away, or are refused."""
    cloud, mia, team = scene.cloud, scene.mia, scene.team
    for _ in range(5):
        key = scene.add_key(mia, "mine")
        requests = [
            cloud.request("POST", f"/api/teams/{team}/members/{mia.id}/off-board", scene.owner.session, {}),
            *(cloud.request("POST", "/api/deployments", mia.session, cloud.order(team, key["id"])) for _ in range(4)),
            *(
                cloud.request("POST", "/api/deployments", mia.session, order)
                for order in [cloud.order(team, "", sshKeyId=None, ssh_public_key=new_public_key()) for _ in range(2)]
            ),
            *(
                cloud.request(
                    "POST",
                    "/api/ssh-keys",
                    mia.session,
                    {"name": "late", "publicKey": new_public_key(), "teamId": team},
                )
                for _ in range(3)
            ),
        ]
        random.shuffle(requests)
        answers = cloud.at_once(requests)
        statuses = [answer.status for answer in answers]
        assert 200 in statuses
        assert set(statuses) <= {200, 201, 404}, statuses
        with cloud.database.read() as connection:
            keys = connection.execute(
                sa.select(tables.ssh_keys.c.id).where(
                    tables.ssh_keys.c.team_id == team,
                    tables.ssh_keys.c.created_by == mia.id,
                    tables.ssh_keys.c.deleted_at.is_(None),
                )
            ).all()
        assert keys == []
        cloud.settle()
        cloud.clock.forward(seconds=10)
        cloud.run("ssh-keys")
        assert {machine.keys for machine in cloud.provider.machines.values() if machine.spec.team_id == team} <= {()}
        cloud.join(team, mia, Role.admin)
