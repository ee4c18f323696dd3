"""What a team pays: the offer's price or its spot price, less the highest discount that counts, to the micro-dollar."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forebay.domain.machines import discounts, prices
from forebay.domain.machines.discounts import Discount
from forebay.domain.machines.offers import Offer
from forebay.domain.money.amounts import MAX_RATE_MICROS, discounted_micros

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OFFER = Offer(
    id="memory-gpu", provider="memory", pool_id="memory/house", name="GPU", description="", region="here",
    instance_type="DEDICATED", vcpus=2, memory_gb=4, storage_gb=20, gpu_type="h100", gpu_model="H100", gpu_count=1,
    gpu_memory_gb=80, os_options=["Debian 12"], rate_micros=10_000_001, storage_rate_micros=36_000,
    spot_rate_micros=4_000_000, minimum_runtime_minutes=0, interconnect_type="", interconnect_description="",
    supports_cloud_init=True, supports_pause=True, supports_ports=True, supports_live_keys=True,
    supports_session_ends=True, is_simulated=False, is_maintenance=False,
)  # fmt: skip


def discount(basis_points: int, **more: Any) -> Discount:
    values = {"starts_at": NOW, "ends_at": None, "offer_id": None, "gpu_type": None} | more
    return Discount(id="d", team_id="t", basis_points=basis_points, reason="", created_at=NOW, **values)


@pytest.mark.parametrize(
    ("rate", "basis_points", "paid"),
    [(10_000_000, 2500, 7_500_000), (10_000_001, 2500, 7_500_000), (3, 3333, 2), (1, 1, 0), (7, 10_000, 0),
     (MAX_RATE_MICROS, 1, MAX_RATE_MICROS - 2_000_000)],
)  # fmt: skip
def test_a_discounted_rate_is_rounded_down(rate: int, basis_points: int, paid: int) -> None:
    assert discounted_micros(rate, basis_points) == paid


def test_the_highest_discount_counts_and_only_where_and_when_it_holds() -> None:
    given = [
        discount(1000),
        discount(2000, gpu_type="h100", ends_at=NOW + timedelta(days=1)),
        discount(9000, offer_id="memory-other"),
        discount(9000, gpu_type="a100"),
        discount(5000, starts_at=NOW + timedelta(hours=1), ends_at=NOW + timedelta(hours=2)),
    ]

    def best(**later: float) -> int:
        return discounts.best(given, "memory-gpu", "h100", NOW + timedelta(**later))

    assert [best(), best(seconds=3599), best(hours=1), best(hours=2), best(days=1)] == [2000, 2000, 5000, 2000, 1000]
    assert discounts.best(given, "memory-gpu", "h100", NOW - timedelta(seconds=1)) == 0


def test_spot_is_paid_at_the_spot_price_and_discounted_alike() -> None:
    given = [discount(1250)]
    dedicated, spot = (prices.price(OFFER, kind, given, NOW) for kind in ("DEDICATED", "SPOT"))
    assert (dedicated.list_rate_micros, dedicated.rate_micros) == (10_000_001, 8_750_000)
    assert (spot.list_rate_micros, spot.rate_micros) == (4_000_000, 3_500_000)
    # Disks are paid in full.
    assert dedicated.storage_rate_micros == spot.storage_rate_micros == 36_000
