"""Deny by default, proved: every route is in the one table, and answers every kind of caller as the table says."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute

from forebay import ids
from forebay.api.route import Needs, Route
from forebay.domain.machines import launch_templates, offer_changes, restrictions
from forebay.domain.machines.offer_terms import Terms
from forebay.domain.money import cards
from forebay.domain.people import webhooks
from forebay.domain.people.roles import MemberMode, Permission, Role
from forebay.storage import tables
from forebay.storage.tables import memberships, passkeys, sessions, stock_watches, teams
from tests.api.access_matrix import CALLERS, TABLE, UNDECLARED
from tests.api.authenticator import add_passkey
from tests.api.cloud import ABSENT, ROUTES, Cloud, Person, new_public_key, numbers
from tests.api.invited import invite
from tests.web.dashboard_pages import OPERATOR_PAGES, PAGES, SOCKETS


class Scene(msgspec.Struct, kw_only=True):
    """A team with everybody the table speaks of: what they ask with, and whose machine is asked about."""

    owner: Person
    starter: Person
    team: str
    reading_team: str
    key: str
    """An SSH key of `team`."""
    credentials: dict[str, str | None]


@pytest.fixture(scope="module")
def scene(cloud: Cloud) -> Scene:
    """One for all routes: what a request would change is made anew for it."""
    owner, admin, mia = cloud.person("Olga", credits_micros=0), cloud.person("Adam"), cloud.person("Mia")
    team = cloud.team(owner, credits_micros=10_000_000_000)
    reading = cloud.team(owner, mode=MemberMode.read_only, credits_micros=10_000_000_000)
    for where, person, role in ((team, admin, Role.admin), (team, mia, Role.member), (reading, mia, Role.member)):
        cloud.join(where, person, role)
    removed = cloud.person("Remo")
    cloud.join(team, removed, Role.admin)
    cloud.leave(team, removed)
    revoked = cloud.post("/api/api-keys", owner.session, {"name": "x"}).ok(201)
    cloud.send("DELETE", f"/api/api-keys/{revoked['id']}", owner.session).ok()
    expired = cloud.key(owner.id, team, days=1)
    cloud.clock.forward(days=1)
    return Scene(
        owner=owner,
        starter=mia,
        team=team,
        reading_team=reading,
        key=cloud.ssh_key(team, owner),
        credentials={
            "nobody": None,
            "revoked": revoked["secret"],
            "expired": expired,
            "stranger": cloud.person().key,
            "removed": removed.key,
            "operator": cloud.person(is_operator=True).key,
            "elsewhere": cloud.key(owner.id, owner.team, team_ids=[owner.team]),
            "looking": cloud.key(owner.id, team, permissions=[Permission.see]),
            "reader": mia.key,
            "deployer": mia.key,
            "starter": mia.key,
            "admin": admin.key,
            "owner": owner.key,
            "person": owner.session,
        },
    )


class Attempt(msgspec.Struct, frozen=True):
    """One caller at one route."""

    cloud: Cloud
    scene: Scene
    caller: str

    @property
    def team(self) -> str:
        return self.scene.reading_team if self.caller == "reader" else self.scene.team

    @property
    def credential(self) -> str | None:
        """A session is fresh each time, as some routes end it."""
        if self.caller == "operating":
            return self.cloud.person("Otto", credits_micros=0, is_operator=True).session
        if self.caller != "person":
            return self.scene.credentials[self.caller]
        return self.cloud.session(self.scene.owner.id)

    def machine(self) -> str:
        """A machine that runs, of the person whom the caller asks about."""
        starter = self.scene.starter if self.caller == "starter" else self.scene.owner
        made = self.cloud.launch(starter, self.team) if starter is self.scene.owner else self.started_by_member()
        self.cloud.settle()
        return str(made["id"])

    def started_by_member(self) -> Any:
        order = self.cloud.order(self.team, self.scene.key)
        return self.cloud.post("/api/deployments", self.scene.starter.key, order).ok(201)

    def published(self) -> dict[str, str]:
        self.cloud.shelf.put("https://github.test/olga.keys", new_public_key())
        return {"source": "GitHub", "user": "olga", "teamId": self.team}

    def ssh_key(self) -> str:
        return self.cloud.ssh_key(self.team, self.scene.owner)


def made_key(attempt: Attempt) -> str:
    owner = attempt.scene.owner
    secret = attempt.cloud.key(owner.id, owner.team, days=1)
    listed = attempt.cloud.get("/api/api-keys", attempt.cloud.session(owner.id)).ok()["apiKeys"]
    return next(str(key["id"]) for key in listed if secret.endswith(key["lastCharacters"]))


def made_session(attempt: Attempt) -> str:
    found = attempt.cloud.get("/api/auth/sessions", attempt.cloud.session(attempt.scene.owner.id)).ok()
    return str(found["sessions"][0]["id"])


def a_member(attempt: Attempt) -> str:
    person = attempt.cloud.person("Ex")
    attempt.cloud.join(attempt.team, person, Role.member)
    return person.id


def new_address() -> str:
    return f"somebody-{next(numbers)}@example.org"


def invited_elsewhere(attempt: Attempt) -> str:
    """The token of an invitation of the owner into another's team."""
    other = attempt.cloud.person("Otto", credits_micros=0)
    return invite(attempt.cloud, other, other.team, attempt.scene.owner.email)[1]


