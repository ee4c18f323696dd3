"""Every change leaves a row in the activity: each route that writes is used as it should be, and looked for there.

A new route that writes fails here until it says how it succeeds, or why there is nothing to record.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.api.route import Route
from forebay.domain.machines import offer_changes, orphans
from forebay.domain.money import auto_top_up_terms, cards
from forebay.domain.money.auto_top_up_terms import Terms
from forebay.domain.people.access import Caller, TeamContext
from forebay.domain.people.roles import MemberMode, Role
from forebay.storage.tables import activity, deployments, users
from tests.api.authenticator import Authenticator, add_passkey
from tests.api.cloud import ROUTES, Cloud, Person, new_public_key
from tests.api.invited import invite
from tests.api.proving import (
    PASSWORD,
    Owner,
    Phone,
    begin,
    link_of,
    mailed,
    new_email,
    with_app,
    with_password,
)

pytestmark = pytest.mark.slow

Request = tuple[str | None, str, Any]
"""Who asks, for which path, with what body."""

WHY = {"reason": "an inquiry"}
SUBJECT = {"scope": "offer", "subject": "memory-minimum", "reason": "an inquiry"}
SKIPPED = {
    ("POST", "/api/auth/sign-up"): "a stranger's wish: nothing is recorded before the address is proved",
    ("POST", "/api/auth/forgot-password"): "a stranger's wish; what the link does is recorded",
    ("POST", "/api/auth/cli"): "a stranger's wish; that the person approves it is recorded",
    ("POST", "/api/auth/cli/token"): "asked every few seconds; the sign-in that it ends in is recorded",
    ("POST", "/api/auth/passkeys/options"): "a challenge: nothing of the account is changed by it",
    ("POST", "/api/auth/passkey-sign-in/options"): "a challenge that belongs to nobody yet",
    ("POST", "/api/auth/totp"): "a secret that counts for nothing before it is confirmed, which is recorded",
    ("POST", "/api/teams/{team_id}/cards"): "needs a cloud that takes cards: test_top_ups.py looks for its row",
    ("POST", "/api/teams/{team_id}/top-ups"): "needs a cloud that takes cards: test_top_ups.py looks for its row",
    ("POST", "/api/stripe/webhook"): "nothing is changed by it but where to look; what is found there is recorded",
}
"""Routes that write and record nothing, and why that is right."""


class Acts:
    """People and things for one request: Olga owns a team with credits, Mia is an admin of it, Otto an operator."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.olga, self.mia, self.otto = cloud.person("Olga"), cloud.person("Mia"), cloud.person("Otto")
        with cloud.database.begin() as connection:
            connection.execute(sa.update(users).where(users.c.id == self.otto.id).values(is_operator=True))
        self.team = cloud.team(self.olga, credits_micros=100_000_000)
        cloud.join(self.team, self.mia, Role.admin)

    def card(self) -> str:
        """The id of a saved card of the team."""
        facts = cards.Facts(
            payment_method_id=f"pm_{self.team}", brand="visa", last_four="4242", expiry_month=12, expiry_year=2034
        )
        with self.cloud.database.begin() as connection:
            return cards.add(connection, self.team, facts, created_by=None, now=self.cloud.clock.now()).id

    def published(self) -> Request:
        """Somebody has a key at a source."""
        self.cloud.shelf.put("https://github.test/olga.keys", new_public_key())
        return self.mine("/api/ssh-keys/import", {"source": "GitHub", "user": "olga", "teamId": self.team})

    def auto_top_up(self) -> Request:
        """It is on, and may have stopped."""
        terms = Terms(threshold_micros=20_000_000, amount_micros=50_000_000, max_charge_micros=50_000_000)
        self.card()
        with self.cloud.database.begin() as connection:
            caller = Caller(
                user_id=self.olga.id, email="", name="", is_operator=False, api_access="none", current_team_id=None
            )
            context = TeamContext(
                caller=caller,
                team_id=self.team,
                team_name="",
                slug="",
                number=1,
                role=Role.owner,
                member_mode=MemberMode.deploy_only,
                is_frozen=False,
            )
            auto_top_up_terms.put(connection, context, terms, is_agreed=True, now=self.cloud.clock.now())
        return self.of_team("/auto-top-up/try-again")

    def mine(self, path: str, body: Any = None) -> Request:
        """Olga asks."""
        return self.olga.session, path, body

    def of_team(self, path: str, body: Any = None) -> Request:
        return self.mine(f"/api/teams/{self.team}{path}", body)

    def member(self) -> str:
        return f"/members/{self.mia.id}"

    def by_operator(self, path: str, body: Any = None) -> Request:
        return self.otto.session, f"/api/operator/{path}", body

    def machine(self, *, is_stopped: bool = False) -> str:
        machine = str(self.cloud.running(self.olga, self.team)["id"])
        if is_stopped:
            self.cloud.post(f"/api/deployments/{machine}/stop", self.olga.session).ok()
            self.cloud.settle()
        return f"/api/deployments/{machine}"

    def volume(self, **more: Any) -> str:
        return f"/api/volumes/{self.cloud.volume(self.olga, self.team, **more)['id']}"

    def detach(self) -> Request:
        machine = self.machine().rpartition("/")[2]
        return self.mine(f"{self.volume(deploymentId=machine)}/detach", {"deploymentId": machine})

    def start_again(self) -> Request:
        """The team's machine was stopped for lack of credits, and there are some again."""
        machine = self.machine(is_stopped=True).rpartition("/")[2]
        with self.cloud.database.begin() as connection:
            connection.execute(
                sa.update(deployments)
                .where(deployments.c.id == machine)
                .values(stopped_for_credits_at=self.cloud.clock.now())
            )
        return self.of_team("/start-again")

    def invited(self) -> tuple[str, str]:
        """The id of an invitation to an address without an account, and its token."""
        email = new_email()
        return invite(self.cloud, self.olga, self.team, email)

    def api_key(self) -> str:
        made = self.cloud.post("/api/api-keys", self.olga.session, {"name": "x", "teamId": self.team}).ok(201)
        return f"/api/api-keys/{made['id']}"

    def accept(self) -> Request:
        guest = self.cloud.person("Gast")
        _, token = invite(self.cloud, self.olga, self.team, guest.email)
        return guest.session, f"/api/invitations/{token}/accept", None

    def ask_for_access(self) -> Request:
        with self.cloud.database.begin() as connection:
            connection.execute(sa.update(users).where(users.c.id == self.olga.id).values(api_access="none"))
        return self.mine("/api/api-access")

    def verify(self) -> Request:
        email = new_email()
        body = {"email": email, "name": "New", "password": "a heron by the lake"}
        self.cloud.post("/api/auth/sign-up", body=body).ok(202)
        return None, "/api/auth/verify", {"token": link_of(mailed(self.cloud, email)[-1].text, "verify")}

    def sign_in(self) -> Request:
        body = {"email": with_password(self.cloud).email, "password": PASSWORD}
        return None, "/api/auth/sign-in", body

    def second_factor(self) -> Request:
        owner = with_app(self.cloud)
        body = {"token": begin(self.cloud, owner.person.email), "code": owner.phone.code()}
        return None, "/api/auth/second-factor", body

    def new_address(self) -> tuple[Person, str]:
        """Somebody who wants another address and has agreed to it at the present one; the token of the other link."""
        person, email = with_password(self.cloud), new_email()
        self.cloud.post("/api/me/email", person.session, {"email": email}).ok(202)
        old, new = (link_of(mailed(self.cloud, each)[-1].text, "change-address") for each in (person.email, email))
        self.cloud.post("/api/auth/change-address", body={"token": old}).ok()
        return person, new

    def reset(self) -> Request:
        person = with_password(self.cloud)
        self.cloud.post("/api/auth/forgot-password", body={"email": person.email}).ok(202)
        token = link_of(mailed(self.cloud, person.email)[-1].text, "reset")
        return None, "/api/auth/reset-password", {"token": token, "password": "another heron by the lake"}

    def change_password(self) -> Request:
        body = {"password": "another heron by the lake", "currentPassword": PASSWORD}
        return with_password(self.cloud).session, "/api/auth/password", body

    def confirm_app(self) -> Request:
        person = with_password(self.cloud)
        phone = Phone(self.cloud, self.cloud.post("/api/auth/totp", person.session).ok()["secret"])
        return person.session, "/api/auth/totp/confirm", {"code": phone.code()}

    def with_code(self, path: str) -> Request:
        owner: Owner = with_app(self.cloud)
        return owner.session, path, {"code": owner.phone.code()}

    def passkey(self) -> str:
        return f"/api/auth/passkeys/{add_passkey(self.cloud, self.olga, Authenticator())}"

    def add_passkey(self) -> Request:
        begun = self.cloud.post("/api/auth/passkeys/options", self.olga.session).ok()
        credential = Authenticator().create(begun["options"])
        return self.mine("/api/auth/passkeys", {"token": begun["token"], "name": "a", "credential": credential})

    def with_passkey(self, path: str, *, is_signed_in: bool) -> Request:
        authenticator = Authenticator()
        add_passkey(self.cloud, self.olga, authenticator)
        begun = self.cloud.post("/api/auth/passkey-sign-in/options").ok()
        body = {"token": begun["token"], "credential": authenticator.get(begun["options"])}
        return self.olga.session if is_signed_in else None, path, body

    def other_session(self) -> str:
        self.cloud.session(self.olga.id)
        found = self.cloud.get("/api/auth/sessions", self.olga.session).ok()["sessions"]
        return f"/api/auth/sessions/{found[0]['id']}"

    def budget(self) -> str:
        """The path of a budget of the team, below it."""
        path, wish = f"/api/teams/{self.team}/budgets", {"scope": "team", "amount": 9000}
        return f"/budgets/{self.cloud.send('PUT', path, self.olga.session, wish).ok()['id']}"

    def webhook(self) -> str:
        """The path of a webhook of the team, below it."""
        path = f"/api/teams/{self.team}/webhooks"
        made = self.cloud.post(path, self.olga.session, {"url": "https://hooks.example.org/herons"}).ok(201)
        return f"/webhooks/{made['id']}"

    def template(self) -> str:
        """The path of a template of the team, below it."""
        path = f"/api/teams/{self.team}/templates"
        made = self.cloud.post(path, self.olga.session, {"name": "nightly", "offerId": "memory-small"}).ok(201)
        return f"/templates/{made['id']}"

    def watched(self) -> str:
        path = "/api/gpu-offers/memory-small/watch"
        self.cloud.post(path, self.olga.session, {}).ok(201)
        return path

    def empty_team(self) -> str:
        return self.cloud.team(self.olga)

    def leave(self) -> Request:
        return self.mia.session, f"/api/teams/{self.team}/leave", None

    def delete_account(self) -> Request:
        person = self.cloud.person("Ende", credits_micros=0)
        return person.session, "/api/me", {"confirm": person.email}

    def granted(self) -> str:
        credential, path, body = self.by_operator(f"teams/{self.team}/grants", {"amount": 1, "reason": "x"})
        made = self.cloud.post(path, credential, body).ok(201)
        return f"teams/{self.team}/grants/{made['transferId']}/take-back"

    def reclaim(self) -> Request:
        with self.cloud.database.begin() as connection:
            now = self.cloud.clock.now()
            said = {"spot_rate_micros": 1000}
            offer_changes.change(connection, None, "memory-small", said, reason="x", now=now, by="a test")
        machine = self.cloud.running(self.olga, self.team, instanceType="SPOT")["id"]
        return self.by_operator(f"deployments/{machine}/reclaim", WHY)

    def end_orphan(self) -> Request:
        with self.cloud.database.begin() as connection:
            orphans.note(connection, "memory", {"stray": ("", "running")}, now=self.cloud.clock.now())
        return self.by_operator("orphans/memory/stray/end", WHY)

    def discount(self) -> tuple[str, Any]:
        return f"teams/{self.team}/discounts", {"percent": "12.5", **WHY}

    def end_discount(self) -> Request:
        credential, path, body = self.by_operator(*self.discount())
        made = self.cloud.post(path, credential, body).ok(201)
        return self.by_operator(f"discounts/{made['id']}/end", WHY)

    def own_offer(self) -> Any:
        size = {"vcpus": 1, "memory": 1, "storage": 1}
        named = {"id": f"memory-own-{self.team}", "provider": "memory", "pool": "house", "name": "Own"}
        return {"price": 1, **size, **named, **WHY}

    def offered(self) -> str:
        body = self.own_offer()
        self.cloud.post("/api/operator/offers", self.otto.session, body).ok(201)
        return f"offers/{body['id']}"

    def held_back(self, kind: str, more: Any) -> Request:
        self.cloud.send("PUT", f"/api/operator/{kind}", self.otto.session, SUBJECT | more).ok()
        return self.by_operator(kind, SUBJECT)

    def frozen(self, team: str | None = None) -> str:
        team = team or self.team
        self.cloud.post(f"/api/operator/teams/{team}/freeze", self.otto.session, WHY).ok()
        return f"teams/{team}"


OPERATORS_LOOK = (
    "users", "api-access", "teams", "activity", "alerts", "offers", "restrictions", "pools", "capacity", "discounts",
    "providers", "orphans", "offers/memory-small/history",
)  # fmt: skip
HOW: dict[tuple[str, str], Callable[[Acts], Request]] = {
    ("POST", "/api/auth/verify"): Acts.verify,
    ("POST", "/api/auth/sign-in"): Acts.sign_in,
    ("POST", "/api/auth/second-factor"): Acts.second_factor,
    ("POST", "/api/auth/sign-out"): lambda acts: acts.mine("/api/auth/sign-out"),
    ("POST", "/api/me/email"): lambda acts: (
        with_password(acts.cloud).session,
        "/api/me/email",
        {"email": new_email()},
    ),
    ("DELETE", "/api/me/email"): lambda acts: (acts.new_address()[0].session, "/api/me/email", None),
    ("POST", "/api/auth/change-address"): lambda acts: (
        None,
        "/api/auth/change-address",
        {"token": acts.new_address()[1]},
    ),
    ("POST", "/api/auth/reset-password"): Acts.reset,
    ("POST", "/api/auth/password"): Acts.change_password,
    ("POST", "/api/auth/step-up"): lambda acts: (
        with_password(acts.cloud).session,
        "/api/auth/step-up",
        {"password": PASSWORD},
    ),
    ("POST", "/api/auth/totp/confirm"): Acts.confirm_app,
    ("DELETE", "/api/auth/totp"): lambda acts: acts.with_code("/api/auth/totp"),
    ("POST", "/api/auth/recovery-codes"): lambda acts: acts.with_code("/api/auth/recovery-codes"),
    ("POST", "/api/auth/passkeys"): Acts.add_passkey,
    ("PATCH", "/api/auth/passkeys/{passkey_id}"): lambda acts: acts.mine(acts.passkey(), {"name": "another"}),
    ("DELETE", "/api/auth/passkeys/{passkey_id}"): lambda acts: acts.mine(acts.passkey() if acts.passkey() else ""),
    ("POST", "/api/auth/passkey-sign-in"): lambda acts: acts.with_passkey(
        "/api/auth/passkey-sign-in", is_signed_in=False
    ),
    ("POST", "/api/auth/step-up/passkey"): lambda acts: acts.with_passkey(
        "/api/auth/step-up/passkey", is_signed_in=True
    ),
    ("DELETE", "/api/auth/sessions"): lambda acts: acts.mine("/api/auth/sessions" if acts.other_session() else ""),
    ("DELETE", "/api/auth/sessions/{session_id}"): lambda acts: acts.mine(acts.other_session()),
    ("POST", "/api/api-access"): Acts.ask_for_access,
    ("POST", "/api/api-keys"): lambda acts: acts.mine("/api/api-keys", {"name": "x"}),
    ("PATCH", "/api/api-keys/{key_id}"): lambda acts: acts.mine(acts.api_key(), {"name": "another"}),
    ("POST", "/api/api-keys/{key_id}/rotate"): lambda acts: acts.mine(f"{acts.api_key()}/rotate", {"keepHours": 0}),
    ("DELETE", "/api/api-keys/{key_id}"): lambda acts: acts.mine(acts.api_key()),
    ("PATCH", "/api/me"): lambda acts: acts.mine("/api/me", {"name": "Olga Heron"}),
    ("PUT", "/api/me/current-team"): lambda acts: acts.mine("/api/me/current-team", {"teamId": acts.team}),
    ("GET", "/api/me/export"): lambda acts: acts.mine("/api/me/export"),
    ("DELETE", "/api/me"): Acts.delete_account,
    ("POST", "/api/teams"): lambda acts: acts.mine("/api/teams", {"name": "Herons"}),
    ("PATCH", "/api/teams/{team_id}"): lambda acts: acts.of_team("", {"name": "Herons"}),
    ("DELETE", "/api/teams/{team_id}"): lambda acts: acts.mine(f"/api/teams/{acts.empty_team()}"),
    ("PATCH", "/api/teams/{team_id}/members/{user_id}"): lambda acts: acts.of_team(acts.member(), {"role": "member"}),
    ("DELETE", "/api/teams/{team_id}/members/{user_id}"): lambda acts: acts.of_team(acts.member()),
    ("POST", "/api/teams/{team_id}/members/{user_id}/off-board"): lambda acts: acts.of_team(
        f"{acts.member()}/off-board", {}
    ),
    ("POST", "/api/teams/{team_id}/transfer-ownership"): lambda acts: acts.of_team(
        "/transfer-ownership", {"userId": acts.mia.id}
    ),
    ("POST", "/api/teams/{team_id}/leave"): Acts.leave,
    ("POST", "/api/teams/{team_id}/start-again"): Acts.start_again,
    ("POST", "/api/teams/{team_id}/invitations"): lambda acts: acts.of_team(
        "/invitations", {"email": new_email(), "role": "member"}
    ),
    ("POST", "/api/teams/{team_id}/invitations/{invitation_id}/resend"): lambda acts: acts.of_team(
        f"/invitations/{acts.invited()[0]}/resend"
    ),
    ("DELETE", "/api/teams/{team_id}/invitations/{invitation_id}"): lambda acts: acts.of_team(
        f"/invitations/{acts.invited()[0]}"
    ),
    ("POST", "/api/invitations/{token}/accept"): Acts.accept,
    ("POST", "/api/invitations/{token}/decline"): lambda acts: (
        None,
        f"/api/invitations/{acts.invited()[1]}/decline",
        None,
    ),
    ("POST", "/api/teams/{team_id}/credit-moves"): lambda acts: acts.of_team(
        "/credit-moves", {"toTeamId": acts.olga.team, "amount": 1}
    ),
    ("PUT", "/api/teams/{team_id}/auto-top-up"): lambda acts: acts.of_team("/auto-top-up", {"isOn": False}),
    ("POST", "/api/teams/{team_id}/auto-top-up/try-again"): Acts.auto_top_up,
    ("PUT", "/api/me/notifications"): lambda acts: acts.mine(
        "/api/me/notifications", {"kinds": {"report.weekly": False}}
    ),
    ("POST", "/api/gpu-offers/{offer_id}/watch"): lambda acts: acts.mine("/api/gpu-offers/memory-small/watch", {}),
    ("DELETE", "/api/gpu-offers/{offer_id}/watch"): lambda acts: acts.mine(acts.watched()),
    ("PUT", "/api/teams/{team_id}/budgets"): lambda acts: acts.of_team(
        "/budgets", {"scope": "member", "key": acts.mia.id, "amount": 50}
    ),
    ("DELETE", "/api/teams/{team_id}/budgets/{budget_id}"): lambda acts: acts.of_team(acts.budget()),
    ("POST", "/api/teams/{team_id}/webhooks"): lambda acts: acts.of_team(
        "/webhooks", {"url": "https://hooks.example.org/herons"}
    ),
    ("PATCH", "/api/teams/{team_id}/webhooks/{webhook_id}"): lambda acts: acts.of_team(
        acts.webhook(), {"name": "Herons"}
    ),
    ("DELETE", "/api/teams/{team_id}/webhooks/{webhook_id}"): lambda acts: acts.of_team(acts.webhook()),
    ("POST", "/api/teams/{team_id}/webhooks/{webhook_id}/test"): lambda acts: acts.of_team(f"{acts.webhook()}/test"),
    ("POST", "/api/teams/{team_id}/webhooks/{webhook_id}/rotate"): lambda acts: acts.of_team(
        f"{acts.webhook()}/rotate", {}
    ),
    ("POST", "/api/teams/{team_id}/templates"): lambda acts: acts.of_team(
        "/templates", {"name": "nightly", "offerId": "memory-small"}
    ),
    ("PATCH", "/api/teams/{team_id}/templates/{template_id}"): lambda acts: acts.of_team(
        acts.template(), {"name": "weekly"}
    ),
    ("DELETE", "/api/teams/{team_id}/templates/{template_id}"): lambda acts: acts.of_team(acts.template()),
    ("PUT", "/api/teams/{team_id}/cards/{card_id}/default"): lambda acts: acts.of_team(f"/cards/{acts.card()}/default"),
    ("DELETE", "/api/teams/{team_id}/cards/{card_id}"): lambda acts: acts.of_team(f"/cards/{acts.card()}"),
    ("POST", "/api/ssh-keys"): lambda acts: acts.mine(
        "/api/ssh-keys", {"name": "x", "publicKey": new_public_key(), "teamId": acts.team}
    ),
    ("POST", "/api/ssh-keys/import"): Acts.published,
    ("DELETE", "/api/ssh-keys/{key_id}"): lambda acts: acts.mine(
        f"/api/ssh-keys/{acts.cloud.ssh_key(acts.team, acts.olga)}"
    ),
    ("POST", "/api/volumes"): lambda acts: acts.mine(
        "/api/volumes", {"name": "data", "sizeInGb": 1, "provider": "memory", "teamId": acts.team}
    ),
    ("PATCH", "/api/volumes/{volume_id}"): lambda acts: acts.mine(acts.volume(), {"name": "renamed"}),
    ("DELETE", "/api/volumes/{volume_id}"): lambda acts: acts.mine(acts.volume()),
    ("POST", "/api/volumes/{volume_id}/attach"): lambda acts: acts.mine(
        f"{acts.volume()}/attach", {"deploymentId": acts.machine().rpartition("/")[2]}
    ),
    ("POST", "/api/volumes/{volume_id}/detach"): Acts.detach,
    ("POST", "/api/deployments"): lambda acts: acts.mine(
        "/api/deployments", acts.cloud.order(acts.team, acts.cloud.ssh_key(acts.team, acts.olga))
    ),
    ("PATCH", "/api/deployments/{deployment_id}"): lambda acts: acts.mine(acts.machine(), {"name": "x"}),
    ("DELETE", "/api/deployments/{deployment_id}"): lambda acts: acts.mine(acts.machine()),
    ("PUT", "/api/deployments/{deployment_id}/ssh-keys"): lambda acts: acts.mine(
        f"{acts.machine()}/ssh-keys", {"sshKeyIds": [acts.cloud.ssh_key(acts.team, acts.olga)]}
    ),
    ("POST", "/api/deployments/{deployment_id}/stop"): lambda acts: acts.mine(f"{acts.machine()}/stop"),
    ("POST", "/api/deployments/{deployment_id}/start"): lambda acts: acts.mine(
        f"{acts.machine(is_stopped=True)}/start"
    ),
    **{
        ("GET", f"/api/operator/{noun.replace('memory-small', '{offer_id}')}"): partial(Acts.by_operator, path=noun)
        for noun in OPERATORS_LOOK
    },
    ("GET", "/api/operator/teams/{team_id}"): lambda acts: acts.by_operator(f"teams/{acts.team}"),
    ("POST", "/api/operator/api-access/{user_id}"): lambda acts: acts.by_operator(
        f"api-access/{acts.mia.id}", {"decision": "refused", "reason": "x"}
    ),
    ("POST", "/api/operator/users/{user_id}/end-sessions"): lambda acts: acts.by_operator(
        f"users/{acts.mia.id}/end-sessions", WHY
    ),
    ("POST", "/api/operator/users/{user_id}/remove-second-factor"): lambda acts: acts.by_operator(
        f"users/{with_app(acts.cloud).person.id}/remove-second-factor", WHY
    ),
    ("POST", "/api/operator/teams/{team_id}/grants"): lambda acts: acts.by_operator(
        f"teams/{acts.team}/grants", {"amount": 1, "reason": "x"}
    ),
    ("POST", "/api/operator/teams/{team_id}/grants/{transfer_id}/take-back"): lambda acts: acts.by_operator(
        acts.granted(), WHY
    ),
    ("POST", "/api/operator/teams/{team_id}/freeze"): lambda acts: acts.by_operator(f"teams/{acts.team}/freeze", WHY),
    ("POST", "/api/operator/teams/{team_id}/unfreeze"): lambda acts: acts.by_operator(f"{acts.frozen()}/unfreeze", WHY),
    ("DELETE", "/api/operator/teams/{team_id}"): lambda acts: acts.by_operator(acts.frozen(acts.empty_team()), WHY),
    ("POST", "/api/operator/deployments/{deployment_id}/terminate"): lambda acts: acts.by_operator(
        f"{acts.machine().removeprefix('/api/')}/terminate", WHY
    ),
    ("POST", "/api/operator/deployments/{deployment_id}/reclaim"): Acts.reclaim,
    ("POST", "/api/operator/orphans/{provider}/{instance_id}/end"): Acts.end_orphan,
    ("POST", "/api/operator/teams/{team_id}/discounts"): lambda acts: acts.by_operator(*acts.discount()),
    ("POST", "/api/operator/discounts/{discount_id}/end"): Acts.end_discount,
    ("POST", "/api/operator/offers"): lambda acts: acts.by_operator("offers", acts.own_offer()),
    ("PATCH", "/api/operator/offers/{offer_id}"): lambda acts: acts.by_operator(
        "offers/memory-gpu", {"name": "A GPU"} | WHY
    ),
    ("DELETE", "/api/operator/offers/{offer_id}"): lambda acts: acts.by_operator(acts.offered(), WHY),
    ("PUT", "/api/operator/stock"): lambda acts: acts.by_operator("stock", SUBJECT | {"most": 5}),
    ("DELETE", "/api/operator/stock"): lambda acts: acts.held_back("stock", {"most": 5}),
    ("PUT", "/api/operator/maintenance"): lambda acts: acts.by_operator("maintenance", SUBJECT),
    ("DELETE", "/api/operator/maintenance"): lambda acts: acts.held_back("maintenance", {}),
}
"""How each succeeds."""

WRITING = [route for route in ROUTES if route.writes and (route.method, route.path) not in SKIPPED]


def rows(cloud: Cloud) -> int:
    with cloud.database.read() as connection:
        return int(
            connection.execute(
                sa.select(sa.func.count()).select_from(activity).where(activity.c.outcome == "done")
            ).scalar_one()
        )


@pytest.mark.parametrize("route", WRITING, ids=lambda route: f"{route.method} {route.path}")
def test_a_change_is_recorded(cloud: Cloud, route: Route) -> None:
    how = HOW.get((route.method, route.path))
    assert how is not None, "say above how this route succeeds, or why it records nothing"
    credential, path, body = how(Acts(cloud))
    before = rows(cloud)
    answer = cloud.send(route.method, path, credential, body)
    assert answer.status == route.status, answer
    assert rows(cloud) > before, "nothing in the activity says that this was done"


def test_nothing_is_said_of_routes_that_are_no_more() -> None:
    writing = {(route.method, route.path) for route in ROUTES if route.writes}
    assert set(HOW) <= writing
    assert set(SKIPPED) <= writing
    assert not set(HOW) & set(SKIPPED)
