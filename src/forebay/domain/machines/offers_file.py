"""The offers file: offers and prices as an operator writes them down, in TOML, read from its text.

Every mistake is named with its line, the offer and the field; a file with a mistake in it counts for nothing.
Prices are dollars an hour, exact to the micro-dollar. docs/operating.md has an example with every field.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from forebay.domain.machines.offer_terms import Terms, wrong_with
from forebay.domain.money.amounts import MAX_RATE_MICROS, from_dollars

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
DOLLARS = {"price": "rate_micros", "spot_price": "spot_rate_micros", "storage_price": "storage_rate_micros"}
TEXTS: Mapping[str, tuple[str, int]] = {
    "name": ("name", 120),
    "description": ("description", 500),
    "region": ("region", 60),
    "provider": ("provider", 40),
    "pool": ("pool", 80),
    "gpu_type": ("gpu_type", 60),
    "interconnect_type": ("interconnect_type", 60),
    "interconnect_description": ("interconnect_description", 200),
}
"""By the name in the file: the field, and its most characters."""
NUMBERS: Mapping[str, tuple[str, int, int]] = {
    "vcpus": ("vcpus", 1, 4096),
    "memory": ("memory_gb", 1, 65536),
    "storage": ("storage_gb", 1, 1_000_000),
    "gpu_count": ("gpu_count", 0, 1024),
    "minimum_runtime_minutes": ("minimum_runtime_minutes", 0, 43_200),
}
OTHERS = {"instance_type": "instance_type", "price_from": "prices_from", "offered": "offered"}
NAMES: Mapping[str, str] = {
    "id": "id",
    **DOLLARS,
    **OTHERS,
    **{name: field for name, (field, _) in TEXTS.items()},
    **{name: field for name, (field, _, _) in NUMBERS.items()},
}
"""What each field of an offer is called in the file, and in `Terms`."""
IN_FILE = {field: name for name, field in NAMES.items()}


class Mistake(msgspec.Struct, frozen=True):
    """Something that can't be meant, and where it stands; line 0 where that isn't known."""

    line: int
    where: str
    text: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{f'{self.where}: ' if self.where else ''}{self.text}"


class Mistakes(ValueError):
    """All that is wrong with a file."""

    def __init__(self, found: list[Mistake]) -> None:
        super().__init__("; ".join(map(str, found)))
        self.found = found


def read(text: str) -> dict[str, Terms]:
    """What a file says, by offer. Raises Mistakes."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as reason:
        line = re.search(r"line (\d+)", str(reason))
        number = int(line.group(1)) if line else len(text.splitlines())
        raise Mistakes([Mistake(number, "", f"no TOML: {reason}")]) from None
    places, wrong = Places(text), []
    for name in document.keys() - {"offers"}:
        wrong.append(Mistake(places.of_key(name), name, "no such field: a file has [[offers]] and nothing else"))
    listed = document.get("offers", [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise Mistakes([Mistake(places.of_key("offers"), "offers", "must be tables: [[offers]]")])
    found: dict[str, Terms] = {}
    for index, table in enumerate(listed):
        offer_id, terms, mistakes = read_offer(table)
        if not mistakes and offer_id in found:
            mistakes = {"id": "an offer of this id stands above already"}
        label = f"offer {offer_id}" if offer_id else f"offer {index + 1}"
        wrong += [Mistake(places.of_field(index, name), f"{label}, {name}", says) for name, says in mistakes.items()]
        found[offer_id] = terms
    if wrong:
        raise Mistakes(sorted(wrong, key=lambda mistake: (mistake.line, mistake.where)))
    return found


def read_offer(table: Mapping[str, Any]) -> tuple[str, Terms, dict[str, str]]:
    """The id, what is said, and what is wrong by field, of one table."""
    wrong: dict[str, str] = {}
    said: dict[str, Any] = {}
    offer_id = table.get("id", "")
    if not isinstance(offer_id, str) or ID.fullmatch(offer_id) is None:
        wrong["id"] = "needed: the offer's id as in the catalogue, in [a-z0-9-], at most 80 characters"
        offer_id = offer_id if isinstance(offer_id, str) and offer_id.isprintable() else ""
    for name, value in table.items():
        if name == "id":
            continue
        if name not in NAMES:
            wrong[name] = f"there is no such field; there are {', '.join(sorted(NAMES))}"
            continue
        try:
            said[NAMES[name]] = value_of(name, value)
        except ValueError as reason:
            wrong[name] = str(reason)
    terms = Terms(**said)
    if not wrong:
        wrong = {IN_FILE[field]: says for field, says in wrong_with(offer_id, terms).items()}
    return offer_id, terms, wrong


def value_of(name: str, value: Any) -> Any:
    """A value as `Terms` has it. Raises ValueError with what it must be."""
    if name in DOLLARS:
        return rate_of(value)
    if name in TEXTS:
        return text_of(value, TEXTS[name][1])
    if name in NUMBERS:
        _, least, most = NUMBERS[name]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value
    if name == "offered":
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if name == "instance_type":
        if value not in ("DEDICATED", "SPOT"):
            raise ValueError("must be DEDICATED or SPOT")
        return value
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("must be a moment with its time zone, like 2026-12-01T00:00:00Z")
    return value.astimezone(UTC).replace(microsecond=0)


def rate_of(value: Any) -> int:
    """Micro-dollars an hour of dollars an hour. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError("must be dollars an hour, like 2.50")
    try:
        micros = from_dollars(value)
    except ValueError:
        raise ValueError("must be dollars an hour with at most six places behind the point, like 2.50") from None
    if not 0 <= micros <= MAX_RATE_MICROS:
        raise ValueError(f"must be from 0 to {MAX_RATE_MICROS // 1_000_000} dollars an hour")
    return micros


def text_of(value: Any, most: int) -> str:
    """A line of text. Raises ValueError."""
    if not isinstance(value, str) or not value.strip() or len(value) > most or not value.isprintable():
        raise ValueError(f"must be 1 to {most} printable characters")
    return value.strip()


class Places:
    """Where tables and fields stand in a file: TOML's own reader doesn't tell."""

    def __init__(self, text: str) -> None:
        self.offers: list[tuple[int, dict[str, int]]] = []
        """Of each [[offers]] its line, and the lines of its fields."""
        self.keys: dict[str, int] = {}
        quotes = ""
        for number, line in enumerate(text.splitlines(), start=1):
            if not quotes:
                self.note(line, number)
            for mark in ('"""', "'''"):
                if quotes in ("", mark) and line.count(mark) % 2:
                    quotes = "" if quotes else mark

    def note(self, line: str, number: int) -> None:
        """One line that is no part of a longer text."""
        if re.match(r"\s*\[\[\s*[\"']?offers[\"']?\s*\]\]", line):
            self.offers.append((number, {}))
        elif key := re.match(r"\s*\[?\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*[=.\]]", line):
            fields = self.offers[-1][1] if self.offers else self.keys
            fields.setdefault(key.group(1), number)
            self.keys.setdefault(key.group(1), number)

    def of_key(self, name: str) -> int:
        """The line of a field outside of any offer."""
        return self.keys.get(name, 0)

    def of_field(self, index: int, name: str) -> int:
        """The line of a field of an offer, or of the offer where it has none."""
        if index >= len(self.offers):
            return 0
        line, fields = self.offers[index]
        return fields.get(name, line)
