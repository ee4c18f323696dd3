"""People at their browsers: what they read, press and type, and a picture of each step that is worth a look.

The pictures are left in `.cache/screenshots/<journey>`, numbered as they were taken.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.e2e.test_browser import PICTURES, SIZES

LOOKS = [f"{size}-{scheme}" for size in SIZES for scheme in ("light", "dark")]
OPPOSITE = {"wide": "narrow", "narrow": "wide", "light": "dark", "dark": "light"}
PATIENCE_MILLISECONDS, USUAL_MILLISECONDS = 20_000, 5_000
HERE = "dialog.dialog[open], body:not(:has(dialog.dialog[open])) main"


def in_looks(name: str, first: str) -> pytest.MarkDecorator:
    """Give the fixture one look, and in `make prove` each of the others too."""
    others = [pytest.param(look, marks=pytest.mark.prove) for look in LOOKS if look != first]
    return pytest.mark.parametrize(name, [first, *others], indirect=True, scope="module")


def opposite(look: str) -> str:
    """The other size in the other colours."""
    return "-".join(OPPOSITE[part] for part in look.split("-"))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        yield found
        expect.set_options(timeout=USUAL_MILLISECONDS)
        found.close()


class Person:
    """Somebody with a browser, who takes pictures on a journey."""

    def __init__(self, browser: Browser, url: str, look: str, journey: str, **more: Any) -> None:
        self.size = look.partition("-")[0]
        scheme: Any = look.partition("-")[2]
        width, height = SIZES[self.size]
        screen: Any = {"width": width, "height": height}
        self.context = browser.new_context(
            base_url=url, viewport=screen, color_scheme=scheme, reduced_motion="reduce", **more
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MILLISECONDS)
        self.folder, self.look, self.taken = PICTURES / journey, look, 0
        self.has_scripts = more.get("java_script_enabled", True)
        self.complaints: list[str] = []
        self.page.on("console", self.hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.failures: list[str] = []
        self.page.on("response", lambda one: self.failures.append(one.url) if one.status >= 500 else None)

    def hear(self, said: ConsoleMessage) -> None:
        """What the browser complains of, and where."""
        if said.type == "error":
            self.complaints.append(f"{said.text} {said.location['url']}")

    # What they do.

    def fill(self, fields: dict[str, str]) -> None:
        """Type into fields, by their labels, and leave them."""
        for label, value in fields.items():
            self.field(label).fill(value)
            with self.as_it_applies(label):
                self.field(label).blur()

    def choose(self, label: str, option: str) -> None:
        """One of the options of a field, by a word of it."""
        options = self.field(label).locator("option")
        expect(options).not_to_have_count(0)
        [index] = [at for at, text in enumerate(options.all_inner_texts()) if re.search(option, text.strip())]
        with self.as_it_applies(label):
            self.field(label).select_option(index=index)

    def pick(self, value: str) -> None:
        """One of several that are all in sight."""
        self.here.locator(f"input[type=radio][value='{value}']").check()

    @contextmanager
    def as_it_applies(self, label: str) -> Iterator[None]:
        """Filters apply by themselves: the page that they lead to is waited for."""
        if self.has_scripts and self.field(label).evaluate("field => field.form.matches('[data-applies]')"):
            with self.page.expect_navigation():
                yield
        else:
            yield

    def press(self, name: str, within: Locator | None = None) -> None:
        """A button."""
        (within or self.here).get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str, within: Locator | None = None) -> None:
        """A link of the page's own."""
        (within or self.page.locator("main")).get_by_role("link", name=name, exact=True).first.click()

    def open(self, name: str) -> None:
        """A page, by the navigation, which a phone keeps behind a button."""
        if self.size == "narrow":
            self.page.get_by_role("button", name="Teams and pages").click()
        pages = self.page.get_by_role("navigation", name="Pages", exact=True)
        pages.get_by_role("link", name=name, exact=True).click()

    def tab(self, name: str) -> None:
        """One of the tabs of a page."""
        self.page.locator("main nav.tabs").get_by_role("link", name=name, exact=True).click()

    def picture(self, name: str) -> None:
        """Of the whole page, which must not be wider than the screen."""
        self.taken += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        is_over = self.page.locator("dialog[open]").count() > 0
        path = self.folder / f"{self.taken:02}-{name}-{self.look}.png"
        at = self.page.evaluate("scrollY")
        self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=path, full_page=not is_over)
        self.page.evaluate("at => scrollTo(0, at)", at)
        assert not self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), name

    # What they see.

    @property
    def here(self) -> Locator:
        """The question that stands over the page, if there is one, else the page."""
        return self.page.locator(HERE)

    def field(self, label: str) -> Locator:
        """The field of this label."""
        return self.here.get_by_label(label, exact=True).and_(self.page.locator("input, select, textarea"))

    def reads(self, text: str | re.Pattern[str]) -> None:
        """It says so, above all else, that something was done."""
        expect(self.page.get_by_role("status").filter(has_text=text).first).to_be_visible()

    def is_at(self, heading: str | re.Pattern[str]) -> None:
        """The page has this heading."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)

    def is_asked(self, text: str | re.Pattern[str]) -> None:
        """A question stands over the page, and says this."""
        expect(self.page.get_by_role("dialog")).to_contain_text(text)

    def is_told(self, field: str, text: str | re.Pattern[str]) -> None:
        """What is wrong stands beside the field, and the field knows."""
        expect(self.field(field)).to_have_attribute("aria-invalid", "true")
        expect(self.field(field)).to_have_accessible_description(text)

    def row(self, text: str) -> Locator:
        """The row of a table, or of a list, that is about this."""
        return self.page.locator("main tr, main ul.rows > li").filter(has_text=text).first

    def sum(self, name: str, at: int = 0) -> str:
        """The exact amount beside a word, as it shows when one points at it: 1.50 dollars as 1.5."""
        after = self.page.locator(f"main :is(dt, .stat dt):text-is('{name}') + dd data").nth(at)
        return str(after.get_attribute("value"))

    def is_content(self, *statuses: int) -> None:
        """Nothing was complained of, but forms that were refused with these statuses; and the browser is closed."""
        self.is_content_so_far(*statuses)
        self.context.close()

    def is_content_so_far(self, *statuses: int) -> None:
        """The same, and the journey goes on."""
        refused = [f"Failed to load resource: the server responded with a status of {status}" for status in statuses]
        left = [said for said in self.complaints if not said.startswith(tuple(refused))]
        assert left == [], left
        assert self.failures == []


def downloaded(page: Page, link: Locator) -> tuple[str, bytes]:
    """The name and the bytes of the file that a link leads to."""
    with page.expect_download() as coming:
        link.click()
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()
