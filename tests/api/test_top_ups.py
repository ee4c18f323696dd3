"""Cards and deposits over the wire: what may be asked, what becomes of it, and what a cloud without payments says."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from forebay.domain.people.roles import Role
from tests.api.cloud import ABSENT, Cloud
from tests.api.shop import KEY, Shop
from tests.payments.bank import DECLINED_LATER, GOOD, NO_FUNDS

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(make_cloud: Callable[..., Cloud]) -> Shop:
    return Shop(make_cloud(**KEY))


def test_a_card_is_saved_charged_and_deleted(shop: Shop) -> None:
    first, second = shop.card(), shop.card()
    found = shop.get("/cards")
    assert found["takesCards"]
    assert [(card["id"], card["isDefault"], card["lastFour"]) for card in found["cards"]] == [
        (first, True, "4242"),
        (second, False, "4242"),
    ]
    assert "paymentMethodId" not in found["cards"][0]
    billing = shop.get("/billing")
    assert (billing["takesCards"], billing["noCardsBecause"], billing["cards"]) == (True, None, found["cards"])
    member = shop.cloud.person("Mia")
    shop.cloud.join(shop.pat.team, member, Role.member)
    assert shop.cloud.get(f"{shop.path}/billing", member.session).ok()["cards"] is None
    made = shop.top_up()
    assert (made["state"], made["isOpen"], made["amount"], made["cardId"]) == ("succeeded", False, 50, first)
    assert shop.balance == 50
    put = shop.cloud.send("PUT", f"{shop.path}/cards/{second}/default", shop.pat.session).ok()
    assert put["isDefault"]
    assert shop.top_up(clientKey="another")["cardId"] == second
    shop.cloud.send("DELETE", f"{shop.path}/cards/{second}", shop.pat.session).ok()
    shop.post("/top-ups", {"amount": 50, "clientKey": "third"}).refused(400, "NO_CARD")
    shop.post("/top-ups", {"amount": 50, "clientKey": "x", "cardId": second}).refused(404, "NOT_FOUND")
    shop.cloud.run("cards")
    assert list(shop.processor.owners.values()).count(None) == 1
    actions = [row.action for row in shop.cloud.activity(shop.pat.team)]
    assert {"card.set-up", "card.make-default", "card.delete", "top-up.ask", "payment.credit"} <= set(actions)


def test_a_card_is_saved_on_a_page(shop: Shop) -> None:
    set_up = shop.post("/cards", {}).ok(202)
    assert (set_up["state"], set_up["pageUrl"]) == ("claimed", None)
    shop.cloud.run("cards")
    found = shop.get(f"/card-set-ups/{set_up['id']}")
    assert found["state"] == "open"
    shop.processor.save_on(found["pageUrl"].rpartition("/")[2], GOOD)
    shop.cloud.clock.forward(seconds=30)
    shop.cloud.run("cards")
    found = shop.get(f"/card-set-ups/{set_up['id']}")
    assert (found["state"], found["pageUrl"]) == ("saved", None)
    assert shop.get("/cards")["cards"][0]["id"] == found["cardId"]


def test_a_page_on_which_nobody_saves_a_card_is_over(shop: Shop) -> None:
    set_up = shop.post("/cards", {}).ok(202)
    shop.cloud.run("cards")
    shop.cloud.clock.forward(seconds=35 * 60)
    shop.cloud.run("cards")
    found = shop.get(f"/card-set-ups/{set_up['id']}")
    assert (found["state"], found["errorCode"]) == ("expired", "page_expired")
    assert "half an hour" in found["message"]


def test_cards_that_are_no_good_say_why(shop: Shop) -> None:
    for given, code in (
        (shop.processor.new_card(NO_FUNDS), "generic_decline"),
        ("pm_none", "resource_missing"),
    ):
        set_up = shop.post("/cards", {"paymentMethodId": given}).ok(202)
        shop.cloud.run("cards")
        found = shop.get(f"/card-set-ups/{set_up['id']}")
        assert (found["state"], found["errorCode"]) == ("refused", code)
        assert found["message"]
    assert shop.get("/cards")["cards"] == []


def test_another_team_s_card_can_not_be_taken_over(shop: Shop) -> None:
    given = shop.processor.new_card()
    shop.post("/cards", {"paymentMethodId": given}).ok(202)
    shop.cloud.run("cards")
    other = shop.cloud.person()
    path = f"/api/teams/{other.team}"
    set_up = shop.cloud.post(f"{path}/cards", other.session, {"paymentMethodId": given}).ok(202)
    shop.cloud.run("cards")
    assert shop.cloud.get(f"{path}/card-set-ups/{set_up['id']}", other.session).ok()["state"] == "refused"
    mine = shop.get("/cards")["cards"][0]["id"]
    body = {"amount": 50, "clientKey": "x", "cardId": mine}
    shop.cloud.post(f"{path}/top-ups", other.session, body).refused(404, "NOT_FOUND")
    shop.cloud.send("DELETE", f"{path}/cards/{mine}", other.session).refused(404, "NOT_FOUND")
    shop.cloud.send("PUT", f"{path}/cards/{mine}/default", other.session).refused(404, "NOT_FOUND")
    made = shop.top_up()
    shop.cloud.get(f"{path}/top-ups/{made['id']}", other.session).refused(404, "NOT_FOUND")


def test_a_double_click_and_a_retry_are_one_payment(shop: Shop) -> None:
    shop.card()
    body = {"amount": 50, "clientKey": "click"}
    key = {"authorization": f"Bearer {shop.pat.session}"}
    request = shop.cloud.request("POST", f"{shop.path}/top-ups", None, body, headers=key)
    answers = shop.cloud.at_once([request] * 4)
    assert {answer.ok(202)["id"] for answer in answers} == {answers[0].json["id"]}
    shop.cloud.run("payments")
    first = shop.post("/top-ups", {"amount": 60, "clientKey": "b"}, retry="r").ok(202)
    assert shop.post("/top-ups", {"amount": 60, "clientKey": "b"}, retry="r").ok(202) == first
    shop.cloud.run("payments")
    assert shop.balance == 110
    shop.post("/top-ups", {"amount": 61, "clientKey": "b"}).refused(409, "CLIENT_KEY_REUSED")
    assert shop.get("/top-ups")["total"] == 2


def test_amounts_that_can_not_be_charged(shop: Shop) -> None:
    shop.card()
    for amount in (14.99, 5000.01, 0, -50, 50.001, 50.0000001, 1e300, 15.005):
        shop.post("/top-ups", {"amount": amount, "clientKey": "x"}).refused(400, "AMOUNT_NOT_POSSIBLE")
    assert shop.get("/top-ups")["total"] == 0


def test_what_is_no_wish(shop: Shop) -> None:
    for wrong in (
        {"amount": "50"},
        {"amount": None},
        {"currency": "EUR"},
        {"clientKey": ""},
        {"clientKey": "a b"},
        {"clientKey": "x" * 256},
        {"checkout": True, "cardId": ABSENT},
    ):
        shop.post("/top-ups", {"amount": 50, "clientKey": "x"} | wrong).refused(400, "VALIDATION_ERROR")
    shop.post("/cards", {"paymentMethodId": "../../v1/refunds"}).refused(400, "VALIDATION_ERROR")
    assert shop.get("/top-ups")["total"] == 0


def test_a_decline_says_what_to_do(shop: Shop) -> None:
    shop.card(DECLINED_LATER)
    made = shop.top_up()
    assert (made["state"], made["errorCode"]) == ("declined", "generic_decline")
    assert "another card" in made["message"]
    assert shop.balance == 0


def test_a_page_to_pay_on(shop: Shop) -> None:
    made = shop.top_up(checkout=True, amount=20)
    assert (made["state"], made["path"]) == ("created", "checkout")
    shop.processor.pay(made["pageUrl"].rpartition("/")[2])
    shop.cloud.clock.forward(seconds=60)
    shop.cloud.run("payments")
    found = shop.get(f"/top-ups/{made['id']}")
    assert (found["state"], found["pageUrl"]) == ("succeeded", None)
    assert shop.balance == 20


def test_what_can_be_bought_is_listed_in_pages(shop: Shop) -> None:
    shop.card()
    for number in range(3):
        shop.top_up(clientKey=f"{number}", amount=20 + number)
    found = shop.get("/top-ups?limit=2&page=2")
    assert found["presets"] == [50, 100, 200, 500, 1000, 5000]
    assert (found["least"], found["most"]) == (15, 5000)
    assert [each["amount"] for each in found["topUps"]] == [20]
    assert (found["total"], found["totalPages"]) == (3, 2)


def test_cards_and_payments_need_a_recent_sign_in(shop: Shop) -> None:
    card = shop.card()
    shop.cloud.clock.forward(seconds=int(timedelta(minutes=15).total_seconds()) + 1)
    for method, path, body in (
        ("POST", "/cards", {}),
        ("PUT", f"/cards/{card}/default", None),
        ("DELETE", f"/cards/{card}", None),
        ("POST", "/top-ups", {"amount": 50, "clientKey": "x"}),
    ):
        answer = shop.cloud.send(method, shop.path + path, shop.pat.session, body)
        assert answer.status == 403
    shop.get("/cards")


def test_a_key_made_for_money_may_and_another_may_not(shop: Shop) -> None:
    shop.card()
    body = {"amount": 50, "clientKey": "x"}
    shop.cloud.post(f"{shop.path}/top-ups", shop.pat.key, body).refused(403, "FORBIDDEN")
    key = shop.cloud.key(shop.pat.id, shop.pat.team, may_touch_money=True)
    shop.cloud.post(f"{shop.path}/top-ups", key, body).ok(202)
    member = shop.cloud.person("Mia")
    shop.cloud.join(shop.pat.team, member, Role.member)
    shop.post("/top-ups", body, member).refused(403, "FORBIDDEN")


def test_a_cloud_without_payments_says_who_can_set_them_up(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/teams/{pat.team}"
    for where, body in (("cards", {}), ("top-ups", {"amount": 50, "clientKey": "x"})):
        refusal = cloud.post(f"{path}/{where}", pat.session, body).refused(409, "PAYMENTS_NOT_SET_UP")
        assert "FOREBAY_STRIPE_SECRET_KEY" in refusal["error"]
        assert refusal["details"]["whoCanDoIt"] == ["operator"]
    mia = cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    for where, who in (("cards", pat), ("top-ups", pat), ("billing", pat), ("billing", mia)):
        found = cloud.get(f"{path}/{where}", who.session).ok()
        assert (found["takesCards"], found["noCardsBecause"]) == (False, refusal["error"])


def test_a_card_that_expires_is_told_of_once(shop: Shop) -> None:
    shop.card()
    shop.cloud.clock.forward(days=8 * 365 + 290)
    shop.cloud.run("cards")
    shop.cloud.run("cards")
    with shop.cloud.database.read() as connection:
        subjects = connection.exec_driver_sql("SELECT subject FROM mails ORDER BY id").scalars().all()
    assert [subject for subject in subjects if "expire" in subject] == ["The card of Pat's team is about to expire"]
