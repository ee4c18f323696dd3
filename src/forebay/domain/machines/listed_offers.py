"""The list of offers, made of what the provider says and what operators say of it.

A price is never written over: a change of it is a record of its own (`price_changes.py`), because machines run at the
one before. An offer that can't be made is left out, and the reason is kept beside what was said.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import price_changes, provider_states
from forebay.domain.machines.offer_terms import Said, Terms, merged, of_source
from forebay.domain.machines.offers import Offer, Pool
from forebay.domain.machines.price_changes import Who
from forebay.domain.machines.prices import FIELDS
from forebay.storage.database import upsert_insert
from forebay.storage.tables import deployments, offer_terms, offers, pools

WORDS = (
    "name", "description", "region", "instance_type", "minimum_runtime_minutes", "interconnect_type",
    "interconnect_description", *FIELDS.values(),
)  # fmt: skip
"""What operators may say of any offer."""
SOURCES = ("api", "file")
"""The later one wins."""
IN_FILE = Who(source="file", reason="The offers file says so.")


class Impossible(Exception):
    """What was said makes no offer, in words."""


def sync(
    connection: Connection, provider: str, found_pools: Sequence[Pool], found: Sequence[Offer], *, now: datetime
) -> Mapping[str, str]:
    """Keep what a provider says now and make its part of the list anew; offers that can't be, with the reasons.

    What it offers no longer is unlisted, never deleted.
    """
    provider_states.lock(connection, provider, now=now)
    for pool in found_pools:
        values = msgspec.structs.asdict(pool) | {"seen_at": now}
        insert = upsert_insert(connection, pools).values(**values)
        connection.execute(insert.on_conflict_do_update(index_elements=[pools.c.id], set_=values))
    said = {offer.id: msgspec.to_builtins(offer) for offer in found}
    there = {row.id: row.found for row in connection.execute(mine(provider, offers.c.id, offers.c.found))}
    for offer in found:
        if offer.id not in there:
            values = msgspec.structs.asdict(offer) | {"is_listed": False}
            connection.execute(sa.insert(offers).values(**values, found=said[offer.id]))
    for offer_id, before in there.items():
        if before != said.get(offer_id):
            connection.execute(sa.update(offers).where(offers.c.id == offer_id).values(found=said.get(offer_id)))
    return refresh(connection, provider, Who(source="provider", reason="The provider says so."), now=now)


def mine(provider: str, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """A provider's offers."""
    return sa.select(*columns).where(offers.c.provider == provider)


def refresh(connection: Connection, provider: str, who: Who, *, now: datetime) -> Mapping[str, str]:
    """Make a provider's part of the list what it is to be; offers that can't be, with the reasons.

    Prices that change do so in the name of `who`, or of the file or the API where they come from there.
    """
    provider_states.lock(connection, provider, now=now)
    rows = {row.id: row for row in connection.execute(mine(provider, *offers.c)).all()}
    found = {row.id: to_found(row) for row in rows.values() if row.found is not None}
    said = said_of(connection, provider, rows.keys())
    takes_any_size = provider_states.takes_any_size(connection, provider)
    problems: dict[str, str] = {}
    wanted: set[str] = set()
    for offer_id in sorted(found.keys() | said.keys()):
        parts = said.get(offer_id, ())
        terms = merged([part.terms for part in parts])
        if terms.offered is False:
            continue
        try:
            offer = made(offer_id, found, terms, provider, takes_any_size=takes_any_size)
        except Impossible as reason:
            problems[offer_id] = str(reason)
            continue
        wanted.add(offer_id)
        write(connection, rows.get(offer_id), offer, parts, who, now=now)
    gone = [offer_id for offer_id, row in rows.items() if row.is_listed and offer_id not in wanted]
    if gone:
        connection.execute(sa.update(offers).where(offers.c.id.in_(gone)).values(is_listed=False))
    for offer_id, parts in said.items():
        note_problem(connection, parts, problems.get(offer_id))
    return problems


def to_found(row: sa.Row[Any]) -> Offer:
    """What the provider says of an offer; what it said nothing of when it was asked last is as on the list."""
    listed = {name: row._mapping[name] for name in Offer.__struct_fields__}
    return msgspec.convert(listed | row.found, Offer)


def said_of(connection: Connection, provider: str, known: Collection[str]) -> dict[str, list[Said]]:
    """What operators say of a provider's offers, by offer, the winner last. What is nobody's yet goes by its id."""
    by_offer: dict[str, list[Said]] = {}
    of_others = set(connection.execute(sa.select(offers.c.id).where(offers.c.provider != provider)).scalars())
    for source in SOURCES:
        for offer_id, each in of_source(connection, source).items():
            by_name = each.terms.provider or (provider if offer_id.startswith(f"{provider}-") else None)
            if offer_id in known or (by_name == provider and offer_id not in of_others):
                by_offer.setdefault(offer_id, []).append(each)
    return by_offer


