"""`/api/teams/{id}/credit-moves`: from one of my teams to another, once, and never more than is available."""

import pytest

from forebay.domain.money import audit, ledger
from forebay.domain.money.ledger import Posting, account_id
from forebay.domain.people.roles import Role
from forebay.storage.tables import teams
from tests.api.cloud import ABSENT, DOLLAR, Cloud, Person

pytestmark = pytest.mark.slow


@pytest.fixture
def olga(cloud: Cloud) -> Person:
    return cloud.person("Olga", credits_micros=20 * DOLLAR)


def credits(cloud: Cloud, person: Person) -> dict[str, float]:
    found = cloud.get("/api/balance", person.key).ok()["teams"]
    return {team["teamId"]: team["balance"] for team in found}


def test_a_move_is_in_the_books_of_both_teams(cloud: Cloud, olga: Person) -> None:
    lab = cloud.team(olga)
    body = {"toTeamId": lab, "amount": "5.000001"}
    path = f"/api/teams/{olga.team}/credit-moves"
    made = cloud.post(path, olga.session, body, retry="once").ok(201)
    again = cloud.post(path, olga.session, body, retry="once")
    assert again.ok(201) == made
    assert again.headers["idempotency-replayed"] == "true"
    assert credits(cloud, olga) == {olga.team: 14.999999, lab: 5.000001}
    assert (made["amount"], made["available"], made["toTeamId"]) == (5.000001, 14.999999, lab)
    words = {}
    for team in (olga.team, lab):
        [newest, *_] = cloud.get(f"/api/teams/{team}/transactions", olga.session).ok()["transactions"]
        words[team] = (newest["description"], newest["amount"], newest["createdBy"]["id"])
        [row, *_] = cloud.get(f"/api/teams/{team}/activity", olga.session).ok()["activity"]
        assert (row["action"], row["details"]["amount"]) == ("credits.move", "5.000001")
    assert words == {
        olga.team: ("Credits moved to another team", -5.000001, olga.id),
        lab: ("Credits moved from another team", 5.000001, olga.id),
    }
    with audit.snapshot(cloud.database) as connection:
        assert audit.run(connection) == []


def test_what_is_held_stays(cloud: Cloud, olga: Person) -> None:
    lab = cloud.team(olga)
    cloud.launch(olga)
    available = cloud.get(f"/api/teams/{olga.team}/billing", olga.session).ok()["available"]
    assert available < 20
    path = f"/api/teams/{olga.team}/credit-moves"
    cloud.post(path, olga.session, {"toTeamId": lab, "amount": available + 0.000001}).refused(
        402, "INSUFFICIENT_BALANCE"
    )
    assert cloud.post(path, olga.session, {"toTeamId": lab, "amount": available}).ok(201)["available"] == 0.0
    cloud.post(path, olga.session, {"toTeamId": lab, "amount": "0.000001"}).refused(402, "INSUFFICIENT_BALANCE")


def test_only_between_teams_of_ones_own(cloud: Cloud, olga: Person) -> None:
    lab, other, mia = cloud.team(olga), cloud.person("Otto"), cloud.person("Mia")
    cloud.join(olga.team, mia, Role.admin)
    cloud.join(other.team, olga, Role.admin)
    path = f"/api/teams/{olga.team}/credit-moves"
    for team, status, code in (
        (mia.team, 404, "NOT_FOUND"),
        (ABSENT, 404, "NOT_FOUND"),
        ("x", 404, "NOT_FOUND"),
        (other.team, 403, "FORBIDDEN"),
        (olga.team, 400, "VALIDATION_ERROR"),
    ):
        cloud.post(path, olga.session, {"toTeamId": team, "amount": 1}).refused(status, code)
    cloud.post(path, mia.session, {"toTeamId": mia.team, "amount": 1}).refused(403, "FORBIDDEN")
    cloud.post(path, olga.key, {"toTeamId": lab, "amount": 1}).refused(403, "FORBIDDEN")
    narrowed = cloud.key(olga.id, olga.team, may_touch_money=True, team_ids=[olga.team])
    cloud.post(path, narrowed, {"toTeamId": lab, "amount": 1}).refused(404, "NOT_FOUND")
    cloud.clock.forward(minutes=16)
    cloud.post(path, olga.session, {"toTeamId": lab, "amount": 1}).refused(403, "SIGN_IN_AGAIN")
    assert credits(cloud, olga) == {olga.team: 20.0, lab: 0.0, other.team: 100.0}


@pytest.mark.parametrize("amount", [0, -1, "0.0000001", "1e12", "nan", "inf", "", "five", 1e300, None, True, [1]])
def test_what_is_no_amount(cloud: Cloud, olga: Person, amount: object) -> None:
    body = {"toTeamId": cloud.team(olga), "amount": amount}
    cloud.post(f"/api/teams/{olga.team}/credit-moves", olga.session, body).refused(400, "VALIDATION_ERROR")
    assert credits(cloud, olga)[olga.team] == 20.0


def test_a_frozen_team_gets_but_does_not_give(cloud: Cloud, olga: Person) -> None:
    lab = cloud.team(olga, credits_micros=DOLLAR)
    with cloud.database.begin() as connection:
        connection.execute(teams.update().where(teams.c.id == olga.team).values(frozen_at=cloud.clock.now()))
    body = {"toTeamId": lab, "amount": 1}
    cloud.post(f"/api/teams/{olga.team}/credit-moves", olga.session, body).refused(403, "TEAM_FROZEN")
    cloud.post(f"/api/teams/{lab}/credit-moves", olga.session, {"toTeamId": olga.team, "amount": 1}).ok(201)


def test_moves_that_cross_and_moves_at_once(cloud: Cloud, olga: Person) -> None:
    lab = cloud.team(olga, credits_micros=20 * DOLLAR)
    requests = []
    for _ in range(10):
        for giver, taker in ((olga.team, lab), (lab, olga.team)):
            path = f"/api/teams/{giver}/credit-moves"
            requests.append(cloud.request("POST", path, olga.session, {"toTeamId": taker, "amount": 15}))
    answers = cloud.at_once(requests)
    assert {answer.status for answer in answers} <= {201, 402}
    assert 201 in [answer.status for answer in answers]
    found = credits(cloud, olga)
    assert found[olga.team] + found[lab] == 40.0
    assert min(found.values()) >= 0
    with audit.snapshot(cloud.database) as connection:
        assert audit.run(connection) == []


def test_the_audit_misses_the_other_half(own_cloud: Cloud) -> None:
    olga = own_cloud.person("Olga")
    with own_cloud.database.begin() as connection:
        ledger.post(
            connection,
            team_id=olga.team,
            kind=ledger.MOVED_IN,
            key=f"credit-move:{ABSENT}:{ledger.MOVED_IN}",
            postings=[Posting(account_id(olga.team), 5), Posting(ledger.CLEARING, -5)],
            now=own_cloud.clock.now(),
        )
    with audit.snapshot(own_cloud.database) as connection:
        assert [str(found) for found in audit.run(connection)] == [
            f"credit moves: credit-move:{ABSENT} has 1 sides of 2, which differ by -5"
        ]
