"""Teams and accounts come to an end only when nothing is left of them, and then for good."""

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from forebay import ids
from forebay.domain.machines import teams as machine_teams
from forebay.domain.money import audit, ledger
from forebay.domain.people.roles import Role
from forebay.storage import tables
from tests.api.cloud import DOLLAR, Cloud, Person, new_public_key

pytestmark = pytest.mark.slow


def delete(cloud: Cloud, team: str, person: Person, give_up: str | None = None) -> Any:
    query = "" if give_up is None else f"?giveUpCredits={give_up}"
    return cloud.send("DELETE", f"/api/teams/{team}{query}", person.session)


def violations(cloud: Cloud) -> list[Any]:
    with audit.snapshot(cloud.database) as connection:
        return list(audit.run(connection))


def end_machine(cloud: Cloud, person: Person, machine: str) -> None:
    cloud.send("DELETE", f"/api/deployments/{machine}", person.key).ok()
    cloud.settle()


# Teams.


def test_an_empty_team_is_deleted_for_everybody_in_it(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia")
    team = cloud.team(olga)
    cloud.join(team, mia, Role.admin)
    key = cloud.ssh_key(team, mia)
    narrowed, free = cloud.key(mia.id, team, team_ids=[team]), cloud.key(mia.id, team)
    cloud.send("PUT", "/api/me/current-team", mia.session, {"teamId": team}).ok()
    invited = cloud.post(
        f"/api/teams/{team}/invitations", olga.session, {"email": "new@example.org", "role": "member"}
    ).ok(201)
    assert delete(cloud, team, olga).ok() == {"success": True}
    for credential in (olga.session, olga.key, mia.session, free):
        cloud.get(f"/api/teams/{team}", credential).refused(404, "NOT_FOUND")
        assert team not in [each["id"] for each in cloud.get("/api/teams", credential).ok()["teams"]]
    cloud.get(f"/api/ssh-keys/{key}", olga.key).refused(404, "NOT_FOUND")
    cloud.get("/api/me", narrowed).refused(401, "UNAUTHORIZED")
    cloud.get("/api/deployments", free).refused(400, "TEAM_REQUIRED")
    assert cloud.get("/api/me", mia.session).ok()["currentTeamId"] == mia.team
    with cloud.database.read() as connection:
        state = connection.execute(
            sa.select(tables.invitations.c.state).where(tables.invitations.c.id == invited["id"])
        ).scalar_one()
    assert state == "revoked"
    [row] = [row for row in cloud.activity(team) if row.action == "team.delete"]
    assert (row.user_id, row.details["members"]) == (olga.id, 2)
    delete(cloud, team, olga).refused(404, "NOT_FOUND")
    assert violations(cloud) == []


def test_not_while_a_machine_or_its_disk_is_left(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    team = cloud.team(olga, credits_micros=100 * DOLLAR)
    machine = cloud.running(olga, team)
    for status in ("running", "stopped"):
        found = delete(cloud, team, olga, "100.00").refused(409, "TEAM_IN_USE")["details"]["teams"]
        assert [(each["id"], each["status"]) for each in found[0]["deployments"]] == [(machine["id"], status)]
        if status == "running":
            assert found[0]["held"] == 3
            cloud.post(f"/api/deployments/{machine['id']}/stop", olga.key).ok()
            cloud.settle()
    cloud.provider.be_slow_to_end()
    end_machine_request = cloud.send("DELETE", f"/api/deployments/{machine['id']}", olga.key)
    end_machine_request.ok()
    cloud.run("deployments")
    # The provider has not said yet that it is gone: it may still cost.
    [found] = delete(cloud, team, olga, "100.00").refused(409, "TEAM_IN_USE")["details"]["teams"]
    assert [each["status"] for each in found["deployments"]] == ["terminated"]
    cloud.provider.be_back()
    cloud.clock.forward(minutes=5)
    cloud.settle()
    delete(cloud, team, olga, "100.00").ok()
    assert violations(cloud) == []


def test_credits_are_given_up_in_so_many_words(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    team = cloud.team(olga, credits_micros=12_345_670)
    assert delete(cloud, team, olga).refused(409, "CREDITS_REMAIN")["details"] == {"credits": "12.34567"}
    for wrong in ("12.34", "12.345671", "0", "-12.34567", "all", "NaN", "1e400", "12,34567"):
        refused = delete(cloud, team, olga, wrong).refused(400, "VALIDATION_ERROR")
        assert "12.34567" in refused["details"]["giveUpCredits"]
    delete(cloud, team, olga, "12.34567").ok()
    with cloud.database.read() as connection:
        assert ledger.balance(connection, team).balance_micros == 0
        [last, *_], _ = ledger.transactions(connection, team)
    assert (last.kind, last.amount_micros, last.created_by) == ("credits_given_up", -12_345_670, olga.id)
    assert violations(cloud) == []


def test_not_while_something_is_owed(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    team = cloud.team(olga, credits_micros=5 * DOLLAR)
    machine = cloud.running(olga, team)
    cloud.clock.forward(hours=3)
    cloud.run("sightings")
    end_machine(cloud, olga, machine["id"])
    olga = msgspec.structs.replace(olga, session=cloud.session(olga.id))
    for give_up in (None, "0", "-5.80"):
        [found] = delete(cloud, team, olga, give_up).refused(409, "TEAM_IN_USE")["details"]["teams"]
        assert found["owed"] > 0
    cloud.grant(team, round(found["owed"] * DOLLAR))
    delete(cloud, team, olga).ok()


def test_not_while_a_payment_is_under_way_and_nothing_is_charged_afterwards(cloud: Cloud) -> None:
    olga, now = cloud.person("Olga"), cloud.clock.now()
    team = cloud.team(olga)
    card, attempt = ids.new_id(now), ids.new_id(now)
    with cloud.database.begin() as connection:
        connection.execute(
            sa.insert(tables.cards).values(
                id=card,
                team_id=team,
                payment_method_id=f"pm_{card}",
                brand="visa",
                last_four="4242",
                expiry_month=12,
                expiry_year=2030,
                is_default=True,
                created_at=now,
            )
        )
        connection.execute(
            sa.insert(tables.auto_top_ups).values(
                team_id=team,
                is_on=True,
                threshold_micros=1,
                amount_micros=DOLLAR,
                max_charge_micros=DOLLAR,
                consent_text="yes",
                consented_by=olga.id,
                consented_at=now,
                updated_at=now,
            )
        )
        connection.execute(
            sa.insert(tables.payment_attempts).values(
                id=attempt,
                team_id=team,
                path="manual",
                state="claimed",
                amount_micros=DOLLAR,
                card_id=card,
                request={},
                idempotency_key=f"attempt:{attempt}",
                created_at=now,
            )
        )
    [found] = delete(cloud, team, olga).refused(409, "TEAM_IN_USE")["details"]["teams"]
    assert found["paymentsUnderWay"] == 1
    attempts = tables.payment_attempts
    with cloud.database.begin() as connection:
        ended = sa.update(attempts).where(attempts.c.id == attempt)
        connection.execute(ended.values(state="declined", closed_at=now))
    delete(cloud, team, olga).ok()
    with cloud.database.read() as connection:
        policy = connection.execute(sa.select(tables.auto_top_ups).where(tables.auto_top_ups.c.team_id == team)).one()
        kept = connection.execute(sa.select(tables.cards).where(tables.cards.c.id == card)).one()
    assert not policy.is_on
    assert (kept.deleted_at, kept.is_default) == (now, False)


def test_a_frozen_team_is_not_for_its_owner_to_delete(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    team = cloud.team(olga)
    with cloud.database.begin() as connection:
        machine_teams.freeze(connection, None, team, reason="under inquiry", now=cloud.clock.now())
    delete(cloud, team, olga).refused(403, "TEAM_FROZEN")


def test_deleting_a_team_needs_a_recent_sign_in(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    team = cloud.team(olga)
    cloud.clock.forward(minutes=16)
    delete(cloud, team, olga).refused(403, "SIGN_IN_AGAIN")


def test_the_slug_of_a_deleted_team_is_nobody_else_s(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    made = [cloud.post("/api/teams", olga.session, {"name": "Blue Heron"}).ok(201)]
    delete(cloud, made[0]["id"], olga).ok()
    made.append(cloud.post("/api/teams", olga.session, {"name": "Blue Heron"}).ok(201))
    assert made[0]["slug"] != made[1]["slug"]


# Accounts.


def farewell(cloud: Cloud, person: Person, **more: str) -> Any:
    return cloud.send("DELETE", "/api/me", person.session, {"confirm": person.email, **more})


def test_an_account_is_deleted_with_its_lone_teams_and_leaves_the_others(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia", credits_micros=0)
    team = cloud.team(olga, credits_micros=100 * DOLLAR)
    cloud.join(team, mia, Role.admin)
    key = cloud.post("/api/ssh-keys", mia.session, {"name": "hers", "publicKey": new_public_key(), "teamId": team}).ok(
        201
    )
    order = cloud.order(team, key["id"])
    machine = cloud.post("/api/deployments", mia.session, order).ok(201)["id"]
    cloud.settle()
    other_session = cloud.session(mia.id)
    assert farewell(cloud, mia).ok() == {"success": True}
    for credential in (mia.session, other_session, mia.key):
        cloud.get("/api/me", credential).refused(401, "UNAUTHORIZED")
    assert [each["userId"] for each in cloud.get(f"/api/teams/{team}/members", olga.key).ok()["members"]] == [olga.id]
    cloud.run("ssh-keys")
    assert cloud.provider.machines[machine].keys == ()
    assert cloud.get(f"/api/deployments/{machine}", olga.key).ok()["status"] == "running"
    with cloud.database.read() as connection:
        row = connection.execute(sa.select(tables.users).where(tables.users.c.id == mia.id)).one()
        deleted = connection.execute(
            sa.select(tables.teams.c.deleted_at).where(tables.teams.c.id == mia.team)
        ).scalar_one()
    assert (row.name, row.email, row.email_key, row.password_hash) == (
        "Deleted account",
        f"deleted-{mia.id}",
        f"deleted-{mia.id}",
        None,
    )
    assert row.deleted_at is not None
    assert deleted is not None
    assert "account.delete" in [each.action for each in cloud.activity(None) if each.user_id == mia.id]


def test_no_credential_made_in_the_same_moment_outlives_the_account(cloud: Cloud) -> None:
    mia = cloud.person("Mia", credits_micros=0)
    farewell(cloud, mia).ok()
    for credential in (cloud.session(mia.id), cloud.key(mia.id, mia.team)):
        cloud.get("/api/me", credential).refused(401, "UNAUTHORIZED")


def test_what_stands_for_the_address_is_no_way_back(cloud: Cloud) -> None:
    mia = cloud.person("Mia", credits_micros=0)
    farewell(cloud, mia).ok()
    nobody = f"deleted-{mia.id}"
    cloud.post("/api/auth/forgot-password", body={"email": nobody})
    cloud.post("/api/auth/sign-in", body={"email": nobody, "password": "x"}).refused(401, "WRONG_CREDENTIALS")
    with cloud.database.read() as connection:
        written = connection.execute(sa.select(tables.mails.c.id).where(tables.mails.c.recipient == nobody)).all()
        tokens = connection.execute(sa.select(tables.mail_tokens.c.id).where(tables.mail_tokens.c.user_id == mia.id))
        assert (written, tokens.all()) == ([], [])


def test_the_address_may_make_a_new_account(cloud: Cloud) -> None:
    mia = cloud.person("Mia", credits_micros=0)
    farewell(cloud, mia).ok()
    body = {"email": mia.email, "name": "Mia again", "password": "correct horse staple"}
    cloud.post("/api/auth/sign-up", None, body).ok(202)
    with cloud.database.read() as connection:
        found = connection.execute(sa.select(tables.users.c.id).where(tables.users.c.email == mia.email)).scalar_one()
    assert found != mia.id


def test_who_alone_owns_a_team_of_others_transfers_it_first(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga", credits_micros=0), cloud.person("Mia")
    team = cloud.team(olga)
    cloud.join(team, mia, Role.member)
    refused = farewell(cloud, olga).refused(409, "LAST_OWNER")
    assert [each["id"] for each in refused["details"]["teams"]] == [team]
    path = f"/api/teams/{team}/transfer-ownership"
    cloud.post(path, olga.session, {"userId": mia.id}).ok()
    farewell(cloud, olga).ok()


def test_nothing_is_lost_or_done_by_halves(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia", credits_micros=7 * DOLLAR)
    shared, second = cloud.team(olga), cloud.team(mia, credits_micros=100 * DOLLAR)
    cloud.join(shared, mia, Role.admin)
    machine = cloud.running(mia, second)["id"]
    found = farewell(cloud, mia, giveUpCredits="107.00").refused(409, "TEAM_IN_USE")["details"]["teams"]
    assert [each["id"] for each in found] == [second]
    end_machine(cloud, mia, machine)
    cloud.get(f"/api/teams/{shared}", mia.session).ok()
    assert farewell(cloud, mia).refused(409, "CREDITS_REMAIN")["details"] == {"credits": "107.00"}
    farewell(cloud, mia, giveUpCredits="7.00").refused(400, "VALIDATION_ERROR")
    cloud.get(f"/api/teams/{shared}", mia.session).ok()
    farewell(cloud, mia, giveUpCredits="107.00").ok()
    assert violations(cloud) == []


def test_another_address_confirms_nothing(cloud: Cloud) -> None:
    mia = cloud.person("Mia", credits_micros=0)
    for wrong in ("", "somebody@example.org", mia.email + "x"):
        refused = cloud.send("DELETE", "/api/me", mia.session, {"confirm": wrong}).refused(400, "VALIDATION_ERROR")
        assert "confirm" in refused["details"]
    cloud.send("DELETE", "/api/me", mia.session).refused(400, "VALIDATION_ERROR")
    cloud.clock.forward(minutes=16)
    farewell(cloud, mia).refused(403, "SIGN_IN_AGAIN")
    cloud.get("/api/me", mia.session).ok()


# What is kept about a person.


def test_the_export_has_everything_and_no_secret(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia")
    team = cloud.team(olga, credits_micros=100 * DOLLAR)
    cloud.join(team, mia, Role.admin)
    made = cloud.post("/api/api-keys", mia.session, {"name": "script"}).ok(201)
    machine = cloud.running(mia, mia.team)
    cloud.running(olga, team)
    answer = cloud.get("/api/me/export", mia.session)
    found = answer.ok()
    assert found["account"]["email"] == mia.email
    assert found["account"]["createdAt"].endswith("Z")
    assert {each["id"] for each in found["teams"]} == {mia.team, team}
    assert "script" in {each["name"] for each in found["apiKeys"]}
    assert [each["id"] for each in found["deployments"]] == [machine["id"]]
    assert {each["teamId"] for each in found["sshKeys"]} == {mia.team}
    assert {"deployment.launch", "api-key.create"} <= {each["action"] for each in found["activity"]}
    assert len(found["sessions"]) == 1
    text = answer.body.decode()
    for secret in (mia.session, mia.key, made["secret"], "Hash", "hash", "argon2"):
        assert secret not in text
    assert olga.email not in text
    cloud.get("/api/me/export", mia.key).refused(403, "SESSION_NEEDED")
    cloud.clock.forward(minutes=16)
    cloud.get("/api/me/export", mia.session).refused(403, "SIGN_IN_AGAIN")


# At once.


def test_of_two_deletions_at_once_one_happens(cloud: Cloud) -> None:
    olga = cloud.person("Olga")
    team = cloud.team(olga, credits_micros=5 * DOLLAR)
    request = cloud.request("DELETE", f"/api/teams/{team}?giveUpCredits=5.00", olga.session)
    assert sorted(answer.status for answer in cloud.at_once([request] * 4)) == [200, 404, 404, 404]
    mia = cloud.person("Mia", credits_micros=0)
    request = cloud.request("DELETE", "/api/me", mia.session, {"confirm": mia.email})
    assert sorted(answer.status for answer in cloud.at_once([request] * 3)) == [200, 401, 401]
    assert violations(cloud) == []


@pytest.mark.slow
def test_a_team_is_deleted_or_launches_are_accepted_never_both(cloud: Cloud) -> None:
    for _ in range(6):
        olga, mia = cloud.person("Olga"), cloud.person("Mia")
        team = cloud.team(olga, credits_micros=50 * DOLLAR)
        cloud.join(team, mia, Role.admin)
        order = cloud.order(team, cloud.ssh_key(team, mia))
        requests = [
            *(cloud.request("POST", "/api/deployments", mia.session, order) for _ in range(2)),
            cloud.request("DELETE", f"/api/teams/{team}?giveUpCredits=50.00", olga.session),
            *(cloud.request("POST", "/api/deployments", olga.session, order) for _ in range(2)),
        ]
        statuses = [answer.status for answer in cloud.at_once(requests)]
        launched = statuses.count(201)
        assert (statuses[2], launched > 0) in ((200, False), (409, True)), statuses
    assert violations(cloud) == []


@pytest.mark.slow
def test_two_accounts_that_share_a_team_are_deleted_at_once(cloud: Cloud) -> None:
    """One of two owners is the last: they must stay, or end the team with themselves once they are alone in it."""
    for _ in range(6):
        people = [cloud.person("Olga", credits_micros=0), cloud.person("Mia", credits_micros=0)]
        team = cloud.team(people[0])
        cloud.join(team, people[1], Role.owner)
        answers = cloud.at_once(
            [cloud.request("DELETE", "/api/me", each.session, {"confirm": each.email}) for each in people]
        )
        assert [answer.status for answer in answers] == [200, 200]
        with cloud.database.read() as connection:
            row = connection.execute(sa.select(tables.teams.c.deleted_at).where(tables.teams.c.id == team)).one()
        assert row.deleted_at is not None
