"""Amounts as sentences have them."""

import pytest

from forebay.domain.money.amounts import as_dollars
from forebay.errors import InsufficientBalance


@pytest.mark.parametrize(
    ("micros", "said"),
    [
        (0, "$0.00"),
        (10_000, "$0.01"),
        (1, "$0.000001"),
        (-1_234_500_000, "-$1,234.50"),
        (12_345_000_000, "$12,345.00"),
        (999_999_999_999, "$999,999.999999"),
        (100_000_000_000_000, "$100,000,000.00"),
    ],
)
def test_they_are_exact_and_have_their_thousands(micros: int, said: str) -> None:
    assert as_dollars(micros) == said


def test_so_does_what_is_missing() -> None:
    assert "needs $12,345.00 of" in str(
        InsufficientBalance(needed_micros=12_345_000_000, available_micros=1_000_000).sentence
    )
