"""Amounts of money and stretches of time, as commands take and print them."""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from forebay.cli.here import refuse_usage, visible

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Since = Annotated[str | None, typer.Option(help="From this day or moment on, in UTC, as 2026-03-01.")]
Until = Annotated[str | None, typer.Option(help="Before this day or moment.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets, all of it.")]


MOST_DOLLARS = 10**12


def figure(text: str) -> float:
    """An amount of dollars as it was typed. Ends the program for what is none."""
    try:
        found = Decimal(text.strip().removeprefix("$").replace(",", ""))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or abs(found) > MOST_DOLLARS:
        refuse_usage(f"{visible(text)!r} is no amount of money.")
    return float(found)


def dollars(amount: float) -> str:
    """An amount as people read it: cents, and more digits where there are more."""
    exact = f"{abs(amount):,.6f}"
    return ("-$" if amount < 0 else "$") + exact[:-4] + exact[-4:].rstrip("0")


def lasting(seconds: int) -> str:
    """A stretch of time, rounded down."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}s"
    return f"{seconds} seconds"


def moment(text: str | None) -> str | None:
    """A day as the moment that it begins in UTC; moments as they are."""
    return f"{text}T00:00:00Z" if text is not None and DATE.fullmatch(text) else text
