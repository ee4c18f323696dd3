"""Offers and prices by API and by file, what is held back, and what operators see of providers and capacity."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forebay.domain.machines import alerts
from tests.api.cloud import Cloud, Person
from tests.api.test_discounts import seen
from tests.api.wire import Answer

WHY = {"reason": "the power bill"}
OWN = {
    "id": "memory-wide", "provider": "memory", "pool": "house", "name": "Wide", "vcpus": 8, "memory": 16,
    "storage": 100, "gpuCount": 2, "price": "1.234567", "spotPrice": 0.5, "region": "north", **WHY,
}  # fmt: skip


class Desk:
    """An operator's."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.otto = cloud, cloud.person("Otto", is_operator=True)

    def do(self, method: str, path: str, body: Any = None) -> Answer:
        return self.cloud.send(method, f"/api/operator/{path}", self.otto.session, WHY if body is None else body)

    def get(self, path: str) -> Any:
        return self.cloud.get(f"/api/operator/{path}", self.otto.session).ok()

    def offer(self, offer_id: str) -> Any:
        return next(each for each in self.get("offers")["offers"] if each["id"] == offer_id)


@pytest.fixture
def desk(own_cloud: Cloud) -> Desk:
    return Desk(own_cloud)


def launch(cloud: Cloud, person: Person, **more: Any) -> Answer:
    order = cloud.order(person.team, cloud.ssh_key(person.team, person), **more)
    return cloud.post("/api/deployments", person.key, order)


def test_an_offer_of_one_s_own_is_made_launched_changed_and_withdrawn(desk: Desk) -> None:
    cloud, pat = desk.cloud, desk.cloud.person(credits_micros=1_000_000_000)
    made = desk.do("POST", "offers", OWN).ok(201)
    assert (made["price"], made["spotPrice"], made["listed"], made["pool"]) == (1.234567, 0.5, True, "memory/house")
    shown = seen(cloud, None, "memory-wide")
    assert (shown["vcpus"], shown["memory"], shown["gpuCount"], shown["region"]) == (8, 16, 2, "north")
    # The rest is as in the pool's other offers: its disk costs as much a GB.
    assert (shown["os_options"], shown["gpu_memory"], made["storagePrice"]) == (["Debian 12"], 80, 0.18)
    gpu = {"offerId": "memory-wide", "gpuType": "h100", "gpuCount": 2, "region": "north"}
    machine = launch(cloud, pat, **gpu).ok(201)
    cloud.settle()
    assert cloud.provider.machines[machine["id"]].spec.vcpus == 8
    desk.do("POST", "offers", OWN).refused(409, "OFFER_EXISTS")
    desk.do("PATCH", "offers/memory-wide", {"price": 1, **WHY}).ok()
    cloud.run("prices")
    assert cloud.get(f"/api/deployments/{machine['id']}", pat.key).ok()["hourlyRate"] == 1.0
    desk.do("DELETE", "offers/memory-wide").ok()
    desk.do("DELETE", "offers/memory-wide").refused(409, "OFFER_WITHDRAWN")
    launch(cloud, pat, **gpu).refused(400, "UNKNOWN_OFFER")
    cloud.run("offers")
    assert desk.offer("memory-wide")["listed"] is False
    assert cloud.get(f"/api/deployments/{machine['id']}", pat.key).ok()["status"] == "running"
    assert desk.do("PATCH", "offers/memory-wide", {"offered": True, **WHY}).ok()["listed"] is True
    history = desk.get("offers/memory-wide/history")
    assert [row["action"] for row in history["changes"]] == [
        "offer.change", "offer.withdraw", "offer.change", "offer.create",
    ]  # fmt: skip
    changed = history["changes"][2]
    assert (changed["by"], changed["details"]["rate_micros"]) == (desk.otto.email, [1_234_567, 1_000_000])
    [price] = history["priceChanges"]
    assert (price["fromPrice"], price["toPrice"], price["source"]) == (1.234567, 1.0, "api")
    assert price["appliedAt"] is not None


