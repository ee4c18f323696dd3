"""`/api/operator/providers` and `orphans`, and spot machines that are taken back."""

from typing import Annotated

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso_at
from forebay.api.operator import known, look
from forebay.api.operator_shapes import Because, Success, Words
from forebay.api.operator_stock import PoolOfPlatform, to_pool
from forebay.api.route import Needs, route
from forebay.domain.machines import capacity, orphans, provider_states, reclaims


class Found(Wire):
    """One thing that the provider needs of its surroundings."""

    name: str
    ok: bool
    required: bool
    found: str
    remedy: str


class ProviderOfPlatform(Wire):
    """A provider, as it was last seen."""

    name: str
    configured: bool
    """It is among the providers of the settings of the server that answers."""
    reachable: bool | None
    """None: it hasn't been asked yet."""
    since: str | None
    """It has been so since then."""
    observed_at: str | None
    """The last time that it said what runs."""
    observed_seconds_ago: int | None
    instances: int
    orphans: int
    last_error: str | None
    last_error_at: str | None
    pools: list[PoolOfPlatform]
    findings: list[Found]
    """What its doctor found, when it was brought up and every few minutes."""
    findings_at: str | None


class Providers(Wire):
    """All providers."""

    providers: list[ProviderOfPlatform]


class Orphan(Wire):
    """An instance that carries this cloud's mark and has no record."""

    provider: str
    instance_id: str
    team_id: str
    state: str
    found_at: str | None
    seen_at: str | None
    end_asked_at: str | None


class Orphans(Wire):
    """All of them, those first that have been there longest."""

    orphans: list[Orphan]


class Reclaim(Input):
    """A spot machine is wanted back."""

    reason: Words
    """Its team is told."""
    notice_seconds: Annotated[int, msgspec.Meta(ge=0, le=reclaims.MOST_NOTICE_SECONDS)] | None = None
    """The setting's, 120 at first, if left out."""


class Reclaiming(Wire):
    """It is being taken back."""

    deployment_id: str
    reclaim_at: str | None


@route("GET", "/api/operator/providers", needs=Needs.operator, answers=Providers, writes=True)
def providers(call: Call) -> Providers:
    """Whether each provider answers and since when, what is taken of it, and what its doctor found."""
    look(call, "providers")
    states = {state.name: state for state in provider_states.listed(call.connection)}
    pools = [to_pool(each) for each in capacity.figures(call.connection)]
    standing = orphans.standing(call.connection)
    names = [*call.services.provider_names, *(name for name in states if name not in call.services.provider_names)]
    return Providers(
        providers=[
            to_provider(
                call, name, states.get(name), [pool for pool in pools if pool.id.startswith(f"{name}/")],
                sum(orphan.provider == name for orphan in standing),
            )
            for name in names
        ]
    )  # fmt: skip


@route("GET", "/api/operator/orphans", needs=Needs.operator, answers=Orphans, writes=True)
def listed(call: Call) -> Orphans:
    """Instances that carry this cloud's mark and have no record: they cost, and nobody pays."""
    look(call, "orphans")
    return Orphans(
        orphans=[
            Orphan(
                provider=each.provider,
                instance_id=each.instance_id,
                team_id=each.team_id,
                state=each.state,
                found_at=iso_at(each.found_at),
                seen_at=iso_at(each.seen_at),
                end_asked_at=iso_at(each.end_asked_at),
            )
            for each in orphans.standing(call.connection)
        ]
    )


@route(
    "POST",
    "/api/operator/orphans/{provider}/{instance_id}/end",
    needs=Needs.operator,
    body=Because,
    answers=Success,
    is_recent=True,
)
def end_orphan(call: Call, provider: str, instance_id: str, body: Because) -> Success:
    """Have an orphan ended.

    The provider is asked until it is gone, and it is listed until then. 409 where it is being ended already.
    """
    orphans.ask_end(call.connection, call.caller, provider, instance_id, reason=body.reason, now=call.now)
    call.nudge("sightings")
    return Success(success=True)


@route(
    "POST",
    "/api/operator/deployments/{deployment_id}/reclaim",
    needs=Needs.operator,
    body=Reclaim,
    answers=Reclaiming,
    is_recent=True,
)
def reclaim(call: Call, deployment_id: str, body: Reclaim) -> Reclaiming:
    """Take a spot machine back, after notice.

    The machine is told, and its people as they wish. It ends `terminated-provider` and is charged to the second of its
    end. 409 where it was not launched as SPOT, or is being taken back already.
    """
    seconds = call.settings.reclaim_notice_seconds if body.notice_seconds is None else body.notice_seconds
    at = reclaims.by_operator(
        call.connection,
        call.caller,
        known(deployment_id, "Deployment"),
        reason=body.reason,
        seconds=seconds,
        now=call.now,
    )
    call.nudge("reclaims")
    call.nudge("notifications")
    return Reclaiming(deployment_id=deployment_id, reclaim_at=iso_at(at))


def to_provider(
    call: Call, name: str, state: provider_states.State | None, pools: list[PoolOfPlatform], orphan_count: int
) -> ProviderOfPlatform:
    """A provider as operators see it."""
    is_configured = name in call.services.provider_names
    if state is None:
        return ProviderOfPlatform(
            name=name, configured=is_configured, reachable=None, since=None, observed_at=None,
            observed_seconds_ago=None, instances=0, orphans=orphan_count, last_error=None, last_error_at=None,
            pools=pools, findings=[], findings_at=None,
        )  # fmt: skip
    age = None if state.observed_at is None else int((call.now - state.observed_at).total_seconds())
    return ProviderOfPlatform(
        name=name,
        configured=is_configured,
        reachable=state.is_reachable if state.observed_at or state.last_error_at else None,
        since=iso_at(state.since),
        observed_at=iso_at(state.observed_at),
        observed_seconds_ago=age,
        instances=state.instances,
        orphans=orphan_count,
        last_error=state.last_error,
        last_error_at=iso_at(state.last_error_at),
        pools=pools,
        findings=[
            Found(
                name=each["name"],
                ok=each["is_ok"],
                required=each["is_required"],
                found=each["found"],
                remedy=each["remedy"],
            )
            for each in state.findings or []
        ],
        findings_at=iso_at(state.findings_at),
    )