def new_app(attempt: Attempt) -> Any:
    """The owner has begun to set up an authenticator app, and mistypes its code."""
    if attempt.caller == "person":
        attempt.cloud.post("/api/auth/totp", attempt.credential).ok()
    return {"code": "12345"}


def changing_address(attempt: Attempt) -> None:
    """The owner has asked for another address, and may give that up."""
    if attempt.caller == "person":
        attempt.cloud.post("/api/me/email", attempt.credential, {"email": "other@example.org"}).ok(202)


def made_passkey(attempt: Attempt) -> str:
    with attempt.cloud.database.begin() as connection:
        connection.execute(passkeys.delete().where(passkeys.c.user_id == attempt.scene.owner.id))
    add_passkey(attempt.cloud, attempt.scene.owner)
    return add_passkey(attempt.cloud, attempt.scene.owner)


def made_card(attempt: Attempt) -> str:
    now = attempt.cloud.clock.now()
    facts = cards.Facts(
        payment_method_id=f"pm_{next(numbers)}", brand="visa", last_four="4242", expiry_month=12, expiry_year=2034
    )
    with attempt.cloud.database.begin() as connection:
        return cards.add(connection, attempt.team, facts, created_by=None, now=now).id


def own_offer(attempt: Attempt) -> str:
    """The id of an offer of the operator's own."""
    offer_id = f"memory-own-{next(numbers)}"
    terms = Terms(provider="memory", pool="house", name="Own", vcpus=1, memory_gb=1, storage_gb=1, rate_micros=1)
    with attempt.cloud.database.begin() as connection:
        now = attempt.cloud.clock.now()
        offer_changes.create(connection, None, offer_id, terms, reason="x", now=now, by="a test")
    return offer_id


def made_webhook(attempt: Attempt) -> str:
    """The team's only one: there is a limit."""
    with attempt.cloud.database.begin() as connection:
        webhooks.remove(connection, tables.webhooks.c.team_id == attempt.team)
    path = f"/api/teams/{attempt.team}/webhooks"
    made = attempt.cloud.post(path, attempt.cloud.session(attempt.scene.owner.id), WEBHOOK).ok(201)
    return str(made["id"])


