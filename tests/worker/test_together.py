"""Several workers at once on one database: nothing is done twice, and all is done."""

import threading
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from forebay.compute.base import LaunchSpec
from forebay.compute.memory import POOL, MemoryProvider
from forebay.domain.machines.deployments import Status
from forebay.storage.database import Database
from tests.worker.stage import A_SECOND, Forebay, Stage

MACHINES = 12


class Counting(MemoryProvider):
    """Counts also what changed nothing because it was done already."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.clock.now, pools=[msgspec.structs.replace(POOL, vcpus=100, memory_gb=400)])
        self.asked_for: Counter[tuple[str, str]] = Counter()

    def launch(self, spec: LaunchSpec) -> None:
        self.asked_for["launch", spec.deployment_id] += 1
        super().launch(spec)

    def stop(self, deployment_id: str) -> None:
        self.asked_for["stop", deployment_id] += 1
        super().stop(deployment_id)

    def start(self, deployment_id: str) -> None:
        self.asked_for["start", deployment_id] += 1
        super().start(deployment_id)

    def terminate(self, deployment_id: str) -> None:
        self.asked_for["terminate", deployment_id] += 1
        super().terminate(deployment_id)


def at_once(workers: list[Forebay], act: Callable[[Forebay], object]) -> None:
    """Let every worker do it at the same time, to the end."""
    barrier = threading.Barrier(len(workers))
    failures: list[BaseException] = []

    def run(worker: Forebay) -> None:
        barrier.wait()
        try:
            act(worker)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_two_workers_never_do_one_thing_twice(database_url: str, database: Database, count: int) -> None:
    stage = Stage(database)
    stage.provider = provider = Counting(stage)
    stage.restart()
    stage.forebay.catalogue.run()
    databases = [Database(database_url, connections=4) for _ in range(count)]
    workers = [stage.open(own) for own in databases]
    try:
        team = stage.team(dollars=1000)
        machines = [stage.launch(team) for _ in range(MACHINES)]

        def work(worker: Forebay) -> None:
            for _ in range(MACHINES):
                worker.deployments.run()

        at_once(workers, work)
        for worker in workers:
            worker.guard.is_sane()
        stage.clock.pass_(60)
        at_once(workers, lambda worker: worker.cycle.run())
        assert stage.charged(team) == MACHINES * 60 * A_SECOND
        for verb, status in (
            (stage.stop, Status.stopped),
            (stage.start, Status.running),
            (stage.terminate, Status.terminated),
        ):
            for machine in machines:
                verb(team, machine)
            at_once(workers, work)
            assert {stage.find(machine).status for machine in machines} == {status}
        verbs = ("launch", "stop", "start", "terminate")
        assert provider.asked_for == {(verb, machine): 1 for machine in machines for verb in verbs}
        stage.check()
    finally:
        for own in databases:
            own.close()
