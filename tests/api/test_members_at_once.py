"""Who belongs to a team, changed by several at once: one comes after the other, and what was answered holds.

Most tests hold one transaction open while another begins with what it knew before: on SQLite it waits for the writer,
on PostgreSQL for the rows that say who belongs to the team. Without these locks both would go through.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import launches, off_boarding
from forebay.domain.machines.deployments import Limits
from forebay.domain.machines.orders import Order
from forebay.domain.people import invitations, members
from forebay.domain.people import teams as domain
from forebay.domain.people.access import TeamContext
from forebay.domain.people.members import LastOwner
from forebay.domain.people.roles import MemberMode, Role
from forebay.errors import ForebayError
from forebay.storage.tables import deployments, memberships
from tests.api.cloud import Cloud, Person, new_public_key
from tests.api.invited import context, invite
from tests.api.wire import Answer, ask

pytestmark = pytest.mark.slow

Act = Callable[[Connection], Any]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def meanwhile(cloud: Cloud, pool: ThreadPoolExecutor, first: Act, second: Act) -> Any:
    """What `second` returned or raised, begun when `first` had done its work and was not committed yet."""

    def in_a_transaction() -> Any:
        with cloud.database.begin() as connection:
            return second(connection)

    with cloud.database.begin() as connection:
        first(connection)
        later: Future[Any] = pool.submit(in_a_transaction)
        _, waiting = wait([later], timeout=0.15)
        assert waiting, "it must wait for the first"
    return later.exception(30) or later.result(30)


def owners(cloud: Cloud, team: str) -> set[str]:
    wanted = sa.select(memberships.c.user_id).where(memberships.c.team_id == team, memberships.c.role == Role.owner)
    with cloud.database.read() as connection:
        return set(connection.execute(wanted).scalars())


def two_owners(cloud: Cloud) -> tuple[str, Person, Person]:
    ann, bob = cloud.person("Ann"), cloud.person("Bob")
    cloud.join(ann.team, bob, Role.owner)
    return ann.team, ann, bob


def leaving(cloud: Cloud, where: TeamContext) -> Act:
    return lambda connection: members.leave(connection, where, now=cloud.clock.now())


def demoting(cloud: Cloud, where: TeamContext, person: Person) -> Act:
    return lambda connection: members.change_role(connection, where, person.id, Role.member, now=cloud.clock.now())


def test_the_last_two_owners_leave_together(cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    team, ann, bob = two_owners(cloud)
    first, second = context(cloud, ann, team), context(cloud, bob, team)
    assert isinstance(meanwhile(cloud, pool, leaving(cloud, first), leaving(cloud, second)), LastOwner)
    assert owners(cloud, team) == {bob.id}


def test_two_owners_demote_each_other(cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    team, ann, bob = two_owners(cloud)
    first, second = context(cloud, ann, team), context(cloud, bob, team)
    refusal = meanwhile(cloud, pool, demoting(cloud, first, bob), demoting(cloud, second, ann))
    assert isinstance(refusal, ForebayError)
    assert (refusal.status, refusal.details["role"]) == (403, "member"), "Bob is no owner by now"
    assert owners(cloud, team) == {ann.id}


def test_an_owner_leaves_while_the_other_hands_over(cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    team, ann, bob = two_owners(cloud)
    first, second = context(cloud, ann, team), context(cloud, bob, team)

    def hand_over(connection: Connection) -> None:
        members.transfer(connection, second, ann.id, keeps_ownership=False, now=cloud.clock.now())

    refusal = meanwhile(cloud, pool, leaving(cloud, first), hand_over)
    assert isinstance(refusal, ForebayError)
    assert refusal.status == 404
    assert owners(cloud, team) == {bob.id}


def test_owners_over_the_wire(cloud: Cloud) -> None:
    """The same with requests that know nothing of each other, a few times over."""
    for _ in range(4):
        team, ann, bob = two_owners(cloud)
        answers = cloud.at_once(
            [cloud.request("POST", f"/api/teams/{team}/leave", each.session) for each in (ann, bob)]
        )
        assert sorted(answer.status for answer in answers) == [200, 409]
        assert len(owners(cloud, team)) == 1
        team, ann, bob = two_owners(cloud)
        answers = cloud.at_once(
            [
                cloud.request("PATCH", f"/api/teams/{team}/members/{of.id}", by.session, {"role": "member"})
                for by, of in ((ann, bob), (bob, ann))
            ]
        )
        assert sorted(answer.status for answer in answers) == [200, 403]
        assert len(owners(cloud, team)) == 1


def test_one_link_two_requests_at_once(cloud: Cloud) -> None:
    for _ in range(4):
        owner, mia = cloud.person("Olga"), cloud.person("Mia")
        _, token = invite(cloud, owner, owner.team, mia.email)
        path = f"/api/invitations/{token}/accept"
        answers = cloud.at_once([cloud.request("POST", path, mia.session) for _ in range(2)])
        good, refused = sorted(answers, key=lambda answer: answer.status)
        assert good.ok()["teamId"] == owner.team
        assert refused.refused(409, "INVITATION_CLOSED")["details"] == {"state": "accepted"}
        members_now = cloud.get(f"/api/teams/{owner.team}/members", owner.session).ok()
        assert [each["userId"] for each in members_now["members"]] == [owner.id, mia.id]


def test_a_link_is_revoked_while_it_is_accepted(cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    made, token = invite(cloud, owner, owner.team, mia.email)
    where, caller = context(cloud, owner, owner.team), context(cloud, mia, mia.team).caller

    def accept(connection: Connection) -> Any:
        return invitations.accept(connection, caller, token, cloud.forebay.secret_key, now=cloud.clock.now())

    def revoke(connection: Connection) -> None:
        invitations.revoke(connection, where, made, now=cloud.clock.now())

    refusal = meanwhile(cloud, pool, revoke, accept)
    assert isinstance(refusal, invitations.InvitationClosed)
    assert refusal.details == {"state": "revoked"}
    made, token = invite(cloud, owner, owner.team, mia.email)
    refusal = meanwhile(cloud, pool, accept, revoke)
    assert isinstance(refusal, invitations.InvitationClosed)
    assert refusal.details == {"state": "accepted"}


def launching(cloud: Cloud, where: TeamContext, ssh_key: str) -> Act:
    order = cloud.order(where.team_id, ssh_key)
    names = {"offerId": "offer_id", "gpuType": "gpu_type", "gpuCount": "gpu_count", "sshKeyId": "ssh_key_id",
             "operatingSystem": "operating_system", "instanceType": "instance_type"}  # fmt: skip
    wish = Order(**{names.get(name, name): value for name, value in order.items() if name != "teamId"})
    limits = Limits(minimum_micros=1, creations=1000)
    return lambda connection: launches.launch(connection, where, wish, limits, now=cloud.clock.now())


def machines(cloud: Cloud, team: str) -> set[str]:
    with cloud.database.read() as connection:
        return set(connection.execute(sa.select(deployments.c.id).where(deployments.c.team_id == team)).scalars())


@pytest.mark.parametrize("how", ["removed", "demoted to looking", "left"])
def test_a_role_is_taken_away_while_its_holder_launches(cloud: Cloud, pool: ThreadPoolExecutor, how: str) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    key = cloud.ssh_key(owner.team, owner)
    cloud.join(owner.team, mia, Role.member)
    theirs, mine = context(cloud, mia, owner.team), context(cloud, owner, owner.team)

    def take_away(connection: Connection) -> None:
        if how == "removed":
            members.remove(connection, mine, mia.id, now=cloud.clock.now())
        elif how == "left":
            members.leave(connection, theirs, now=cloud.clock.now())
        else:
            domain.set_member_mode(connection, mine, MemberMode.read_only, now=cloud.clock.now())

    # The launch is first: the removal waits until it is recorded.
    assert meanwhile(cloud, pool, launching(cloud, theirs, key), take_away) is None
    assert len(machines(cloud, owner.team)) == 1
    # The removal is first: a launch that was let in before it is refused after it.
    if how == "demoted to looking":
        cloud.send("PATCH", f"/api/teams/{owner.team}", owner.session, {"memberMode": "deploy-only"}).ok()
    else:
        cloud.join(owner.team, mia, Role.member)
    refusal = meanwhile(cloud, pool, take_away, launching(cloud, theirs, key))
    assert isinstance(refusal, ForebayError)
    assert refusal.status == (403 if how == "demoted to looking" else 404)
    assert len(machines(cloud, owner.team)) == 1


def test_nobody_adds_a_key_on_the_way_out(cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    cloud.join(owner.team, mia, Role.admin)
    mine = context(cloud, owner, owner.team)
    body = {"name": "way back", "publicKey": new_public_key(), "teamId": owner.team}
    with cloud.database.begin() as connection:
        off_boarding.off_board(connection, mine, mia.id, now=cloud.clock.now())
        later = pool.submit(cloud.post, "/api/ssh-keys", mia.key, body)
        _, waiting = wait([later], timeout=0.15)
        assert waiting
    later.result(30).refused(404, "NOT_FOUND")
    assert cloud.get(f"/api/ssh-keys?teamId={owner.team}", owner.key).ok() == []


def test_no_launch_after_the_removal_was_answered(cloud: Cloud) -> None:
    for _ in range(3):
        owner, mia = cloud.person("Olga"), cloud.person("Mia")
        cloud.join(owner.team, mia, Role.member)
        order = cloud.order(owner.team, cloud.ssh_key(owner.team, owner))
        launch = cloud.request("POST", "/api/deployments", mia.key, order)
        removal = cloud.request("DELETE", f"/api/teams/{owner.team}/members/{mia.id}", owner.session)

        async def burst(
            launch: Any = launch, removal: Any = removal, team: str = owner.team
        ) -> tuple[Answer, set[str], list[Answer]]:
            under_way = [asyncio.create_task(ask(cloud.application, launch)) for _ in range(6)]
            answered = await asyncio.create_task(ask(cloud.application, removal))
            there = await asyncio.to_thread(machines, cloud, team)
            return answered, there, list(await asyncio.gather(*under_way))

        answered, there, answers = cloud.loop.run(burst())
        answered.ok()
        assert {answer.status for answer in answers} <= {201, 404}
        launched = {answer.json["id"] for answer in answers if answer.status == 201}
        assert machines(cloud, owner.team) == there == launched
        cloud.post("/api/deployments", mia.key, order).refused(404, "NOT_FOUND")


def test_nothing_stands_in_its_own_way(cloud: Cloud) -> None:
    """Everything that locks who belongs to the team, machines or keys, many times at once: nobody waits for ever."""
    owner, second, mia, nia = (cloud.person(name) for name in ("Olga", "Otto", "Mia", "Nia"))
    team = owner.team
    for person, role in ((second, Role.owner), (mia, Role.admin), (nia, Role.member)):
        cloud.join(team, person, role)
    key = cloud.ssh_key(team, mia)
    order, path = cloud.order(team, cloud.ssh_key(team, owner)), f"/api/teams/{team}"
    running = [cloud.post("/api/deployments", mia.key, order | {"sshKeyId": key}).ok(201)["id"] for _ in range(3)]
    cloud.settle()

    def key_body() -> Any:
        return {"name": "x", "publicKey": new_public_key(), "teamId": team}

    requests = [
        *(cloud.request("POST", "/api/deployments", person.key, order) for person in (mia, nia) * 4),
        *(cloud.request("POST", "/api/ssh-keys", mia.key, key_body()) for _ in range(3)),
        *(cloud.request("DELETE", f"/api/deployments/{machine}", mia.key) for machine in running),
        *(
            cloud.request("PATCH", f"{path}/members/{nia.id}", by.session, {"role": role})
            for role in ("member", "admin")
            for by in (owner, second)
        ),
        *(
            cloud.request("PATCH", path, by.session, {"memberMode": mode, "name": f"Team in {mode}"})
            for mode in ("read-only", "deploy-only")
            for by in (owner, second)
        ),
        cloud.request("POST", f"{path}/leave", second.session),
        cloud.request("POST", f"{path}/transfer-ownership", owner.session, {"userId": second.id}),
        cloud.request("DELETE", f"{path}/members/{mia.id}", owner.session),
    ]
    for turn in range(3):
        answers = cloud.at_once(requests[turn::3] + requests[: turn * 4])
        assert {answer.status for answer in answers} <= {200, 201, 400, 403, 404, 409}
        assert len(owners(cloud, team)) >= 1
