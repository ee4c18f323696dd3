"""`/api/deployments`: launch, look, rename, stop, start, terminate."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from forebay.api.call import Call, TooManyRows
from forebay.api.deployment_shapes import (
    AT_LAUNCH,
    LATER,
    CanTerminate,
    ChangedDeployment,
    CloudInit,
    Deployment,
    DeploymentList,
    Destruction,
    Ended,
    Event,
    EventPage,
    NewDeployment,
    Page,
    Termination,
    encode_list,
    to_wire,
)
from forebay.api.envelope import iso
from forebay.api.route import route
from forebay.api.usage import in_utc
from forebay.domain.machines import deployments, events, launches, overview, schedules
from forebay.domain.machines.deployments import Limits
from forebay.domain.machines.orders import Order
from forebay.domain.machines.schedules import Terms
from forebay.domain.money.amounts import from_dollars
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, NotFound


def shown(call: Call, deployment_id: str) -> Deployment:
    """One deployment as it is now."""
    row = overview.one(call.connection, deployment_id)
    if row is None:
        raise NotFound("Deployment")
    return to_wire(row, int(call.now.timestamp()))


def limits(call: Call) -> Limits:
    """What a launch or start depends on."""
    settings = call.settings
    return Limits(minimum_micros=settings.minimum_launch_micros, creations=settings.rate_limit_creations)


def is_asked_for(value: Any) -> bool:
    """Whether the value asks for anything; 0 does: a greatest cost of nothing is a wish too."""
    return value is not None and value is not False and value not in ([], {}, "")


def refuse_later(body: msgspec.Struct, table: Mapping[str, str] = LATER) -> None:
    """Raise BadRequest for a field of the table, unless it asks for nothing; else of one that can't be done yet."""
    asked = {name: why for name, why in table.items() if is_asked_for(getattr(body, name, None))}
    if asked:
        details = {
            msgspec.structs.fields(body)[body.__struct_fields__.index(name)].encode_name: why
            for name, why in asked.items()
        }
        text = "; ".join(f"{name}: {why}" for name, why in details.items())
        raise BadRequest(f"Not possible here. {text}", code="NOT_SUPPORTED", details=details)


@route(
    "POST",
    "/api/deployments",
    needs=Permission.launch,
    target=Target.team,
    target_from="body:teamId",
    body=NewDeployment,
    answers=Deployment,
    status=201,
    raises=(402,),
)
def create(call: Call, body: NewDeployment) -> Deployment:
    """Launch a machine.

    Credits for the minimum runtime, but at least for a little while, are held; capacity is reserved. Poll until
    `status` is `running`: then SSH answers. Send an `Idempotency-Key` to be able to repeat the request safely.
    """
    refuse_later(body)
    deployment_id = launches.launch(call.connection, call.team, order_of(body), limits(call), now=call.now)
    call.nudge("deployments")
    return shown(call, deployment_id)


def order_of(body: NewDeployment) -> Order:
    """What is asked for, as the domain has it."""
    return Order(
        offer_id=body.offer_id,
        provider=body.provider,
        gpu_type=body.gpu_type,
        gpu_count=body.gpu_count,
        region=body.region,
        operating_system=body.operating_system,
        instance_type=body.instance_type,
        ssh_key_id=body.ssh_key_id,
        ssh_public_key=body.ssh_public_key,
        name=body.name,
        cloud_init=None if body.cloud_init is None else cloud_init_facts(body.cloud_init),
        labels=body.labels or {},
        ports=body.ports or (),
        volume_ids=tuple(dict.fromkeys(body.volume_ids or ())),
        terms=terms(body),
        template_id=body.template_id,
    )


def terms(body: NewDeployment) -> Terms:
    """How it is to end, as far as that is said."""
    given = terms_given(body)
    return Terms(**given)


def terms_given(body: NewDeployment | ChangedDeployment) -> dict[str, Any]:
    """What is said of a machine's end, as the domain has it. Raises BadRequest."""
    given: dict[str, Any] = {}
    if body.terminate_at is not UNSET:
        given["terminate_at"] = None if body.terminate_at is None else in_utc(body.terminate_at)
    if body.max_cost is not UNSET:
        given["max_cost_micros"] = None if body.max_cost is None else micros(body.max_cost)
    if body.auto_stop_minutes is not UNSET:
        given["auto_stop_minutes"] = body.auto_stop_minutes
    if body.auto_stop_action is not UNSET:
        given["auto_stop_action"] = body.auto_stop_action
    return given


def micros(dollars: float) -> int:
    """An amount as it is kept. Raises BadRequest."""
    try:
        return from_dollars(dollars)
    except ValueError as reason:
        raise BadRequest("maxCost is not usable.", details={"maxCost": str(reason)}) from None


def cloud_init_facts(wish: CloudInit) -> dict[str, Any] | None:
    """What is kept of it, in the provider protocol's own field names; None if it asks for nothing."""
    if not (wish.packages or wish.runcmd or wish.write_files):
        return None
    return {
        "packages": wish.packages,
        "runcmd": wish.runcmd,
        "write_files": [msgspec.structs.asdict(file) for file in wish.write_files],
    }


