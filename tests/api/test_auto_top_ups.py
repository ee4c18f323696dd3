"""Auto top-up over the wire: its terms and consent, what it says about itself, and who may see it."""

from collections.abc import Callable
from typing import Any

import pytest

from forebay.domain.people.roles import Role
from tests.api.cloud import Cloud
from tests.api.shop import KEY, Shop
from tests.payments.bank import DECLINED_LATER

pytestmark = pytest.mark.slow

TERMS: dict[str, Any] = {"threshold": 20, "amount": 100}


@pytest.fixture
def shop(make_cloud: Callable[..., Cloud]) -> Shop:
    return Shop(make_cloud(**KEY))


def put(shop: Shop, **body: Any) -> Any:
    """What is answered to new terms."""
    return shop.cloud.send("PUT", f"{shop.path}/auto-top-up", shop.pat.session, TERMS | {"agree": True} | body)


def shown(shop: Shop) -> Any:
    """As billing has it."""
    return shop.get("/billing")["autoTopUp"]


def charge(shop: Shop) -> None:
    """The worker's round."""
    shop.cloud.run("auto-top-ups")
    shop.cloud.run("payments")


def test_it_is_agreed_to_and_charges_by_itself(shop: Shop) -> None:
    assert shown(shop)["state"] == "off"
    put(shop).refused(400, "NO_CARD")
    card = shop.card()
    text = put(shop, agree=False, dayCeiling=3).refused(400, "CONSENT_NEEDED")["details"]["consentText"]
    assert shown(shop)["isOn"] is False
    made = put(shop, dayCeiling=3).ok()
    assert (made["state"], made["says"]) == ("charge", "The balance is below $20.00: $100.00 is charged now.")
    assert made["consent"] == {"text": text, "userId": shop.pat.id, "at": made["consent"]["at"]}
    assert (made["chargedCardId"], made["mostADay"], made["maxChargeAmount"]) == (card, 300, 100)
    assert "$300.00" in made["warning"]
    assert "Nothing that costs is running" in made["meaning"]
    charge(shop)
    assert shop.balance == 100
    found = shown(shop)
    assert (found["state"], found["chargedThisMonth"], found["chargesToday"]) == ("enough", 100, 1)
    [attempt] = found["lastAttempts"]
    assert (attempt["path"], attempt["state"], attempt["requestedBy"]) == ("auto", "succeeded", None)
    assert put(shop, isOn=False).ok()["state"] == "off"
    actions = [row.action for row in shop.cloud.activity(shop.pat.team)]
    assert {"auto-top-up.set", "auto-top-up.claim", "auto-top-up.off"} <= set(actions)


def test_why_it_stopped_and_what_to_do_is_said(shop: Shop) -> None:
    shop.card(DECLINED_LATER)
    put(shop).ok()
    for _ in range(3):
        charge(shop)
        found = shown(shop)
        shop.cloud.clock.forward(hours=1)
    assert (found["state"], found["failuresInARow"], found["stoppedCode"]) == ("stopped", 3, "generic_decline")
    assert "declined" in found["stoppedBecause"]
    assert "tried again" in found["says"]
    fresh = shop.cloud.session(shop.pat.id)
    again = shop.cloud.post(f"{shop.path}/auto-top-up/try-again", fresh).ok()
    assert (again["state"], again["stoppedAt"], again["failuresInARow"]) == ("charge", None, 0)
    charge(shop)
    found = shown(shop)
    assert found["state"] == "declined"
    assert found["nextAttemptAt"] > found["lastAttemptAt"]
    # Another card that is the one charged lets it go on as well.
    wanted = {"paymentMethodId": shop.processor.new_card()}
    set_up = shop.cloud.post(f"{shop.path}/cards", fresh, wanted).ok(202)
    shop.cloud.run("cards")
    second = shop.get(f"/card-set-ups/{set_up['id']}")["cardId"]
    assert shown(shop)["state"] == "declined"
    shop.cloud.send("PUT", f"{shop.path}/cards/{second}/default", fresh).ok()
    assert shown(shop)["state"] == "cooldown"
    shop.cloud.clock.forward(minutes=5)
    charge(shop)
    assert shop.balance == 100


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"threshold": 4.99}, "AMOUNT_NOT_POSSIBLE"),
        ({"threshold": 500.01}, "AMOUNT_NOT_POSSIBLE"),
        ({"amount": 14.99}, "AMOUNT_NOT_POSSIBLE"),
        ({"amount": 20.001}, "AMOUNT_NOT_POSSIBLE"),
        ({"amount": 1e-9}, "AMOUNT_NOT_POSSIBLE"),
        ({"maxChargeAmount": 99}, "AMOUNT_NOT_POSSIBLE"),
        ({"monthCeiling": 1e300}, "AMOUNT_NOT_POSSIBLE"),
        ({"threshold": None}, "VALIDATION_ERROR"),
        ({"dayCeiling": 0}, "VALIDATION_ERROR"),
        ({"amount": "100"}, "VALIDATION_ERROR"),
    ],
)
def test_terms_out_of_bounds_are_refused(shop: Shop, body: dict[str, Any], code: str) -> None:
    shop.card()
    put(shop, **body).refused(400, code)
    assert shown(shop)["isOn"] is False


def test_members_do_not_see_it_and_stale_sessions_do_not_change_it(shop: Shop) -> None:
    shop.card()
    put(shop).ok()
    mia = shop.cloud.person("Mia")
    shop.cloud.join(shop.pat.team, mia, Role.member)
    assert shop.cloud.get(f"{shop.path}/billing", mia.session).ok()["autoTopUp"] is None
    shop.cloud.clock.forward(minutes=16)
    put(shop, isOn=False).refused(403, "SIGN_IN_AGAIN")
    shop.post("/auto-top-up/try-again", None).refused(403, "SIGN_IN_AGAIN")
    assert shown(shop)["isOn"] is True


def test_a_cloud_without_payments_says_so_and_can_still_turn_it_off(cloud: Cloud) -> None:
    pat = cloud.person()
    path = f"/api/teams/{pat.team}/auto-top-up"
    cloud.send("PUT", path, pat.session, TERMS).refused(409, "PAYMENTS_NOT_SET_UP")
    assert cloud.send("PUT", path, pat.session, {"isOn": False}).ok()["state"] == "off"
    cloud.post(f"{path}/try-again", pat.session).refused(409, "AUTO_TOP_UP_OFF")
