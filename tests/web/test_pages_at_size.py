"""That pages stay quick when there is a lot: as many queries for two hundred machines as for ten, each by an index.

How quick they are with ten thousand is said by `python -m benchmarks pages`.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from forebay.app import Forebay, build_api
from tests.api.clock import Clock
from tests.api.wire import Loop, Request, ask
from tests.web import crowd
from tests.web.crowd import Crowd, Size

pytestmark = pytest.mark.slow
SMALL = Size(machines=10, lines=400, doings=100, teams=5)
MORE = Size(machines=200, lines=8000, doings=2000, teams=20)

GROW = {
    "deployments", "deployment_events", "deployment_ssh_keys", "segments", "usage_lines", "transfers", "entries",
    "holds", "activity", "volumes", "volume_attachments", "ssh_keys", "invitations", "memberships", "sessions",
    "api_keys", "payment_attempts", "payments", "card_set_ups", "cards", "launch_templates", "webhooks",
    "webhook_deliveries", "webhook_attempts", "notifications", "mails", "cycles",
}  # fmt: skip
"""Tables of which there may be very many rows: none is gone through from end to end."""
OF_WHAT_IS_THERE = ("ix_deployments_there", "ix_deployments_taking", "ix_deployments_offer", "ix_payment_attempts_open")
"""Indexes that have only what is not over: operators see all of that."""
KNOWN = {
    "SCAN deployments USING COVERING INDEX ix_deployments_gpu_type": "which types are launched most, for the catalogue",
}


class Seen:
    """Every page of a server, with the statements that made it."""

    def __init__(self, folder: Path, size: Size, loop: Loop) -> None:
        self.path = folder / "forebay.db"
        self.forebay = Forebay(crowd.settings(folder), Clock())
        self.who = crowd.fill(self.path, self.forebay.secret_key, size, self.forebay.clock.now())
        application, self.door = build_api(self.forebay, "http://forebay.test")
        self.statements: dict[str, list[str]] = {}
        for page, at in crowd.pages_of(application, self.who).items():
            request = asking(self.who, page, at)
            work = partial(loop.run, ask(application, request))
            answer = loop.run(ask(application, request))
            assert answer.status in (200, 303), (page, answer)
            self.statements[page] = crowd.statements(self.forebay.database, work)

    def close(self) -> None:
        self.door.close()
        self.forebay.close()


def asking(who: Crowd, page: str, at: str) -> Request:
    session = "" if page in crowd.BEFORE_SIGN_IN else who.session
    cookies = f"forebay-session={session}; forebay-team={who.names['slug']}"
    return Request("GET", at, [(b"cookie", cookies.encode())])


@contextmanager
def seen(folder: Path, size: Size, loop: Loop) -> Iterator[Seen]:
    folder.mkdir()
    found = Seen(folder, size, loop)
    try:
        yield found
    finally:
        found.close()


def test_pages_ask_as_often_for_many_as_for_few_and_by_indexes(tmp_path: Path, loop: Loop) -> None:
    with seen(tmp_path / "small", SMALL, loop) as few:
        pass
    with seen(tmp_path / "more", MORE, loop) as many:
        pass
    assert few.statements.keys() == many.statements.keys()
    more = {
        page: (len(few.statements[page]), len(found), found)
        for page, found in many.statements.items()
        if len(found) != len(few.statements[page])
    }
    assert not more
    with closing(sqlite3.connect(many.path)) as raw:
        scans = {
            (page, step): statement
            for page, found in many.statements.items()
            for statement in found
            if statement.startswith(("SELECT", "WITH"))
            for step in gone_through(raw, statement)
        }
    assert not scans


def gone_through(raw: sqlite3.Connection, statement: str) -> list[str]:
    """The steps of a plan that go through a table which grows."""
    steps = [str(row[3]) for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")]
    # In the order of its ids a long table may be read from its end on, up to the limit.
    is_page = re.search(r"ORDER BY (\w+)\.id DESC\s+LIMIT", statement)
    found = []
    for step in steps:
        match = re.match(r"SCAN (\w+)", step)
        if match is None or match[1] not in GROW or step in KNOWN or step.endswith(OF_WHAT_IS_THERE):
            continue
        if (is_page and match[1] == is_page[1]) or re.search(r"LIMIT 10001", statement):
            continue
        found.append(step)
    return found
