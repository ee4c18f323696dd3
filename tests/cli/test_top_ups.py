"""Cards and deposits on the command line, in a cloud whose payment processor is in memory."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.cli.here import Here
from forebay.payments.base import PageStatus
from tests.api.cloud import Cloud
from tests.api.shop import KEY, Shop
from tests.api.wire import Loop
from tests.cli.conftest import Run
from tests.payments.bank import DECLINED_LATER

pytestmark = pytest.mark.slow


@pytest.fixture
def served(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, str]]:
    """A cloud that takes cards, and its address."""
    folder, loop = tmp_path_factory.mktemp("cloud"), Loop()
    cloud = Cloud(folder, f"sqlite:///{shutil.copy(sqlite_template, folder / 'forebay.db')}", loop, **KEY)
    with cloud.served() as port:
        yield cloud, f"http://127.0.0.1:{port}"
    cloud.close()
    loop.close()


@pytest.fixture
def shop(cloud: Cloud) -> Shop:
    return Shop(cloud)


@pytest.fixture(autouse=True)
def time_passes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """While a command waits the worker works, and people do what is in the list that is given, one each time."""
    happens: list[Any] = []

    def pause(here: Here, seconds: float) -> None:
        if happens:
            happens.pop(0)()
        shop.cloud.clock.forward(seconds=60)
        for name in ("cards", "payments"):
            shop.cloud.run(name)

    monkeypatch.setattr(Here, "pause", pause)
    return happens


def test_cards(shop: Shop, run: Run) -> None:
    token = shop.pat.session
    added = run("cards", "add", "--payment-method", shop.processor.new_card(), token=token)
    assert (added.status, added.out) == (0, "The card is saved for Pat's team.\n"), added
    listed = run("cards", "list", token=token)
    assert "visa ending in 4242" in listed.out
    assert "12/2034" in listed.out
    [card] = run("cards", "list", "--json", token=token).json["cards"]
    refused = run("cards", "add", "--payment-method", "pm_none", token=token)
    assert (refused.status, "does not know this card" in refused.out) == (1, True), refused
    assert run("cards", "default", card["id"], token=token).out == "visa ending in 4242 is charged from now on.\n"
    assert run("cards", "remove", "4242", token=token).status == 2, "there is nobody to ask"
    assert run("cards", "remove", "4242", "--yes", "--json", token=token).json == {"success": True}
    assert run("cards", "default", "4242", token=token).status == 4


def test_a_card_is_saved_on_a_page_whose_address_is_said(shop: Shop, run: Run, time_passes: list[Any]) -> None:
    def saves() -> None:
        [page_id] = [page.id for _, page in shop.processor.pages.values() if page.status is PageStatus.open]
        shop.processor.save_on(page_id, DECLINED_LATER)

    time_passes += [lambda: None, saves]
    added = run("cards", "add", token=shop.pat.session)
    assert added.status == 0, added
    assert "Open   https://processor.test/" in added.err
    assert "ending in 0341" in run("cards", "list", token=shop.pat.session).out


def test_a_deposit_by_card(shop: Shop, run: Run) -> None:
    token = shop.pat.session
    nothing = run("top-up", "50", "--yes", token=token)
    assert (nothing.status, "no default card" in nothing.err) == (1, True), nothing
    shop.card()
    assert run("top-up", "50", token=token).status == 2, "there is nobody to ask"
    bought = run("top-up", "$1,050.25", "--yes", token=token)
    assert (bought.status, bought.out) == (0, "Pat's team has $1,050.25 of credits more.\n"), bought
    assert "being charged" in bought.err
    again = [run("top-up", "15", "--yes", "--key", "one", "--json", token=token).json for _ in range(2)]
    assert again[0]["id"] == again[1]["id"]
    assert shop.balance == 1065.25
    begun = run("top-up", "20", "--yes", "--no-wait", token=token)
    assert (begun.status, "goes on" in begun.out) == (0, True), begun
    busy = run("top-up", "20", "--yes", token=token)
    assert (busy.status, busy.out) == (1, ""), busy
    shop.cloud.run("payments")
    shown = run("top-ups", token=token)
    assert (shown.out.count("succeeded"), "$1,050.25" in shown.out) == (3, True), shown
    assert run("top-ups", "--json", token=token).json["total"] == 3
    for amount, status in (("14.99", 1), ("5000.01", 1), ("50.001", 1), ("fifty", 2), ("inf", 2), ("1e99", 2)):
        refused = run("top-up", amount, "--yes", token=token)
        assert (refused.status, refused.out) == (status, ""), (amount, refused)


def test_a_declined_card_says_why_and_another_is_named(shop: Shop, run: Run) -> None:
    bad, good = shop.card(DECLINED_LATER), shop.card()
    declined = run("top-up", "50", "--yes", token=shop.pat.session)
    assert (declined.status, "Nothing was charged. The card was declined." in declined.out) == (1, True), declined
    assert run("top-up", "50", "--card", "4242", "--yes", "--json", token=shop.pat.session).json["cardId"] == good
    assert run("top-up", "50", "--card", "1881", "--yes", token=shop.pat.session).status == 4
    assert bad != good


def test_a_deposit_on_a_page(shop: Shop, run: Run, time_passes: list[Any]) -> None:
    def pays() -> None:
        [page_id] = [page.id for _, page in shop.processor.pages.values() if page.status is PageStatus.open]
        shop.processor.pay(page_id)

    time_passes += [lambda: None, pays]
    bought = run("top-up", "100", "--checkout", "--json", token=shop.pat.session)
    assert bought.json["state"] == "succeeded"
    assert "Open   https://processor.test/" in bought.err
    assert shop.balance == 100
    assert run("top-up", "100", "--checkout", "--card", "4242", token=shop.pat.session).status == 2
    left = run("top-up", "60", "--checkout", "--no-wait", token=shop.pat.session)
    assert (left.status, "goes on as" in left.out) == (0, True), left


def test_what_is_cut_off_says_how_to_go_on_with_the_same_payment(
    shop: Shop, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.card()

    def cut(here: Here, seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Here, "pause", cut)
        interrupted = run("top-up", "50", "--yes", "--key", "mine", token=shop.pat.session)
    assert interrupted.status != 0
    assert "forebay top-up 50 --key mine" in interrupted.err
    assert run("top-up", "50", "--yes", "--key", "mine", token=shop.pat.session).status == 0
    assert shop.balance == 50