def made_template(attempt: Attempt) -> str:
    """The team's only one, of the person whom the caller asks about: there is a limit."""
    scene, now = attempt.scene, attempt.cloud.clock.now()
    with attempt.cloud.database.begin() as connection:
        launch_templates.remove_all(connection, attempt.team)
        insert = tables.launch_templates.insert().values(
            id=(template_id := ids.new_id(now)),
            team_id=attempt.team,
            name="nightly",
            name_key="nightly",
            created_by=scene.starter.id if attempt.caller == "starter" else scene.owner.id,
            created_at=now,
            changed_at=now,
            offer_id="memory-small",
            instance_type="DEDICATED",
            region="here",
            operating_system="Debian 12",
            gpu_type="CPU",
            gpu_count=0,
            labels={},
            ports=[],
            volume_ids=[],
        )
        connection.execute(insert)
    return template_id


def a_template(attempt: Attempt) -> Any:
    """One more, where the name is free."""
    with attempt.cloud.database.begin() as connection:
        launch_templates.remove_all(connection, attempt.team)
    return {"name": "nightly", "offerId": "memory-small"}


def watched_offer(attempt: Attempt) -> str:
    """An offer that everybody in the team watches for it."""
    with attempt.cloud.database.begin() as connection:
        connection.execute(stock_watches.delete())
        members = connection.execute(memberships.select().where(memberships.c.team_id == attempt.team)).all()
        for member in members:
            connection.execute(
                stock_watches.insert().values(
                    offer_id="memory-small",
                    user_id=member.user_id,
                    for_team=attempt.team,
                    is_lasting=False,
                    is_out=False,
                    created_at=attempt.cloud.clock.now(),
                )
            )
    return "memory-small"


def made_budget(attempt: Attempt) -> str:
    """Of a label: an admin may set it too."""
    path, session = f"/api/teams/{attempt.team}/budgets", attempt.cloud.session(attempt.scene.owner.id)
    return str(attempt.cloud.send("PUT", path, session, BUDGET).ok()["id"])


BUDGET = {"scope": "label", "key": "project=herons", "amount": 50}
WEBHOOK = {"url": "https://hooks.example.org/herons", "kinds": ["deployment.running"]}
PARAMETERS: dict[str, Callable[[Attempt], str]] = {
    "deployment_id": Attempt.machine,
    "volume_id": lambda attempt: str(attempt.cloud.volume(attempt.scene.owner, attempt.team)["id"]),
    "team_id": lambda attempt: attempt.team,
    "discount_id": lambda attempt: ABSENT,
    "provider": lambda attempt: "memory",
    "instance_id": lambda attempt: ABSENT,
    "cluster_id": lambda attempt: ABSENT,
    "session_id": made_session,
    "passkey_id": made_passkey,
    "user_id": a_member,
    "transfer_id": lambda attempt: ABSENT,
    "invitation_id": lambda attempt: invite(attempt.cloud, attempt.scene.owner, attempt.team, new_address())[0],
    "token": invited_elsewhere,
    "card_id": made_card,
    "webhook_id": made_webhook,
    "template_id": made_template,
    "budget_id": made_budget,
    "offer_id": watched_offer,
    "set_up_id": lambda attempt: ABSENT,
    "top_up_id": lambda attempt: ABSENT,
    "month": lambda attempt: attempt.cloud.clock.now().strftime("%Y-%m"),
}
OWN = {
    "provider": "memory", "pool": "house", "name": "New", "vcpus": 1, "memory": 1, "storage": 1, "price": 1,
    "reason": "x",
}  # fmt: skip


def under_maintenance(attempt: Attempt) -> Any:
    """What ends the maintenance that there is."""
    with attempt.cloud.database.begin() as connection:
        now = attempt.cloud.clock.now()
        restrictions.begin_maintenance(
            connection, None, "offer", "memory-minimum", until_at=None, reason="x", now=now, by="a test"
        )
    return {"scope": "offer", "subject": "memory-minimum", "reason": "x"}


