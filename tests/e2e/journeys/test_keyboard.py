"""Launch and terminate by the keyboard alone: no mouse, no focus that was not tabbed to.

At each stop the focus can be seen, and it never falls back to nothing while the page changes itself.
"""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.journeys.people import Person, in_looks
from tests.e2e.journeys.world import World

pytestmark = in_looks("world", "wide-light")

FOCUSED = r"""() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const ring = (style) => (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1)
    || [...style.boxShadow.matchAll(/([a-z]+\([^)]*\)) 0px 0px 0px ([\d.]+)px/g)].some(
      ([, colour, size]) => parseFloat(size) >= 2 && colour !== "rgba(0, 0, 0, 0)");
  const drawn = [getComputedStyle(one), getComputedStyle(one, "::after")];
  if (one.matches("input[type=radio]")) drawn.push(getComputedStyle(one.nextElementSibling));
  const box = one.getBoundingClientRect();
  const read = one.cloneNode(true);
  for (const each of read.querySelectorAll("[aria-hidden=true]")) each.remove();
  const label = [...(one.labels || [])].map((each) => each.textContent).join(" ");
  return {
    name: (one.getAttribute("aria-label") || label || read.textContent).replace(/\s+/g, " ").trim(),
    // The button in a field for dates is the browser's own, and so is the ring around it.
    isSeen: drawn.some(ring) || one.id === "main" || !one.matches(":focus"),
    isHere: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
  };
}"""
MOST_STOPS = 120


class Keys:
    """Somebody's ten fingers."""

    def __init__(self, person: Person) -> None:
        self.person, self.page, self.keyboard = person, person.page, person.page.keyboard

    @property
    def name(self) -> str:
        """What has the focus, which must be there, and to be seen."""
        found = self.page.evaluate(FOCUSED)
        assert found is not None, f"the focus is lost on {self.page.url}"
        assert found["isSeen"], f"the focus can't be seen on {found}"
        assert found["isHere"], f"the focus is not on the screen: {found}"
        return str(found["name"])

    def to(self, name: str, key: str = "Tab") -> None:
        """Tab until there."""
        passed = []
        for _ in range(MOST_STOPS):
            self.keyboard.press(key)
            passed.append(self.name)
            if passed[-1].startswith(name):
                return
        raise AssertionError(f"{name} is not among {passed}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.keyboard.press(key)

    def keeps(self, does: Callable[[], object], what: Callable[[], object]) -> None:
        """Something comes to be, and the focus stays where it was."""
        before = self.name
        does()
        what()
        assert self.name == before


def test_launch_and_terminate_by_keys(world: World) -> None:
    mia = world.enter(world.stage.mia, "keyboard")
    page, keys = mia.page, Keys(mia)
    keys.press("Tab")
    assert keys.name == "Skip to the content"
    mia.picture("skip-link")
    keys.press("Enter")
    keys.to("Launch a machine")
    keys.press("Enter")
    mia.is_at("Deploy")
    keys.to("Skip to the content")
    keys.press("Enter")
    keys.to("Choose 1 × L40S")
    mia.picture("choose")
    keys.press("Enter")
    mia.is_at("Launch 1 × L40S")
    keys.to("Skip to the content")
    keys.press("Enter")
    keys.to("Name")
    keys.keyboard.type("by-keys")
    command = page.locator("#as-command")
    keys.keeps(lambda: None, lambda: expect(command).to_contain_text("--name by-keys"))
    keys.to("System")
    keys.keeps(lambda: keys.press("ArrowDown"), lambda: expect(command).to_contain_text("Ubuntu 24.04"))
    keys.to("How it ends")
    keys.press("Enter")
    keys.to("Let it cost at most")
    keys.keyboard.type("12")
    keys.to("Launch")
    mia.picture("launch")
    keys.press("Enter")
    mia.is_at("by-keys")

    keys.press("Control+k")
    assert keys.name.startswith("Search")
    keys.keyboard.type("by-keys")
    expect(page.get_by_role("option").first).to_contain_text("by-keys")
    mia.picture("palette")
    keys.press("ArrowDown", "ArrowUp", "Enter")
    mia.is_at("by-keys")
    keys.to("Skip to the content")
    keys.press("Enter")
    keys.to("Terminate")
    state = page.locator("#state")
    keys.keeps(world.cloud.settle, lambda: expect(state).to_contain_text("running"))
    keys.to("Terminal", "Shift+Tab")
    keys.to("Terminate")
    mia.picture("running")
    keys.press("Enter")
    mia.is_asked("Everything on the disk of by-keys is lost")
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert keys.name == "Terminate", "back where the question came from"
    keys.press("Enter")
    mia.is_asked("is lost")
    keys.to("Terminate it")
    mia.picture("question")
    keys.press("Space")
    mia.reads("It costs nothing from this second on")
    expect(state).to_contain_text("terminated")
    keys.to("Skip to the content")
    keys.press("Enter", "Tab")
    assert keys.name
    mia.picture("terminated")
    mia.is_content()


def test_the_menu_of_a_phone_by_keys(world: World) -> None:
    """The pages behind the button of a narrow screen, the teams, and the colours."""
    olga = world.enter(world.stage.olga, "keyboard-menu")
    olga.page.set_viewport_size({"width": 390, "height": 844})
    keys = Keys(olga)
    keys.to("Teams and pages")
    keys.press("Enter")
    keys.to("Switch team: ")
    keys.press("Enter")
    keys.to("Speech Group")
    olga.picture("teams")
    keys.press("Enter")
    expect(olga.page).to_have_title("Overview · Speech Group · Forebay")
    keys.to("Teams and pages")
    keys.press("Space")
    keys.to("Colours")
    keys.press("Enter")
    keys.to("Dark")
    olga.picture("colours")
    keys.press("Enter")
    expect(olga.page.locator("html")).to_have_attribute("data-theme", "dark")
    keys.to("Teams and pages")
    keys.press("Enter")
    keys.to("Billing")
    keys.press("Enter")
    olga.is_at("Billing")
    olga.is_content()
