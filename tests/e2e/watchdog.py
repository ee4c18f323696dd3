"""What ends a test whose browser answers no more: it says where the test stands, and takes its browsers away.

Much of what is asked of a browser has no limit of its own (to run a script, to open or close a page), so a test would
wait until the whole run is ended, and the stack of the thread would show only the loop in which Playwright waits: the
test itself stands in another greenlet. A browser that is gone answers each wait with an error.

If no process of the browser was at work, the browser was at fault and not the page, and the test is done once more,
with everything set up anew. If one was, a page of ours may be what keeps it busy, and the test has failed; so it has
if it hangs again.
"""

import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from greenlet import greenlet  # type: ignore[import-untyped]

LOOK_SECONDS = 2.0
BUSY_SHARE = 0.1
"""Of a processor: a page that is stuck in a script takes what it can get, and an idle browser next to nothing."""


class Watchdog:
    """It waits beside one test."""

    def __init__(self, item: pytest.Item, seconds: float) -> None:
        self.item, self.seconds = item, seconds
        self.has_bitten = self.was_busy = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """End the browsers of this process if what is done within takes too long."""
        timer = threading.Timer(self.seconds, self.bite)
        timer.daemon = True
        timer.start()
        yield
        timer.cancel()

    def bite(self) -> None:
        """Say where the test stands, then end its browsers."""
        before = browsers()
        time.sleep(LOOK_SECONDS)
        spent = {pid: at - before.get(pid, at) for pid, at in browsers().items()}
        if not spent:
            return
        self.has_bitten, self.was_busy = True, max(spent.values()) > BUSY_SHARE * LOOK_SECONDS
        busy = "a process of its browser is at work" if self.was_busy else "its browser does nothing"
        self.say(f"\n{stands()}\n{self.item.nodeid} has not ended within {self.seconds:.0f} s, and {busy}.\n")
        for pid in spent:
            os.kill(pid, signal.SIGKILL)

    def say(self, text: str) -> None:
        """Tell whoever looks at the run, also where what tests print is kept."""
        capture = self.item.config.pluginmanager.getplugin("capturemanager")
        assert capture is not None
        with capture.global_and_fixture_disabled():
            sys.stderr.write(text)
            sys.stderr.flush()


def stands() -> str:
    """Where each greenlet of each thread stands."""
    waiting = [each for each in gc.get_objects() if isinstance(each, greenlet) and each.gr_frame is not None]
    said = [line for each in waiting for line in ["\nA greenlet:\n", *traceback.format_stack(each.gr_frame, 9)]]
    for thread, frame in sys._current_frames().items():
        said += [f"\nThread {thread}:\n", *traceback.format_stack(frame, 5)]
    return "".join(said)


def browsers() -> dict[int, float]:
    """The processor time in seconds of each process of a browser that descends from this process, by process id."""
    parents, spent, tick = {}, {}, os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        pid, values = int(folder.name), rest.split()
        parents[pid] = int(values[1])
        if name.startswith("chrom"):
            spent[pid] = (int(values[11]) + int(values[12])) / tick
    return {pid: seconds for pid, seconds in spent.items() if descends(pid, parents)}


def descends(pid: int, parents: dict[int, int]) -> bool:
    """Whether a process comes from this one."""
    while pid in parents and pid != os.getpid():
        pid = parents[pid]
    return pid == os.getpid()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """As always, but beside each test waits what ends it if its browser answers no more."""
    # Less than half, as the test may be done twice; twelve times as long in `make prove`, where tests take minutes.
    seconds = float(item.config.getini("faulthandler_timeout") or 0) * 0.45
    if not seconds:
        return None
    watchdog = Watchdog(item, seconds)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    with watchdog.watching():
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if watchdog.has_bitten and not watchdog.was_busy and any(report.failed for report in reports):
        watchdog.say(f"{item.nodeid} is done once more.\n")
        item.session._setupstate.teardown_exact(None)
        with Watchdog(item, seconds).watching():
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
