"""What operators of the platform see and do, that it is recorded, and that nobody else can."""

from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.machines import alerts
from forebay.domain.money import audit, ledger
from forebay.domain.people.roles import Role
from forebay.storage import tables
from tests.api.cloud import ABSENT, DOLLAR, ROUTES, Cloud, Person
from tests.api.proving import sign_in, with_app

WHY = {"reason": "an inquiry"}


class Scene:
    """An operator, and Olga with a team of hers."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.operator = cloud.person("Otto", is_operator=True)
        self.olga = cloud.person("Olga")
        self.team = cloud.team(self.olga, credits_micros=10 * DOLLAR)

    def get(self, path: str) -> Any:
        return self.cloud.get(f"/api/operator/{path}", self.operator.session).ok()

    def do(self, path: str, body: Any = None, method: str = "POST") -> Any:
        return self.cloud.send(method, f"/api/operator/{path}", self.operator.session, WHY if body is None else body)

    def mails(self, person: Person) -> list[Any]:
        with self.cloud.database.read() as connection:
            return list(
                connection.execute(
                    sa.select(tables.mails.c.subject, tables.mails.c.text)
                    .where(tables.mails.c.recipient == person.email)
                    .order_by(tables.mails.c.id)
                )
            )

    def recorded(self, team: str | None = None) -> list[Any]:
        return [row for row in self.cloud.activity(team) if row.user_id == self.operator.id]


@pytest.fixture
def scene(cloud: Cloud) -> Scene:
    return Scene(cloud)


def access_of(cloud: Cloud, person: Person) -> str:
    return str(cloud.get("/api/me", person.session).ok()["apiAccess"])


def test_whatever_changes_something_needs_a_recent_sign_in_and_a_session(scene: Scene) -> None:
    changing = [
        route
        for route in ROUTES
        if route.path.startswith("/api/operator/") and (route.method, route.writes) != ("GET", True)
    ]
    assert len(changing) >= 7
    assert all(route.is_recent for route in changing)
    scene.cloud.clock.forward(minutes=16)
    scene.do(f"teams/{scene.team}/freeze").refused(403, "SIGN_IN_AGAIN")
    scene.get("teams")
    path = f"/api/operator/teams/{scene.team}/freeze"
    scene.cloud.post(path, scene.operator.key, WHY).refused(403, "SESSION_NEEDED")
    scene.cloud.post(path, scene.olga.session, WHY).refused(403, "OPERATOR_NEEDED")


# API access.


def test_api_access_is_decided_once_and_told_with_the_reason(scene: Scene) -> None:
    cloud, olga = scene.cloud, scene.olga
    with cloud.database.begin() as connection:
        users = tables.users
        connection.execute(sa.update(users).where(users.c.id == olga.id).values(api_access="requested"))
    assert olga.id in [each["id"] for each in scene.get("api-access?status=requested&limit=100")["users"]]
    scene.do(f"api-access/{olga.id}", {"decision": "refused"}).refused(400, "VALIDATION_ERROR")
    scene.do(f"api-access/{olga.id}", {"decision": "refused", "reason": "  "}).refused(400, "VALIDATION_ERROR")
    scene.do(f"api-access/{olga.id}", {"decision": "refused", "reason": "Tell us more."}).ok()
    assert access_of(cloud, olga) == "refused"
    [mail] = scene.mails(olga)
    assert mail.subject == "API access refused"
    assert "Tell us more." in mail.text
    scene.do(f"api-access/{olga.id}", {"decision": "approved"}).ok()
    assert access_of(cloud, olga) == "approved"
    # What is so already is said no second time.
    scene.do(f"api-access/{olga.id}", {"decision": "approved"}).ok()
    assert [mail.subject for mail in scene.mails(olga)] == ["API access refused", "API access approved"]
    rows = [row for row in scene.recorded() if row.action.startswith("api-access.")]
    assert [(row.action, row.object_id) for row in rows] == [
        ("api-access.refused", olga.id),
        ("api-access.approved", olga.id),
    ]
    assert rows[0].details == {"reason": "Tell us more."}
    for stranger in (ABSENT, "nobody"):
        scene.do(f"api-access/{stranger}", {"decision": "approved"}).refused(404, "NOT_FOUND")


def test_accounts_are_found_by_name_and_address(scene: Scene) -> None:
    olga = scene.olga
    for search in (olga.id, olga.email, olga.email.upper(), "OLG"):
        found = scene.get(f"users?limit=100&search={search}")["users"]
        assert olga.id in [each["id"] for each in found]
        assert scene.operator.id not in [each["id"] for each in found]
    assert scene.get("users?search=%25")["total"] == 0
    [one] = scene.get(f"users?search={olga.id}")["users"]
    assert (one["email"], one["teams"], one["deletedAt"]) == (olga.email, 2, None)
    assert "password" not in str(one).lower()


# Teams and credits.


def test_teams_show_what_they_have(scene: Scene) -> None:
    cloud = scene.cloud
    mia = cloud.person("Mia")
    cloud.join(scene.team, mia, Role.member)
    cloud.running(scene.olga, scene.team)
    found = scene.get(f"teams/{scene.team}")
    assert (found["balance"], found["held"], found["members"], found["machines"]) == (10, 3, 2, 1)
    assert [each["role"] for each in found["people"]] == ["owner", "member"]
    [listed] = scene.get(f"teams?search={scene.team}")["teams"]
    assert listed == {name: value for name, value in found.items() if name != "people"}
    assert scene.do(f"teams/{ABSENT}", method="GET").status == 404
    assert [row.action for row in scene.recorded(scene.team)] == ["operator.look"]


def test_credits_are_granted_and_taken_back_once(scene: Scene) -> None:
    granted = scene.do(f"teams/{scene.team}/grants", {"amount": "2.500001", "reason": "to try"}).ok(201)
    assert (granted["amount"], granted["balance"]) == (2.500001, 12.500001)
    path = f"teams/{scene.team}/grants/{granted['transferId']}/take-back"
    other = scene.cloud.team(scene.olga)
    scene.do(path.replace(scene.team, other)).refused(404, "NOT_FOUND")
    assert scene.do(path).ok()["balance"] == 10
    scene.do(path).refused(409, "TAKEN_BACK_ALREADY")
    scene.do(f"teams/{scene.team}/grants/{ABSENT}/take-back").refused(404, "NOT_FOUND")
    rows = scene.recorded(scene.team)
    assert [row.action for row in rows] == ["credits.grant", "credits.take-back"]
    assert rows[0].details == {"amount_micros": 2_500_001, "reason": "to try"}
    with scene.cloud.database.read() as connection:
        [_, first, *_], _ = ledger.transactions(connection, scene.team)
    assert (first.reason, first.created_by) == ("to try", scene.operator.id)
    with audit.snapshot(scene.cloud.database) as connection:
        assert list(audit.run(connection)) == []


@pytest.mark.parametrize("amount", [0, -1, "0", "-5", "five", "nan", "1e30", 0.0000001, "0.0000001", 1_000_000.01, ""])
def test_an_amount_that_cannot_be_granted_is_refused(scene: Scene, amount: object) -> None:
    refused = scene.do(f"teams/{scene.team}/grants", {"amount": amount, "reason": "x"}).refused(400, "VALIDATION_ERROR")
    assert "amount" in refused["details"]


def test_a_grant_repeated_with_its_key_is_given_once(scene: Scene) -> None:
    path = f"/api/operator/teams/{scene.team}/grants"
    body = {"amount": 5, "reason": "x"}
    answers = [scene.cloud.post(path, scene.operator.session, body, retry="once").ok(201) for _ in range(2)]
    assert answers[0] == answers[1]
    assert scene.get(f"teams/{scene.team}")["balance"] == 15


def test_a_frozen_team_can_launch_and_start_nothing_and_what_runs_runs_on(scene: Scene) -> None:
    cloud, olga = scene.cloud, scene.olga
    running, stopped = cloud.running(olga, scene.team)["id"], cloud.running(olga, scene.team)["id"]
    cloud.post(f"/api/deployments/{stopped}/stop", olga.key).ok()
    cloud.settle()
    scene.do(f"teams/{scene.team}/freeze").ok()
    scene.do(f"teams/{scene.team}/freeze").refused(409, "CONFLICT")
    cloud.post("/api/deployments", olga.key, cloud.order(scene.team, cloud.ssh_key(scene.team, olga))).refused(
        403, "TEAM_FROZEN"
    )
    cloud.post(f"/api/deployments/{stopped}/start", olga.key).refused(403, "TEAM_FROZEN")
    assert cloud.get(f"/api/deployments/{running}", olga.key).ok()["status"] == "running"
    assert scene.team in [each["id"] for each in scene.get("teams?isFrozen=true&limit=100")["teams"]]
    assert "an inquiry" in scene.mails(olga)[-1].text
    scene.do(f"teams/{scene.team}/unfreeze").ok()
    scene.do(f"teams/{scene.team}/unfreeze").refused(409, "CONFLICT")
    cloud.post(f"/api/deployments/{stopped}/start", olga.key).ok()
    seen = cloud.get(f"/api/teams/{scene.team}/activity?action=team.", olga.session).ok()["activity"]
    assert [(row["action"], row["details"]) for row in seen] == [("team.unfreeze", WHY), ("team.freeze", WHY)]
    # Whom of the platform it was is none of the team's business.
    assert {(row["who"]["name"], row["who"]["email"], row["address"]) for row in seen} == {
        ("an operator of the platform", None, None)
    }
    scene.do(f"teams/{ABSENT}/freeze").refused(404, "NOT_FOUND")


def test_an_operator_deletes_only_a_frozen_team_and_under_the_same_conditions(scene: Scene) -> None:
    cloud = scene.cloud
    path = f"teams/{scene.team}"
    scene.do(path, method="DELETE").refused(409, "NOT_FROZEN")
    scene.do(f"{path}/freeze").ok()
    assert scene.do(path, method="DELETE").refused(409, "CREDITS_REMAIN")["details"] == {"credits": "10.00"}
    scene.do(path, WHY | {"giveUpCredits": "10.00"}, method="DELETE").ok()
    cloud.get(f"/api/teams/{scene.team}", scene.olga.session).refused(404, "NOT_FOUND")
    assert scene.get(path)["deletedAt"] is not None
    assert "an inquiry" in scene.mails(scene.olga)[-1].text
    scene.do(path, method="DELETE").refused(404, "NOT_FOUND")
    scene.do(f"{path}/grants", {"amount": 1, "reason": "x"}).refused(404, "NOT_FOUND")
    scene.do(f"teams/{ABSENT}", method="DELETE").refused(404, "NOT_FOUND")


# Machines.


def test_an_operator_ends_any_machine_with_a_reason(scene: Scene) -> None:
    cloud, olga = scene.cloud, scene.olga
    team = cloud.team(olga, credits_micros=1000 * DOLLAR)
    machine = cloud.running(olga, team, offerId="memory-minimum")["id"]
    path = f"deployments/{machine}/terminate"
    # Its owner must wait for the minimum runtime.
    cloud.send("DELETE", f"/api/deployments/{machine}", olga.key).refused(400, "MINIMUM_RUNTIME_NOT_MET")
    for bad in ({}, {"reason": ""}, {"reason": "  "}):
        scene.do(path, bad).refused(400, "VALIDATION_ERROR")
    scene.do(path).ok()
    cloud.settle()
    assert cloud.get(f"/api/deployments/{machine}", olga.key).ok()["status"] == "terminated"
    assert machine not in cloud.provider.machines
    [event] = [
        each
        for each in cloud.get(f"/api/deployments/{machine}/events", olga.key).ok()["events"]
        if each["kind"] == "terminated"
    ]
    assert "an inquiry" in event["message"]
    assert "an inquiry" in scene.mails(olga)[-1].text
    assert [row.action for row in scene.recorded(team)] == ["deployment.terminate-by-operator"]
    scene.do(path).refused(400, "CANNOT_TERMINATE")
    scene.do(f"deployments/{ABSENT}/terminate").refused(404, "NOT_FOUND")


# What is looked at.


def test_operators_read_everybody_s_activity_and_that_is_recorded(scene: Scene) -> None:
    scene.do(f"teams/{scene.team}/freeze").ok()
    found = scene.get(f"activity?teamId={scene.team}")["activity"]
    assert [row["action"] for row in found] == ["team.freeze"]
    assert found[0]["who"]["email"] == scene.operator.email
    everything = scene.get(f"activity?userId={scene.operator.id}")["activity"]
    assert [row["action"] for row in everything] == ["operator.look", "team.freeze"]
    by_name = scene.get(f"activity?who={scene.operator.email}&action=team.freeze")["activity"]
    assert [row["id"] for row in by_name] == [found[0]["id"]]
    slug = scene.cloud.get(f"/api/teams/{scene.team}", scene.olga.key).ok()["slug"]
    assert found[0]["id"] in [row["id"] for row in scene.get(f"activity?team={slug}")["activity"]]
    assert scene.get("activity?team=no-such-team")["activity"] == []


def test_alerts_are_shown_to_operators(scene: Scene) -> None:
    with scene.cloud.database.begin() as connection:
        alerts.raise_(connection, "provider", "memory", "It does not answer", now=scene.cloud.clock.now())
    found = scene.get("alerts")["alerts"]
    assert ("provider", "memory", "It does not answer") in [
        (each["kind"], each["subject"], each["text"]) for each in found
    ]


def test_an_operator_ends_all_sessions_of_an_account(scene: Scene) -> None:
    cloud, olga = scene.cloud, scene.olga
    other = cloud.session(olga.id)
    done = scene.do(f"users/{olga.id}/end-sessions", {"reason": "a lost laptop"}).ok()
    assert done == {"sessionsEnded": 2}
    for token in (olga.session, other):
        cloud.get("/api/me", token).refused(401, "UNAUTHORIZED")
    cloud.get("/api/me", olga.key).ok()
    assert "a lost laptop" in scene.mails(olga)[-1].text
    (row,) = [row for row in scene.recorded() if row.action == "account.end-sessions"]
    assert (row.object_id, row.details) == (olga.id, {"reason": "a lost laptop", "sessions": 2})
    for nobody in (ABSENT, "nobody"):
        scene.do(f"users/{nobody}/end-sessions").refused(404, "NOT_FOUND")


def test_an_operator_takes_a_lost_second_factor_off_with_a_reason(scene: Scene) -> None:
    cloud = scene.cloud
    owner = with_app(cloud)
    path = f"users/{owner.person.id}/remove-second-factor"
    scene.do(path, {"reason": ""}).refused(400, "VALIDATION_ERROR")
    scene.do(path, {"reason": "the phone fell into the sea"}).ok()
    assert "the phone fell into the sea" in scene.mails(owner.person)[-1].text
    cloud.get("/api/me", owner.session).refused(401, "UNAUTHORIZED")
    signed_in = sign_in(cloud, owner.person.email).ok()
    assert signed_in["token"]
    with cloud.database.read() as connection:
        assert connection.execute(sa.select(tables.recovery_codes)).first() is None
    assert [row.action for row in scene.recorded() if row.object_id == owner.person.id] == [
        "account.remove-second-factor"
    ]
    scene.do(path, {"reason": "once more"}).refused(409, "NO_TOTP")
