"""The offers file: what it says, and that every mistake is named with its line, the offer and the field."""

from datetime import UTC, datetime

import pytest

from forebay.domain.machines import offers_file
from forebay.domain.machines.offer_terms import Terms
from forebay.domain.machines.offers_file import Mistakes

GOOD = '''
# Prices are dollars an hour.
[[offers]]
id = "local-cpu-small"
price = 0.03
spot_price = "0.000001"
storage_price = 0
minimum_runtime_minutes = 20
description = """small
"""

[[offers]]
id = "local-big"
provider = "local"
pool = "local"
name = "Big"
vcpus = 16
memory = 64
storage = 500
gpu_count = 2
gpu_type = "h100"
price = 12.5
price_from = 2026-12-01T01:00:00+01:00
region = "north"
interconnect_type = "NVLink"
interconnect_description = "both ways"

[[offers]]
id = "local-cpu-large"
offered = false
'''.replace('"""small\n"""', '"small"')


def test_it_says_prices_and_shapes() -> None:
    found = offers_file.read(GOOD)
    assert found["local-cpu-small"] == Terms(
        rate_micros=30_000, spot_rate_micros=1, storage_rate_micros=0, minimum_runtime_minutes=20, description="small"
    )
    assert found["local-big"] == Terms(
        provider="local", pool="local", name="Big", vcpus=16, memory_gb=64, storage_gb=500, gpu_count=2,
        gpu_type="h100", rate_micros=12_500_000, prices_from=datetime(2026, 12, 1, tzinfo=UTC), region="north",
        interconnect_type="NVLink", interconnect_description="both ways",
    )  # fmt: skip
    assert found["local-cpu-large"] == Terms(offered=False)
    assert offers_file.read("") == {}


@pytest.mark.parametrize(
    ("text", "line", "where"),
    [
        ('[[offers]]\nid = "a"\nprice = ', 3, ""),
        ('[[offers]]\n\nprice = 1\n', 1, "offer 1, id"),
        ('[[offers]]\nid = "A B"\n', 2, "offer A B, id"),
        ('[[offers]]\nid = "a"\n# dear\nprice = "much"\n', 4, "offer a, price"),
        ('[[offers]]\nid = "a"\nprice = 0.0000001\n', 3, "offer a, price"),
        ('[[offers]]\nid = "a"\nprice = -1\n', 3, "offer a, price"),
        ('[[offers]]\nid = "a"\nprice = nan\n', 3, "offer a, price"),
        ('[[offers]]\nid = "a"\nprice = 20001\n', 3, "offer a, price"),
        ('[[offers]]\nid = "a"\nprice = true\n', 3, "offer a, price"),
        ('[[offers]]\nid = "a"\nprise = 1\n', 3, "offer a, prise"),
        ('[[offers]]\nid = "a"\n[[offers]]\nid = "b"\nvcpus = 2\n', 3, "offer b, memory"),
        ('[[offers]]\nid = "a"\npool = "x"\n', 3, "offer a, pool"),
        ('[[offers]]\nid = "a"\n[[offers]]\nid = "a"\n', 4, "offer a, id"),
        ('[[offers]]\nid = "a"\nminimum_runtime_minutes = 1.5\n', 3, "offer a, minimum_runtime_minutes"),
        ('[[offers]]\nid = "a"\nname = """\nx = 1\n"""\nprice = x\n', 6, ""),
        ('[[offers]]\nid = "a"\nprice = 1\nprice_from = 2026-12-01\n', 4, "offer a, price_from"),
        ('[[offers]]\nid = "a"\nprice_from = 2026-12-01T00:00:00Z\n', 3, "offer a, price_from"),
        ('[[offers]]\nid = "a"\nprice = 1\nspot_price = 1\ninstance_type = "SPOT"\n', 4, "offer a, spot_price"),
        ('prices = 1\n', 1, "prices"),
        ('offers = 1\n', 1, "offers"),
        ('[[offers]]\nid = "b-big"\nprovider = "a"\npool = "p"\nname = "n"\nprice = 1\nvcpus = 1\nmemory = 1\n'
         "storage = 1\n", 2, "offer b-big, id"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(text: str, line: int, where: str) -> None:
    with pytest.raises(Mistakes) as caught:
        offers_file.read(text)
    first = caught.value.found[0]
    assert (first.line, first.where) == (line, where), str(caught.value)
    assert str(first).startswith(f"line {line}: ")


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(Mistakes) as caught:
        offers_file.read('[[offers]]\nid = "a"\nprice = "x"\nvcpus = 0\n[[offers]]\nid = "b"\noffered = 1\n')
    assert [mistake.line for mistake in caught.value.found] == [3, 4, 7]
