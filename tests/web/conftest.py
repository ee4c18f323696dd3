"""Clouds for the tests of the pages, on both databases; and one with everything in it, on SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import cloud, loop, make_cloud, own_cloud
from tests.api.wire import Loop
from tests.web.crawl import Snapshot
from tests.web.furnished import furnished
from tests.web.stage import Stage

__all__ = ["cloud", "loop", "make_cloud", "own_cloud"]


@pytest.fixture(scope="session")
def full_stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, loop: Loop) -> Iterator[Stage]:
    """A stage with a row of everything. It is left as it was found, by way of `snapshot`."""
    with furnished(tmp_path_factory.mktemp("furnished"), sqlite_template, loop) as stage:
        yield stage


@pytest.fixture(scope="session")
def first_state(full_stage: Stage) -> Snapshot:
    """How the stage was before any test."""
    return Snapshot(full_stage.cloud)


@pytest.fixture
def snapshot(first_state: Snapshot) -> Iterator[Snapshot]:
    """To put the stage back with; at the end of the test that is done anyway."""
    first_state.put_back()
    yield first_state
    first_state.put_back()
