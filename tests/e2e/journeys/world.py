"""The stage that most journeys take place on, and how to come onto it."""

from playwright.sync_api import Browser

from tests.api import cloud
from tests.api.shop import Shop
from tests.e2e.journeys.people import Person
from tests.web.stage import Stage


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
