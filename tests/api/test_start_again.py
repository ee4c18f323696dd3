"""`/api/teams/{id}/start-again`, and what `/api/teams/{id}/billing` says of a team on its way down and back."""

from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people.roles import Role
from forebay.storage.tables import accounts, deployments
from tests.api.cloud import DOLLAR, Cloud, Person

pytestmark = pytest.mark.slow


def spend_it_all(cloud: Cloud, person: Person) -> None:
    """Let what runs use the credits up, and what has to happen then happen."""
    hours = cloud.get(f"/api/teams/{person.team}/billing", person.key).ok()["runwaySeconds"] / 3600
    cloud.clock.forward(hours=hours, seconds=1)
    cloud.run("cycle")
    cloud.settle()


def billing(cloud: Cloud, person: Person) -> Any:
    return cloud.get(f"/api/teams/{person.team}/billing", person.key).ok()


def again(cloud: Cloud, person: Person, team: str, credential: str | None = None) -> Any:
    found = cloud.post(f"/api/teams/{team}/start-again", credential or person.key).ok()
    cloud.settle()
    return found


def status(cloud: Cloud, person: Person, machine: Any) -> str:
    return str(cloud.get(f"/api/deployments/{machine['id']}", person.key).ok()["status"])


def actions(cloud: Cloud, team: str) -> list[str]:
    return [row.action for row in cloud.activity(team)]


def test_what_was_stopped_for_money_starts_with_one_request_and_nothing_else_does(cloud: Cloud) -> None:
    pat = cloud.person("Pat", credits_micros=20 * DOLLAR)
    first, by_hand, second = (cloud.running(pat) for _ in range(3))
    cloud.clock.forward(hours=1)
    cloud.run("sightings")
    cloud.post(f"/api/deployments/{by_hand['id']}/stop", pat.key).ok()
    cloud.settle()
    assert billing(cloud, pat)["step"] in ("fine", "low")
    spend_it_all(cloud, pat)
    shown = billing(cloud, pat)
    assert (shown["step"], shown["waitingUntil"]) == ("stopped", None)
    assert shown["disksDeletedAt"] > shown["stoppedAt"]
    assert shown["debt"] == -shown["balance"]
    assert shown["whatNext"].startswith("Nothing has run since ")
    found = again(cloud, pat, pat.team)
    assert found["started"] == []
    assert {refusal["code"] for refusal in found["refused"]} == {"INSUFFICIENT_BALANCE"}
    cloud.grant(pat.team, 50 * DOLLAR)
    cloud.run("cycle")
    cloud.settle()
    assert [status(cloud, pat, machine) for machine in (first, by_hand, second)] == ["stopped"] * 3
    found = again(cloud, pat, pat.team)
    assert [machine["id"] for machine in found["started"]] == [first["id"], second["id"]]
    assert [status(cloud, pat, machine) for machine in (first, by_hand, second)] == ["running", "stopped", "running"]
    assert actions(cloud, pat.team).count("deployment.start-again") == 2
    assert again(cloud, pat, pat.team) == {"started": [], "refused": []}


def test_as_far_as_the_credit_lasts_the_oldest_first(cloud: Cloud) -> None:
    pat = cloud.person("Pat", credits_micros=20 * DOLLAR)
    machines = [cloud.running(pat) for _ in range(3)]
    spend_it_all(cloud, pat)
    with cloud.database.read() as connection:
        debt = -connection.execute(
            sa.select(accounts.c.balance_micros).where(accounts.c.team_id == pat.team)
        ).scalar_one()
    cloud.grant(pat.team, debt + 7 * DOLLAR)
    found = again(cloud, pat, pat.team)
    assert [machine["id"] for machine in found["started"]] == [machine["id"] for machine in machines[:2]]
    [refusal] = found["refused"]
    assert (refusal["id"], refusal["code"]) == (machines[2]["id"], "INSUFFICIENT_BALANCE")
    assert "this needs $3.00 of available credits" in refusal["reason"]
    shown = billing(cloud, pat)
    assert shown["available"] == 1.0
    with cloud.database.read() as connection:
        rows = connection.execute(
            sa.select(deployments.c.status, deployments.c.stopped_for_credits_at.is_not(None))
            .where(deployments.c.team_id == pat.team)
            .order_by(deployments.c.id)
        ).all()
    assert [tuple(row) for row in rows] == [("running", False), ("running", False), ("stopped", True)]


def test_a_member_starts_their_own_alone(cloud: Cloud) -> None:
    pat, mia = cloud.person("Pat", credits_micros=20 * DOLLAR), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    his, hers = cloud.running(pat), cloud.running(mia, pat.team, sshKeyId=cloud.ssh_key(pat.team, pat))
    spend_it_all(cloud, pat)
    cloud.grant(pat.team, 100 * DOLLAR)
    found = again(cloud, mia, pat.team)
    assert [machine["id"] for machine in found["started"]] == [hers["id"]]
    [refusal] = found["refused"]
    assert (refusal["id"], refusal["code"]) == (his["id"], "FORBIDDEN")
    assert status(cloud, pat, his) == "stopped"


def test_a_frozen_team_starts_nothing_again(cloud: Cloud) -> None:
    pat = cloud.person("Pat", credits_micros=20 * DOLLAR)
    machine = cloud.running(pat)
    spend_it_all(cloud, pat)
    cloud.grant(pat.team, 100 * DOLLAR)
    with cloud.database.begin() as connection:
        connection.exec_driver_sql("UPDATE teams SET frozen_at = 1")
    cloud.post(f"/api/teams/{pat.team}/start-again", pat.key).refused(403, "TEAM_FROZEN")
    with cloud.database.begin() as connection:
        connection.exec_driver_sql("UPDATE teams SET frozen_at = NULL")
    assert status(cloud, pat, machine) == "stopped"


def test_a_repeat_under_one_key_is_answered_alike_and_done_once(cloud: Cloud) -> None:
    pat = cloud.person("Pat", credits_micros=20 * DOLLAR)
    machine = cloud.running(pat)
    spend_it_all(cloud, pat)
    cloud.grant(pat.team, 100 * DOLLAR)
    path = f"/api/teams/{pat.team}/start-again"
    first, second = (cloud.post(path, pat.key, retry="once").ok() for _ in range(2))
    assert first == second
    assert first["started"] == [{"id": machine["id"], "name": machine["name"]}]
    assert actions(cloud, pat.team).count("deployment.start-again") == 1


def test_of_many_who_start_again_at_once_each_machine_starts_once(cloud: Cloud) -> None:
    pat = cloud.person("Pat", credits_micros=20 * DOLLAR)
    machines = [cloud.running(pat) for _ in range(3)]
    spend_it_all(cloud, pat)
    cloud.grant(pat.team, 100 * DOLLAR)
    path = f"/api/teams/{pat.team}/start-again"
    answers = [answer.ok() for answer in cloud.at_once([cloud.request("POST", path, pat.key) for _ in range(6)])]
    started = [machine["id"] for answer in answers for machine in answer["started"]]
    assert sorted(started) == sorted(machine["id"] for machine in machines)
    assert all(answer["refused"] == [] for answer in answers)
    cloud.settle()
    assert [status(cloud, pat, machine) for machine in machines] == ["running"] * 3
