"""Pages are written as Jinja itself would write them: to the byte, on every page and for every odd value."""

from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader, Template, UndefinedError, select_autoescape
from markupsafe import Markup

from forebay.app import Forebay, build_api
from forebay.web import figures
from forebay.web.frame import FOLDER
from forebay.web.rendering import Templates
from tests.api.clock import Clock
from tests.api.wire import Loop, ask
from tests.web import crowd
from tests.web.crowd import Size
from tests.web.test_pages_at_size import asking

SIZE = Size(machines=10, lines=400, doings=100, teams=3)
BASE = (
    "{% block head %}{{ title }}{% endblock %}<{% block body %}none{% for x in xs %}{{ x }}{% endfor %}{% endblock %}>"
)
PAGE = """{% extends "base.html" %}
{% macro named(a, b="<b>", c=none) %}{{ a }}|{{ b }}|{{ c }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}
{% macro taking(a, b) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}
{% block head %}{{ super() }} {{ self.body() | striptags }}{% endblock %}
{% block body %}
{% for x in xs %}{{ loop.index }}:{{ named(x) }},{{ named(x, c="'") }},{{ named(c=x, a=safe) }},{{ named(safe, x, 1) }}
{% endfor %}
{% call named(title, c=safe) %}<i>{{ title }}</i>{{ safe }}{% endcall %}
{% set more %}{{ title }}<hr>{% endset %}{{ more }}{{ more ~ title }}{{ title ~ more }}{{ [title, safe] | join("<") }}
{{ taking(1, 2, 3, d=title) }}{{ nothing }}{{ mapping.key }}{{ mapping["key"] }}{{ mapping.items() | list }}
{{ safe | upper }}{{ title | e }}{{ 1.5 }}{{ -7 }}{{ none }}{{ true }}{{ odd }}{{ numbers[0] }}
{% autoescape false %}{{ title }}{% endautoescape %}
{% endblock %}"""


class Odd:
    """Something that is no text, and would be a tag if it were not escaped."""

    def __str__(self) -> str:
        return "<odd>"


class Number(int):
    """A number that says more than a number should."""

    def __str__(self) -> str:
        return "<number>"


def both(folder: Path) -> tuple[Environment, Environment]:
    """Ours, and Jinja's own."""
    own = Environment(loader=FileSystemLoader(folder), autoescape=select_autoescape(), trim_blocks=True)
    return Templates(folder), own


def test_every_value_and_call_is_written_as_jinja_writes_it(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "base.html").write_text(BASE)
    hostile = "<img src=x onerror='a(\"&\")'>"
    values: dict[str, Any] = {
        "title": hostile,
        "xs": [hostile, Markup("<b>&amp;</b>"), 3, Number(3), None, "", Odd(), 2.5, True],
        "safe": Markup("<u>'</u>"),
        "mapping": {"key": hostile, "other": Markup("<p>")},
        "odd": Odd(),
        "numbers": [Number(3)],
    }
    ours, own = (each.get_template("page.html").render(values) for each in both(tmp_path))
    assert ours == own
    assert "<img" not in ours.replace(hostile, "", 1)  # The one that its template asked to leave as it is.
    assert "<odd>" not in ours


@pytest.mark.parametrize("source", ["{{ unknown.x }}", "{{ unknown() }}", "{% macro m(a) %}{% endmacro %}{{ m(b=1) }}"])
def test_what_is_a_mistake_stays_one(tmp_path: Path, source: str) -> None:
    (tmp_path / "page.html").write_text(source)
    for each in both(tmp_path):
        with pytest.raises((UndefinedError, TypeError)):
            each.get_template("page.html").render()


@pytest.mark.slow
def test_all_pages_are_what_jinja_makes_of_them(tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Template.render
    _, own = both(FOLDER / "templates")
    compared: set[str] = set()

    def render(template: Template, *args: Any, **kwargs: Any) -> str:
        found = quick(template, *args, **kwargs)
        own.filters, own.globals = template.environment.filters, template.environment.globals
        assert quick(own.get_template(str(template.name)), *args, **kwargs) == found
        compared.add(str(template.name))
        return found

    forebay = Forebay(crowd.settings(tmp_path), Clock())
    who = crowd.fill(tmp_path / "forebay.db", forebay.secret_key, SIZE, forebay.clock.now())
    application, door = build_api(forebay, "http://forebay.test")
    monkeypatch.setattr(Template, "render", render)
    try:
        for page, at in crowd.pages_of(application, who).items():
            assert loop.run(ask(application, asking(who, page, at))).status in (200, 303), page
    finally:
        door.close()
        forebay.close()
    assert len(compared) > 60


@pytest.mark.parametrize(
    ("amount_micros", "plain", "exact"),
    [
        (0, "0", "$0.00"),
        (10_000_000, "10", "$10.00"),
        (-1_234_500_000, "-1234.5", "-$1,234.50"),
        (-1, "-0.000001", "-$0.000001"),
        (12_003_456_789_000_001, "12003456789.000001", "$12,003,456,789.000001"),
    ],
)
def test_amounts_have_all_their_digits(amount_micros: int, plain: str, exact: str) -> None:
    assert (figures.plain(amount_micros), figures.exact(amount_micros)) == (plain, exact)
