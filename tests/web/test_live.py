"""What pages are told of changes: each of them, also those between a page and its stream, and between two streams."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.app import build_frame
from forebay.domain.machines import changes
from forebay.domain.machines.changes import Marks
from forebay.storage.tables import (
    accounts,
    activity,
    card_set_ups,
    deployments,
    holds,
    payment_attempts,
    teams,
    volume_attachments,
    volumes,
)
from forebay.web.live import Live, Stream, Watch
from forebay.web.visits import Visit
from tests.api.cloud import DOLLAR, Cloud, Person

pytestmark = pytest.mark.slow
TOPICS = ["activity", "deployments", "money", "payments", "volumes"]


@pytest.fixture(scope="module")
def pat(cloud: Cloud) -> Person:
    return cloud.person("Pat", credits_micros=100 * DOLLAR)


def marks(cloud: Cloud, team: str) -> Marks:
    with cloud.database.read() as connection:
        return changes.marks(connection, team, now=cloud.clock.now())


@contextmanager
def changing(cloud: Cloud, team: str, *topics: str) -> Iterator[Connection]:
    """What is done in the block is seen as a change of these topics, and of no other."""
    before = marks(cloud, team)
    assert before == marks(cloud, team)
    with cloud.database.begin() as connection:
        yield connection
    after = marks(cloud, team)
    assert {topic for topic in after if after[topic] != before[topic]} == set(topics)


def attempt(cloud: Cloud, team: str, number: int, **more: Any) -> dict[str, Any]:
    now = cloud.clock.now() + timedelta(seconds=number)
    return {
        "id": ids.new_id(now), "team_id": team, "path": "checkout", "state": "created", "amount_micros": DOLLAR,
        "request": {}, "idempotency_key": ids.new_id(now), "created_at": now, **more,
    }  # fmt: skip


def test_every_change_that_a_page_shows_is_seen(cloud: Cloud, pat: Person) -> None:
    team, other = pat.team, cloud.person("Other").team
    machine = cloud.running(pat)["id"]
    volume = cloud.volume(pat, team)["id"]
    with changing(cloud, other):
        pass
    for name, value in (
        ("name", "another"), ("status", "stopped"), ("desired", "stopped"), ("error", "out of memory"),
        ("ssh_port", 4242), ("ip_address", "192.0.2.99"), ("labels", {"a": "b"}), ("rate_micros", 1),
        ("terminate_at", cloud.clock.now()), ("max_cost_micros", 5), ("reclaim_at", cloud.clock.now()),
        ("auto_stop_minutes", 30), ("keys_version", 99),
    ):  # fmt: skip
        with changing(cloud, team, "deployments") as connection:
            connection.execute(sa.update(deployments).where(deployments.c.id == machine).values({name: value}))
    for name, value in (("name", "other"), ("size_gb", 77), ("made_gb", 76), ("state", "deleting"), ("error", "full")):
        with changing(cloud, team, "volumes") as connection:
            connection.execute(sa.update(volumes).where(volumes.c.id == volume).values({name: value}))
    now = cloud.clock.now()
    on = {"id": ids.new_id(now), "volume_id": volume, "deployment_id": machine, "name": "x", "state": "attaching"}
    with changing(cloud, team, "volumes") as connection:
        connection.execute(sa.insert(volume_attachments).values(**on, created_at=now, changed_at=now))
    for state in ("attached", "detached"):
        with changing(cloud, team, "volumes") as connection:
            connection.execute(sa.update(volume_attachments).values(state=state))
    with changing(cloud, team, "money") as connection:
        connection.execute(sa.update(accounts).where(accounts.c.team_id == team).values(balance_micros=7))
    with changing(cloud, team, "money") as connection:
        connection.execute(sa.update(holds).where(holds.c.team_id == team).values(remaining_micros=0))
    with changing(cloud, team, "deployments") as connection:
        connection.execute(sa.update(deployments).where(deployments.c.id == machine).values(gone_at=now))
    with changing(cloud, team, "volumes") as connection:
        connection.execute(sa.update(volumes).where(volumes.c.id == volume).values(gone_at=now))


def test_what_is_long_ago_is_seen_when_it_changes(cloud: Cloud) -> None:
    pat = cloud.person("Payer")
    team = pat.team
    old = attempt(cloud, team, 0)
    with changing(cloud, team, "payments") as connection:
        connection.execute(sa.insert(payment_attempts).values(old))
    with changing(cloud, team, "payments") as connection:
        for number in range(1, 9):
            connection.execute(sa.insert(payment_attempts).values(attempt(cloud, team, number)))
    with changing(cloud, team, "payments") as connection:
        over = {"state": "canceled", "closed_at": cloud.clock.now()}
        connection.execute(sa.update(payment_attempts).where(payment_attempts.c.id == old["id"]).values(over))
    now = cloud.clock.now()
    for number in range(6):
        with changing(cloud, team, "payments") as connection:
            set_up = {"id": ids.new_id(now), "team_id": team, "path": "page", "state": "open"}
            connection.execute(sa.insert(card_set_ups).values(**set_up, created_at=now + timedelta(seconds=number)))
    with changing(cloud, team, "activity") as connection:
        for number in range(20):
            connection.execute(sa.insert(activity).values(done(cloud, team, number)))
    with changing(cloud, team, "activity") as connection:
        # Of a transaction that began before all of those and ended after them.
        connection.execute(sa.insert(activity).values(done(cloud, team, -30)))


def done(cloud: Cloud, team: str, seconds: int) -> dict[str, Any]:
    at = cloud.clock.now() + timedelta(seconds=seconds)
    return {"id": ids.new_id(at), "team_id": team, "at": at, "action": "x.y", "outcome": "done"}


def test_a_watch_knows_what_has_changed_since_a_place() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    watch = Watch(now)
    assert watch.place == ""
    watch.take({"deployments": 1, "money": 1})
    first = watch.place
    assert watch.since(watch.count_of(first)) == []
    watch.take({"deployments": 1, "money": 2})
    watch.take({"deployments": 2, "money": 2})
    assert watch.since(watch.count_of(first)) == ["deployments", "money"]
    second = watch.place
    watch.take({"deployments": 2, "money": 3})
    assert watch.since(watch.count_of(second)) == ["money"]
    for unknown in ("", "-", "0-0", f"{watch.name}-", f"{watch.name}--1", f"{watch.name}-{'9' * 40}", Watch(now).place):
        assert watch.since(watch.count_of(unknown)) == ["deployments", "money"]


class Listening:
    """A browser on a page of the team, whose stream is read to what it says."""

    def __init__(self, cloud: Cloud, live: Live, person: Person, place: str = "") -> None:
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.is_gone = asyncio.Event()
        visit = Visit(
            method="GET", path="/t/x/live", parameters={"slug": slug_of(cloud, person)}, query={"at": place}, form={},
            cookies={"forebay-session": person.session}, headers={}, address="192.0.2.7", now=cloud.clock.now(),
        )  # fmt: skip
        self.task = asyncio.create_task(Stream(live, visit, person.team)({}, self.receive, self.send))  # type: ignore[arg-type]

    async def receive(self) -> Any:
        await self.is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        text = message.get("body", b"").decode()
        if text.startswith("id: "):
            self.said.put_nowait(text)

    async def next(self) -> tuple[str, list[str]]:
        """Where the watch is, and which topics have changed."""
        lines = (await asyncio.wait_for(self.said.get(), 30)).splitlines()
        assert lines[1] == ("event: at" if lines[2] == "data: -" else "event: changed")
        return lines[0].removeprefix("id: "), lines[2].removeprefix("data: ").split()

    async def leave(self) -> None:
        self.is_gone.set()
        await asyncio.wait_for(self.task, 30)


def slug_of(cloud: Cloud, person: Person) -> str:
    with cloud.database.read() as connection:
        return str(connection.execute(sa.select(teams.c.slug).where(teams.c.id == person.team)).scalar_one())


def live_of(cloud: Cloud) -> Live:
    """The streams of a server that looks all the time."""
    frame = build_frame(cloud.forebay, cloud.door, "http://forebay.test")
    return Live(frame, look_seconds=0.01)


def rename(cloud: Cloud, machine: str, name: str) -> None:
    with cloud.database.begin() as connection:
        connection.execute(sa.update(deployments).where(deployments.c.id == machine).values(name=name))


def test_nothing_is_missed_between_a_page_and_its_streams(cloud: Cloud) -> None:
    pat = cloud.person("Watcher")
    machine = cloud.running(pat)["id"]

    async def watching() -> None:
        live = live_of(cloud)
        in_thread = asyncio.get_running_loop().run_in_executor
        # Nobody watches yet: the page begins to, and its stream tells what has changed since.
        page = await in_thread(None, live.place_of, pat.team)
        assert page == await in_thread(None, live.place_of, pat.team)
        await in_thread(None, rename, cloud, machine, "zero")
        early = Listening(cloud, live, pat, page)
        told = await early.next()
        assert (await early.next() if told[1] == ["-"] else told)[1] == ["deployments"]
        # A page of which nobody knows how old it is begins with everything.
        first = Listening(cloud, live, pat)
        place, topics = await first.next()
        assert topics == TOPICS
        assert live.place_of(pat.team) == place
        await in_thread(None, rename, cloud, machine, "one")
        assert (await first.next())[1] == ["deployments"]
        await early.leave()
        page = live.place_of(pat.team)
        await first.leave()
        # Nobody listens while it changes; the page was made before.
        await in_thread(None, rename, cloud, machine, "two")
        second = Listening(cloud, live, pat, page)
        told = await second.next()
        if told[1] == ["-"]:
            told = await second.next()
        assert told[1] == ["deployments"]
        third = Listening(cloud, live, pat, told[0])
        assert await third.next() == (told[0], ["-"])
        # Another server, or another watch, knows nothing of that place.
        elsewhere = live_of(cloud)
        fourth = Listening(cloud, elsewhere, pat, told[0])
        assert (await fourth.next())[1] == TOPICS
        tasks = [watch.task for each in (live, elsewhere) for watch in each.watches.values()]
        assert len(tasks) == 2
        await live.close()
        await elsewhere.close()
        assert all(task is not None and task.done() for task in tasks)
        assert not live.watches
        for listening in (second, third, fourth):
            await asyncio.wait_for(listening.task, 30)

    cloud.loop.run(calling(watching))


async def calling(work: Any) -> None:
    await work()