BODIES: dict[tuple[str, str], Callable[[Attempt], Any]] = {
    ("POST", "/api/teams/{team_id}/credit-moves"): lambda attempt: {"toTeamId": attempt.scene.owner.team, "amount": 1},
    ("POST", "/api/auth/sign-up"): lambda _: {"email": "new@example.org", "name": "N", "password": "long enough"},
    ("POST", "/api/auth/verify"): lambda _: {"token": "none"},
    ("POST", "/api/auth/sign-in"): lambda _: {"email": f"nobody-{next(numbers)}@example.org", "password": "wrong"},
    ("POST", "/api/auth/passkeys"): lambda _: {"token": "none", "credential": {}},
    ("PATCH", "/api/auth/passkeys/{passkey_id}"): lambda _: {"name": "A phone"},
    ("POST", "/api/auth/passkey-sign-in"): lambda _: {"token": "none", "credential": {}},
    ("POST", "/api/auth/step-up/passkey"): lambda _: {"token": "none", "credential": {}},
    ("POST", "/api/auth/cli"): lambda _: {"name": "a program"},
    ("POST", "/api/auth/cli/token"): lambda _: {"deviceToken": "none"},
    ("POST", "/api/auth/second-factor"): lambda _: {"token": "none", "code": "123456"},
    ("DELETE", "/api/me"): lambda _: {"confirm": "somebody.else@example.org"},
    ("POST", "/api/auth/step-up"): lambda _: {},
    ("POST", "/api/auth/forgot-password"): lambda _: {"email": "nobody@example.org"},
    ("POST", "/api/auth/reset-password"): lambda _: {"token": "none", "password": "rather long a word"},
    ("POST", "/api/auth/password"): lambda _: {"password": "rather long a word"},
    ("POST", "/api/auth/totp/confirm"): new_app,
    ("DELETE", "/api/auth/totp"): lambda _: {"code": "123456"},
    ("POST", "/api/auth/change-address"): lambda _: {"token": "none"},
    ("POST", "/api/me/email"): lambda _: {"email": "else@example.org"},
    ("DELETE", "/api/me/email"): changing_address,
    ("PATCH", "/api/me"): lambda _: {"name": "Olga"},
    ("PUT", "/api/me/current-team"): lambda attempt: {"teamId": attempt.team},
    ("POST", "/api/api-keys"): lambda _: {"name": "x"},
    ("PATCH", "/api/api-keys/{key_id}"): lambda _: {"name": "y"},
    ("POST", "/api/api-keys/{key_id}/rotate"): lambda _: {"keepHours": 0},
    ("POST", "/api/teams"): lambda _: {"name": "A team"},
    ("PATCH", "/api/teams/{team_id}"): lambda _: {"name": "Renamed"},
    ("POST", "/api/teams/{team_id}/transfer-ownership"): lambda attempt: {"userId": attempt.scene.owner.id},
    ("PATCH", "/api/teams/{team_id}/members/{user_id}"): lambda _: {"role": "admin"},
    ("POST", "/api/teams/{team_id}/invitations"): lambda _: {"email": new_address(), "role": "member"},
    ("POST", "/api/teams/{team_id}/members/{user_id}/off-board"): lambda _: {},
    ("POST", "/api/operator/api-access/{user_id}"): lambda _: {"decision": "approved"},
    ("POST", "/api/operator/users/{user_id}/end-sessions"): lambda _: {"reason": "x"},
    ("POST", "/api/operator/users/{user_id}/remove-second-factor"): lambda _: {"reason": "x"},
    ("POST", "/api/operator/teams/{team_id}/grants"): lambda _: {"amount": 5, "reason": "x"},
    ("POST", "/api/operator/teams/{team_id}/grants/{transfer_id}/take-back"): lambda _: {"reason": "x"},
    ("POST", "/api/operator/teams/{team_id}/freeze"): lambda _: {"reason": "x"},
    ("POST", "/api/operator/teams/{team_id}/unfreeze"): lambda _: {"reason": "x"},
    ("DELETE", "/api/operator/teams/{team_id}"): lambda _: {"reason": "x"},
    ("POST", "/api/operator/deployments/{deployment_id}/terminate"): lambda _: {"reason": "x"},
    ("POST", "/api/operator/deployments/{deployment_id}/reclaim"): lambda _: {"reason": "x"},
    ("POST", "/api/operator/orphans/{provider}/{instance_id}/end"): lambda _: {"reason": "x"},
    ("POST", "/api/operator/discounts/{discount_id}/end"): lambda _: {"reason": "x"},
    ("POST", "/api/operator/teams/{team_id}/discounts"): lambda _: {"percent": 5, "reason": "x"},
    ("POST", "/api/operator/offers"): lambda _: OWN | {"id": f"memory-new-{next(numbers)}"},
    ("PATCH", "/api/operator/offers/{offer_id}"): lambda _: {"name": "Renamed", "reason": "x"},
    ("DELETE", "/api/operator/offers/{offer_id}"): lambda _: {"reason": "x"},
    ("PUT", "/api/operator/stock"): lambda _: {"scope": "offer", "subject": "memory-gpu", "most": 9, "reason": "x"},
    ("DELETE", "/api/operator/stock"): lambda _: {"scope": "offer", "subject": "memory-minimum", "reason": "x"},
    ("PUT", "/api/operator/maintenance"): lambda _: {"scope": "offer", "subject": "memory-gpu", "reason": "x"},
    ("DELETE", "/api/operator/maintenance"): under_maintenance,
    ("PUT", "/api/teams/{team_id}/auto-top-up"): lambda _: {"isOn": False},
    ("PUT", "/api/me/notifications"): lambda _: {"kinds": {"report.weekly": False}},
    ("PUT", "/api/teams/{team_id}/budgets"): lambda _: BUDGET,
    ("POST", "/api/teams/{team_id}/webhooks"): lambda _: WEBHOOK,
    ("POST", "/api/teams/{team_id}/templates"): a_template,
    ("PATCH", "/api/teams/{team_id}/templates/{template_id}"): lambda _: {"name": "weekly"},
    ("PATCH", "/api/teams/{team_id}/webhooks/{webhook_id}"): lambda _: {"isEnabled": False},
    ("POST", "/api/teams/{team_id}/webhooks/{webhook_id}/rotate"): lambda _: {},
    ("POST", "/api/gpu-offers/{offer_id}/watch"): lambda attempt: {"teamId": attempt.team},
    ("POST", "/api/teams/{team_id}/cards"): lambda _: {},
    ("POST", "/api/teams/{team_id}/top-ups"): lambda _: {"amount": 50, "clientKey": "click"},
    ("POST", "/api/ssh-keys"): lambda attempt: {
        "name": "x",
        "publicKey": new_public_key(),
        "teamId": attempt.team,
    },
    ("POST", "/api/ssh-keys/lookup"): lambda attempt: attempt.published(),
    ("POST", "/api/ssh-keys/import"): lambda attempt: attempt.published(),
    ("POST", "/api/volumes"): lambda attempt: {
        "name": f"volume-{next(numbers)}",
        "sizeInGb": 1,
        "provider": "memory",
        "teamId": attempt.team,
    },
    ("PATCH", "/api/volumes/{volume_id}"): lambda _: {"sizeInGb": 11},
    ("POST", "/api/volumes/{volume_id}/attach"): lambda attempt: {"deploymentId": attempt.machine()},
    ("POST", "/api/volumes/{volume_id}/detach"): lambda attempt: {"deploymentId": attempt.machine()},
    ("POST", "/api/deployments"): lambda attempt: attempt.cloud.order(
        attempt.team, attempt.scene.key if attempt.team == attempt.scene.team else attempt.ssh_key()
    ),
    ("POST", "/api/deployments/preview"): lambda attempt: attempt.cloud.order(attempt.team, attempt.scene.key),
    ("PATCH", "/api/deployments/{deployment_id}"): lambda _: {"name": "x"},
    ("PUT", "/api/deployments/{deployment_id}/ssh-keys"): lambda attempt: {"sshKeyIds": [attempt.ssh_key()]},
}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_caller_gets_what_the_table_says(cloud: Cloud, scene: Scene, route: Route) -> None:
    row = TABLE.get((route.method, route.path))
    assert row is not None, "a route without a row in tests/api/access_matrix.py"
    found = {caller: ask(Attempt(cloud, scene, caller), route) for caller in CALLERS}
    with cloud.database.begin() as connection:
        connection.execute(teams.update().values(frozen_at=None))
    assert found == row


