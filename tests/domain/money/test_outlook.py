"""How a team stands, in figures and in words."""

import pytest

from forebay.domain.money.outlook import Outlook, lasting
from tests.domain.money.books import DOLLAR


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 minute"),
        (3599, "59 minutes"),
        (3600, "about 1 hour"),
        (2 * 86400 - 1, "about 47 hours"),
        (2 * 86400, "about 2 days"),
        (400_000 * 86400, "about 400,000 days"),
    ],
)
def test_how_long(seconds: int, words: str) -> None:
    assert lasting(seconds) == words


def outlook(balance_micros: int, burn_micros_per_hour: int) -> Outlook:
    return Outlook(balance_micros=balance_micros, held_micros=DOLLAR, burn_micros_per_hour=burn_micros_per_hour)


def test_in_words() -> None:
    assert outlook(81 * DOLLAR, 8_100_000).runway == "The credits last about 10 hours at $8.10 an hour."
    assert outlook(81 * DOLLAR, 8_100_000).runway_seconds == 36_000
    assert outlook(81 * DOLLAR, 8_100_000).available_micros == 80 * DOLLAR
    for balance in (0, -1):
        assert outlook(balance, 1).runway == "The credits are used up."
        assert outlook(balance, 1).runway_seconds == 0
    assert outlook(-1, 0).runway == "Nothing that costs is running."
    assert outlook(5, 0).runway_seconds is None
