"""`/api/operator/stock`, `maintenance` and `capacity`: what is held back, and what takes the rest."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso_at
from forebay.api.operator import look
from forebay.api.operator_shapes import Paged, Success, Words
from forebay.api.route import Needs, route
from forebay.domain.machines import capacity, restrictions
from forebay.domain.machines.restrictions import Restriction
from forebay.errors import BadRequest

Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Scope = Literal["offer", "pool", "region", "provider"]


class Cap(Input):
    """So many machines at most."""

    scope: Literal["offer", "pool"]
    subject: Subject
    """The offer's id, or the pool's: `<provider>/<pool>`."""
    most: Annotated[int, msgspec.Meta(ge=0, le=restrictions.MOST_MACHINES)]
    """Machines that may be there at once, stopped ones included. 0: no more."""
    reason: Words


class Uncap(Input):
    """No limit any more."""

    scope: Literal["offer", "pool"]
    subject: Subject
    reason: Words


class Maintenance(Input):
    """No launches."""

    scope: Scope
    subject: Subject
    """The id of the offer or pool, or the name of the region or provider."""
    reason: Words
    """Who wants to launch is told."""
    until: str | None = None
    """When it is expected to be over; it ends when somebody ends it."""


class MaintenanceOver(Input):
    """Launches again."""

    scope: Scope
    subject: Subject
    reason: Words


class HeldBack(Wire):
    """One thing that is held back."""

    kind: Literal["stock", "maintenance"]
    scope: Scope
    subject: str
    most: int | None
    until: str | None
    reason: str
    since: str | None


class AllHeldBack(Wire):
    """All that is held back now."""

    restrictions: list[HeldBack]


class Measures(Wire):
    """Virtual CPUs, GB of memory, GB of disk, GPUs."""

    vcpus: int
    memory: int
    storage: int
    gpus: int


class PoolOfPlatform(Wire):
    """A pool, and what of it is taken."""

    id: str
    total: Measures
    taken: Measures
    free: Measures
    machines: int
    """Stopped ones too, and those whose end the provider hasn't confirmed."""
    most: int | None
    maintenance: bool
    seen_at: str | None
    """The provider last named it then."""


class Pools(Wire):
    """All pools."""

    pools: list[PoolOfPlatform]


class TakerSearch(Paged):
    """Machines of a pool, of an offer, or all."""

    pool_id: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    offer_id: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class Taker(Wire):
    """A machine that takes capacity."""

    deployment_id: str
    name: str
    team_id: str
    team_name: str
    created_by: str
    created_by_name: str
    offer_id: str
    pool_id: str
    status: str
    since: str | None
    vcpus: int
    memory: int
    storage: int
    gpu_count: int


class Takers(Wire):
    """A page of them; who was there first is first."""

    machines: list[Taker]
    total: int
    page: int
    limit: int
    total_pages: int


@route("GET", "/api/operator/restrictions", needs=Needs.operator, answers=AllHeldBack, writes=True)
def held_back(call: Call) -> AllHeldBack:
    """What is capped, and what is under maintenance."""
    look(call, "restrictions")
    return AllHeldBack(restrictions=[to_held_back(each) for each in restrictions.listed(call.connection)])


@route("PUT", "/api/operator/stock", needs=Needs.operator, body=Cap, answers=Success, raises=(404,), is_recent=True)
def cap(call: Call, body: Cap) -> Success:
    """Let at most so many machines of an offer or in a pool be there at once.

    Stopped ones count too. What is there beyond that runs on.
    """
    restrictions.cap_stock(
        call.connection, call.caller, body.scope, body.subject, body.most, reason=body.reason, now=call.now
    )
    return Success(success=True)


@route(
    "DELETE", "/api/operator/stock", needs=Needs.operator, body=Uncap, answers=Success, raises=(404,), is_recent=True
)
def uncap(call: Call, body: Uncap) -> Success:
    """Let there be as many as fit again."""
    restrictions.lift(call.connection, call.caller, "stock", body.scope, body.subject, reason=body.reason, now=call.now)
    return Success(success=True)