def ask(attempt: Attempt, route: Route) -> int:
    """The status that the caller gets; a refusal must be in shape."""
    path = route.path
    if "{key_id}" in path:
        made = made_key if "api-keys" in path else Attempt.ssh_key
        path = path.replace("{key_id}", made(attempt))
    if "/operator/" in path and "{offer_id}" in path:
        path = path.replace("{offer_id}", own_offer(attempt))
    for name, make in PARAMETERS.items():
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", make(attempt))
    if route.target_from == "query:teamId":
        path += f"?teamId={attempt.team}"
    make_body = BODIES.get((route.method, route.path))
    body = make_body(attempt) if make_body else None
    answer = attempt.cloud.send(route.method, path, attempt.credential, body)
    assert answer.status in route.statuses, "the document says so"
    if answer.status >= 400:
        refusal = answer.refused(answer.status, answer.json["code"])
        if refusal["code"] == "FORBIDDEN":
            assert set(refusal["details"]) == {"permission", "whoHasIt", "role"}
    return answer.status


def test_the_table_speaks_of_no_other_routes() -> None:
    assert set(TABLE) == {(route.method, route.path) for route in ROUTES}


def undeclared(application: Litestar) -> set[tuple[str, str]]:
    """What the application answers to, that is neither declared nor known to need no declaration."""
    declared = {(route.method, route.path) for route in ROUTES}
    found = set()
    for route in application.routes:
        path = route.path_format
        if isinstance(route, WebSocketRoute):
            found |= {("WEBSOCKET", path)}
            continue
        assert isinstance(route, HTTPRoute), "no mounts here"
        found |= {(str(method), path) for method in route.methods if method not in ("OPTIONS", "HEAD")}
    return found - declared - set(UNDECLARED) - set(PAGES) - set(SOCKETS) - OPERATOR_PAGES


