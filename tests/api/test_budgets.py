"""`/api/teams/{id}/budgets`: who sets them, how they stand, and what they refuse."""

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from forebay.domain.people.roles import Role
from forebay.storage.tables import budgets, deployments
from tests.api.cloud import DOLLAR, Cloud, Person

pytestmark = pytest.mark.slow

NOBODY = "0" * 24


class Herons(msgspec.Struct, frozen=True):
    """A team with somebody in each role."""

    cloud: Cloud
    owner: Person
    admin: Person
    member: Person

    @property
    def path(self) -> str:
        return f"/api/teams/{self.owner.team}/budgets"

    def put(self, who: Person, scope: str, amount: float, **more: Any) -> Any:
        """What comes of it, whatever it is."""
        return self.cloud.send("PUT", self.path, who.session, {"scope": scope, "amount": amount} | more)

    def listed(self) -> dict[tuple[str, str | None], Any]:
        found = self.cloud.get(self.path, self.member.session).ok()
        assert found["total"] == len(found["budgets"])
        return {(budget["scope"], budget["key"]): budget for budget in found["budgets"]}

    def launch(self, who: Person, **more: Any) -> Any:
        """What comes of a launch."""
        team = self.owner.team
        return self.cloud.post(
            "/api/deployments",
            more.pop("key", who.session),
            self.cloud.order(team, self.cloud.ssh_key(team, who), **more),
        )

    def hour(self, hours: float = 1) -> None:
        """So much time, and its charges."""
        self.cloud.settle()
        self.cloud.clock.forward(hours=hours)
        self.cloud.run("cycle")
        self.cloud.run("budgets")
        self.cloud.settle()


@pytest.fixture
def herons(cloud: Cloud) -> Herons:
    # Early in a month, so that none of the hours of a test leads into the next one.
    now = cloud.clock.now()
    cloud.clock.forward(days=(now.replace(day=28) - now).days + 6)
    people = [cloud.person(name, credits_micros=1000 * DOLLAR) for name in ("Olga", "Adam", "Mia")]
    for person, role in zip(people[1:], (Role.admin, Role.member), strict=True):
        cloud.join(people[0].team, person, role)
    return Herons(cloud, *people)


def test_who_may_set_which(herons: Herons) -> None:
    owner, admin, member = herons.owner, herons.admin, herons.member
    theirs = {person.id: herons.cloud.key(person.id, owner.team) for person in (admin, member)}
    keys = {}
    for person in (admin, member):
        keys[person.id] = herons.cloud.get("/api/api-keys", person.session).ok()["apiKeys"][0]["id"]
    assert theirs
    herons.put(admin, "team", 50).refused(403, "FORBIDDEN")
    refused = herons.put(admin, "member", 50, key=admin.id).refused(403, "OWN_BUDGET")
    assert refused["details"]["whoHasIt"] == ["owner"]
    herons.put(admin, "apiKey", 50, key=keys[admin.id]).refused(403, "OWN_BUDGET")
    for person in (member,):
        herons.put(person, "label", 50, key="a=b").refused(403, "FORBIDDEN")
    for scope, key in (("member", member.id), ("apiKey", keys[member.id]), ("label", "project=x")):
        assert herons.put(admin, scope, 50, key=key).ok()["canChange"]
    own = herons.put(owner, "member", 50, key=admin.id).ok()
    team = herons.put(owner, "team", 50).ok()
    herons.put(owner, "member", 50, key=owner.id).ok()
    for budget, code in ((own, "OWN_BUDGET"), (team, "FORBIDDEN")):
        herons.cloud.send("DELETE", f"{herons.path}/{budget['id']}", admin.session).refused(403, code)
        herons.cloud.send("DELETE", f"{herons.path}/{budget['id']}", owner.session).ok()
        herons.cloud.send("DELETE", f"{herons.path}/{budget['id']}", owner.session).refused(404, "NOT_FOUND")
    seen = herons.cloud.get(herons.path, admin.session).ok()["budgets"]
    assert {(each["scope"], each["canChange"]) for each in seen} == {
        ("member", True), ("apiKey", True), ("label", True),
    }  # fmt: skip
    assert [each["scope"] for each in seen] == ["member", "member", "apiKey", "label"]
    assert not any(each["canChange"] for each in herons.listed().values())