@route(
    "PUT",
    "/api/operator/maintenance",
    needs=Needs.operator,
    body=Maintenance,
    answers=Success,
    raises=(404,),
    is_recent=True,
)
def begin(call: Call, body: Maintenance) -> Success:
    """Let nothing of an offer, pool, region or provider be launched.

    What runs, runs on, and what is stopped starts again.
    """
    until_at = None if body.until is None else moment_of(body.until)
    restrictions.begin_maintenance(
        call.connection, call.caller, body.scope, body.subject, until_at=until_at, reason=body.reason, now=call.now
    )
    return Success(success=True)


@route(
    "DELETE",
    "/api/operator/maintenance",
    needs=Needs.operator,
    body=MaintenanceOver,
    answers=Success,
    raises=(404,),
    is_recent=True,
)
def end(call: Call, body: MaintenanceOver) -> Success:
    """Let it be launched again."""
    restrictions.lift(
        call.connection, call.caller, "maintenance", body.scope, body.subject, reason=body.reason, now=call.now
    )
    return Success(success=True)


@route("GET", "/api/operator/pools", needs=Needs.operator, answers=Pools, writes=True)
def pools(call: Call) -> Pools:
    """What each pool has, and what of it is taken."""
    look(call, "pools")
    return Pools(pools=[to_pool(each) for each in capacity.figures(call.connection)])


@route("GET", "/api/operator/capacity", needs=Needs.operator, query=TakerSearch, answers=Takers, writes=True)
def takers(call: Call, query: TakerSearch) -> Takers:
    """Which machines take capacity, whose they are and since when, stopped ones too."""
    look(call, "capacity")
    found, total = capacity.takers(
        call.connection, pool_id=query.pool_id, offer_id=query.offer_id, page=query.page, limit=query.limit
    )
    return Takers(
        machines=[to_taker(each) for each in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


def moment_of(text: str, field: str = "until") -> datetime:
    """A moment of a client. Raises BadRequest."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        reason = "must be a moment, like 2026-12-01T00:00:00Z"
        raise BadRequest("This is no moment.", details={field: reason}) from None


def to_held_back(found: Restriction) -> HeldBack:
    """A restriction as operators see it."""
    return HeldBack(
        kind=found.kind,  # type: ignore[arg-type]
        scope=found.scope,  # type: ignore[arg-type]
        subject=found.subject,
        most=found.most,
        until=iso_at(found.until_at),
        reason=found.reason,
        since=iso_at(found.set_at),
    )


def to_pool(found: capacity.PoolFigures) -> PoolOfPlatform:
    """A pool as operators see it."""
    free = [of - taken for of, taken in zip(found.total, found.taken, strict=True)]
    return PoolOfPlatform(
        id=found.id,
        total=measures(found.total),
        taken=measures(found.taken),
        free=measures(free),
        machines=found.machines,
        most=found.most,
        maintenance=found.is_maintenance,
        seen_at=iso_at(found.seen_at),
    )


def measures(found: tuple[int, ...] | list[int]) -> Measures:
    """Four figures."""
    vcpus, memory, storage, gpus = found
    return Measures(vcpus=vcpus, memory=memory, storage=storage, gpus=gpus)


def to_taker(found: capacity.Taker) -> Taker:
    """A machine that takes capacity, as operators see it."""
    return Taker(
        deployment_id=found.deployment_id,
        name=found.name,
        team_id=found.team_id,
        team_name=found.team_name,
        created_by=found.created_by,
        created_by_name=found.created_by_name,
        offer_id=found.offer_id,
        pool_id=found.pool_id,
        status=found.status,
        since=iso_at(found.created_at),
        vcpus=found.vcpus,
        memory=found.memory_gb,
        storage=found.storage_gb,
        gpu_count=found.gpu_count,
    )
