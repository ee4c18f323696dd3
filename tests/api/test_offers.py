"""`/api/gpu-offers`: groups of offers, what is in them, and how they are searched, sorted and paged."""

from typing import Any

import msgspec
import pytest

from forebay.compute.memory import GPU, POOL, SMALL
from tests.api.cloud import Cloud

GROUP_FIELDS = {
    "gpuType", "gpuModel", "baseGpuType", "interconnectVariants", "hasMultipleVariants", "displayName", "popularity",
    "totalAvailable", "lowestPrice", "highestPrice", "averagePrice", "providers", "offers",
}  # fmt: skip
OFFER_FIELDS = {
    "provider", "offerId", "name", "description", "vcpus", "memory", "storage", "gpuCount", "price", "available",
    "clusters", "region", "gpu_memory", "os_options", "maintenance", "interconnectType", "interconnectDescription",
    "instanceType", "supportsCloudInit", "minimumRuntimeMinutes", "supportsPause", "pauseUnsupportedReason", "extras",
}  # fmt: skip

TWO_GPUS = msgspec.structs.replace(
    GPU, offer_id="gpu-2", name="Two GPUs", gpu_count=2, rate_micros=70_000_001, interconnect_type="NVLink"
)
SPOT = msgspec.structs.replace(
    GPU, offer_id="gpu-spot", name="Reclaimable", instance_type="SPOT", rate_micros=9_000_000
)
A100 = msgspec.structs.replace(
    GPU, offer_id="a100", name="A100", gpu_type="a100", gpu_model="NVIDIA A100", rate_micros=1_234_567, region="there"
)


@pytest.fixture
def market(cloud: Cloud) -> Cloud:
    """Three types: cpu, h100 in three offers, a100; four GPUs in all."""
    cloud.provider.all_offers = (SMALL, GPU, TWO_GPUS, SPOT, A100)
    cloud.provider.all_pools = (POOL,)
    cloud.run("offers")
    return cloud


def types(page: Any) -> list[str]:
    return [group["gpuType"] for group in page["data"]]


def test_a_page_has_every_field_that_clients_read(market: Cloud) -> None:
    page = market.get("/api/gpu-offers").ok()
    assert {name: page[name] for name in page if name != "data"} == {
        "total": 3, "page": 1, "limit": 10, "totalPages": 1,
    }  # fmt: skip
    for group in page["data"]:
        assert set(group) == GROUP_FIELDS
        for offer in group["offers"]:
            more = {"spot_price"} if offer["instanceType"] == "SPOT" else set()
            assert set(offer) == OFFER_FIELDS | more


def test_a_group_sums_its_offers_up(market: Cloud) -> None:
    [group] = market.get("/api/gpu-offers?search=h100").ok()["data"]
    assert group["gpuModel"] == group["displayName"] == "H100"
    assert group["baseGpuType"] == "h100"
    assert group["providers"] == ["memory"]
    assert group["interconnectVariants"] == ["NVLink"]
    assert group["hasMultipleVariants"] is False
    assert [offer["offerId"] for offer in group["offers"]] == ["memory-gpu-spot", "memory-gpu", "memory-gpu-2"]
    # Four GPUs in the pool, and an offer of two takes two of them.
    assert [offer["extras"]["free"] for offer in group["offers"]] == [4, 4, 2]
    assert group["totalAvailable"] == 10


def test_prices_are_exact_to_the_micro_dollar(market: Cloud) -> None:
    answer = market.get("/api/gpu-offers?search=a100")
    [group] = answer.ok()["data"]
    assert b'"price":1.234567,' in answer.body
    assert group["lowestPrice"] == group["highestPrice"] == group["averagePrice"] == 1.234567
    [group] = market.get("/api/gpu-offers?search=h100").ok()["data"]
    assert (group["lowestPrice"], group["highestPrice"], group["averagePrice"]) == (9.0, 70.000001, 38.333333)


def test_an_offer_says_what_a_launch_needs_to_know(market: Cloud) -> None:
    [group] = market.get("/api/gpu-offers?search=cpu").ok()["data"]
    [offer] = group["offers"]
    assert offer | {"description": "", "extras": {}} == {
        "provider": "memory", "offerId": "memory-small", "name": "Small", "description": "", "vcpus": 2, "memory": 4,
        "storage": 20, "gpuCount": 0, "price": 3.6, "available": True, "clusters": ["here"], "region": "here",
        "gpu_memory": 0, "os_options": ["Debian 12"], "maintenance": False, "interconnectType": "",
        "interconnectDescription": "", "instanceType": "DEDICATED", "supportsCloudInit": True,
        "minimumRuntimeMinutes": 0, "supportsPause": True, "pauseUnsupportedReason": None, "extras": {},
    }  # fmt: skip


def test_an_offer_without_pause_says_why(own_cloud: Cloud) -> None:
    capabilities = own_cloud.provider.capabilities
    own_cloud.provider.capabilities = msgspec.structs.replace(capabilities, pause=False, cloud_init=False)
    own_cloud.run("offers")
    offer = own_cloud.get("/api/gpu-offers").ok()["data"][0]["offers"][0]
    assert offer["supportsPause"] is False
    assert offer["supportsCloudInit"] is False
    assert "keep its disk" in offer["pauseUnsupportedReason"]