def made(offer_id: str, found: Mapping[str, Offer], terms: Terms, provider: str, *, takes_any_size: bool) -> Offer:
    """The offer that comes of it. Raises Impossible."""
    words = {name: value for name in WORDS if (value := getattr(terms, name)) is not None}
    if not terms.is_own:
        if offer_id not in found:
            raise Impossible(
                f"The provider {provider} has no offer {offer_id}. One of your own needs provider, pool, vcpus, "
                "memory, storage and price."
            )
        return msgspec.structs.replace(found[offer_id], **words)
    if not takes_any_size:
        raise Impossible(f"The provider {provider} launches its own sizes alone.")
    pool_id, gpu_count = f"{provider}/{terms.pool}", terms.gpu_count or 0
    in_pool = [found[key] for key in sorted(found) if found[key].pool_id == pool_id]
    if not in_pool:
        raise Impossible(f"The provider {provider} has no pool {terms.pool}.")
    like = [offer for offer in in_pool if (offer.gpu_count > 0) == (gpu_count > 0)]
    if terms.gpu_type is not None and gpu_count:
        like = [offer for offer in like if offer.gpu_type == terms.gpu_type]
    if gpu_count and not like:
        raise Impossible(f"The pool {terms.pool} has no GPUs{f' of type {terms.gpu_type}' if terms.gpu_type else ''}.")
    if gpu_count and len({offer.gpu_type for offer in like}) > 1:
        raise Impossible(f"The pool {terms.pool} has several types of GPU: say gpu_type.")
    return own(offer_id, (like or in_pool)[0], terms, words)


def own(offer_id: str, like: Offer, terms: Terms, words: Mapping[str, Any]) -> Offer:
    """An offer of an operator's shape; what nothing is said of is as in an offer of the same pool."""
    vcpus, memory_gb, storage_gb, count = (
        terms.vcpus or 0,
        terms.memory_gb or 0,
        terms.storage_gb or 0,
        terms.gpu_count or 0,
    )
    gpus = f"{count} × {like.gpu_model or like.gpu_type}, " if count else ""
    disk_micros = (like.storage_rate_micros * storage_gb * 2 + like.storage_gb) // (2 * max(1, like.storage_gb))
    defaults = {
        "description": f"{gpus}{vcpus} vCPU, {memory_gb} GB memory, {storage_gb} GB disk.",
        "minimum_runtime_minutes": 0,
        "instance_type": "DEDICATED",
        "storage_rate_micros": disk_micros,
        "spot_rate_micros": None,
    }
    without_gpu = {} if count else {"gpu_type": "cpu", "gpu_model": "", "gpu_memory_gb": 0, "is_simulated": False}
    size = {"vcpus": vcpus, "memory_gb": memory_gb, "storage_gb": storage_gb, "gpu_count": count}
    return msgspec.structs.replace(like, id=offer_id, **(defaults | without_gpu | size | dict(words)))


def write(
    connection: Connection, row: sa.Row[Any] | None, offer: Offer, parts: Sequence[Said], who: Who, *, now: datetime
) -> None:
    """Write an offer; a price that it had before changes by record, in the name of who says it."""
    values = msgspec.structs.asdict(offer) | {"is_listed": True}
    if row is None:
        connection.execute(sa.insert(offers).values(**values, found=None))
        return
    is_new = not row.is_listed and not has_been_launched(connection, offer.id)
    for kind, field in FIELDS.items():
        current, wanted = getattr(row, field), values[field]
        if is_new or current is None or wanted is None:
            continue
        del values[field]
        speaking = next((part for part in reversed(parts) if getattr(part.terms, field) is not None), None)
        price_changes.ask(
            connection,
            offer.id,
            kind,
            current_micros=current,
            wanted_micros=wanted,
            at=None if speaking is None else speaking.terms.prices_from,
            who=IN_FILE if speaking is not None and speaking.source == "file" else who,
            now=now,
        )
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    if changed:
        connection.execute(sa.update(offers).where(offers.c.id == offer.id).values(**changed))


def has_been_launched(connection: Connection, offer_id: str) -> bool:
    """Whether somebody may pay the price that it had."""
    launched = sa.select(deployments.c.id).where(deployments.c.offer_id == offer_id).limit(1)
    return connection.execute(launched).first() is not None


def note_problem(connection: Connection, parts: Sequence[Said], problem: str | None) -> None:
    """Keep beside what was said why it makes no offer, or forget what has been mended."""
    for each in parts:
        if each.problem != problem:
            connection.execute(
                sa.update(offer_terms)
                .where(offer_terms.c.offer_id == each.offer_id, offer_terms.c.source == each.source)
                .values(problem=problem and problem[:500])
            )


def note_strays(connection: Connection, providers: Collection[str]) -> None:
    """Keep beside what was said of offers that belong to none of these providers that it makes no offer."""
    known = set(connection.execute(sa.select(offers.c.id)).scalars())
    for source in SOURCES:
        for offer_id, each in of_source(connection, source).items():
            is_theirs = any(offer_id.startswith(f"{name}-") for name in providers)
            if offer_id not in known and not (is_theirs and each.terms.provider in (None, *providers)):
                problem = f"It belongs to none of the providers here: {', '.join(sorted(providers))}."
                note_problem(connection, [each], problem)


def problems(connection: Connection) -> dict[str, str]:
    """Offers that operators speak of and that can't be, with the reasons."""
    rows = connection.execute(
        sa.select(offer_terms.c.offer_id, offer_terms.c.problem)
        .where(offer_terms.c.problem.is_not(None))
        .order_by(offer_terms.c.offer_id)
    )
    return {row.offer_id: row.problem for row in rows}
