"""Documentation that is printed from the code is what the code prints."""

from pathlib import Path

from forebay import settings
from forebay.api import server
from forebay.api.deployment_shapes import LATER
from forebay.api.route import ROUTES
from forebay.domain.people import roles, roles_page

DOCS = Path(__file__).parent.parent / "docs"


def test_the_settings_page_lists_every_setting_as_declared() -> None:
    assert (DOCS / "settings.md").read_text().endswith(settings.documentation())


def test_the_roles_page_is_what_the_command_prints() -> None:
    assert (DOCS / "roles.md").read_text() == roles_page.page()
    assert roles.documentation() in roles_page.page()


def test_the_api_page_names_no_path_that_does_not_exist() -> None:
    assert server.NOUNS
    paths = {route.path for route in ROUTES} | {"/api/openapi.json"}
    words = (DOCS / "api.md").read_text().replace("`", " ").split()
    named = {word.rstrip(".,;:") for word in words if word.startswith("/api/")}
    assert {path for path in named if path.replace("{id}", "{deployment_id}") not in paths} == set()


def test_the_api_page_names_every_field_that_is_still_to_come() -> None:
    text = (DOCS / "api.md").read_text()
    camel = {
        "".join([part if place == 0 else part.capitalize() for place, part in enumerate(name.split("_"))])
        for name in LATER
    }
    assert {name for name in camel if f"`{name}`" not in text} == set()