def test_every_route_of_the_application_is_declared(cloud: Cloud) -> None:
    assert undeclared(cloud.application) == set()

    async def sneaked_in() -> None:
        """Whoever adds a handler beside the declarations is found."""

    cloud.application.register(HTTPRouteHandler("/api/sneaky/{name:str}", http_method="GET")(sneaked_in))
    assert undeclared(cloud.application) == {("GET", "/api/sneaky/{name}")}


def test_every_route_says_who_may_use_it() -> None:
    for route in ROUTES:
        assert isinstance(route.needs, Permission | Needs)
        if route.needs is Needs.nothing:
            assert route.path.startswith(
                (
                    "/api/auth/",
                    "/api/invitations/",
                    "/api/providers",
                    "/api/gpu-offers",
                    "/api/kubernetes/versions",
                    "/api/stripe/webhook",
                )
            )


def test_what_changes_counts_from_the_next_request_on(cloud: Cloud) -> None:
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    cloud.join(owner.team, mia, Role.member)
    path = f"/api/deployments/{cloud.running(owner)['id']}"
    body = {"name": "renamed"}
    order = cloud.order(owner.team, cloud.ssh_key(owner.team, owner))

    def change(table: Any, **values: Any) -> None:
        column = table.c.team_id if table is memberships else table.c.id
        person = table.c.user_id == mia.id if table is memberships else True
        with cloud.database.begin() as connection:
            connection.execute(table.update().where(column == owner.team, person).values(**values))

    cloud.send("PATCH", path, mia.key, body).refused(403, "FORBIDDEN")
    change(memberships, role=Role.admin)
    cloud.send("PATCH", path, mia.key, body).ok()
    change(memberships, role=Role.member)
    cloud.send("PATCH", path, mia.key, body).refused(403, "FORBIDDEN")
    cloud.post("/api/deployments", mia.key, order).ok(201)
    change(teams, member_mode=MemberMode.read_only)
    assert cloud.post("/api/deployments", mia.key, order).refused(403, "FORBIDDEN")["details"] == {
        "permission": "deployments.launch",
        "whoHasIt": ["owner", "admin", "member (deploy-only)"],
        "role": "member",
    }
    cloud.leave(owner.team, mia)
    for answer in (cloud.get(path, mia.key), cloud.get(path, mia.session), cloud.send("PATCH", path, mia.key, body)):
        answer.refused(404, "NOT_FOUND")
    assert owner.team not in [team["id"] for team in cloud.get("/api/teams", mia.key).ok()["teams"]]