def test_a_provider_s_offer_is_changed_field_by_field_and_back(desk: Desk) -> None:
    cloud = desk.cloud
    said = {"price": 2, "name": "Tiny", "minimumRuntimeMinutes": 7, "description": "Small, and cheap."}
    desk.do("PATCH", "offers/memory-small", {**said, **WHY}).ok()
    cloud.run("offers")
    shown = seen(cloud, None, "memory-small")
    assert (shown["price"], shown["name"], shown["minimumRuntimeMinutes"]) == (2.0, "Tiny", 7)
    assert desk.offer("memory-small")["said"] == {"api": said | {"price": 2.0}}
    desk.do("PATCH", "offers/memory-small", {"price": None, "name": None, **WHY}).ok()
    shown = seen(cloud, None, "memory-small")
    assert (shown["price"], shown["name"], shown["minimumRuntimeMinutes"]) == (3.6, "Small", 7)
    date = cloud.clock.now() + timedelta(days=9)
    written = f"{date:%Y-%m-%dT%H:%M:%SZ}"
    desk.do("PATCH", "offers/memory-small", {"price": 5, "priceFrom": date.isoformat(), **WHY}).ok()
    [waiting] = desk.get("offers")["priceChanges"]
    assert (waiting["toPrice"], waiting["launchesAt"], waiting["runningAt"]) == (5.0, written, written)
    assert seen(cloud, None, "memory-small")["price"] == 3.6
    cloud.clock.forward(days=9)
    assert seen(cloud, None, "memory-small")["price"] == 5.0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"price": "x"}, "price"), ({"price": -1}, "price"), ({"price": 1e300}, "price"), ({"price": True}, "price"),
        ({"price": 0.0000001}, "price"), ({"vcpus": 2}, "memory"), ({"gpuCount": 1}, "gpuCount"),
        ({"priceFrom": "soon", "price": 1}, "priceFrom"), ({"priceFrom": "2027-01-01T00:00:00Z"}, "priceFrom"),
        ({"name": ""}, "name"), ({"name": "a\nb"}, "name"), ({"instanceType": "CLUSTER"}, "instanceType"),
        ({"spotPrice": 1, "instanceType": "SPOT"}, "spotPrice"), ({"reason": ""}, "reason"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_named(cloud: Cloud, body: Any, field: str) -> None:
    refusal = Desk(cloud).do("PATCH", "offers/memory-small", WHY | body).refused(400, "VALIDATION_ERROR")
    assert field in refusal["details"]


def test_an_offer_that_can_not_be_is_refused(cloud: Cloud) -> None:
    desk = Desk(cloud)
    for more, field in (
        ({"pool": "nowhere"}, "id"), ({"gpuType": "tpu"}, "id"), ({"id": "other-x"}, "id"), ({"id": "A"}, "id"),
        ({"provider": "nobody", "id": "nobody-x"}, "id"), ({"price": None}, "price"),
    ):  # fmt: skip
        refusal = desk.do("POST", "offers", OWN | {"id": "memory-not"} | more)
        assert (refusal.status, field in refusal.json["details"]) == (400, True), refusal
    for path in ("offers/nothing", "offers/memory-none", "offers/%00"):
        desk.do("PATCH", path, {"price": 1, **WHY}).refused(404, "NOT_FOUND")
        desk.do("DELETE", path).refused(404, "NOT_FOUND")


def test_the_file_wins_and_a_broken_one_counts_for_nothing(make_cloud: Callable[..., Cloud], tmp_path: Path) -> None:
    file = tmp_path / "offers.toml"
    file.write_text('[[offers]]\nid = "memory-small"\nprice = 1\n')
    cloud = make_cloud(offers_file=str(file))
    desk = Desk(cloud)
    assert seen(cloud, None, "memory-small")["price"] == 1.0
    desk.do("PATCH", "offers/memory-small", {"name": "Mine", **WHY}).refused(409, "OFFER_IN_FILE")
    desk.do("DELETE", "offers/memory-small").refused(409, "OFFER_IN_FILE")
    desk.do("PATCH", "offers/memory-gpu", {"price": 9, "name": "Mine", **WHY}).ok()
    file.write_text('[[offers]]\nid = "memory-gpu"\nprice = 8\n[[offers]]\nid = "memory-x"\nname = "X"\n')
    cloud.run("offers")
    assert [seen(cloud, None, name)["price"] for name in ("memory-small", "memory-gpu")] == [3.6, 8.0]
    assert seen(cloud, None, "memory-gpu")["name"] == "Mine"

    def standing() -> dict[str, str]:
        with cloud.database.read() as connection:
            return {each.subject: each.text for each in alerts.open_ones(connection) if each.kind == "provider"}

    assert "has no offer memory-x" in standing()["offer memory-x"]
    file.write_text('[[offers]]\nid = "memory-gpu"\nprice = "free"\n')
    cloud.run("offers")
    assert "line 3: offer memory-gpu, price: must be dollars" in standing()["offers file"]
    assert seen(cloud, None, "memory-gpu")["price"] == 8.0
    file.unlink()
    cloud.run("offers")
    assert seen(cloud, None, "memory-gpu")["price"] == 8.0
    file.write_text('[[offers]]\nid = "memory-small"\noffered = false\n')
    cloud.run("offers")
    assert standing() == {}
    assert desk.offer("memory-small")["listed"] is False
    assert seen(cloud, None, "memory-gpu")["price"] == 9.0
    sources = [each["source"] for each in desk.get("offers/memory-small/history")["priceChanges"]]
    assert sources == ["provider"]


def test_stock_is_capped_and_the_cap_is_lifted(desk: Desk) -> None:
    cloud, pat = desk.cloud, desk.cloud.person(credits_micros=1_000_000_000)
    machine = cloud.running(pat)
    cap = {"scope": "offer", "subject": "memory-small", **WHY}
    desk.do("PUT", "stock", cap | {"most": 2}).ok()
    assert seen(cloud, None, "memory-small")["extras"]["free"] == 1
    launch(cloud, pat).ok(201)
    assert seen(cloud, None, "memory-small")["available"] is False
    launch(cloud, pat).refused(400, "NOT_ENOUGH_STOCK")
    # Another offer of the pool goes on; stopped machines count, and start again.
    launch(cloud, pat, offerId="memory-minimum").ok(201)
    cloud.settle()
    cloud.post(f"/api/deployments/{machine['id']}/stop", pat.key).ok()
    cloud.settle()
    launch(cloud, pat).refused(400, "NOT_ENOUGH_STOCK")
    cloud.post(f"/api/deployments/{machine['id']}/start", pat.key).ok()
    cloud.settle()
    desk.do("PUT", "stock", {"scope": "pool", "subject": "memory/house", "most": 3, **WHY}).ok()
    desk.do("DELETE", "stock", cap).ok()
    launch(cloud, pat).refused(400, "NOT_ENOUGH_STOCK")
    [pool] = desk.get("pools")["pools"]
    assert (pool["machines"], pool["most"], pool["taken"]["vcpus"]) == (3, 3, 6)
    found = desk.get("capacity?offerId=memory-small")
    assert found["machines"][0]["deploymentId"] == machine["id"]
    assert (found["total"], found["machines"][0]["createdByName"]) == (2, "Pat")
    desk.do("DELETE", "stock", {"scope": "pool", "subject": "memory/house", **WHY}).ok()
    launch(cloud, pat).ok(201)
    desk.do("DELETE", "stock", cap).refused(404, "NOT_FOUND")
    desk.do("PUT", "stock", cap | {"most": 1, "subject": "nothing"}).refused(404, "NOT_FOUND")
    desk.do("PUT", "stock", cap | {"most": -1}).refused(400, "VALIDATION_ERROR")
    rows = [row.action for row in cloud.activity(None) if row.user_id == desk.otto.id and row.action[:5] == "stock"]
    assert rows == ["stock.cap", "stock.cap", "stock.uncap", "stock.uncap"]


@pytest.mark.parametrize(
    ("scope", "subject"),
    [("offer", "memory-small"), ("pool", "memory/house"), ("region", "here"), ("provider", "memory")],
)
def test_maintenance_lets_nothing_be_launched_until_it_is_ended(cloud: Cloud, scope: str, subject: str) -> None:
    desk, pat = Desk(cloud), cloud.person(credits_micros=1_000_000_000)
    machine = cloud.running(pat)
    what = {"scope": scope, "subject": subject, "reason": "New disks."}
    until = cloud.clock.now() + timedelta(hours=2)
    desk.do("PUT", "maintenance", what | {"until": until.isoformat()}).ok()
    shown = seen(cloud, None, "memory-small")
    assert (shown["maintenance"], shown["available"]) == (True, False)
    assert seen(cloud, None, "memory-gpu")["maintenance"] is (scope != "offer")
    refusal = launch(cloud, pat).refused(400, "NOT_ENOUGH_STOCK")
    assert "Not Enough Stock" in refusal["error"]
    assert "under maintenance, expected until" in refusal["error"]
    assert "New disks." in refusal["error"]
    cloud.post(f"/api/deployments/{machine['id']}/stop", pat.key).ok()
    cloud.settle()
    cloud.post(f"/api/deployments/{machine['id']}/start", pat.key).ok()
    cloud.settle()
    [held] = desk.get("restrictions")["restrictions"]
    assert (held["kind"], held["scope"], held["until"]) == ("maintenance", scope, f"{until:%Y-%m-%dT%H:%M:%SZ}")
    # The day that was expected ends nothing.
    cloud.clock.forward(hours=3)
    assert seen(cloud, None, "memory-small")["maintenance"] is True
    desk = Desk(cloud)
    desk.do("DELETE", "maintenance", what).ok()
    assert seen(cloud, None, "memory-small")["maintenance"] is False
    launch(cloud, pat).ok(201)
    desk.do("PUT", "maintenance", what | {"until": until.isoformat()}).refused(400, "VALIDATION_ERROR")
    desk.do("PUT", "maintenance", what | {"until": "tomorrow"}).refused(400, "VALIDATION_ERROR")


def test_discounts_over_the_api(cloud: Cloud) -> None:
    desk, pat = Desk(cloud), cloud.person()
    path = f"teams/{pat.team}/discounts"
    given = desk.do("POST", path, {"percent": "12.5", "gpuType": "h100", **WHY}).ok(201)
    assert (given["percent"], given["gpuType"], given["endsAt"]) == (12.5, "h100", None)
    assert seen(cloud, pat.key)["discountPercentage"] == 12.5
    [listed] = desk.get(f"discounts?teamId={pat.team}")["discounts"]
    assert listed == given
    soon = (cloud.clock.now() + timedelta(days=6)).isoformat()
    end = f"discounts/{given['id']}/end"
    assert "endsAt" in desk.do("POST", end, {"endsAt": soon, **WHY}).refused(400, "VALIDATION_ERROR")["details"]
    ended = desk.do("POST", end).ok()
    assert ended["endsAt"] == f"{cloud.clock.now() + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    desk.do("POST", end).refused(409, "ENDS_BEFORE")
    for body, field in (
        ({"percent": 0}, "percent"), ({"percent": 100.5}, "percent"), ({"percent": "1.234"}, "percent"),
        ({"percent": "nan"}, "percent"), ({"percent": 5, "gpuType": "a", "offerId": "b"}, "gpuType"),
        ({"percent": 5, "startsAt": "2020-01-01T00:00:00Z"}, "startsAt"),
        ({"percent": 5, "endsAt": "2020-01-01T00:00:00Z"}, "endsAt"), ({"percent": 5, "endsAt": "x"}, "endsAt"),
    ):  # fmt: skip
        assert field in desk.do("POST", path, WHY | body).refused(400, "VALIDATION_ERROR")["details"]
    assert [row.action for row in cloud.activity(pat.team) if row.user_id == desk.otto.id] == [
        "discount.give", "discount.end",
    ]  # fmt: skip


def test_providers_say_how_they_are(desk: Desk) -> None:
    cloud = desk.cloud
    [before] = desk.get("providers")["providers"]
    assert (before["name"], before["reachable"], before["configured"]) == ("memory", None, True)
    assert [each["name"] for each in before["findings"]] == ["memory"]
    cloud.run("sightings")
    since = cloud.clock.now()
    cloud.clock.forward(seconds=30)
    cloud.provider.be_unreachable()
    cloud.run("sightings")
    [down] = desk.get("providers")["providers"]
    assert (down["reachable"], down["lastError"], down["observedSecondsAgo"]) == (False, "The network is down", 30)
    cloud.provider.be_back()
    cloud.clock.forward(seconds=30)
    cloud.run("sightings")
    [up] = desk.get("providers")["providers"]
    assert (up["reachable"], up["since"], up["observedSecondsAgo"]) == (
        True, f"{since + timedelta(seconds=60):%Y-%m-%dT%H:%M:%SZ}", 0,
    )  # fmt: skip
    assert up["pools"][0]["free"]["gpus"] == 100_000
    metrics = cloud.send("GET", "/metrics", peer="127.0.0.1").body.decode()
    assert 'forebay_provider_reachable{provider="memory"} 1.0' in metrics
    assert 'forebay_pool_taken_gpus{pool="memory/house"} 0.0' in metrics
