"""Billing as people use it without a script: deposits, cards, auto top-up, usage, statements, and moving credits."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from forebay.domain.machines import statement_pdf
from forebay.domain.people.roles import Role
from forebay.storage.tables import payment_attempts, teams
from tests.api.cloud import DOLLAR, Cloud
from tests.api.shop import KEY, Shop
from tests.payments.bank import DECLINED_LATER, GOOD
from tests.web.browser import Browser, Forms, with_session

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(make_cloud: Callable[..., Cloud]) -> Shop:
    return Shop(make_cloud(**KEY))


def base_of(shop: Shop, team_id: str) -> str:
    with shop.cloud.database.read() as connection:
        return f"/t/{connection.execute(sa.select(teams.c.slug).where(teams.c.id == team_id)).scalar_one()}/billing"


@pytest.fixture
def base(shop: Shop) -> str:
    return base_of(shop, shop.pat.team)


@pytest.fixture
def browser(shop: Shop) -> Browser:
    return with_session(shop.cloud, shop.pat)


def test_the_balances_of_all_my_teams_are_side_by_side_each_under_its_name(
    shop: Shop, base: str, browser: Browser
) -> None:
    assert 'id="balances"' not in browser.get(base).text, "one team has its figures"
    other = shop.cloud.team(shop.pat, credits_micros=1_234_567 * DOLLAR + 890_000)
    foreign = shop.cloud.person("Nobody of mine", credits_micros=4321 * DOLLAR)
    with shop.cloud.database.begin() as connection:
        connection.execute(sa.update(teams).where(teams.c.id == other).values(name="Robots & <b>Co"))
    tiles = browser.get(base).text.partition('id="balances"')[2].partition("</section>")[0]
    assert tiles.index("Robots &amp; &lt;b&gt;Co") < tiles.index("$1,234,567.89")
    assert f'href="{base}" aria-current="true"' in tiles
    assert tiles.count("<li>") == 2
    assert foreign.name not in tiles
    mine = browser.get("/account/billing").text
    assert "$1,234,567.89" in mine
    assert "Owner" in mine


def test_a_deposit_by_a_saved_card_however_often_the_form_is_sent(shop: Shop, base: str, browser: Browser) -> None:
    card = shop.card()
    page = browser.get(base).text
    assert "visa ending in 4242" in page
    form = Forms(page).found[f"{base}/top-ups"]
    for _ in range(2):
        browser.post(f"{base}/top-ups", form | {"amount": "$1,250.50", "cardId": card})
        shop.cloud.run("payments")
    assert "The credits are on the balance" in browser.follow().text
    assert shop.balance == 1250.5
    assert "$1,250.50" in browser.get(base).text
    assert "Deposit" in browser.get(f"{base}/transactions").text
    assert "1250.500000" in browser.get(f"{base}/transactions.csv").text


def test_amounts_and_declines_say_what_is_wrong(shop: Shop, base: str, browser: Browser) -> None:
    shop.card(DECLINED_LATER)
    for wrong in ("14.99", "5000.01", "20.001", "many", "1e9", "-50", ""):
        browser.get(base)
        answer = browser.submit(f"{base}/top-ups", amount=wrong, preset="", cardId="page")
        assert (answer.status_code, 'class="wrong"' in answer.text) == (400, True), wrong
    browser.get(base)
    card = shop.get("/cards")["cards"][0]["id"]
    browser.submit(f"{base}/top-ups", amount="20", cardId=card)
    shop.cloud.run("payments")
    page = browser.follow().text
    assert "declined" in page
    assert shop.get("/top-ups")["topUps"][0]["message"] in page.replace("&#39;", "'")
    browser.get(base)
    assert browser.submit(f"{base}/top-ups", amount="20", cardId="0" * 24).status_code == 404
    assert shop.balance == 0


def test_a_payment_page_is_a_way_out_and_back(shop: Shop, base: str, browser: Browser) -> None:
    browser.get(base)
    browser.submit(f"{base}/top-ups", preset="50", amount="", cardId="page")
    here = browser.page.headers["location"]
    shop.cloud.run("payments")
    assert f'href="{here}/pay"' in browser.get(here).text
    url = browser.get(f"{here}/pay").headers["location"]
    with shop.cloud.database.read() as connection:
        assert url == connection.execute(sa.select(payment_attempts.c.page_url)).scalar_one()
    with_session(shop.cloud, shop.cloud.person()).get(here)
    browser.get(base)
    browser.submit(f"{base}/cards")
    set_up = browser.page.headers["location"]
    shop.cloud.run("cards")
    assert "waits for you" in browser.get(set_up).text
    assert browser.get(f"{set_up}/page").headers["location"].startswith("http")


def test_cards_become_the_default_and_are_deleted(shop: Shop, base: str, browser: Browser) -> None:
    first, second = shop.card(), shop.card(DECLINED_LATER)
    browser.get(base)
    browser.submit(f"{base}/cards/{second}/default")
    assert "is charged from now on" in browser.follow().text
    question = browser.get(f"{base}/cards/{second}/delete").text
    assert "the default card" in question
    browser.submit(f"{base}/cards/{second}/delete")
    assert "is deleted" in browser.follow().text
    assert [card["id"] for card in shop.get("/cards")["cards"]] == [first]
    assert browser.get(f"{base}/cards/{second}/delete").status_code == 404


def test_auto_top_up_is_agreed_to_word_for_word(shop: Shop, base: str, browser: Browser) -> None:
    shop.card(GOOD)
    form = f"{base}/auto-top-up"
    browser.get(form)
    asked = browser.submit(form, threshold="20", amount="50", monthCeiling="200", dayCeiling="3")
    assert (asked.status_code, "I agree that Forebay charges" in asked.text) == (200, True)
    assert "A day can cost up to" in asked.text
    changed = browser.submit(form, threshold="20", amount="60", monthCeiling="200", dayCeiling="3", agree="yes")
    assert changed.status_code == 200, "another amount is another text"
    assert shop.get("/billing")["autoTopUp"]["isOn"] is False
    browser.submit(form, threshold="20", amount="60", monthCeiling="200", dayCeiling="3", agree="yes")
    assert "Auto top-up is on." in browser.follow().text
    found = shop.get("/billing")["autoTopUp"]
    assert (found["isOn"], found["amount"], found["monthCeiling"], found["dayCeiling"]) == (True, 60, 200, 3)
    for wrong in ({"threshold": "4"}, {"amount": "x"}, {"dayCeiling": "0"}, {"cardId": "nonsense"}):
        browser.get(form)
        answer = browser.submit(form, **({"threshold": "20", "amount": "60", "dayCeiling": ""} | wrong))
        assert (answer.status_code, 'class="wrong"' in answer.text) == (400, True), wrong
    browser.get(base)
    browser.submit(f"{base}/auto-top-up/off")
    assert shop.get("/billing")["autoTopUp"]["isOn"] is False


def test_a_proof_of_who_one_is_comes_first(shop: Shop, base: str, browser: Browser) -> None:
    browser.get(base)
    shop.cloud.clock.forward(minutes=16)
    answer = browser.submit(f"{base}/cards")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/step-up?next={base}")


def test_usage_statements_and_files(shop: Shop, base: str, browser: Browser) -> None:
    today = f"{shop.cloud.clock.now():%Y-%m-%d}"
    for by in ("day", "gpuType", "member", "deployment", "volume", "label"):
        assert browser.get(f"{base}/usage?by={by}&label=project").status_code == 200, by
        assert browser.get(f"{base}/usage.csv?by={by}&label=project").headers["content-type"].startswith("text/csv")
    for wrong in ("from=yesterday", "to=9999-99-99", "by=nobody", "by=label&label=%00"):
        assert browser.get(f"{base}/usage?{wrong}").status_code == 400, wrong
    assert browser.get(f"{base}/usage?from={today}&to=1999-01-01").status_code == 200
    month = today[:7]
    document = browser.get(f"{base}/statements/{month}")
    assert document.content.startswith(b"%PDF")
    assert f"-{month}.pdf" in document.headers["content-disposition"]
    assert browser.get(f"{base}/statements/1999-01").status_code == 404
    assert statement_pdf.MOST_ROWS


def test_credits_move_between_teams_that_one_owns(shop: Shop, base: str, browser: Browser) -> None:
    cloud = shop.cloud
    other = cloud.team(shop.pat, credits_micros=80 * DOLLAR)
    foreign = cloud.person(credits_micros=DOLLAR)
    cloud.join(foreign.team, shop.pat, Role.member)
    giving = base_of(shop, other)
    assert foreign.team not in browser.get(f"{giving}/move").text
    for wrong in ({"amount": "100"}, {"amount": "0"}, {"amount": "x"}, {"toTeamId": "nonsense"}):
        browser.get(f"{giving}/move")
        answer = browser.submit(f"{giving}/move", **({"toTeamId": shop.pat.team, "amount": "1"} | wrong))
        assert answer.status_code in (400, 402), wrong
    browser.get(f"{giving}/move")
    form = Forms(browser.page.text).found[f"{giving}/move"] | {"toTeamId": shop.pat.team, "amount": "30.25"}
    browser.post(f"{giving}/move", form)
    assert "$30.25 moved" in browser.follow().text
    browser.post(f"{giving}/move", form)
    assert "moved already" in browser.follow().text
    assert shop.balance == 30.25


def test_mails_and_payment_pages_lead_to_the_team(shop: Shop, base: str, browser: Browser) -> None:
    here = f"/billing/{shop.pat.team}"
    assert browser.get(here).headers["location"] == base
    assert Browser(shop.cloud).get(here).headers["location"] == f"/sign-in?next={here}"
    stranger = with_session(shop.cloud, shop.cloud.person())
    for path in (here, f"/billing/{'0' * 24}", "/billing/nonsense"):
        assert stranger.get(path).status_code == 404
    browser.get(base)
    browser.submit(f"{base}/top-ups", preset="50", amount="", cardId="page")
    shop.cloud.run("payments")
    [(order, _)] = shop.processor.pages.values()
    assert order.return_url.endswith(here)


def test_where_no_cards_are_set_up(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud()
    pat = cloud.person()
    browser = with_session(cloud, pat)
    with cloud.database.read() as connection:
        slug = connection.execute(sa.select(teams.c.slug).where(teams.c.id == pat.team)).scalar_one()
    page = browser.get(f"/t/{slug}/billing").text
    assert "an operator can grant credits" in page
    token = Forms(page).found["/sign-out"]["csrf"]
    for path in ("cards", "top-ups", "auto-top-up"):
        form = {"csrf": token, "amount": "20", "threshold": "20"}
        answer = browser.post(f"/t/{slug}/billing/{path}", form)
        assert (answer.status_code, "FOREBAY_STRIPE_SECRET_KEY" in answer.text) == (409, True), path
