"""Documentation that is printed from the code is what the code prints."""

import re
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


ASVS = (
    "4.1.1 4.1.2 4.1.3 4.2.1 4.3.1 4.3.2 4.4.1 4.4.2 4.4.3 4.4.4 "
    "6.1.1 6.1.2 6.1.3 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.2.9 6.2.10 6.2.11 6.2.12 6.3.1 6.3.2 6.3.3 "
    "6.3.4 6.4.1 6.4.2 6.4.3 6.4.4 6.5.1 6.5.2 6.5.3 6.5.4 6.5.5 6.6.1 6.6.2 6.6.3 6.8.1 6.8.2 6.8.3 6.8.4 "
    "7.1.1 7.1.2 7.1.3 7.2.1 7.2.2 7.2.3 7.2.4 7.3.1 7.3.2 7.4.1 7.4.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.6.1 7.6.2 "
    "8.1.1 8.1.2 8.2.1 8.2.2 8.2.3 8.3.1 8.4.1 "
    "9.1.1 9.1.2 9.1.3 9.2.1 9.2.2 9.2.3 9.2.4 "
    "10.1.1 10.1.2 10.2.1 10.2.2 10.3.1 10.3.2 10.3.3 10.3.4 10.4.1 10.4.2 10.4.3 10.4.4 10.4.5 10.4.6 10.4.7 10.4.8 "
    "10.4.9 10.4.10 10.4.11 10.5.1 10.5.2 10.5.3 10.5.4 10.5.5 10.6.1 10.6.2 10.7.1 10.7.2 10.7.3"
)
"""Requirements of levels 1 and 2 in ASVS 5.0, chapters V4 and V6 to V10."""


def test_the_security_page_speaks_of_every_requirement() -> None:
    text = (DOCS / "security.md").read_text()
    lines = dict(re.findall(r"^\| ([0-9.]+) \| (.+) \|$", text, re.M))
    assert [name for name in ASVS.split() if name not in lines] == []
    proved = [name for name, line in lines.items() if "`tests/" in line]
    assert len(proved) > len(lines) // 2


def test_the_security_page_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`", (DOCS / "security.md").read_text())
    assert named
    missing = []
    for path, name in named:
        file = DOCS.parent / path
        if not file.exists() or (name and f"def {name}(" not in file.read_text()):
            missing.append(f"{path}::{name}")
    assert missing == []
