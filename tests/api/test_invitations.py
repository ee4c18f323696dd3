"""Invitations: who may send them, what their link does, and that nobody learns from them who has an account."""

import json
import logging
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people import accounts
from forebay.domain.people.activity import record_denials
from forebay.domain.people.roles import Role
from forebay.storage.tables import activity, idempotency_keys, invitations, mails, memberships, teams, users
from tests.api.cloud import ABSENT, Cloud, Person, numbers
from tests.api.invited import invite, last_mail, subjects, token_for

pytestmark = pytest.mark.slow


def somebody() -> str:
    return f"somebody-{next(numbers)}@example.org"


def send(cloud: Cloud, owner: Person, email: str, role: str = "member", team: str = "") -> Any:
    return cloud.post(f"/api/teams/{team or owner.team}/invitations", owner.session, {"email": email, "role": role})


def state(cloud: Cloud, owner: Person, invitation_id: str) -> str:
    found = cloud.get(f"/api/teams/{owner.team}/invitations", owner.session).ok()["invitations"]
    return next(str(each["state"]) for each in found if each["id"] == invitation_id)


def accept(cloud: Cloud, person: Person, token: str) -> Any:
    return cloud.post(f"/api/invitations/{token}/accept", person.session)


def role_of(cloud: Cloud, team: str, person: Person) -> str | None:
    with cloud.database.read() as connection:
        wanted = sa.select(memberships.c.role).where(memberships.c.team_id == team, memberships.c.user_id == person.id)
        return connection.execute(wanted).scalar()


def write_denials(cloud: Cloud) -> None:
    with cloud.database.begin() as connection:
        record_denials(connection, cloud.door.take_denials(None))


