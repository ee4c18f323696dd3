"""Every page of the dashboard, with 10,000 machines, 50 teams and 1,000,000 usage lines on SQLite.

As the owner of the largest team sees them, who belongs to all teams and is an operator. The application is asked in
this process as a server asks it, one request after the other: a page's time is from the request to its last byte. The
peer of each page are its own queries: the statements that it executed, with what it asked for, executed again by the
driver alone, in turns with the page. What pages do beyond those is to find out who asks, to make values of rows, and
to write HTML.
"""

import asyncio
import gc
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import quantiles

from litestar import Litestar

from benchmarks.figures import Figure, note
from forebay import ids
from forebay.app import Forebay, build_api
from forebay.settings import Settings
from forebay.storage.database import PRAGMAS
from tests.api.wire import Request, ask
from tests.web import crowd
from tests.web.crowd import Crowd

ROUNDS = 120
P50_SECONDS, P99_SECONDS = 0.025, 0.080
MOST_TIMES = 3
ID = re.compile("(?<=')[0-9a-f]{24}(?=')")
URL = "http://forebay.test"


@dataclass(frozen=True)
class Times:
    """Of one page, in seconds."""

    path: str
    kilobytes: float
    p50: float
    p99: float
    processor: float
    """The median of the processor's time."""
    bare: float
    """The median of its queries alone."""
    statements: int

    @property
    def ratio(self) -> float:
        """How many times its queries it takes."""
        return self.p50 / self.bare


def run() -> Iterator[Figure]:
    """The slowest page by each measure, and how many there are that take more than thrice their queries."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        folder = Path(name)
        forebay = Forebay(Settings(data_dir=folder, providers=(), rate_limit_anonymous=10**9))
        found = crowd.fill(folder / "forebay.db", forebay.secret_key, crowd.LARGE, forebay.clock.now())
        application, door = build_api(forebay, URL)
        try:
            yield from figures(measure(forebay, application, folder / "forebay.db", found))
        finally:
            door.close()
            forebay.close()


def figures(found: Sequence[Times]) -> Iterator[Figure]:
    """The slowest of all."""
    note(f"{'page':62} {'kB':>5} {'p50 ms':>7} {'p99 ms':>7} {'cpu ms':>7} {'bare ms':>8} {'times':>6} {'queries':>7}")
    for each in sorted(found, key=lambda one: -one.p50):
        note(
            f"{each.path:62} {each.kilobytes:5.0f} {1e3 * each.p50:7.2f} {1e3 * each.p99:7.2f} "
            f"{1e3 * each.processor:7.2f} {1e3 * each.bare:8.3f} {each.ratio:6.1f} {each.statements:7}"
        )
    yield Figure("pages-p50-seconds", max(each.p50 for each in found), "s", "<=", P50_SECONDS)
    yield Figure("pages-p99-seconds", max(each.p99 for each in found), "s", "<=", P99_SECONDS)
    yield Figure("pages-ratio", max(each.ratio for each in found), "x", "<=", MOST_TIMES)


def measure(forebay: Forebay, application: Litestar, path: Path, who: Crowd) -> list[Times]:
    """All pages, in turns with their queries."""
    pages = crowd.pages_of(application, who)
    with asyncio.Runner() as runner:
        browsers = {
            page: Browser(application, runner, "" if page in crowd.BEFORE_SIGN_IN else who.session) for page in pages
        }
        executed = {}
        for page, at in pages.items():
            browsers[page].get(at)
            executed[page] = crowd.statements(forebay.database, partial(browsers[page].get, at))
        gc.collect()
        gc.freeze()
        with closing(sqlite3.connect(path, isolation_level=None, cached_statements=512)) as raw:
            for pragma in PRAGMAS:
                raw.execute(f"PRAGMA {pragma}")
            return [times(browsers[page], page, at, raw, executed[page]) for page, at in pages.items()]


class Browser:
    """The owner's, or one that nobody has signed in with."""

    def __init__(self, application: Litestar, runner: asyncio.Runner, session: str) -> None:
        self.application, self.runner = application, runner
        cookies = f"forebay-session={session}; forebay-team=team-0"
        self.headers = [(b"cookie", cookies.encode()), (b"user-agent", b"Mozilla/5.0")]

    def get(self, path: str) -> tuple[int, int]:
        """The status of a page and its size in bytes."""
        answer = self.runner.run(ask(self.application, Request("GET", path, self.headers)))
        return answer.status, len(answer.body)


def times(browser: Browser, page: str, at: str, raw: sqlite3.Connection, executed: Sequence[str]) -> Times:
    """One page and its queries."""
    walls, processors, bares = [], [], []
    status, size = browser.get(at)
    if status not in (200, 303):
        raise RuntimeError(f"{at} answered {status}")
    for _ in range(ROUNDS):
        began, began_processor = time.perf_counter(), time.process_time()
        browser.get(at)
        walls.append(time.perf_counter() - began)
        processors.append(time.process_time() - began_processor)
        bares.append(bare(raw, executed))
    cuts = quantiles(walls, n=100)
    return Times(
        path=page,
        kilobytes=size / 1000,
        p50=cuts[49],
        p99=cuts[98],
        processor=quantiles(processors, n=100)[49],
        bare=quantiles(bares, n=100)[49],
        statements=len(executed),
    )


def bare(raw: sqlite3.Connection, executed: Sequence[str]) -> float:
    """Seconds of the statements by the driver."""
    # A row that says who looked is one of its own each time.
    now = datetime.now(UTC)
    asked = [ID.sub(ids.new_id(now), each, count=1) if each.startswith("INSERT") else each for each in executed]
    began = time.perf_counter()
    for each in asked:
        raw.execute(each).fetchall()
    return time.perf_counter() - began
