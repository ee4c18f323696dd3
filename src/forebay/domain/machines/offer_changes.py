"""Offers as operators change them, each time recorded: who, when, from what to what, and why.

By the API an offer of one's own is made, any offer is changed field by field, or withdrawn; what runs, runs on. An
offer that the file names is changed there alone.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import listed_offers
from forebay.domain.machines.offer_terms import PRICES, SIZE, Terms, of_offer, of_source, wrong_with
from forebay.domain.machines.price_changes import Who
from forebay.domain.people import operators
from forebay.domain.people.access import Caller
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.tables import offer_terms, offers


def create(
    connection: Connection,
    caller: Caller | None,
    offer_id: str,
    terms: Terms,
    *,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> None:
    """An offer of one's own, by the API. Raises BadRequest, Conflict where there is one of this id."""
    refuse_in_file(connection, offer_id)
    if not terms.is_own:
        raise BadRequest(
            "An offer of one's own needs vcpus, memory and storage.",
            details=dict.fromkeys(SIZE, "required"),
        )
    is_there = sa.select(offers.c.id).where(offers.c.id == offer_id, offers.c.is_listed)
    if connection.execute(is_there).first() is not None:
        raise Conflict(f"There is an offer {offer_id} already: change that.", code="OFFER_EXISTS")
    write(connection, caller, offer_id, terms, "offer.create", reason=reason, now=now, by=by)


def change(
    connection: Connection,
    caller: Caller | None,
    offer_id: str,
    said: Mapping[str, Any],
    *,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> None:
    """Say something else of an offer, by the API; a field that is None is said no more.

    Raises NotFound, BadRequest, Conflict where the file names the offer.
    """
    provider_of(connection, offer_id)
    refuse_in_file(connection, offer_id)
    before = of_offer(connection, offer_id).get("api")
    kept = Terms() if before is None else before.terms
    if "prices_from" not in said and any(said.get(name) is not None for name in PRICES):
        said = {**said, "prices_from": None}
    terms = msgspec.structs.replace(kept, **said)
    write(connection, caller, offer_id, terms, "offer.change", reason=reason, now=now, by=by)


def withdraw(
    connection: Connection, caller: Caller | None, offer_id: str, *, reason: str, now: datetime, by: str | None = None
) -> None:
    """Offer it no longer; what runs, runs on at its price. Raises NotFound, Conflict where the file names the offer."""
    provider_of(connection, offer_id)
    refuse_in_file(connection, offer_id)
    before = of_offer(connection, offer_id).get("api")
    kept = Terms() if before is None else before.terms
    if kept.offered is False:
        raise Conflict(f"The offer {offer_id} is withdrawn already.", code="OFFER_WITHDRAWN")
    terms = msgspec.structs.replace(kept, offered=False)
    write(connection, caller, offer_id, terms, "offer.withdraw", reason=reason, now=now, by=by)


def write(
    connection: Connection,
    caller: Caller | None,
    offer_id: str,
    terms: Terms,
    action: str,
    *,
    reason: str,
    now: datetime,
    by: str | None,
) -> None:
    """Keep what the API says, record what it said before, and make the offer what it is to be."""
    wrong = wrong_with(offer_id, terms)
    if wrong:
        raise BadRequest("The offer can't be as it was asked for.", details=wrong)
    before = of_offer(connection, offer_id).get("api")
    put(connection, offer_id, "api", terms, now=now)
    provider = terms.provider or provider_of(connection, offer_id)
    problems = listed_offers.refresh(
        connection, provider, Who(source="api", reason=reason, caller=caller, by=by), now=now
    )
    if offer_id in problems:
        raise BadRequest(problems[offer_id], code="OFFER_IMPOSSIBLE", details={"id": problems[offer_id]})
    details = {"reason": reason, **differences(None if before is None else before.terms, terms)}
    operators.record(connection, caller, action, "offer", offer_id[:80], now=now, by=by, details=details)


def put(connection: Connection, offer_id: str, source: str, terms: Terms, *, now: datetime) -> None:
    """Keep what a source says of an offer, in the place of what it said."""
    where = sa.and_(offer_terms.c.offer_id == offer_id, offer_terms.c.source == source)
    connection.execute(sa.delete(offer_terms).where(where))
    connection.execute(
        sa.insert(offer_terms).values(
            offer_id=offer_id,
            source=source,
            terms=msgspec.to_builtins(terms),
            problem=None,
            changed_at=now,
        )
    )


def put_file(connection: Connection, found: Mapping[str, Terms], *, now: datetime) -> set[str]:
    """Let these be all that the file says; ids of the offers of which it says something else than before.

    Each is recorded with what it said before. The offers are made anew by whoever calls.
    """
    before = of_source(connection, "file")
    changed = set()
    for offer_id in sorted(found.keys() | before.keys()):
        old, new = before.get(offer_id), found.get(offer_id)
        if old is not None and old.terms == new:
            continue
        changed.add(offer_id)
        if new is None:
            connection.execute(
                sa.delete(offer_terms).where(offer_terms.c.offer_id == offer_id, offer_terms.c.source == "file")
            )
        else:
            put(connection, offer_id, "file", new, now=now)
        details = differences(None if old is None else old.terms, new or Terms()) | {"source": "file"}
        operators.record(connection, None, "offer.change", "offer", offer_id[:80], now=now, details=details)
    return changed


def differences(before: Terms | None, after: Terms) -> dict[str, Any]:
    """What changes, as [from, to] by field."""
    old = msgspec.structs.asdict(before or Terms())
    new = msgspec.structs.asdict(after)
    return {name: [shown(old[name]), shown(new[name])] for name in old if old[name] != new[name]}


def shown(value: Any) -> Any:
    """A value as JSON takes it."""
    return value.isoformat() if isinstance(value, datetime) else value


def refuse_in_file(connection: Connection, offer_id: str) -> None:
    """Raise Conflict for an offer that the file names."""
    if "file" in of_offer(connection, offer_id):
        raise Conflict(
            f"The offer {offer_id} is in the offers file (FOREBAY_OFFERS_FILE): change it there.", code="OFFER_IN_FILE"
        )


def provider_of(connection: Connection, offer_id: str) -> str:
    """Whose offer it is, or was. Raises NotFound."""
    found: str | None = connection.execute(sa.select(offers.c.provider).where(offers.c.id == offer_id)).scalar()
    if found is None:
        raise NotFound("Offer")
    return found


def providers_of(connection: Connection, offer_ids: Sequence[str]) -> set[str]:
    """Whose offers these are or were."""
    rows = connection.execute(sa.select(offers.c.provider).where(offers.c.id.in_(offer_ids)).distinct())
    return {str(row.provider) for row in rows}
