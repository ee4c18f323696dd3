"""A whole cloud inside a test: the application as the server runs it, machines that are only remembered, a clock that
the test moves. Requests go to the application without a network; the worker's reconcilers run when the test says so.
"""

import asyncio
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from forebay.api import route, server
from forebay.app import Forebay, build_api, server_config
from forebay.compute.memory import POOL, MemoryProvider
from forebay.domain.machines import ssh_keys
from forebay.domain.money import ledger
from forebay.domain.money.teams import create as new_team
from forebay.domain.people import accounts, api_keys, sessions, teams
from forebay.domain.people.roles import MemberMode, Role
from forebay.host import listen
from forebay.settings import Settings
from forebay.storage.tables import activity, deployments, memberships, volumes
from forebay.worker.deployments import DeploymentReconciler
from forebay.worker.volumes import VolumeReconciler
from forebay.worker.webhooks import WebhookReconciler
from tests.api.clock import Clock, Here
from tests.api.shelf import SOURCES, Shelf
from tests.api.wire import Answer, Loop, Request, ask

URL = "http://forebay.test"
DOLLAR = 1_000_000
ABSENT = "0" * 24
"""The form of an id, and nothing's."""

ENDLESS = msgspec.structs.replace(POOL, vcpus=100_000, memory_gb=100_000, storage_gb=1_000_000, gpus=100_000)

assert server.NOUNS
ROUTES = route.ROUTES
"""All of them: importing the server has declared them."""