def test_keys_that_are_none(cloud: Cloud) -> None:
    pat = cloud.person()
    key = pat.key
    place = next(number for number in range(20, len(key) - 1) if key[number] != key[number + 1])
    swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    answers = [
        cloud.get("/api/me"),
        *(
            cloud.get("/api/me", headers={"authorization": line})
            for line in (
                "", "Bearer", "Bearer ", f"Basic {key}", key, f"Token {key}", f"Bearer {key[:-1]}", f"Bearer {key}x",
                f"Bearer {key[1:]}", f"Bearer {swapped}", f"Bearer {key.swapcase()}", f"Bearer {key} {key}",
                f"Bearer {key},{key}", f"Bearer {'fby_pk_' + key[7:][::-1]}", "Bearer null", "Bearer \xff\xfe",
                f"Bearer {key.replace('pk', 'st')}", f"Bearer {pat.id}", "Bearer " + "a" * 60_000, f"Bearer\t{key}x",
            )
        ),
    ]  # fmt: skip
    first = answers[0].refused(401, "UNAUTHORIZED")
    assert first == {"error": "Missing or invalid API key.", "code": "UNAUTHORIZED", "details": {}}
    assert {answer.body for answer in answers} == {answers[0].body}
    assert all(answer.headers["www-authenticate"] == "Bearer" for answer in answers)
    for line in (f"bearer {key}", f"BEARER {key}", f"Bearer  {key} "):
        assert cloud.get("/api/me", headers={"authorization": line}).status == 200


@pytest.mark.parametrize(("required_of", "operator", "member"), [("operators", 403, 200), ("everyone", 403, 403)])
def test_a_second_factor_where_one_is_required(cloud: Cloud, required_of: str, operator: int, member: int) -> None:
    people = cloud.person(is_operator=True), cloud.person()
    settings = cloud.door.services.settings
    object.__setattr__(settings, "require_second_factor", required_of)
    try:
        for person, status in zip(people, (operator, member), strict=True):
            answer = cloud.get("/api/teams", person.session)
            assert answer.status == status
            if status == 403:
                answer.refused(403, "SECOND_FACTOR_NEEDED")
            assert cloud.get("/api/auth/sessions", person.session).status == 200, "to set one up"
            assert cloud.get("/api/teams", person.key).status == 200, "keys are what they are"
            with cloud.database.begin() as connection:
                connection.execute(sessions.update().where(sessions.c.user_id == person.id).values(methods="passkey"))
            assert cloud.get("/api/teams", person.session).status == 200
    finally:
        object.__setattr__(settings, "require_second_factor", "nobody")
