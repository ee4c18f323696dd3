"""Discounts of a team: what it sees in the catalogue and what its launches pay; others see and pay the full price."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from forebay.compute.memory import GPU, SMALL
from forebay.domain.machines import discounts
from forebay.domain.machines.discounts import Wish
from tests.api.cloud import Cloud, Person

SPOT_TOO = msgspec.structs.replace(GPU, spot_rate_micros=9_000_000)


@pytest.fixture
def market(cloud: Cloud) -> Cloud:
    cloud.provider.all_offers = (SMALL, SPOT_TOO)
    cloud.run("offers")
    return cloud


def give(cloud: Cloud, person: Person, basis_points: int, **more: Any) -> None:
    with cloud.database.begin() as connection:
        wish = Wish(basis_points=basis_points, **more)
        discounts.give(connection, None, person.team, wish, reason="early", now=cloud.clock.now(), by="a test")


def seen(cloud: Cloud, key: str | None, offer_id: str = "memory-gpu", query: str = "") -> Any:
    page = cloud.get(f"/api/gpu-offers?limit=100{query}", key).ok()
    return next(each for group in page["data"] for each in group["offers"] if each["offerId"] == offer_id)


def test_a_team_sees_both_prices_and_its_launches_take_the_lower(market: Cloud) -> None:
    pat, other = market.person(credits_micros=10_000_000_000), market.person()
    give(market, pat, 2500, gpu_type="h100")
    for key in (pat.key, pat.session):
        offer = seen(market, key)
        assert (offer["price"], offer["originalPrice"], offer["discountedPrice"]) == (27.0, 36.0, 27.0)
        assert (offer["discountPercentage"], offer["hasDiscount"], offer["spot_price"]) == (25.0, True, 6.75)
    for stranger in (None, other.key, "fby_pk_nonsense"):
        offer = seen(market, stranger)
        assert (offer["price"], offer["spot_price"], "originalPrice" in offer) == (36.0, 9.0, False)
    assert "hasDiscount" not in seen(market, pat.key, "memory-small")
    machine = market.running(pat, offerId="memory-gpu", gpuType="h100", gpuCount=1)
    assert (machine["hourlyRate"], machine["originalHourlyRate"]) == (27.0, 36.0)
    assert (machine["discountPercentage"], machine["hasDiscount"]) == (25.0, True)
    market.clock.forward(seconds=100)
    shown = market.get(f"/api/deployments/{machine['id']}", pat.key).ok()
    assert shown["accruedCost"] == 0.75


def test_prices_of_a_team_are_for_its_members(market: Cloud) -> None:
    pat, other = market.person(), market.person()
    team = market.team(pat)
    give(market, pat, 1000)
    assert seen(market, pat.key, query=f"&teamId={pat.team}")["hasDiscount"] is True
    assert "hasDiscount" not in seen(market, pat.key, query=f"&teamId={team}")
    market.get(f"/api/gpu-offers?teamId={pat.team}", other.key).refused(404, "NOT_FOUND")
    assert "hasDiscount" not in seen(market, None, query=f"&teamId={pat.team}")


def test_spot_is_launched_at_the_spot_price(market: Cloud) -> None:
    pat = market.person(credits_micros=10_000_000_000)
    offer = seen(market, None, query="&instanceType=SPOT")
    assert (offer["instanceType"], offer["price"], offer["spot_price"]) == ("SPOT", 9.0, 9.0)
    assert seen(market, None, query="&instanceType=DEDICATED")["price"] == 36.0
    gpu: dict[str, Any] = {"offerId": "memory-gpu", "gpuType": "h100", "gpuCount": 1}
    machine = market.running(pat, instanceType="SPOT", **gpu)
    assert (machine["instanceType"], machine["hourlyRate"]) == ("SPOT", 9.0)
    key = market.ssh_key(pat.team, pat)
    for kind, why in (("CLUSTER", gpu), ("SPOT", {})):
        order = market.order(pat.team, key, instanceType=kind, **why)
        market.post("/api/deployments", pat.key, order).refused(400, "OFFER_MISMATCH")


def test_a_discount_holds_from_its_day_to_its_day(market: Cloud) -> None:
    pat = market.person()
    now = market.clock.now()
    give(market, pat, 5000, starts_at=now + timedelta(hours=1), ends_at=now + timedelta(hours=2))
    prices = []
    for hours in (0, 1, 1):
        market.clock.forward(hours=hours)
        prices.append(seen(market, pat.key)["price"])
    assert prices == [36.0, 18.0, 36.0]
