"""Clouds for the tests of the wire, on both databases."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.api.cloud import Cloud, numbers
from tests.api.wire import Loop

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    """The event loop that all applications of this test process run on."""
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module", params=BOTH)
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, loop: Loop) -> Iterator[Cloud]:
    """A cloud that the tests of one file share. Its room for machines is endless, its people are each test's own."""
    folder = tmp_path_factory.mktemp("cloud")
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        url = f"sqlite:///{shutil.copy(template, template.with_name(f'cloud_{next(numbers)}.db'))}"
        cloud = Cloud(folder, url, loop)
        yield cloud
        cloud.close()
        return
    server: servers.PostgreSQL = request.getfixturevalue("postgresql_server")
    name = f"cloud_{next(numbers)}"
    cloud = Cloud(folder, server.create(name, template=request.getfixturevalue("postgresql_template")), loop)
    yield cloud
    cloud.close()
    server.drop(name)


@pytest.fixture
def make_cloud(database_url: str, tmp_path: Path, loop: Loop) -> Iterator[Callable[..., Cloud]]:
    """Makes a cloud of this test's own, with settings of its own."""
    made: list[Cloud] = []

    def make(**settings: Any) -> Cloud:
        made.append(Cloud(tmp_path, database_url, loop, **settings))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()


@pytest.fixture
def own_cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    """A cloud of this test's own, without anybody in it."""
    return make_cloud()
