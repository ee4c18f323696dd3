"""The stage that most journeys take place on: a cloud with a month behind it, in this process, and a bank in memory."""

from collections.abc import Iterator

import msgspec
import pytest
from playwright.sync_api import Browser

from tests.api import cloud
from tests.api.shop import KEY, Shop
from tests.api.wire import Loop
from tests.e2e.journeys.people import Person, chromium
from tests.web.stage import Stage, make_stage


class World:
    """Who is there, and how what they look at appears."""

    def __init__(self, stage: Stage, shop: Shop, browser: Browser, url: str, look: str) -> None:
        self.stage, self.cloud, self.shop = stage, stage.cloud, shop
        self.browser, self.url, self.look = browser, url, look

    def visitor(self, journey: str, **more: bool) -> Person:
        """Somebody who is not signed in, and whose clock is the cloud's."""
        found = Person(self.browser, self.url, self.look, journey, **more)
        found.page.clock.set_fixed_time(self.cloud.clock.now())
        return found

    def enter(self, who: cloud.Person, journey: str, path: str = "/t/vision-lab", **more: bool) -> Person:
        """Somebody who has signed in just now, at a page."""
        found = self.visitor(journey, **more)
        session = self.cloud.session(who.id)
        found.context.add_cookies([{"name": "forebay-session", "value": session, "url": self.url}])
        found.page.goto(path)
        return found


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
