"""The pages that are judged, each with whose browser looks at it."""

from tests.e2e.test_dashboard import MORE_PAGES, OPERATOR_PAGES, PAGES, places
from tests.web.stage import Stage

STRANGERS_PAGES = {
    "home": "/",
    "sign-in": "/sign-in",
    "sign-up": "/sign-up",
    "forgot": "/forgot",
    "verify": "/verify?token=of-no-mail",
    "reset": "/reset?token=of-no-mail",
}
EVERY_PAGE = {
    **{name: ("", path) for name, path in STRANGERS_PAGES.items()},
    # A page that isn't there can't be whole in the eyes of a search engine.
    **{
        name: ("olga", path)
        for name, path in {**PAGES, **MORE_PAGES}.items()
        if name not in ("not-found", "first-page")
    },
    **{name: ("otto", path) for name, path in OPERATOR_PAGES.items()},
}
HEAVIEST = ("sign-in", "overview", "deploy", "deployment", "usage", "operator-offers")
"""The ones with most on them, one of each kind."""


def address(stage: Stage, name: str) -> str:
    """The path of a page."""
    return EVERY_PAGE[name][1].format_map(places(stage))


def session(stage: Stage, name: str) -> str:
    """A session of the person who looks at it; empty for a stranger."""
    who = EVERY_PAGE[name][0]
    return stage.cloud.session(getattr(stage, who).id) if who else ""
