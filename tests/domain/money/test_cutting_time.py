"""However the time of a segment is cut into cycles, its charge is the same."""

from hypothesis import given
from hypothesis import strategies as st

from forebay.domain.money.amounts import MAX_RATE_MICROS, MAX_SPAN_SECONDS, charge_micros

rates = st.integers(0, MAX_RATE_MICROS)
cuts = st.lists(st.integers(0, MAX_SPAN_SECONDS), min_size=1, max_size=30)


@given(rates, cuts)
def test_any_way_to_cut_time_gives_the_same_charge(rate_micros: int, moments: list[int]) -> None:
    charged = 0
    for moment in sorted(moments):
        due = charge_micros(rate_micros, moment) - charged
        assert due >= 0
        charged += due
    assert charged == rate_micros * max(moments) // 3600


@given(rates, st.integers(0, MAX_SPAN_SECONDS))
def test_no_product_leaves_64_bits(rate_micros: int, seconds: int) -> None:
    assert rate_micros * seconds < 2**63
    assert charge_micros(rate_micros, seconds) * 3600 <= rate_micros * seconds