numbers = itertools.count(1)


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, their own team, a session and a key."""

    id: str
    name: str
    email: str
    team: str
    session: str
    key: str


class Cloud:
    """See the module."""

    def __init__(self, folder: Path, database_url: str, loop: Loop, **settings: Any) -> None:
        self.clock = Clock()
        self.turn = threading.RLock()
        """One round at a time, also where a test has a thread beside it that plays the worker."""
        self.loop = loop
        self.provider = MemoryProvider(self.clock.now, pools=[ENDLESS])
        plenty = {"rate_limit_anonymous": 100_000, "rate_limit_key": 100_000, "rate_limit_creations": 1000}
        near: dict[str, Any] = {"webhook_open_networks": ("127.0.0.0/8",), "webhook_allow_http": True}
        near["ssh_key_sources"] = SOURCES
        self.settings = Settings(
            data_dir=folder,
            database_url=database_url,
            secret_key="a key for tests, of no use elsewhere",
            providers=("memory",),
            **(plenty | near | settings),
        )
        self.forebay = Forebay(self.settings, self.clock)
        self.database = self.forebay.database
        self.forebay.providers = {"memory": self.provider}
        self.shelf = Shelf()
        if "ssh_key_sources" not in settings:
            self.forebay.fetches = self.shelf
        self.worker = self.forebay.build_worker()
        reconciler = self.worker.reconcilers["deployments"]
        assert isinstance(reconciler, DeploymentReconciler)
        reconciler.probe, reconciler.executor = self.provider.answers, Here()
        keeper = self.worker.reconcilers["volumes"]
        assert isinstance(keeper, VolumeReconciler)
        keeper.executor = Here()
        sender = self.worker.reconcilers["webhooks"]
        assert isinstance(sender, WebhookReconciler)
        sender.executor = Here()
        self.application, self.door = build_api(self.forebay, URL)
        self.run("offers")

    def close(self) -> None:
        self.door.close()
        self.forebay.close()

    @contextmanager
    def served(self) -> Iterator[int]:
        """Serve over HTTP as `forebay serve` does, on a port of this machine."""
        listener = listen("127.0.0.1", 0)
        server = uvicorn.Server(server_config(self.application))
        running = asyncio.run_coroutine_threadsafe(server.serve(sockets=[listener]), self.loop.loop)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            running.result(30)

    # The wire.

    def request(
        self,
        method: str,
        path: str,
        key: str | None = None,
        body: Any = None,
        *,
        raw: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        retry: str | None = None,
        peer: str = "192.0.2.7",
    ) -> Request:
        """A request as clients make it: `body` as JSON or `raw` as it is, `retry` as Idempotency-Key."""
        lines = {"authorization": f"Bearer {key}"} if key is not None else {}
        if retry is not None:
            lines["idempotency-key"] = retry
        parts: tuple[bytes, ...] = (b"",) if body is None else (msgspec.json.encode(body),)
        if raw is not None:
            parts = (raw,) if isinstance(raw, bytes) else tuple(raw)
        if isinstance(raw, bytes | None):
            lines["content-length"] = str(len(parts[0]))
        lines = {"content-type": "application/json", **lines, **(headers or {})}
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
        return Request(method, path, encoded, parts, peer)

    def send(self, method: str, path: str, key: str | None = None, body: Any = None, **more: Any) -> Answer:
        """Send one request and wait for its answer."""
        answer = self.loop.run(ask(self.application, self.request(method, path, key, body, **more)))
        assert isinstance(answer, Answer)
        return answer

    def cut_off(self, request: Request) -> Answer:
        """The answer to a request whose sender is gone before its end."""
        answer = self.loop.run(ask(self.application, request, is_cut_off=True))
        assert isinstance(answer, Answer)
        return answer

    def get(self, path: str, key: str | None = None, **more: Any) -> Answer:
        return self.send("GET", path, key, **more)

    def post(self, path: str, key: str | None = None, body: Any = None, **more: Any) -> Answer:
        return self.send("POST", path, key, body, **more)

    def at_once(self, requests: Sequence[Request]) -> list[Answer]:
        """Send all of them without waiting for one another."""

        async def all_of_them() -> list[Answer]:
            return await asyncio.gather(*(ask(self.application, request) for request in requests))

        answers: list[Answer] = self.loop.run(all_of_them())
        return answers

    # Who is there.

    def person(self, name: str = "Pat", *, credits_micros: int = 100 * DOLLAR, is_operator: bool = False) -> Person:
        """Somebody with a proved address and API access."""
        now = self.clock.now()
        email = f"{name.lower().replace(' ', '-')}-{next(numbers)}@example.org"
        with self.database.begin() as connection:
            account, team = accounts.create(
                connection,
                email=email,
                name=name,
                password_hash=None,
                now=now,
                is_verified=True,
                is_operator=is_operator,
            )
            ledger.open_account(connection, team)
            accounts.set_api_access(connection, account.id, "approved", reason=None, now=now)
        session, key = self.session(account.id), self.key(account.id, team)
        if credits_micros:
            self.grant(team, credits_micros)
        return Person(id=account.id, name=name, email=email, team=team, session=session, key=key)

    def session(self, user: str) -> str:
        """The token of a new session."""
        with self.database.begin() as connection:
            token, _ = sessions.begin(
                connection,
                user,
                self.forebay.secret_key,
                now=self.clock.now(),
                days=self.settings.session_idle_days,
                address="192.0.2.7",
                user_agent="a test",
            )
        return token

    def team(self, owner: Person, *, mode: MemberMode = MemberMode.deploy_only, credits_micros: int = 0) -> str:
        """Another team of this owner."""
        with self.database.begin() as connection:
            name = f"Team {next(numbers)}"
            team = new_team(connection, name=name, owner_id=owner.id, now=self.clock.now(), member_mode=mode)
        if credits_micros:
            self.grant(team, credits_micros)
        return team

    def grant(self, team: str, amount_micros: int) -> None:
        with self.database.begin() as connection:
            ledger.grant(
                connection,
                team_id=team,
                amount_micros=amount_micros,
                reason="to begin with",
                created_by=None,
                now=self.clock.now(),
            )

    def join(self, team: str, person: Person, role: Role) -> None:
        with self.database.begin() as connection:
            teams.add_member(connection, team, person.id, role, now=self.clock.now())

    def leave(self, team: str, person: Person) -> None:
        with self.database.begin() as connection:
            connection.execute(
                sa.delete(memberships).where(memberships.c.team_id == team, memberships.c.user_id == person.id)
            )

    def key(self, user: str, team: str, *, days: int | None = None, **more: Any) -> str:
        """The secret of a new API key, whose current team is `team`."""
        now = self.clock.now()
        with self.database.begin() as connection:
            secret, _ = api_keys.create(
                connection,
                user_id=user,
                name="a key",
                prefix=self.settings.api_key_prefix,
                secret_key=self.forebay.secret_key,
                current_team_id=team,
                now=now,
                expires_at=None if days is None else now + timedelta(days=days),
                **more,
            )
        return secret

    def ssh_key(self, team: str, person: Person) -> str:
        """The id of a new SSH key of the team."""
        with self.database.begin() as connection:
            return ssh_keys.add(
                connection,
                team_id=team,
                name="a laptop",
                public_key=new_public_key(),
                created_by=person.id,
                now=self.clock.now(),
            ).id

    def activity(self, team: str | None) -> Sequence[sa.Row[Any]]:
        """The rows of a team's activity, oldest first; without a team those of no team."""
        with self.database.read() as connection:
            return connection.execute(
                sa.select(activity).where(activity.c.team_id == team).order_by(activity.c.id)
            ).all()

    # Machines.

    def order(self, team: str, ssh_key_id: str, **more: Any) -> dict[str, Any]:
        """The body that launches the small machine; None leaves a field out."""
        body = {
            "teamId": team,
            "provider": "memory",
            "offerId": "memory-small",
            "gpuType": "cpu",
            "gpuCount": 0,
            "region": "here",
            "operatingSystem": "Debian 12",
            "instanceType": "DEDICATED",
            "sshKeyId": ssh_key_id,
        }
        return {name: value for name, value in (body | more).items() if value is not None}

    def launch(self, person: Person, team: str | None = None, **more: Any) -> Any:
        """A small machine that the person launched; it is deploying."""
        team = team or person.team
        return self.post("/api/deployments", person.key, self.order(team, self.ssh_key(team, person), **more)).ok(201)

    def running(self, person: Person, team: str | None = None, **more: Any) -> Any:
        """A machine that runs."""
        machine = self.launch(person, team, **more)
        self.settle()
        shown = self.get(f"/api/deployments/{machine['id']}", person.key).ok()
        assert shown["status"] == "running"
        return shown

    def volume(self, person: Person, team: str | None = None, *, size: int = 10, **more: Any) -> Any:
        """A volume that is there."""
        body = {"name": f"volume-{next(numbers)}", "sizeInGb": size, "provider": "memory", "teamId": team} | more
        made = self.post("/api/volumes", person.key, {name: value for name, value in body.items() if value}).ok(201)
        self.settle()
        shown = self.get(f"/api/volumes/{made['id']}", person.key).ok()
        assert shown["status"] in ("available", "attached")
        return shown

    def run(self, name: str) -> None:
        """One round of a reconciler. It must not fail."""
        with self.turn:
            before = self.worker.failures[name]
            self.worker.run_once(name)
            assert self.worker.failures[name] == before

    def settle(self) -> None:
        """Let the worker bring about whatever is due now."""
        with self.turn:
            for _ in range(100):
                self.run("deployments")
                self.run("volumes")
                if not self.is_any_due():
                    return
        raise AssertionError("the worker finds no end")

    def is_any_due(self) -> bool:
        """Whether a machine or a volume is to be looked at now."""
        with self.database.read() as connection:
            return any(
                connection.execute(sa.select(table.c.id).where(table.c.due_at <= self.clock.now())).first() is not None
                for table in (deployments, volumes)
            )


def new_public_key() -> str:
    """A line as a .pub file holds it, of a key nobody has."""
    pair = Ed25519PrivateKey.generate()
    line = pair.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{line.decode()} someone@somewhere"
