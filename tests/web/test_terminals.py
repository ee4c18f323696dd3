"""The web terminal over a real WebSocket: who gets one, from where, how many, how long, and what is recorded."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from forebay.compute.memory.terminals import MemoryShell
from forebay.domain.people.roles import MemberMode, Role
from forebay.storage.tables import activity, memberships, sessions
from forebay.web import pages
from forebay.web.terminal_lines import Bounds
from forebay.web.terminals import TerminalPages
from tests.api.cloud import DOLLAR, URL, Cloud, Person
from tests.web.browser import with_session

pytestmark = pytest.mark.slow

QUICK = Bounds(check_seconds=0.05, per_person=2, per_process=3, stall_seconds=0.3)


class Desk:
    """A team with a machine that runs, and a port where terminals are opened."""

    def __init__(self, cloud: Cloud, port: int) -> None:
        self.cloud, self.port = cloud, port
        self.olga = cloud.person("Olga")
        self.team = cloud.team(self.olga, mode=MemberMode.deploy_only, credits_micros=500 * DOLLAR)
        self.mia = cloud.person("Mia")
        cloud.join(self.team, self.mia, Role.member)
        key = cloud.ssh_key(self.team, self.olga)
        self.machine = str(cloud.post("/api/deployments", self.olga.key, cloud.order(self.team, key)).ok(201)["id"])
        mias = cloud.post("/api/deployments", self.mia.key, cloud.order(self.team, key)).ok(201)
        self.mias = str(mias["id"])
        cloud.settle()
        self.slug = str(cloud.get(f"/api/teams/{self.team}", self.olga.key).ok()["slug"])

    def path(self, machine: str = "") -> str:
        return f"/t/{self.slug}/deployments/{machine or self.machine}/terminal"

    def open(
        self, who: Person | None = None, machine: str = "", *, origin: str | None = URL, session: str = "", **more: Any
    ) -> ClientConnection:
        token = session or self.cloud.session((who or self.olga).id)
        return connect(
            f"ws://127.0.0.1:{self.port}{self.path(machine)}/socket?columns=100&rows=30",
            origin=origin,  # type: ignore[arg-type]
            additional_headers={"cookie": f"forebay-session={token}"},
            **more,
        )

    def refusal(self, *arguments: Any, **more: Any) -> int:
        """The status that an attempt is answered with."""
        with pytest.raises(InvalidStatus) as found, self.open(*arguments, **more):
            pass
        response = found.value.response
        if response.status_code != 405:
            assert {"error", "code", "details"} == set(json.loads(response.body))
        return response.status_code

    def shell(self, machine: str = "") -> MemoryShell:
        """The newest shell in a machine."""
        return self.cloud.provider.machines[machine or self.machine].shells[-1]

    def recorded(self, action: str) -> list[Any]:
        where = sa.and_(activity.c.team_id == self.team, activity.c.action == action)
        with self.cloud.database.read() as connection:
            return list(connection.execute(sa.select(activity).where(where).order_by(activity.c.at, activity.c.id)))

    def when_closed(self, count: int = 1) -> list[Any]:
        """The rows of terminals that were closed, once there are as many."""
        until(lambda: len(self.recorded("terminal.close")) >= count)
        return self.recorded("terminal.close")


def until(look: Callable[[], Any]) -> Any:
    """What there is to see, once there is."""
    end = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)
    return found


def hear(line: ClientConnection, wanted: bytes) -> bytes:
    """Listen until that was shown."""
    shown = b""
    while wanted not in shown:
        part = line.recv(timeout=20)
        assert isinstance(part, bytes)
        shown += part
    return shown


def goodbye(line: ClientConnection) -> tuple[int, str]:
    """Listen until it is closed: code and sentence."""
    try:
        while True:
            line.recv(timeout=20)
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (0, "")


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, make_cloud: Callable[..., Cloud]) -> Iterator[Desk]:
    with desk_of(monkeypatch, make_cloud) as found:
        yield found


@contextmanager
def desk_of(
    monkeypatch: pytest.MonkeyPatch, make_cloud: Callable[..., Cloud], bounds: Bounds = QUICK, **settings: Any
) -> Iterator[Desk]:
    monkeypatch.setattr(pages, "TerminalPages", lambda dashboard, shells: TerminalPages(dashboard, shells, bounds))
    cloud = make_cloud(**settings)
    with cloud.served() as port:
        yield Desk(cloud, port)


def test_a_terminal_from_its_opening_to_its_end(desk: Desk) -> None:
    with desk.open() as line:
        hear(line, b"# ")
        shell = desk.shell()
        assert shell.size == (100, 30)
        for part in ("echo Grüße, 世界\r".encode()[:8], "echo Grüße, 世界\r".encode()[8:]):
            line.send(part)
        hear(line, "\r\nGrüße, 世界\r\n".encode())
        line.send(json.dumps({"columns": 132, "rows": 50_000}))
        until(lambda: shell.size == (132, 1000))
        [row] = desk.recorded("terminal.open")
        assert (row.user_id, row.object_id, row.address) == (desk.olga.id, desk.machine, "127.0.0.1")
        desk.cloud.clock.forward(seconds=90)
        line.send(b"exit\r")
        assert goodbye(line) == (1000, "The shell has ended.")
    [closed] = desk.when_closed()
    assert (closed.user_id, closed.details["seconds"]) == (desk.olga.id, 90)
    assert "Grüße" not in json.dumps([dict(row._mapping) for row in desk.recorded("terminal.open")], default=str)

    with desk.open() as line:
        hear(line, b"# ")
        shell = desk.shell()
        assert not shell.has_ended
    until(lambda: shell.has_ended)
    assert desk.when_closed(2)[1].details["why"] == "The page was closed."


def test_who_gets_one(desk: Desk) -> None:
    stranger = desk.cloud.person("Sam")
    assert desk.refusal(stranger) == 404
    assert desk.refusal(session="no session at all") == 401
    assert desk.refusal(desk.mia) == 403, "a member's own machines alone"
    assert desk.refusal(machine="00000000-0000-7000-8000-000000000000") == 404
    assert desk.recorded("terminal.open") == []
    with desk.open(desk.mia, desk.mias) as line:
        hear(line, b"# ")
    assert with_session(desk.cloud, desk.mia).get(desk.path()).status_code == 403
    page = with_session(desk.cloud, desk.mia).get(desk.path(desk.mias))
    assert "terminal.js" in page.text
    assert "/terminal" not in with_session(desk.cloud, desk.mia).get(desk.path().removesuffix("/terminal")).text
    assert "unsafe" not in page.headers["content-security-policy"]


def test_where_a_second_factor_is_asked_for_it_is_here_too(
    monkeypatch: pytest.MonkeyPatch, make_cloud: Callable[..., Cloud]
) -> None:
    with desk_of(monkeypatch, make_cloud, require_second_factor="everyone") as desk:
        assert desk.refusal() == 403


def test_another_site_gets_none(desk: Desk) -> None:
    host = f"127.0.0.1:{desk.port}"
    for origin in (None, "null", "https://evil.example", f"{URL}.evil.example", f"https://{host}", f"http://{host}9"):
        assert desk.refusal(origin=origin) == 403, origin
    with desk.open(origin=f"http://{host}") as line:  # as it was asked for
        hear(line, b"# ")
    assert len(desk.recorded("terminal.open")) == 1


def test_nothing_else_becomes_a_websocket(desk: Desk) -> None:
    for path in (
        "/healthz",
        "/api/openapi.json",
        f"/t/{desk.slug}/live",
        f"{desk.path()}/socket?token=x",
        "/t/a/terminal/socket",
    ):
        with pytest.raises(InvalidStatus) as found:
            connect(f"ws://127.0.0.1:{desk.port}{path}", additional_headers={"origin": URL})
        assert found.value.response.status_code != 500


@pytest.mark.parametrize("lost", ["membership", "session", "machine"])
def test_it_ends_with_the_right_to_it(desk: Desk, lost: str) -> None:
    session = desk.cloud.session(desk.mia.id)
    with desk.open(machine=desk.mias, session=session) as line:
        hear(line, b"# ")
        shell = desk.shell(desk.mias)
        if lost == "machine":
            # What the provider has not done yet is decided already; the shell itself would go on.
            with desk.cloud.database.begin() as connection:
                connection.execute(
                    sa.text("UPDATE deployments SET status = 'stopped' WHERE id = :id"), {"id": desk.mias}
                )
        else:
            table = memberships if lost == "membership" else sessions
            with desk.cloud.database.begin() as connection:
                connection.execute(sa.delete(table).where(table.c.user_id == desk.mia.id))
        code, sentence = goodbye(line)
    assert code == {"membership": 4404, "session": 4401, "machine": 4409}[lost]
    assert sentence.endswith(".")
    until(lambda: shell.has_ended)
    [row] = desk.when_closed()
    assert row.user_id == desk.mia.id


def test_there_is_an_end_to_how_many_and_how_long(desk: Desk) -> None:
    with desk.open() as first, desk.open() as second:
        hear(first, b"# "), hear(second, b"# ")
        with desk.open() as third:
            assert goodbye(third)[0] == 4429
        with desk.open(desk.mia, desk.mias) as other, desk.open(desk.mia, desk.mias) as too_many:
            assert goodbye(too_many)[0] == 4503
            hear(other, b"# ")
        desk.cloud.clock.forward(seconds=QUICK.idle_seconds - 60)
        first.send(b"a")
        hear(first, b"a")
        desk.cloud.clock.forward(seconds=120)
        assert goodbye(second)[0] == 4408
        first.send(b"b")
        hear(first, b"b")
        first.send(b"x" * 40_000)
        assert goodbye(first)[0] == 1009
    with desk.open() as again:
        hear(again, b"# ")
        again.send("{}]")
        assert goodbye(again)[0] == 1003
    until(lambda: len(desk.recorded("terminal.close")) == 4)


def test_neither_side_is_drowned(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `yes` that nobody reads is read no further; what a machine doesn't take is taken no more, and ends it."""
    read = 0

    def endless(shell: MemoryShell, timeout_seconds: float | None = None) -> bytes:
        nonlocal read
        read += 65536
        return b"" if shell.has_ended else b"y\r\n" * 21845 + b"y"

    with monkeypatch.context() as patch:
        patch.setattr(MemoryShell, "read", endless)
        with desk.open(max_queue=1, close_timeout=0.2) as line:
            line.recv(timeout=20)
            line.send(json.dumps({"hold": True}))
            calm = steady(lambda: read)
            assert calm < 32 * 1024 * 1024
            line.send(json.dumps({"hold": False}))
            for _ in range(100):
                line.recv(timeout=20)
            until(lambda: read > calm)
            steady(lambda: read)  # the client reads no more, and the server does not either
    desk.when_closed(1)
    stuck = asyncio.Event()

    def takes_nothing(shell: MemoryShell, typed: bytes) -> None:
        with shell.changed:
            shell.changed.wait_for(lambda: shell.has_ended)
        stuck.set()

    monkeypatch.setattr(MemoryShell, "write", takes_nothing)
    with desk.open() as line:
        hear(line, b"# ")
        for _ in range(40):
            line.send(b"x" * 10_000)
        assert goodbye(line)[0] == 4408
    assert stuck.is_set()


def steady(look: Callable[[], int]) -> int:
    """A number once it grows no more."""
    before = -1
    while (now := look()) != before:
        before = now
        time.sleep(0.2)
    return now


def test_where_there_is_none_the_page_says_so(desk: Desk) -> None:
    browser = with_session(desk.cloud, desk.olga)
    provider = desk.cloud.forebay.providers
    desk.cloud.forebay.providers = {}
    assert "out of this server’s reach" in browser.get(desk.path()).text.replace("&#39;", "’")
    with desk.open() as line:
        assert goodbye(line)[0] == 4503
    desk.cloud.forebay.providers = provider
    desk.cloud.post(f"/api/deployments/{desk.machine}/stop", desk.olga.key).ok()
    desk.cloud.settle()
    page = browser.get(desk.path()).text
    assert "The machine does not run" in page
    assert "terminal.js" not in page
    with desk.open() as line:
        assert goodbye(line) == (4409, "The machine does not run.")
    assert desk.recorded("terminal.open") == []