def test_a_put_replaces_and_sent_again_changes_nothing(herons: Herons) -> None:
    first = herons.put(herons.owner, "team", 50).ok()
    assert (first["alerts"], first["atLimit"], first["key"], first["name"]) == (
        [50, 80, 100],
        "notify",
        None,
        "the whole team",
    )
    before = len(herons.cloud.activity(herons.owner.team))
    assert herons.put(herons.owner, "team", 50).ok() == first
    assert len(herons.cloud.activity(herons.owner.team)) == before
    second = herons.put(herons.owner, "team", 12.34, alerts=[90, 25, 90], atLimit="block").ok()
    assert (second["id"], second["amount"], second["alerts"], second["atLimit"]) == (
        first["id"],
        12.34,
        [25, 90],
        "block",
    )
    row = herons.cloud.activity(herons.owner.team)[-1]
    assert (row.action, row.details["amount"], row.details["before"]["amount"]) == ("budget.set", 12.34, 50)
    page = herons.cloud.get(f"{herons.path}?page=2&limit=1", herons.owner.session).ok()
    assert (page["budgets"], page["total"], page["totalPages"]) == ([], 1, 1)


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"scope": "team", "amount": 0}, "amount"),
    ({"scope": "team", "amount": -5}, "amount"),
    ({"scope": "team", "amount": 0.001}, "amount"),
    ({"scope": "team", "amount": 1e300}, "amount"),
    ({"scope": "team", "amount": 1_000_001}, "amount"),
    ({"scope": "team", "amount": 5, "key": "x"}, "key"),
    ({"scope": "member", "amount": 5}, "key"),
    ({"scope": "member", "amount": 5, "key": NOBODY}, "key"),
    ({"scope": "apiKey", "amount": 5, "key": NOBODY}, "key"),
    ({"scope": "label", "amount": 5, "key": "nothing"}, "key"),
    ({"scope": "label", "amount": 5, "key": "=x"}, "key"),
    ({"scope": "label", "amount": 5, "key": f"{'k' * 64}=x"}, "key"),
    ({"scope": "planet", "amount": 5}, "scope"),
    ({"scope": "team", "amount": 5, "alerts": [0]}, "alerts"),
    ({"scope": "team", "amount": 5, "alerts": []}, "alerts"),
    ({"scope": "team", "amount": 5, "alerts": list(range(1, 12))}, "alerts"),
    ({"scope": "team", "amount": 5, "atLimit": "explode"}, "atLimit"),
    ({"scope": "team"}, "amount"),
)


def test_what_can_not_be_is_refused_by_its_name(herons: Herons) -> None:
    for wish, field in WRONG:
        refused = herons.cloud.send("PUT", herons.path, herons.owner.session, wish).refused(400, "VALIDATION_ERROR")
        assert field in refused["details"], wish
    assert herons.listed() == {}


