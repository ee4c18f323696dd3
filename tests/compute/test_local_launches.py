"""Launches in a row and at once: none is lost, none is made twice."""

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from forebay.compute.base import InstanceState
from tests.compute.conftest import Lab

pytestmark = pytest.mark.podman

IN_A_ROW, AT_ONCE = (100, 20) if os.environ.get("PROVE") else (5, 6)


@pytest.mark.grows
def test_launches_in_a_row_are_each_there_once(lab: Lab) -> None:
    seconds = []
    for number in range(IN_A_ROW):
        began = time.monotonic()
        lab.launch(f"row-{number}", storage_gb=1)
        seconds.append(time.monotonic() - began)
        seen = [instance.deployment_id for instance in lab.provider.observe()]
        assert seen == [f"row-{number}"], "this one, once, and nothing of those before"
        lab.end([f"row-{number}"])
    assert lab.provider.observe() == []
    assert list(lab.provider.disks.images.glob("*")) == []
    print(f"{IN_A_ROW} in a row: SSH after {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s")


@pytest.mark.grows
def test_launches_at_once_asked_for_twice_are_each_there_once(lab: Lab) -> None:
    specs = [lab.spec(f"once-{number}", team=number % 3 + 1, storage_gb=1) for number in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lab.provider.launch, specs))
        machines = list(threads.map(lambda spec: lab.ready(spec.deployment_id), specs))
        list(threads.map(lab.provider.launch, specs))
    seen = lab.provider.observe()
    assert sorted(instance.deployment_id for instance in seen) == sorted(spec.deployment_id for spec in specs)
    assert {instance.state for instance in seen} == {InstanceState.running}
    assert len({machine.ssh_port for machine in machines}) == AT_ONCE
    assert len({key for machine in machines for key in machine.host_keys}) == 2 * AT_ONCE
