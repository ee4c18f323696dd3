"""The loop runs each reconciler on its schedule and on a nudge, and outlives their failures."""

import itertools
import threading

from forebay.worker.loop import Worker
from tests.worker.stage import HandClock


class Scripted:
    """A reconciler that does what it is told, round by round, then ends the loop."""

    name = "scripted"
    interval_seconds = 60.0

    def __init__(self, *rounds: int | Exception) -> None:
        self.rounds = list(rounds)
        self.worker: Worker | None = None
        self.started_at: list[float] = []
        self.is_closed = False

    def run(self) -> int:
        assert self.worker is not None
        self.started_at.append(self.worker.clock.monotonic())
        found = self.rounds.pop(0)
        if not self.rounds:
            self.worker.is_stopping = True
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        self.is_closed = True


def play(*rounds: int | Exception) -> tuple[Worker, list[float]]:
    """Run the loop in this thread to the script's end; the seconds between the rounds."""
    reconciler = Scripted(*rounds)
    worker = reconciler.worker = Worker([reconciler], HandClock())
    worker.keep_running("scripted")
    starts = reconciler.started_at
    return worker, [later - earlier for earlier, later in itertools.pairwise(starts)]


def test_it_waits_its_time_after_nothing_and_none_after_something() -> None:
    assert play(0, 3, 1, 0, 0)[1] == [60, 0, 0, 60]


def test_a_failure_is_counted_and_run_again_in_its_time() -> None:
    worker, waits = play(RuntimeError("broken"), 0)
    assert waits == [60]
    assert worker.failures == {"scripted": 1}


def test_how_long_ago_a_round_went_well_is_known() -> None:
    reconciler = Scripted(RuntimeError("broken"), 0, 0)
    worker = reconciler.worker = Worker([reconciler], HandClock())
    worker.run_once("scripted")
    assert worker.seconds_since("scripted") is None
    worker.run_once("scripted")
    worker.clock.wait(threading.Event(), 5)
    assert worker.seconds_since("scripted") == 5


def test_a_nudge_for_another_process_is_no_matter() -> None:
    worker = Worker([], HandClock())
    worker.nudge("deployments")
    worker.start()
    worker.stop()


def test_stopping_closes_and_ends_the_threads() -> None:
    reconciler = Scripted(*[0] * 1_000_000)
    worker = reconciler.worker = Worker([reconciler], HandClock())
    worker.start()
    worker.stop()
    assert reconciler.is_closed
    assert not any(thread.is_alive() for thread in worker.threads)