def test_a_budget_that_blocks_refuses_what_would_cost_more_and_says_why(herons: Herons) -> None:
    cloud, owner, member = herons.cloud, herons.owner, herons.member
    herons.put(owner, "member", 10, key=member.id, atLimit="block").ok()
    machine = herons.launch(member).ok(201)
    herons.hour(2)
    shown = herons.listed()["member", member.id]
    assert (shown["spent"], shown["held"], shown["remaining"], shown["share"], shown["state"]) == (
        7.2,
        0,
        2.8,
        72,
        "alerted",
    )
    assert shown["says"].startswith("$2.80 of $10.00 is left: at $3.60 an hour that lasts 46 minutes. ")
    days = cloud.clock.now().replace(day=28).day - cloud.clock.now().day
    assert shown["forecast"] > 7.2 + days * 86.4
    refused = herons.launch(member).refused(402, "BUDGET_EXCEEDED")
    assert (
        "The budget of Mia doesn't allow this: of $10.00 for this month $7.20 is spent, and this needs $3.00."
        in refused["error"]
    )
    details = refused["details"]
    assert details["budget"] == {"id": shown["id"], "scope": "member", "key": member.id, "name": "Mia"}
    assert (details["amount"], details["spent"], details["required"], details["whoCanChange"]) == (
        10,
        7.2,
        3,
        ["owner", "admin"],
    )
    order = cloud.order(owner.team, cloud.ssh_key(owner.team, member))
    preview = cloud.post("/api/deployments/preview", member.session, order).ok()
    assert [(each["code"], each["whoCan"]) for each in preview["refusals"]] == [("BUDGET_EXCEEDED", ["owner", "admin"])]
    assert preview["refusals"][0]["error"] == refused["error"]
    herons.launch(owner).ok(201)
    # What runs may go on, may be stopped, and isn't started again.
    path = f"/api/deployments/{machine['id']}"
    cloud.post(f"{path}/stop", member.session).ok()
    cloud.settle()
    cloud.post(f"{path}/start", member.session).refused(402, "BUDGET_EXCEEDED")
    cloud.post(f"{path}/start", owner.session).refused(402, "BUDGET_EXCEEDED")
    herons.put(herons.admin, "member", 20, key=member.id, atLimit="block").ok()
    cloud.post(f"{path}/start", member.session).ok()


def test_volumes_count_until_the_month_is_over(herons: Herons) -> None:
    cloud, owner = herons.cloud, herons.owner
    volume = cloud.volume(owner, size=300)
    rate = volume["hourlyRate"]
    week = rate * 24 * 7
    herons.put(owner, "team", round(week / 2, 2), atLimit="block").ok()
    body = {"name": "more", "sizeInGb": 300, "provider": "memory", "teamId": owner.team}
    refused = cloud.post("/api/volumes", owner.key, body).refused(402, "BUDGET_EXCEEDED")
    assert refused["details"]["required"] == pytest.approx(week)
    assert refused["details"]["whoCanChange"] == ["owner"]
    grow = cloud.send("PATCH", f"/api/volumes/{volume['id']}", owner.key, {"sizeInGb": 900})
    assert grow.refused(402, "BUDGET_EXCEEDED")["details"]["required"] == pytest.approx(2 * week)
    cloud.send("PATCH", f"/api/volumes/{volume['id']}", owner.key, {"sizeInGb": 301}).ok()
    body["name"], body["sizeInGb"] = "less", 1
    cloud.post("/api/volumes", owner.key, body).ok(201)


def test_of_many_at_once_as_many_are_accepted_as_the_budget_holds(herons: Herons) -> None:
    cloud, owner = herons.cloud, herons.owner
    herons.put(owner, "label", 7, key="project=x", atLimit="block").ok()
    herons.put(owner, "team", 10, atLimit="block").ok()
    key = cloud.ssh_key(owner.team, owner)

    def order(person: Person, **labels: str) -> Any:
        body = cloud.order(owner.team, key, labels=labels)
        return cloud.request("POST", "/api/deployments", person.session, body)

    people = (owner, herons.admin, herons.member)
    answers = cloud.at_once([order(person, project="x") for person in people for _ in range(3)])
    assert sorted(answer.status for answer in answers) == [201] * 2 + [402] * 7
    assert {answer.json["code"] for answer in answers if answer.status == 402} == {"BUDGET_EXCEEDED"}
    answers = cloud.at_once([order(person, project="y") for person in people for _ in range(2)])
    assert sorted(answer.status for answer in answers) == [201] + [402] * 5, "the team's holds three"
    shown = herons.listed()
    assert (shown["label", "project=x"]["held"], shown["team", None]["held"]) == (6, 9)


