"""Servers for whole tests. The base image is built once, before the first of them starts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.wire import Loop
from tests.e2e.cloud import Client, Cloud, cloud, forebay
from tests.e2e.watchdog import pytest_runtest_protocol
from tests.web.stage import Stage, make_stage

__all__ = ["pytest_runtest_protocol"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def base_image() -> None:
    """The image that local machines run."""
    built = forebay("image", "build")
    assert built.returncode == 0, built.stderr


@pytest.fixture(scope="session")
def demo(base_image: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One demo cloud for all tests that leave it running."""
    with cloud(tmp_path_factory.mktemp("demo")) as found:
        yield found


@pytest.fixture
def owner(demo: Cloud) -> Iterator[Client]:
    """The owner of both teams, with their key."""
    client = demo.client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A cloud with enough life in it that every page shows what it is for."""
    loop = Loop()
    stage = make_stage(tmp_path_factory.mktemp("stage"), loop)
    yield stage
    stage.cloud.close()
    loop.close()


@pytest.fixture(scope="module")
def url(stage: Stage) -> Iterator[str]:
    """Where that cloud is served."""
    with stage.cloud.served() as port:
        yield f"http://127.0.0.1:{port}"