def test_from_the_invitation_to_the_membership(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    made = send(cloud, owner, mia.email.upper(), "admin").ok(201)
    assert set(made) == {
        "id", "email", "role", "state", "invitedBy", "inviterName", "createdAt", "sentAt", "expiresAt", "closedAt",
    }  # fmt: skip
    assert (made["role"], made["state"], made["invitedBy"], made["closedAt"]) == ("admin", "pending", owner.id, None)
    token = token_for(cloud, made["email"])
    shown = cloud.get(f"/api/invitations/{token}").ok()
    assert shown == {
        "teamName": "Olga's team",
        "inviterName": "Olga",
        "email": made["email"],
        "role": "admin",
        "mayDo": "launch and operate all machines, manage keys, volumes and billing; not members, nor the team itself",
        "state": "pending",
        "expiresAt": made["expiresAt"],
    }
    assert cloud.get(f"/api/invitations/{token}").ok() == shown, "looking changes nothing"
    assert role_of(cloud, owner.team, mia) is None
    assert accept(cloud, mia, token).ok() == {"teamId": owner.team, "teamName": "Olga's team", "role": "admin"}
    assert role_of(cloud, owner.team, mia) == "admin"
    assert cloud.get("/api/me", mia.session).ok()["currentTeamId"] == owner.team, "they land in the team"
    assert cloud.get("/api/me", mia.key).ok()["currentTeamId"] == mia.team, "but no key is moved"
    assert subjects(cloud, owner.email)[-1] == "Mia has joined Olga's team"
    refusal = accept(cloud, mia, token).refused(409, "INVITATION_CLOSED")
    assert refusal["details"] == {"state": "accepted"}
    assert state(cloud, owner, made["id"]) == cloud.get(f"/api/invitations/{token}").ok()["state"] == "accepted"
    with cloud.database.read() as connection:
        wanted = sa.select(activity.c.action, activity.c.team_id, activity.c.user_id)
        rows = connection.execute(
            wanted.where(activity.c.user_id.in_([owner.id, mia.id])).order_by(activity.c.id)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("invitation.create", owner.team, owner.id),
        ("invitation.accept", owner.team, mia.id),
        ("account.join-team", None, mia.id),
    ]


def test_a_link_dies_at_the_exact_second(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    made = send(cloud, owner, mia.email).ok(201)
    token = token_for(cloud, mia.email)
    cloud.clock.forward(days=7, seconds=-1)
    assert cloud.get(f"/api/invitations/{token}").ok()["state"] == "pending"
    cloud.clock.forward(seconds=1)
    mia = Person(**{name: getattr(mia, name) for name in mia.__struct_fields__} | {"session": cloud.session(mia.id)})
    owner = Person(
        **{name: getattr(owner, name) for name in owner.__struct_fields__} | {"session": cloud.session(owner.id)}
    )
    assert cloud.get(f"/api/invitations/{token}").ok()["state"] == state(cloud, owner, made["id"]) == "expired"
    refusal = accept(cloud, mia, token).refused(409, "INVITATION_CLOSED")
    assert refusal["details"] == {"state": "expired"}
    cloud.post(f"/api/invitations/{token}/decline").refused(409, "INVITATION_CLOSED")
    again = send(cloud, owner, mia.email).ok(201)
    assert again["id"] != made["id"], "who was invited too long ago can be invited anew"
    accept(cloud, mia, token_for(cloud, mia.email)).ok()


def test_in_the_last_second_it_is_good(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    _, token = invite(cloud, owner, owner.team, mia.email)
    cloud.clock.forward(days=7, seconds=-1)
    cloud.post(f"/api/invitations/{token}/accept", cloud.session(mia.id)).ok()


def test_a_forwarded_link_is_of_no_use(cloud: Cloud) -> None:
    owner, mia, eve = cloud.person("Olga"), cloud.person("Mia"), cloud.person("Eve")
    _, token = invite(cloud, owner, owner.team, mia.email, Role.owner)
    refusal = accept(cloud, eve, token).refused(403, "INVITATION_NOT_YOURS")
    assert refusal["details"] == {}
    assert owner.team not in json.dumps(refusal)
    assert mia.email not in json.dumps(refusal)
    assert role_of(cloud, owner.team, eve) is None
    cloud.post(f"/api/invitations/{token}/accept", mia.key).refused(403, "SESSION_NEEDED")
    cloud.post(f"/api/invitations/{token}/accept").refused(401, "UNAUTHORIZED")
    write_denials(cloud)
    with cloud.database.read() as connection:
        wanted = sa.select(activity).where(activity.c.team_id == owner.team, activity.c.outcome == "denied")
        [denied] = connection.execute(wanted).all()
    assert (denied.user_id, denied.details["request"]) == (eve.id, "POST /api/invitations/{token}/accept")
    accept(cloud, mia, token).ok()


def test_an_address_that_is_not_proved_accepts_nothing(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    _, token = invite(cloud, owner, owner.team, mia.email)
    with cloud.database.begin() as connection:
        connection.execute(sa.update(users).where(users.c.id == mia.id).values(verified_at=None))
    accept(cloud, mia, token).refused(403, "INVITATION_NOT_YOURS")


def test_a_new_link_kills_the_old(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    made = send(cloud, owner, mia.email).ok(201)
    old = token_for(cloud, mia.email)
    cloud.clock.forward(minutes=5)
    again = cloud.post(f"/api/teams/{owner.team}/invitations/{made['id']}/resend", owner.session).ok()
    assert again["sentAt"] > made["sentAt"]
    assert again["expiresAt"] > made["expiresAt"]
    for answer in (cloud.get(f"/api/invitations/{old}"), accept(cloud, mia, old)):
        answer.refused(404, "NOT_FOUND")
    accept(cloud, mia, token_for(cloud, mia.email)).ok()
    answer = cloud.post(f"/api/teams/{owner.team}/invitations/{made['id']}/resend", owner.session)
    assert answer.refused(409, "INVITATION_CLOSED")["details"] == {"state": "accepted"}


def test_revoked_and_declined_links_are_dead(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    for how in ("revoked", "declined"):
        made, token = invite(cloud, owner, owner.team, mia.email)
        path = f"/api/teams/{owner.team}/invitations/{made}"
        if how == "revoked":
            cloud.send("DELETE", path, owner.session).ok()
        else:
            cloud.post(f"/api/invitations/{token}/decline").ok()
            assert subjects(cloud, owner.email)[-1] == "Your invitation to Olga's team was declined"
        assert state(cloud, owner, made) == cloud.get(f"/api/invitations/{token}").ok()["state"] == how
        for answer in (
            accept(cloud, mia, token),
            cloud.post(f"/api/invitations/{token}/decline"),
            cloud.send("DELETE", path, owner.session),
            cloud.post(f"{path}/resend", owner.session),
        ):
            assert answer.refused(409, "INVITATION_CLOSED")["details"] == {"state": how}
    assert role_of(cloud, owner.team, mia) is None


def test_an_invitation_is_worth_what_its_sender_is(cloud: Cloud) -> None:
    """Whoever loses the right to invite takes their invitations with them, however they lost it."""
    for lose in ("demoted", "left", "removed", "transferred", "behind our back"):
        owner, sender, mia = cloud.person("Olga"), cloud.person("Otto"), cloud.person("Mia")
        cloud.join(owner.team, sender, Role.owner)
        made, token = invite(cloud, sender, owner.team, mia.email)
        path = f"/api/teams/{owner.team}"
        if lose == "demoted":
            cloud.send("PATCH", f"{path}/members/{sender.id}", owner.session, {"role": "admin"}).ok()
        elif lose == "left":
            cloud.post(f"{path}/leave", sender.session).ok()
        elif lose == "removed":
            cloud.send("DELETE", f"{path}/members/{sender.id}", owner.session).ok()
        elif lose == "transferred":
            cloud.post(f"{path}/transfer-ownership", sender.session, {"userId": owner.id}).ok()
        else:
            cloud.leave(owner.team, sender)
        assert accept(cloud, mia, token).refused(409, "INVITATION_CLOSED")["details"] == {"state": "revoked"}
        assert role_of(cloud, owner.team, mia) is None
        if lose != "behind our back":
            assert state(cloud, owner, made) == "revoked"


def test_who_sends_it_anew_vouches_for_it(cloud: Cloud) -> None:
    owner, sender, mia = cloud.person("Olga"), cloud.person("Otto"), cloud.person("Mia")
    cloud.join(owner.team, sender, Role.owner)
    made, _ = invite(cloud, sender, owner.team, mia.email)
    cloud.post(f"/api/teams/{owner.team}/invitations/{made}/resend", owner.session).ok()
    cloud.post(f"/api/teams/{owner.team}/leave", sender.session).ok()
    accept(cloud, mia, token_for(cloud, mia.email)).ok()
    assert subjects(cloud, owner.email)[-1].startswith("Mia has joined")


def test_the_link_of_a_team_that_is_no_more_is_dead(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    _, token = invite(cloud, owner, owner.team, mia.email)
    with cloud.database.begin() as connection:
        connection.execute(sa.update(teams).where(teams.c.id == owner.team).values(deleted_at=cloud.clock.now()))
    for answer in (
        cloud.get(f"/api/invitations/{token}"),
        accept(cloud, mia, token),
        cloud.post(f"/api/invitations/{token}/decline"),
    ):
        answer.refused(404, "NOT_FOUND")


def test_inviting_a_member_or_twice_says_so(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    made = send(cloud, owner, mia.email).ok(201)
    twice = send(cloud, owner, f" {mia.email.upper()} ").refused(409, "ALREADY_INVITED")
    assert twice["details"] == {"invitationId": made["id"]}
    accept(cloud, mia, token_for(cloud, mia.email)).ok()
    for email in (mia.email, owner.email, owner.email.title()):
        send(cloud, owner, email).refused(409, "ALREADY_MEMBER")


def test_nobody_learns_who_has_an_account(cloud: Cloud) -> None:
    """The same answer, the same statements, the same mail, but for ids, times and the link."""
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    seen: list[Any] = []
    for email in (mia.email, somebody()):
        statements: list[str] = []

        def note(*event: Any, into: list[str] = statements) -> None:
            into.append(event[2])

        sa.event.listen(cloud.database.writer, "before_cursor_execute", note)
        answer = send(cloud, owner, email)
        sa.event.remove(cloud.database.writer, "before_cursor_execute", note)
        mail = last_mail(cloud, email)
        token = token_for(cloud, email)
        made = answer.ok(201)
        seen.append(
            (
                sorted(answer.headers),
                {name: value for name, value in made.items() if name not in ("id", "email")},
                statements,
                *(part.replace(email, "EMAIL").replace(token, "TOKEN") for part in mail),
            )
        )
        assert len(statements) > 5
        assert mail.text.startswith("Hello,\n"), "no name, even where it is known"
    assert seen[0] == seen[1]


def test_addresses_that_are_none(cloud: Cloud) -> None:
    owner = cloud.person()
    for email in ("x", "", "a@b@c", "a b@example.org", "@example.org", "a" * 400 + "@example.org", "a@example.org\n"
                  "Bcc: b@example.org", None, 7):  # fmt: skip
        refusal = send(cloud, owner, email).refused(400, "VALIDATION_ERROR")  # type: ignore[arg-type]
        assert set(refusal["details"]) == {"email"}
    for role in ("operator", "", None, 1):
        send(cloud, owner, somebody(), role).refused(400, "VALIDATION_ERROR")  # type: ignore[arg-type]


def test_tokens_that_are_none(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    made, token = invite(cloud, owner, owner.team, mia.email)
    swapped = token[:20] + token[21] + token[20] + token[22:]
    for bad in (
        "x",
        made,
        ABSENT,
        token[:-1],
        f"{token}x",
        swapped,
        token.swapcase(),
        "%00",
        "%FF",
        "a" * 4000,
        mia.key,
    ):
        for answer in (
            cloud.get(f"/api/invitations/{bad}"),
            cloud.post(f"/api/invitations/{bad}/decline"),
            cloud.post(f"/api/invitations/{bad}/accept", mia.session),
        ):
            answer.refused(404, "NOT_FOUND")
    assert cloud.get(f"/api/invitations/{token}").ok()["state"] == "pending"


def test_an_invitation_of_another_team_is_nobodys(cloud: Cloud) -> None:
    owner, other = cloud.person("Olga"), cloud.person("Otto")
    made, _ = invite(cloud, other, other.team, somebody())
    for wanted in (made, ABSENT, "x", "%00"):
        path = f"/api/teams/{owner.team}/invitations/{wanted}"
        cloud.send("DELETE", path, owner.session).refused(404, "NOT_FOUND")
        cloud.post(f"{path}/resend", owner.session).refused(404, "NOT_FOUND")
    assert state(cloud, other, made) == "pending"


def test_they_are_listed_in_pages(cloud: Cloud) -> None:
    owner = cloud.person()
    made = [invite(cloud, owner, owner.team, somebody())[0] for _ in range(3)]
    first = cloud.get(f"/api/teams/{owner.team}/invitations?limit=2", owner.session).ok()
    second = cloud.get(f"/api/teams/{owner.team}/invitations?limit=2&page=2", owner.session).ok()
    assert [each["id"] for each in first["invitations"] + second["invitations"]] == made[::-1]
    assert (first["total"], first["totalPages"], second["page"], second["limit"]) == (3, 2, 2, 2)


def test_mails_to_one_address_are_limited(cloud: Cloud) -> None:
    owner, others, victim = cloud.person(), [cloud.person() for _ in range(3)], somebody()
    made = send(cloud, owner, victim).ok(201)
    again = f"/api/teams/{owner.team}/invitations/{made['id']}/resend"
    cloud.clock.forward(hours=1)
    for _ in range(2):
        cloud.post(again, owner.session).ok()
    refusal = cloud.post(again, owner.session)
    assert refusal.refused(429, "RATE_LIMIT_EXCEEDED")["retryAfter"] == 23 * 3600
    assert refusal.headers["retry-after"] == str(23 * 3600)
    cloud.send("DELETE", f"/api/teams/{owner.team}/invitations/{made['id']}", owner.session).ok()
    send(cloud, owner, victim).refused(429, "RATE_LIMIT_EXCEEDED")
    send(cloud, owner, somebody()).ok(201)
    written = 3
    for other in others:
        made = send(cloud, other, victim).ok(201)
        written += 1
        for _ in range(2):
            status = cloud.post(f"/api/teams/{other.team}/invitations/{made['id']}/resend", other.session).status
            written += status == 200
    assert written == 10, "from all teams together"
    send(cloud, cloud.person(), victim).refused(429, "RATE_LIMIT_EXCEEDED")
    assert len(subjects(cloud, victim)) == 10
    cloud.clock.forward(hours=23, seconds=-1)
    send(cloud, others[0], somebody()).ok(201)
    cloud.post(again, cloud.session(owner.id)).refused(409, "INVITATION_CLOSED")
    send(cloud, cloud.person(), victim).refused(429, "RATE_LIMIT_EXCEEDED")
    cloud.clock.forward(seconds=1)
    send(cloud, cloud.person(), victim).ok(201)


def test_mails_of_one_team_are_limited(make_cloud: Any) -> None:
    cloud = make_cloud(invitations_per_team=3)
    owner, other = cloud.person(), cloud.person()
    for _ in range(3):
        send(cloud, owner, somebody()).ok(201)
    send(cloud, owner, somebody()).refused(429, "RATE_LIMIT_EXCEEDED")
    send(cloud, other, somebody()).ok(201)


def test_the_invited_may_sign_up_where_nobody_else_may(make_cloud: Any) -> None:
    cloud = make_cloud(sign_up="invited")
    owner, email = cloud.person("Olga"), "Nia@Example.org"
    applicant = {"email": email, "name": "Nia", "password": "correct horse battery staple 7"}
    cloud.post("/api/auth/sign-up", None, applicant).refused(403, "INVITATION_NEEDED")
    _, token = invite(cloud, owner, owner.team, "nia@example.org")
    cloud.post("/api/auth/sign-up", None, applicant).ok(202)
    with cloud.database.begin() as connection:
        account = accounts.by_email(connection, email)
        assert account is not None
        proof = accounts.new_verification(connection, account, cloud.forebay.secret_key, now=cloud.clock.now())
    cloud.post("/api/auth/verify", None, {"token": proof}).ok()
    session = cloud.session(account.id)
    assert cloud.post(f"/api/invitations/{token}/accept", session).ok()["teamId"] == owner.team
    assert cloud.get("/api/me", session).ok()["currentTeamId"] == owner.team
    gone, _ = invite(cloud, owner, owner.team, "late@example.org")
    cloud.send("DELETE", f"/api/teams/{owner.team}/invitations/{gone}", owner.session).ok()
    invite(cloud, owner, owner.team, "slow@example.org")
    cloud.clock.forward(days=7)
    for late in ("late@example.org", "slow@example.org"):
        cloud.post("/api/auth/sign-up", None, applicant | {"email": late}).refused(403, "INVITATION_NEEDED")


def test_the_link_is_nowhere_but_in_the_mail(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    owner, mia, eve = cloud.person("Olga"), cloud.person("Mia"), cloud.person("Eve")
    answer = send(cloud, owner, mia.email)
    token = token_for(cloud, mia.email)
    assert token.encode() not in answer.body
    answers = [
        cloud.get(f"/api/invitations/{token}"),
        cloud.post(f"/api/invitations/{token}/accept", eve.session),
        cloud.post(f"/api/invitations/{token}/accept", mia.session, retry="once"),
        cloud.post(f"/api/invitations/{token}/accept", mia.session, retry="once"),
        cloud.post(f"/api/invitations/{token}/decline"),
        cloud.get(f"/api/teams/{owner.team}/invitations", owner.session),
        cloud.get("/metrics", peer="127.0.0.1"),
    ]
    assert [each.status for each in answers] == [200, 403, 200, 200, 409, 200, 200]
    assert not [each for each in answers if token.encode() in each.body]
    said = [str(vars(record)) for record in caplog.records]
    assert [line for line in said if "/api/invitations/{token}/accept" in line], "the route is logged"
    assert not [line for line in said if token in line]
    write_denials(cloud)
    with cloud.database.read() as connection:
        for table in (activity, invitations, idempotency_keys):
            assert token not in str(connection.execute(sa.select(table)).all())
    cloud.run("mails")
    with cloud.database.read() as connection:
        assert token not in str(connection.execute(sa.select(mails)).all()), "a mail that was sent is blanked"