def test_what_is_taken_is_not_available(market: Cloud) -> None:
    pat = market.person(credits_micros=10_000_000_000)
    machines = [market.launch(pat, offerId="memory-gpu", gpuType="h100", gpuCount=1) for _ in range(4)]
    [group] = market.get("/api/gpu-offers?search=h100").ok()["data"]
    for machine in machines:
        market.send("DELETE", f"/api/deployments/{machine['id']}", pat.key).ok()
    # Terminated is not gone yet: the room is free when the provider says so.
    assert market.get("/api/gpu-offers?search=h100").ok()["data"] == [group]
    market.settle()
    assert market.get("/api/gpu-offers?search=h100").ok()["data"][0]["totalAvailable"] == 10
    assert group["totalAvailable"] == 0
    assert not any(offer["available"] for offer in group["offers"])


def test_the_limit_counts_groups(market: Cloud) -> None:
    first = market.get("/api/gpu-offers?limit=2").ok()
    second = market.get("/api/gpu-offers?limit=2&page=2").ok()
    third = market.get("/api/gpu-offers?limit=2&page=3").ok()
    assert (len(first["data"]), len(second["data"]), third["data"]) == (2, 1, [])
    assert sorted(types(first) + types(second)) == ["a100", "cpu", "h100"]
    for number, page in enumerate((first, second, third), start=1):
        assert (page["total"], page["totalPages"], page["limit"], page["page"]) == (3, 2, 2, number)


def test_groups_are_sorted_by_price(market: Cloud) -> None:
    for sort_by in ("lowestPrice", "highestPrice", "averagePrice"):
        assert types(market.get(f"/api/gpu-offers?sortBy={sort_by}").ok()) == ["a100", "cpu", "h100"]
        assert types(market.get(f"/api/gpu-offers?sortBy={sort_by}&sortOrder=desc").ok()) == ["h100", "cpu", "a100"]


def test_what_is_launched_most_is_popular(own_cloud: Cloud) -> None:
    assert types(own_cloud.get("/api/gpu-offers").ok()) == ["cpu", "h100"]
    own_cloud.launch(own_cloud.person(), offerId="memory-gpu", gpuType="h100", gpuCount=1)
    page = own_cloud.get("/api/gpu-offers").ok()
    assert types(page) == ["h100", "cpu"]
    assert [group["popularity"] for group in page["data"]] == [1, 2]
    assert types(own_cloud.get("/api/gpu-offers?sortOrder=desc").ok()) == ["cpu", "h100"]


def test_the_instance_type_filters_groups_and_the_offers_in_them(market: Cloud) -> None:
    page = market.get("/api/gpu-offers?instanceType=SPOT").ok()
    assert types(page) == ["h100"]
    assert page["total"] == 1
    assert [offer["offerId"] for offer in page["data"][0]["offers"]] == ["memory-gpu-spot"]
    assert page["data"][0]["highestPrice"] == 9.0
    assert market.get("/api/gpu-offers?instanceType=CLUSTER").ok()["data"] == []
    dedicated = market.get("/api/gpu-offers?instanceType=DEDICATED").ok()
    assert all(offer["instanceType"] == "DEDICATED" for group in dedicated["data"] for offer in group["offers"])


def test_search_looks_at_names_and_regions_whatever_their_case(market: Cloud) -> None:
    for search in ("NVIDIA", "nvidia%20a", "A100", "there"):
        assert types(market.get(f"/api/gpu-offers?search={search}").ok()) == ["a100"]


def test_search_takes_nothing_for_a_pattern(market: Cloud) -> None:
    for search in ("%25", "_", "*", "%27%20OR%201=1", "nothing", "%F0%9F%90%98"):
        assert market.get(f"/api/gpu-offers?search={search}").ok()["total"] == 0


def test_an_offer_that_is_gone_is_not_listed(market: Cloud) -> None:
    market.provider.all_offers = (SMALL,)
    market.run("offers")
    assert types(market.get("/api/gpu-offers").ok()) == ["cpu"]


def test_a_parameter_that_makes_no_sense_is_named(market: Cloud) -> None:
    for query in (
        "page=0", "page=-1", "page=x", "page=1.5", "page=9999999", "page=1e400", f"page={2**63}", f"page={'9' * 5000}",
        "page=NaN", "limit=0", "limit=101", "limit=%E2%91%A0", "limit=true", "sortBy=price", "sortOrder=up",
        "instanceType=spot", "search=" + "a" * 201, "sort_by=lowestPrice", "Page=2",
    ):  # fmt: skip
        refusal = market.get(f"/api/gpu-offers?{query}").refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == {query.partition("=")[0]}


def test_all_wrong_parameters_are_named_at_once(market: Cloud) -> None:
    refusal = market.get("/api/gpu-offers?page=0&limit=x&sortBy=y").refused(400, "VALIDATION_ERROR")
    assert set(refusal["details"]) == {"page", "limit", "sortBy"}
    assert all(field in refusal["error"] for field in refusal["details"])