@route(
    "GET",
    "/api/deployments",
    needs=Permission.see,
    target=Target.current,
    target_from="query:teamId",
    query=DeploymentList,
    answers=list[Deployment],
    is_inline=True,
)
def list_all(call: Call, query: DeploymentList) -> bytes:
    """The team's machines, newest first."""
    rows = overview.listed(
        call.connection, call.team.team_id, status=query.status, user_id=query.user_id, most=call.most_rows + 1
    )
    if len(rows) > call.most_rows:
        raise TooManyRows
    return encode_list(rows, int(call.now.timestamp()))


@route(
    "GET",
    "/api/deployments/{deployment_id}",
    needs=Permission.see,
    answers=Deployment,
    is_inline=True,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def show(call: Call, deployment_id: str) -> Deployment:
    """One machine, as it is now."""
    return shown(call, deployment_id)


@route(
    "PATCH",
    "/api/deployments/{deployment_id}",
    needs=Permission.see,
    body=ChangedDeployment,
    answers=Deployment,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def change(call: Call, deployment_id: str, body: ChangedDeployment) -> Deployment:
    """Rename or relabel a machine, and decide when it ends.

    `terminateAt`, `maxCost` and `autoStopMinutes` are taken off again by null.
    """
    refuse_later(body)
    refuse_later(body, AT_LAUNCH)
    deployments.update(call.connection, call.team, deployment_id, name=body.name, labels=body.labels, now=call.now)
    if given := terms_given(body):
        schedules.set_terms(call.connection, call.team, deployment_id, given, now=call.now)
        call.nudge("planned-ends")
    return shown(call, deployment_id)


@route(
    "DELETE",
    "/api/deployments/{deployment_id}",
    needs=Permission.see,
    query=Termination,
    answers=Destruction,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def terminate(call: Call, deployment_id: str, query: Termination) -> Destruction:
    """Terminate a machine: it is charged to this second and not beyond.

    Inside the minimum runtime that is refused; `when=allowed` plans it for the first second in which it isn't.
    `terminateAt` is then that second, and `PATCH` with `terminateAt` null takes it back.
    """
    if query.when == "allowed":
        at = schedules.terminate_when_allowed(call.connection, call.team, deployment_id, now=call.now)
        if at is not None:
            call.nudge("planned-ends")
            planned = shown(call, deployment_id)
            return Destruction(
                message=f"Instance destruction scheduled for {planned.terminate_at}",
                deployment=Ended(
                    id=planned.id,
                    status=planned.status,
                    stopped_at=planned.stopped_at,
                    terminate_at=planned.terminate_at or "",
                ),
            )
    deployments.terminate(call.connection, call.team, deployment_id, now=call.now)
    call.nudge("deployments")
    ended = shown(call, deployment_id)
    return Destruction(
        message="Instance destruction initiated",
        deployment=Ended(id=ended.id, status=ended.status, stopped_at=ended.stopped_at),
    )


@route(
    "GET",
    "/api/deployments/{deployment_id}/can-terminate",
    needs=Permission.see,
    answers=CanTerminate,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def can_terminate(call: Call, deployment_id: str) -> CanTerminate:
    """Whether a machine can be terminated now, and if not, when."""
    deployment = deployments.find(call.connection, deployment_id, call.team.team_id)
    found = deployments.runtime(deployment, call.now)
    reason = None
    if deployment.status not in deployments.ACTIVE:
        reason = "Instance has already ended."
    elif found.remaining > 0:
        reason = f"Instance must run for at least {found.minimum} minutes. Time remaining: {found.remaining} minutes."
    return CanTerminate(
        can_terminate=reason is None,
        runtime=found.run,
        time_remaining=found.remaining,
        minimum_runtime=found.minimum,
        reason=reason,
    )


@route(
    "POST",
    "/api/deployments/{deployment_id}/stop",
    needs=Permission.see,
    answers=Deployment,
    target=Target.deployment,
    target_from="path:deployment_id",
    raises=(400,),
)
def stop(call: Call, deployment_id: str) -> Deployment:
    """Stop a machine: its disk stays, and costs a little."""
    deployments.stop(call.connection, call.team, deployment_id, now=call.now)
    call.nudge("deployments")
    return shown(call, deployment_id)


@route(
    "POST",
    "/api/deployments/{deployment_id}/start",
    needs=Permission.see,
    answers=Deployment,
    target=Target.deployment,
    target_from="path:deployment_id",
    raises=(402,),
)
def start(call: Call, deployment_id: str) -> Deployment:
    """Start a stopped machine with the disk it had."""
    deployments.start(call.connection, call.team, deployment_id, limits(call), now=call.now)
    call.nudge("deployments")
    return shown(call, deployment_id)


@route(
    "GET",
    "/api/deployments/{deployment_id}/events",
    needs=Permission.see,
    query=Page,
    answers=EventPage,
    target=Target.deployment,
    target_from="path:deployment_id",
)
def timeline(call: Call, deployment_id: str, query: Page) -> EventPage:
    """What happened to a machine, newest first; how cloud-init ended, with its log, is part of it."""
    found, total = events.of_deployment(call.connection, deployment_id, page=query.page, limit=query.limit)
    return EventPage(
        events=[
            Event(id=event.id, at=iso(int(event.at.timestamp())) or "", kind=event.kind, message=event.message)
            for event in found
        ],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )
