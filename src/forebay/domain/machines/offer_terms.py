"""What operators say of offers: other prices and words for a provider's offers, and offers of their own.

Three say what an offer is: the provider, the API (with `forebay operator offers`), and the file that the settings name.
Where they differ the file wins over the API, field by field, and the API over the provider. An offer that the file
names is changed in the file alone: the API refuses it (`offer_changes.py`), so that nobody wonders which counts.
What comes of it is the list (`listed_offers.py`), made anew whenever one of the three says something else.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.storage.tables import offer_terms

SIZE = ("vcpus", "memory_gb", "storage_gb")
PRICES = ("rate_micros", "spot_rate_micros", "storage_rate_micros")


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is said of an offer. None: nothing is. With the three sizes it is an offer of one's own."""

    provider: str | None = None
    pool: str | None = None
    """The pool's name at the provider."""
    name: str | None = None
    description: str | None = None
    region: str | None = None
    vcpus: int | None = None
    memory_gb: int | None = None
    storage_gb: int | None = None
    gpu_count: int | None = None
    gpu_type: str | None = None
    instance_type: Literal["DEDICATED", "SPOT"] | None = None
    minimum_runtime_minutes: int | None = None
    interconnect_type: str | None = None
    interconnect_description: str | None = None
    rate_micros: int | None = None
    spot_rate_micros: int | None = None
    storage_rate_micros: int | None = None
    prices_from: datetime | None = None
    """The prices hold from then; until then those that there are now do."""
    offered: bool | None = None
    """False: it is withdrawn."""

    @property
    def is_own(self) -> bool:
        """Whether it is an offer of one's own shape."""
        return self.vcpus is not None

    def said(self) -> dict[str, Any]:
        """What is said, by field."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of one source."""

    offer_id: str
    source: str
    terms: Terms
    problem: str | None
    """Why it makes no offer, in words."""


def of_source(connection: Connection, source: str) -> dict[str, Said]:
    """All that one source says, by offer."""
    rows = connection.execute(sa.select(offer_terms).where(offer_terms.c.source == source))
    return {row.offer_id: to_said(row) for row in rows}


def of_offer(connection: Connection, offer_id: str) -> dict[str, Said]:
    """All that is said of one offer, by source."""
    rows = connection.execute(sa.select(offer_terms).where(offer_terms.c.offer_id == offer_id))
    return {row.source: to_said(row) for row in rows}


def to_said(row: sa.Row[Any]) -> Said:
    """A row as a value."""
    terms = msgspec.convert(row.terms, Terms)
    return Said(offer_id=row.offer_id, source=row.source, terms=terms, problem=row.problem)


def merged(parts: Sequence[Terms]) -> Terms:
    """What all of them say, the later ones winning."""
    said: dict[str, Any] = {}
    for part in parts:
        said |= part.said()
    return Terms(**said)


def wrong_with(offer_id: str, terms: Terms) -> dict[str, str]:
    """What can't be meant, by field: of the file and of the API alike."""
    wrong = wrong_with_shape(offer_id, terms)
    if terms.instance_type == "SPOT" and terms.spot_rate_micros is not None:
        wrong["spot_rate_micros"] = "the price of a SPOT offer is its spot price already"
    if terms.gpu_count and terms.gpu_type == "cpu":
        wrong["gpu_type"] = "cpu is an offer without GPUs"
    if terms.prices_from is not None and all(getattr(terms, name) is None for name in PRICES):
        wrong["prices_from"] = "says from when a price holds, and there is none"
    return wrong


def wrong_with_shape(offer_id: str, terms: Terms) -> dict[str, str]:
    """Of an offer of one's own all of its shape is needed, of a provider's none."""
    sizes = [name for name in SIZE if getattr(terms, name) is not None]
    if not sizes:
        not_here = [name for name in ("provider", "pool", "gpu_count", "gpu_type") if getattr(terms, name) is not None]
        return dict.fromkeys(not_here, "belongs to an offer of one's own, with vcpus, memory and storage")
    wrong = {name: "an offer of one's own needs vcpus, memory and storage" for name in SIZE if name not in sizes}
    for name in ("provider", "pool", "name", "rate_micros"):
        if getattr(terms, name) is None:
            wrong[name] = "an offer of one's own needs it"
    if terms.provider is not None and not offer_id.startswith(f"{terms.provider}-"):
        wrong["id"] = f"the id of an offer of one's own begins with its provider: {terms.provider}-…"
    return wrong
