"""What an address holds is never believed: it comes back as text or not at all, and leads nowhere but on this site."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from forebay.web import visits
from tests.api.access_matrix import UNDECLARED
from tests.web.browser import Browser, with_session
from tests.web.crawl import Sheet, Snapshot, is_html
from tests.web.dashboard_pages import OPERATOR_PAGES, PAGES
from tests.web.hostile import PAYLOADS
from tests.web.stage import Stage
from tests.web.test_hostile_names import dead

pytestmark = pytest.mark.slow
NOT_OF_ONE_TEAM = {
    path for method, path in UNDECLARED if method == "GET" and not path.startswith(("/api", "/static", "/metrics"))
}
LOOKED_AT = sorted(
    {path for method, path in [*PAGES, *OPERATOR_PAGES] if method == "GET" and not path.endswith("/live")}
    | NOT_OF_ONE_TEAM
)
ELSEWHERE = (
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "https:/evil.example",
    "https://evil.example", "///evil.example", "/\t/evil.example", "/%09/evil.example", "/\n/evil.example",
    "\x00//evil.example", " //evil.example", "/ /evil.example", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "?//evil",
    "data:text/html,x", "//user@evil.example", "https://forebay.test@evil.example", "https://forebay.test.evil.example",
    "/\r\nset-cookie:evil=1", "/;domain=evil", "/\u2028/evil", "/\uff0fevil.example", "..//evil.example",
    "/.//evil.example", "//%65vil.example", "/sign-in?next=//evil.example", "x" * 3000,
)  # fmt: skip


ASKED: set[str] = set()
"""The names of fields that a page has looked for."""


class Read(dict[str, str]):
    """The fields of a query, which remembers which were looked for."""

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        ASKED.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        ASKED.add(str(name))
        return super().__contains__(name)


def things(stage: Stage, path: str) -> dict[str, str]:
    """What stands in the places of a path."""
    known = {
        "slug": "vision-lab", "deployment_id": stage.machines["nasty"], "key_id": stage.key, "team_id": stage.lab,
        "webhook_id": stage.webhook, "user_id": stage.mia.id, "volume_id": stage.volume, "offer_id": "memory-h100-1",
        "provider": "memory", **stage.money,
    }  # fmt: skip
    return {name: known.get(name, "0" * 24) for name in re.findall(r"\{(\w+)\}", path)}


def people(stage: Stage, path: str) -> Iterator[Browser]:
    """Whoever can see it, and nobody."""
    yield with_session(stage.cloud, stage.otto if path.startswith("/operator") else stage.olga)
    if not path.startswith(("/t/", "/operator", "/account")):
        yield Browser(stage.cloud)


def stays_here(location: str) -> bool:
    """Whether every browser takes this for a path of the site that said it."""
    return re.fullmatch(r"/(?![/\\])[!-~]*", location) is not None and "\\" not in location


def wrong_with(answer: httpx.Response) -> list[str]:
    """What came to life in an answer, or leads away."""
    found = dead(Sheet(answer.text)) if is_html(answer) else []
    location = answer.headers.get("location", "")
    if location and not stays_here(location) and not location.startswith("https://checkout.stripe.com/"):
        found.append(f"leads to {location!r}")
    if "evil" in answer.headers.get("set-cookie", "").partition("forebay-said")[0] or "evil" in answer.headers:
        found.append("a cookie")
    return found


def test_no_parameter_and_no_part_of_a_path_comes_to_life(
    full_stage: Stage, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.web.frame.fields_of", lambda raw: Read(visits.fields_of(raw)))
    wrong, asked = [], 0
    for path in LOOKED_AT:
        places = things(full_stage, path)
        for browser in people(full_stage, path):
            ASKED.clear()
            browser.get(path.format_map(places))
            for name in sorted(ASKED - {"csrf"}):
                for payload in (PAYLOADS[asked % len(PAYLOADS)], PAYLOADS[(asked + 5) % len(PAYLOADS)], "9" * 40, ""):
                    answer = browser.get(path.format_map(places), params={name: payload})
                    asked += 1
                    wrong += [(path, name, payload, each) for each in wrong_with(answer)]
            for name in places:
                payload = PAYLOADS[asked % len(PAYLOADS)][:200].replace("/", "")
                answer = browser.get(path.format_map(places | {name: quote(payload, safe="")}))
                asked += 1
                wrong += [(path, name, payload, each) for each in wrong_with(answer)]
    assert wrong == []
    assert asked > 400


def test_nobody_is_led_to_another_site(full_stage: Stage, snapshot: Snapshot) -> None:
    wrong = []
    for number, evil in enumerate(ELSEWHERE):
        olga = with_session(full_stage.cloud, full_stage.olga)
        nobody = Browser(full_stage.cloud)
        for browser, path in (
            (nobody, "/sign-in"), (nobody, "/sign-up"), (nobody, "/account"), (nobody, "/t/vision-lab/deployments"),
            (olga, "/sign-in"), (olga, "/sign-up"), (olga, "/step-up"), (olga, "/t"), (nobody, "/second-factor"),
        ):  # fmt: skip
            answer = browser.get(path, params={"next": evil})
            wrong += [(path, evil, each) for each in wrong_with(answer)]
            if is_html(answer):
                kept = [form.sends.get("next", "") for form in Sheet(answer.text).forms]
                wrong += [(path, evil, each) for each in kept if each and not stays_here(each)]
        for path, form in (
            ("/theme", {"theme": "dark"}), ("/step-up", {"password": "a lamp beside the river"}),
            ("/sign-in/with/nobody", {}), ("/t/vision-lab/billing/cards", {}), ("/account/name", {"name": "Olga"}),
            ("/t/vision-lab/billing/auto-top-up/off", {}), ("/sign-out", {}),
        ):  # fmt: skip
            if path == "/step-up" and number % 7:
                continue
            csrf = Sheet(olga.get("/account").text).forms[0].sends["csrf"]
            answer = olga.post(path, {"csrf": csrf, "next": evil, **form})
            wrong += [(path, evil, each) for each in wrong_with(answer)]
        # And as the path itself, which errors and sign-in bring back.
        for path in (f"/{quote(evil, safe='/')}", f"/t/{quote(evil, safe='')}"):
            wrong += [(path, evil, each) for each in wrong_with(nobody.get(f"http://forebay.test{path[:1500]}"))]
    assert wrong == []
