"""Money as integers: one credit is one US dollar is 1,000,000 micro-dollars.

No float ever takes part in a sum. JSON numbers are made here, at the edge, with decimal arithmetic, and read back here.
The bounds keep every product inside a signed 64-bit integer: SQLite turns an overflow into a float without a word.
"""

from decimal import Decimal, InvalidOperation, Overflow

MICROS_PER_DOLLAR = 1_000_000
SECONDS_PER_HOUR = 3600
CENT = Decimal("0.01")
MICROS_PER_CENT = 10_000
WHOLE_BASIS_POINTS = 10_000
"""100 percent."""

MAX_RATE_MICROS = 20_000_000_000
"""$20,000 an hour; times MAX_SPAN_SECONDS it is 6.3e18, under 2**63."""
MAX_SPAN_SECONDS = 10 * 365 * 86400
"""The longest segment: ten years."""
MAX_AMOUNT_MICROS = 1_000_000_000 * MICROS_PER_DOLLAR
"""A billion dollars: the most that one transfer may move."""


def charge_micros(rate_micros: int, seconds: int) -> int:
    """What `seconds` at `rate_micros` an hour cost from the segment's own start: the floor, in micro-dollars.

    Charging is always this, less what has been charged already, so cutting time into cycles changes nothing.
    """
    return rate_micros * seconds // SECONDS_PER_HOUR


def discounted_micros(rate_micros: int, basis_points: int) -> int:
    """A rate less a discount in hundredths of a percent, rounded down to a micro-dollar: in the team's favour.

    The one place where a discount is reckoned; what is charged is then `charge_micros` of this rate, as of any other.
    """
    return rate_micros * (WHOLE_BASIS_POINTS - basis_points) // WHOLE_BASIS_POINTS


def to_dollars(amount_micros: int) -> float:
    """The JSON number for an amount. A double holds 15 digits: exact to the micro-dollar up to $1 billion."""
    return amount_micros / MICROS_PER_DOLLAR


def to_cents(amount_micros: int) -> int:
    """Whole cents, which is what cards are charged in. Raises ValueError for a fraction of one."""
    cents, rest = divmod(amount_micros, MICROS_PER_CENT)
    if rest:
        raise ValueError(f"{amount_micros} micro-dollars are no whole number of cents")
    return cents


def from_cents(cents: int) -> int:
    """Micro-dollars."""
    return cents * MICROS_PER_CENT


def in_words(amount_micros: int) -> str:
    """An amount as people read and repeat it: dollars with cents, and as many digits more as it has."""
    dollars = Decimal(amount_micros) / MICROS_PER_DOLLAR
    return f"{dollars.quantize(CENT) if dollars == dollars.quantize(CENT) else dollars.normalize():f}"


def as_dollars(amount_micros: int) -> str:
    """An exact amount within a sentence: $1,234.50, -$0.000001."""
    text = in_words(abs(amount_micros))
    whole, _, places = text.partition(".")
    return f"{'-' if amount_micros < 0 else ''}${int(whole):,}.{places}"


def to_the_cent(amount_micros: int) -> str:
    """An amount in a sentence about what things come to, rounded: $1,234.50."""
    return f"${amount_micros / MICROS_PER_DOLLAR:,.2f}"


def in_dollars(amount_micros: int) -> str:
    """The amount in digits, all six places behind the point, for files that are reckoned with: -0.000001."""
    whole, places = divmod(abs(amount_micros), MICROS_PER_DOLLAR)
    return f"{'-' if amount_micros < 0 else ''}{whole}.{places:06}"


def from_dollars(value: int | float | str | Decimal) -> int:
    """Micro-dollars of a JSON number or a typed amount. Raises ValueError if it is no number or finer than a micro."""
    try:
        micros = Decimal(str(value)) * MICROS_PER_DOLLAR
    except (InvalidOperation, Overflow):
        raise ValueError(f"{value!r} is not an amount of money") from None
    if not micros.is_finite() or micros != micros.to_integral_value():
        raise ValueError(f"{value!r} is not a whole number of micro-dollars")
    if abs(micros) > MAX_AMOUNT_MICROS:
        raise ValueError(f"{value!r} is more than one transfer may move")
    return int(micros)
