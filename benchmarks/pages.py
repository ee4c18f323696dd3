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
from forebay.domain.machines import changes
from forebay.storage.database import PRAGMAS
from forebay.web.live import LOOK_SECONDS
from tests.api.wire import Request, ask
from tests.web import crowd
from tests.web.crowd import Crowd

ROUNDS = 120
P50_SECONDS, P99_SECONDS = 0.025, 0.080
DOCUMENTS = {"/t/{slug}/billing/statements/{month}"}
"""Not pages: a PDF of a month, here with all that 4,000 machines were charged and a thousand rows of it on paper."""
DOCUMENT_SECONDS = 0.5
MOST_TIMES = 3
WEIGHT_SECONDS = 0.001
"""Queries that take less are no measure: beside them everything is HTML."""
LOOKS = 40
MOST_PERCENT = 2
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
    """The median of the same for its queries alone."""
    statements: int

    @property
    def times(self) -> float:
        """How many times the processor's time of its queries it takes: what else the machine does changes neither."""
        return self.processor / max(self.bare, 1e-6)


def run() -> Iterator[Figure]:
    """The slowest page by each measure, and what looking for changes costs."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        folder = Path(name)
        forebay = Forebay(crowd.settings(folder))
        found = crowd.fill(folder / "forebay.db", forebay.secret_key, crowd.LARGE, forebay.clock.now())
        application, door = build_api(forebay, URL)
        try:
            yield from figures(measure(forebay, application, folder / "forebay.db", found))
            yield looking(forebay, found)
        finally:
            door.close()
            forebay.close()


def figures(found: Sequence[Times]) -> Iterator[Figure]:
    """The slowest of all, and how they compare with their queries where those weigh anything."""
    note(f"{'page':62} {'kB':>5} {'p50 ms':>7} {'p99 ms':>7} {'cpu ms':>7} {'queries':>7} {'bare ms':>8} {'times':>6}")
    for each in sorted(found, key=lambda one: -one.processor):
        note(
            f"{each.path:62} {each.kilobytes:5.0f} {1e3 * each.p50:7.2f} {1e3 * each.p99:7.2f} "
            f"{1e3 * each.processor:7.2f} {each.statements:7} {1e3 * each.bare:8.3f} {each.times:6.1f}"
        )
    documents = [each for each in found if each.path in DOCUMENTS]
    found = [each for each in found if each.path not in DOCUMENTS]
    weighed = [each for each in found if each.bare >= WEIGHT_SECONDS]
    light = [each for each in found if each.bare < WEIGHT_SECONDS]
    above = [each.path for each in weighed if each.times > MOST_TIMES]
    note(
        f"{len(weighed)} pages have queries of {1e3 * WEIGHT_SECONDS:.0f} ms or more, of which {len(above)} take more "
        f"than {MOST_TIMES} times as long: {', '.join(above) or 'none'}. The other {len(light)} take "
        f"{1e3 * max(each.p50 for each in light):.1f} ms at most, which is HTML, whatever their queries take."
    )
    yield Figure("pages-p50-seconds", max(each.p50 for each in found), "s", "<=", P50_SECONDS)
    yield Figure("pages-p99-seconds", max(each.p99 for each in found), "s", "<=", P99_SECONDS)
    yield Figure("pages-ratio", max((each.times for each in weighed), default=0.0), "x", "<=", MOST_TIMES)

    yield Figure("pages-document-seconds", max(each.p50 for each in documents), "s", "<=", DOCUMENT_SECONDS)


def looking(forebay: Forebay, who: Crowd) -> Figure:
    """What of a processor it takes to look for changes in all teams, as if somebody watched each of them."""
    began = time.process_time()
    for _ in range(LOOKS):
        for team_id in who.team_ids:
            with forebay.database.read() as connection:
                changes.marks(connection, team_id, now=forebay.clock.now())
    of_a_round = (time.process_time() - began) / LOOKS
    note(f"looking at {len(who.team_ids)} teams takes {1e3 * of_a_round:.1f} ms, every {LOOK_SECONDS} s")
    return Figure("pages-looks-percent", 100 * of_a_round / LOOK_SECONDS, "%", "<=", MOST_PERCENT)


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
        # By the loop itself: a runner hangs itself into the signals anew for each, as no server does for a request.
        asked = ask(self.application, Request("GET", path, self.headers))
        answer = self.runner.get_loop().run_until_complete(asked)
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
    """Seconds of the processor for the statements by the driver."""
    # A row that says who looked is one of its own each time.
    now = datetime.now(UTC)
    asked = [ID.sub(ids.new_id(now), each, count=1) if each.startswith("INSERT") else each for each in executed]
    began = time.process_time()
    for each in asked:
        raw.execute(each).fetchall()
    return time.process_time() - began
