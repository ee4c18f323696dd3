"""Teams as people use them: made, renamed, opened and closed to members, handed over, left."""

from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people import teams
from forebay.domain.people.roles import MemberMode, Permission, Role
from forebay.storage.tables import activity, users
from tests.api.cloud import ABSENT, Cloud, Person, new_public_key
from tests.api.invited import last_mail, subjects


class Lab:
    """A team with an owner, an admin and a member."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.olga, self.adam, self.mia = cloud.person("Olga"), cloud.person("Adam"), cloud.person("Mia")
        self.team = cloud.team(self.olga, credits_micros=100_000_000)
        cloud.join(self.team, self.adam, Role.admin)
        cloud.join(self.team, self.mia, Role.member)
        self.path = f"/api/teams/{self.team}"

    def members(self) -> dict[str, str]:
        found = self.cloud.get(f"{self.path}/members", self.olga.key).ok()["members"]
        return {member["userId"]: member["role"] for member in found}

    def set_role(self, person: Person, role: Any, by: Person | None = None) -> Any:
        return self.cloud.send("PATCH", f"{self.path}/members/{person.id}", (by or self.olga).session, {"role": role})

    def leave(self, person: Person) -> Any:
        return self.cloud.post(f"{self.path}/leave", person.session)

    def remove(self, person: Person, by: Person | None = None) -> Any:
        return self.cloud.send("DELETE", f"{self.path}/members/{person.id}", (by or self.olga).session)

    def actions(self) -> list[tuple[str, str, Any]]:
        """What the activity says was done, by whom, with what; oldest first."""
        wanted = sa.select(activity).where(activity.c.team_id == self.team, activity.c.outcome == "done")
        with self.cloud.database.read() as connection:
            return [
                (row.action, row.user_id, row.details) for row in connection.execute(wanted.order_by(activity.c.id))
            ]


@pytest.fixture
def lab(cloud: Cloud) -> Lab:
    return Lab(cloud)


def test_whoever_makes_a_team_owns_it(cloud: Cloud) -> None:
    pat = cloud.person()
    made = cloud.post("/api/teams", pat.session, {"name": "  Vision Lab  ", "memberMode": "read-only"}).ok(201)
    assert (made["name"], made["role"], made["memberMode"], made["isCurrentTeam"]) == (
        "Vision Lab", "owner", "read-only", False,
    )  # fmt: skip
    assert made["slug"].startswith("vision-lab")
    assert cloud.get(f"/api/teams/{made['id']}", pat.key).ok() == made
    balances = cloud.get("/api/balance", pat.key).ok()["teams"]
    assert (balances[-1]["teamId"], balances[-1]["balance"]) == (made["id"], 0.0)
    assert cloud.post("/api/teams", pat.session, {"name": "Other"}).ok(201)["memberMode"] == "deploy-only"
    cloud.post("/api/teams", pat.key, {"name": "By a key"}).refused(403, "SESSION_NEEDED")


def test_one_person_owns_so_many_teams_and_no_more(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teams, "MOST_TEAMS", 2)
    pat = cloud.person()
    made = cloud.post("/api/teams", pat.session, {"name": "Second"}).ok(201)
    cloud.post("/api/teams", pat.session, {"name": "Third"}).refused(409, "TOO_MANY_TEAMS")
    other = cloud.person()
    cloud.join(made["id"], other, Role.owner)
    cloud.post(f"/api/teams/{made['id']}/leave", pat.session).ok()
    cloud.post("/api/teams", pat.session, {"name": "Third"}).ok(201)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a" * 81, "a\nb", "a\x00", "a\u202eb", "\u200f", "look at https://evil.example", "WWW.evil.example", 7],
)
def test_names_that_no_team_has(lab: Lab, name: Any) -> None:
    lab.cloud.post("/api/teams", lab.olga.session, {"name": name}).refused(400, "VALIDATION_ERROR")
    refusal = lab.cloud.send("PATCH", lab.path, lab.olga.session, {"name": name}).refused(400, "VALIDATION_ERROR")
    assert set(refusal["details"]) == {"name"}


def test_a_new_name_leaves_the_slug(lab: Lab) -> None:
    before = lab.cloud.get(lab.path, lab.olga.key).ok()
    after = lab.cloud.send("PATCH", lab.path, lab.olga.session, {"name": "<b>Größe</b> & Co"}).ok()
    assert after == before | {"name": "<b>Größe</b> & Co"}
    assert lab.actions() == [("team.rename", lab.olga.id, {"name": after["name"], "before": before["name"]})]
    lab.cloud.send("PATCH", lab.path, lab.olga.session, {"name": after["name"]}).ok()
    assert len(lab.actions()) == 1, "the same name again is no change"
    lab.cloud.send("PATCH", lab.path, lab.olga.session, {}).refused(400, "VALIDATION_ERROR")
    for person in (lab.adam, lab.mia):
        refusal = lab.cloud.send("PATCH", lab.path, person.session, {"name": "x"}).refused(403, "FORBIDDEN")
        assert refusal["details"]["whoHasIt"] == ["owner"]


def test_the_mode_holds_for_all_members_at_once(lab: Lab) -> None:
    cloud, order = lab.cloud, lab.cloud.order(lab.team, lab.cloud.ssh_key(lab.team, lab.olga))
    cloud.post("/api/deployments", lab.mia.key, order).ok(201)
    cloud.send("PATCH", lab.path, lab.olga.session, {"memberMode": "read-only"}).ok()
    cloud.post("/api/deployments", lab.mia.key, order).refused(403, "FORBIDDEN")
    cloud.post("/api/deployments", lab.adam.key, order).ok(201)
    cloud.send("PATCH", lab.path, lab.olga.session, {"memberMode": "deploy-only"}).ok()
    cloud.post("/api/deployments", lab.mia.key, order).ok(201)
    cloud.send("PATCH", lab.path, lab.olga.session, {"memberMode": "anything"}).refused(400, "VALIDATION_ERROR")


def test_who_belongs_to_it_in_pages(lab: Lab) -> None:
    cloud = lab.cloud
    found = cloud.get(f"{lab.path}/members", lab.mia.key).ok()
    assert {name: found[name] for name in ("total", "page", "limit", "totalPages")} == {
        "total": 3, "page": 1, "limit": 20, "totalPages": 1,
    }  # fmt: skip
    assert [(each["userId"], each["role"], each["isMe"]) for each in found["members"]] == [
        (lab.olga.id, "owner", False), (lab.adam.id, "admin", False), (lab.mia.id, "member", True),
    ]  # fmt: skip
    assert found["members"][0] == {
        "userId": lab.olga.id, "name": "Olga", "email": lab.olga.email, "role": "owner", "isMe": False,
        "joinedAt": found["members"][0]["joinedAt"],
    }  # fmt: skip
    page = cloud.get(f"{lab.path}/members?page=2&limit=2", lab.mia.key).ok()
    assert (page["members"], page["total"], page["totalPages"]) == (found["members"][2:], 3, 2)
    assert cloud.get(f"{lab.path}/members?page=3&limit=2", lab.mia.key).ok()["members"] == []
    for query in ("page=0", "limit=0", "limit=101", "page=x", f"page={10**30}"):
        cloud.get(f"{lab.path}/members?{query}", lab.mia.key).refused(400, "VALIDATION_ERROR")


def test_a_role_counts_from_the_next_request(lab: Lab) -> None:
    cloud = lab.cloud
    body = {"name": "x", "publicKey": new_public_key(), "teamId": lab.team}
    cloud.post("/api/ssh-keys", lab.mia.key, body).refused(403, "FORBIDDEN")
    assert lab.set_role(lab.mia, "admin").ok()["role"] == "admin"
    cloud.post("/api/ssh-keys", lab.mia.key, body).ok(201)
    assert subjects(cloud, lab.mia.email)[-1].startswith("Olga has changed your role")
    lab.set_role(lab.mia, "admin").ok()
    assert [action for action, _, _ in lab.actions() if action.startswith("member.")] == ["member.change-role"]
    for absent in (cloud.person().id, ABSENT, "x", "%00", "%F0%9F%9A%80"):
        path = f"{lab.path}/members/{absent}"
        for answer in (
            cloud.send("PATCH", path, lab.olga.session, {"role": "admin"}),
            cloud.send("DELETE", path, lab.olga.session),
        ):
            answer.refused(404, "NOT_FOUND")
    for role in ("Owner", "", None, "operator", 1):
        lab.set_role(lab.mia, role).refused(400, "VALIDATION_ERROR")


def test_the_last_owner_stays_one(lab: Lab) -> None:
    team = lab.cloud.get(lab.path, lab.olga.key).ok()["name"]
    for answer in (lab.set_role(lab.olga, "admin"), lab.leave(lab.olga), lab.remove(lab.olga)):
        refusal = answer.refused(409, "LAST_OWNER")
        assert refusal["error"] == f"{team} has no other owner. Transfer the ownership to another member first."
    assert lab.members()[lab.olga.id] == "owner"
    lab.set_role(lab.adam, "owner").ok()
    lab.leave(lab.olga).ok()
    lab.leave(lab.adam).refused(409, "LAST_OWNER")


def test_owners_change_only_under_a_recent_sign_in(lab: Lab) -> None:
    cloud = lab.cloud
    lab.set_role(lab.adam, "owner").ok()
    cloud.clock.forward(seconds=901)
    transfer = cloud.post(f"{lab.path}/transfer-ownership", lab.olga.session, {"userId": lab.mia.id})
    for answer in (
        lab.set_role(lab.mia, "owner"), lab.set_role(lab.adam, "member"), lab.remove(lab.adam), lab.leave(lab.olga),
        transfer, cloud.send("PATCH", lab.path, lab.olga.session, {"memberMode": "read-only"}),
        cloud.post(f"{lab.path}/invitations", lab.olga.session, {"email": "x@example.org", "role": "owner"}),
    ):  # fmt: skip
        answer.refused(403, "SIGN_IN_AGAIN")
    assert lab.members() == {lab.olga.id: "owner", lab.adam.id: "owner", lab.mia.id: "member"}
    lab.set_role(lab.mia, "admin").ok()
    lab.remove(lab.mia).ok()
    cloud.send("PATCH", lab.path, lab.olga.session, {"name": "Renamed"}).ok()


@pytest.mark.parametrize(("keeps", "role"), [(False, "admin"), (True, "owner")])
def test_ownership_is_handed_over(lab: Lab, keeps: bool, role: str) -> None:
    body = {"userId": lab.mia.id} | ({"keepOwnership": True} if keeps else {})
    answer = lab.cloud.post(f"{lab.path}/transfer-ownership", lab.olga.session, body).ok(200)
    assert answer == {"ownerId": lab.mia.id, "myRole": role}
    assert lab.members() == {lab.olga.id: role, lab.adam.id: "admin", lab.mia.id: "owner"}
    assert subjects(lab.cloud, lab.mia.email)[-1].startswith("Olga has transferred the ownership of")
    assert lab.actions()[-1][:2] == ("team.transfer-ownership", lab.olga.id)


def test_ownership_goes_to_members_alone(lab: Lab) -> None:
    path = f"{lab.path}/transfer-ownership"
    for nobody in (lab.cloud.person().id, ABSENT, "x"):
        lab.cloud.post(path, lab.olga.session, {"userId": nobody}).refused(404, "NOT_FOUND")
    lab.cloud.post(path, lab.olga.session, {"userId": lab.olga.id}).refused(400, "VALIDATION_ERROR")
    lab.cloud.post(path, lab.adam.session, {"userId": lab.mia.id}).refused(403, "FORBIDDEN")
    assert lab.members()[lab.olga.id] == "owner"


def test_whoever_leaves_is_out_at_once(lab: Lab) -> None:
    cloud, mia = lab.cloud, lab.mia
    inside = cloud.key(mia.id, lab.team)
    cloud.send("PUT", "/api/me/current-team", mia.session, {"teamId": lab.team}).ok()
    lab.leave(mia).ok()
    assert cloud.get("/api/me", mia.session).ok()["currentTeamId"] == mia.team, "back to their own"
    for path in (lab.path, f"{lab.path}/members", f"/api/deployments?teamId={lab.team}"):
        cloud.get(path, mia.session).refused(404, "NOT_FOUND")
        cloud.get(path, inside).refused(404, "NOT_FOUND")
    assert cloud.get("/api/deployments", mia.session).ok() == []
    assert "teamId" in cloud.get("/api/deployments", inside).refused(400, "TEAM_REQUIRED")["details"]
    lab.leave(mia).refused(404, "NOT_FOUND")
    assert lab.actions()[-1] == ("member.leave", mia.id, {"role": "member"})
    assert subjects(cloud, lab.olga.email)[-1].startswith("Mia has left")


def test_whoever_is_left_without_team_looks_at_none(lab: Lab) -> None:
    cloud, mia = lab.cloud, lab.mia
    cloud.send("PUT", "/api/me/current-team", mia.session, {"teamId": lab.team}).ok()
    cloud.leave(mia.team, mia)
    lab.remove(mia).ok()
    assert cloud.get("/api/me", mia.session).ok()["currentTeamId"] is None
    assert cloud.get("/api/teams", mia.session).ok() == {"teams": []}
    cloud.get("/api/deployments", mia.session).refused(400, "TEAM_REQUIRED")
    with cloud.database.read() as connection:
        assert connection.execute(sa.select(users.c.current_team_id).where(users.c.id == mia.id)).scalar() is None


def test_who_is_removed_is_told_and_owners_are_told_of_owners(lab: Lab) -> None:
    cloud = lab.cloud
    before = len(subjects(cloud, lab.adam.email))
    lab.remove(lab.mia).ok()
    assert subjects(cloud, lab.mia.email)[-1].startswith("Olga has removed you from")
    assert len(subjects(cloud, lab.adam.email)) == before, "an admin is not concerned"
    lab.set_role(lab.adam, "owner").ok()
    other = cloud.person("Otto")
    cloud.join(lab.team, other, Role.owner)
    lab.remove(other).ok()
    assert "Otto, who was an owner" in subjects(cloud, lab.adam.email)[-1]
    assert not [subject for subject in subjects(cloud, lab.olga.email) if "Otto" in subject], "she did it herself"


def test_names_in_mails_are_harmless(cloud: Cloud) -> None:
    owner, mia = cloud.person("<img src=x onerror=alert(1)> www.evil.example"), cloud.person("Mia")
    cloud.join(owner.team, mia, Role.member)
    path = f"/api/teams/{owner.team}/members/{mia.id}"
    cloud.send("PATCH", path, owner.session, {"role": "admin"}).ok()
    mail = last_mail(cloud, mia.email)
    assert "<img" not in mail.html
    assert "&lt;img src=x" in mail.html
    for part in mail:
        assert "evil.example" not in part, "no mail program makes a link of it"


def test_what_i_may_do(lab: Lab) -> None:
    def reaches(credential: str) -> dict[str, str]:
        found = lab.cloud.get(f"{lab.path}/permissions", credential).ok()
        return {each["permission"]: each["reach"] for each in found["permissions"]}

    found = lab.cloud.get(f"{lab.path}/permissions", lab.mia.session).ok()
    assert (found["role"], found["memberMode"], found["isApiKey"]) == ("member", "deploy-only", False)
    assert found["permissions"][1] == {
        "permission": "team.manage",
        "means": "rename the team, set the member mode, transfer ownership, delete the team",
        "reach": "none",
        "whoHasIt": ["owner"],
    }
    assert set(reaches(lab.olga.session).values()) == {"all"}
    assert set(reaches(lab.olga.session)) == {str(permission) for permission in Permission}
    mia = reaches(lab.mia.session)
    assert (mia["deployments.operate"], mia["deployments.launch"], mia["billing.manage"]) == ("own", "all", "none")
    by_key = reaches(lab.olga.key)
    assert {name for name, reach in by_key.items() if reach == "none"} == {
        "team.manage", "members.manage", "team.leave",
        "billing.manage", "budgets.team", "budgets.others", "credits.move",
    }  # fmt: skip
    narrowed = reaches(lab.cloud.key(lab.olga.id, lab.team, permissions=[Permission.see, Permission.launch]))
    assert [name for name, reach in narrowed.items() if reach != "none"] == ["team.see", "deployments.launch"]
    lab.cloud.send("PATCH", lab.path, lab.olga.session, {"memberMode": MemberMode.read_only}).ok()
    assert [name for name, reach in reaches(lab.mia.session).items() if reach != "none"] == ["team.see", "team.leave"]