def test_a_key_that_is_rotated_goes_on_counting_and_equals_usage(herons: Herons) -> None:
    cloud, member, team = herons.cloud, herons.member, herons.owner.team
    secret = cloud.key(member.id, team)
    key_id = cloud.get("/api/api-keys", member.session).ok()["apiKeys"][0]["id"]
    first = herons.launch(member, key=secret).ok(201)
    herons.hour()
    herons.put(herons.admin, "apiKey", 50, key=key_id, atLimit="block").ok()
    rotated = cloud.post(f"/api/api-keys/{key_id}/rotate", cloud.session(member.id), {"keepHours": 0}).ok(201)
    herons.launch(member, key=rotated["secret"]).ok(201)
    herons.launch(member).ok(201)
    herons.hour()
    shown = herons.listed()["apiKey", key_id]
    assert shown["spent"] == 3 * 3.6
    uses = cloud.get(f"/api/teams/{team}/usage?groupBy=apiKey", member.session).ok()["usage"]
    assert {use["key"]: use["cost"] for use in uses} == {rotated["id"]: 3 * 3.6, None: 3.6}
    # The same budget, by its new key.
    again = herons.put(herons.admin, "apiKey", 10.8, key=rotated["id"], atLimit="block").ok()
    assert (again["id"], again["key"], again["state"]) == (shown["id"], rotated["id"], "blocked")
    herons.launch(member, key=rotated["secret"]).refused(402, "BUDGET_EXCEEDED")
    herons.launch(member).ok(201)
    with cloud.database.read() as connection:
        made = connection.execute(sa.select(deployments.c.api_key_id).where(deployments.c.id == first["id"])).scalar()
    assert made == key_id


def test_a_preview_warns_of_a_budget_that_would_not_last(herons: Herons) -> None:
    herons.put(herons.owner, "team", 72, atLimit="stop").ok()
    cloud, team = herons.cloud, herons.owner.team
    order = cloud.order(team, cloud.ssh_key(team, herons.member))
    preview = cloud.post("/api/deployments/preview", herons.member.session, order).ok()
    [warning] = [each["message"] for each in preview["warnings"] if each["code"] == "BUDGET_SHORT"]
    assert warning.startswith(
        "With this machine the team's budget, $72.00 of $72.00 left, lasts about 20 hours. Then nothing"
    )
    assert preview["canLaunch"]


def test_a_team_that_is_deleted_takes_its_budgets_along(herons: Herons) -> None:
    cloud = herons.cloud
    pat = cloud.person(credits_micros=0)
    team = cloud.team(pat)
    cloud.send("PUT", f"/api/teams/{team}/budgets", pat.session, {"scope": "team", "amount": 5}).ok()
    exported = cloud.get("/api/me/export", pat.session).ok()["budgets"]
    assert [(each["teamId"], each["scope"], each["amountMicros"]) for each in exported] == [(team, "team", 5 * DOLLAR)]
    cloud.send("DELETE", f"/api/teams/{team}", pat.session).ok()
    with cloud.database.read() as connection:
        assert connection.execute(sa.select(budgets.c.id).where(budgets.c.team_id == team)).first() is None


def test_who_leaves_the_team_keeps_counting(herons: Herons) -> None:
    cloud, owner, member = herons.cloud, herons.owner, herons.member
    herons.put(owner, "member", 5, key=member.id).ok()
    herons.launch(member).ok(201)
    cloud.post(f"/api/teams/{owner.team}/members/{member.id}/off-board", owner.session, {}).ok()
    herons.hour()
    [shown] = cloud.get(herons.path, owner.session).ok()["budgets"]
    assert (shown["name"], shown["spent"], shown["canChange"]) == ("Mia", 3.6, True)
    herons.put(owner, "member", 50, key=member.id).refused(400, "VALIDATION_ERROR")
    cloud.send("DELETE", f"{herons.path}/{shown['id']}", owner.session).ok()
