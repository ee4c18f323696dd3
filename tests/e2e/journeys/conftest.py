"""A stage for each file of journeys: a cloud with a month behind it, in this process, and a bank in memory."""

from collections.abc import Iterator

import msgspec
import pytest

from tests.api.shop import KEY, Shop
from tests.api.wire import Loop
from tests.e2e.journeys.people import chromium
from tests.e2e.journeys.world import World
from tests.web.stage import make_stage


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loop = Loop()
    stage = make_stage(tmp_path_factory.mktemp("stage"), loop, **KEY)
    shop = Shop(stage.cloud)
    shop.pat = msgspec.structs.replace(stage.olga, session=stage.cloud.session(stage.olga.id))
    shop.path = f"/api/teams/{stage.speech}"
    with stage.cloud.served() as port, chromium() as browser:
        yield World(stage, shop, browser, f"http://127.0.0.1:{port}", str(request.param))
    stage.cloud.close()
    loop.close()
