"""Deployments as people use them: launch, look, rename, stop, start, terminate.

Each verb checks, moves the money and writes what is desired, in the caller's one transaction; the reconciler brings
it about afterwards. An accepted stop or terminate ends the segment at that second, whatever the provider takes to
comply; capacity stays taken until the provider confirms. `domain/machines/lifecycle.py` is the other side: what the
provider reported.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.machines import announcements, budgets, planned_ends, volume_attachments
from forebay.domain.machines.events import note
from forebay.domain.money import holds, metering
from forebay.domain.money.amounts import charge_micros
from forebay.domain.people import activity, teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import (
    BadRequest,
    CannotTerminate,
    Conflict,
    Forbidden,
    MinimumRuntimeNotMet,
    NotFound,
)
from forebay.storage.tables import deployments, segments

UNSEEN_SECONDS = 120
"""Machines are looked at every few seconds; one that was not seen for so long may not have run."""


class Status(StrEnum):
    """What clients of the API see."""

    deploying = "deploying"
    running = "running"
    stopped = "stopped"
    failed = "failed"
    terminated = "terminated"
    terminated_provider = "terminated-provider"


class Desired(StrEnum):
    """What the provider is to bring about."""

    running = "running"
    stopped = "stopped"
    terminated = "terminated"


ACTIVE = (Status.deploying, Status.running, Status.stopped)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Settings a launch depends on."""

    minimum_micros: int
    """Available credits that a launch needs at least."""
    creations: int
    """Deployments a user may create in a quarter of an hour."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment's own columns."""

    id: str
    team_id: str
    created_by: str
    name: str
    status: Status
    desired: Desired
    provider: str
    pool_id: str
    offer_id: str
    instance_type: str
    region: str
    operating_system: str
    gpu_type: str
    gpu_model: str
    gpu_count: int
    vcpus: int
    memory_gb: int
    storage_gb: int
    rate_micros: int
    storage_rate_micros: int
    minimum_runtime_minutes: int
    supports_pause: bool
    ssh_key_id: str
    is_ssh_key_temporary: bool
    cloud_init: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    stopped_at: datetime | None
    stopped_for_credits_at: datetime | None
    deploying_since: datetime | None
    gone_at: datetime | None
    attempts: int
    is_cloud_init_pending: bool
    error: str | None
    terminate_at: datetime | None
    max_cost_micros: int | None
    auto_stop_minutes: int | None
    auto_stop_action: str | None
    idle_since: datetime | None
    idle_told_at: datetime | None

    @property
    def has_planned_end(self) -> bool:
        """Whether somebody wants it terminated at a time or at a cost."""
        return self.terminate_at is not None or self.max_cost_micros is not None


COLUMNS = [deployments.c[name] for name in Deployment.__struct_fields__]


def to_deployment(row: sa.Row[*tuple[Any, ...]]) -> Deployment:
    """A row as a value."""
    found = row._mapping
    values = {name: found[name] for name in Deployment.__struct_fields__}
    return Deployment(**(values | {"status": Status(found["status"]), "desired": Desired(found["desired"])}))


def lock(connection: Connection, deployment_id: str, team_id: str | None = None) -> Deployment:
    """The deployment, locked until the transaction ends.

    Raises NotFound, also if it is another team's than `team_id`.
    """
    statement = sa.select(*COLUMNS).where(deployments.c.id == deployment_id).with_for_update()
    if team_id is not None:
        statement = statement.where(deployments.c.team_id == team_id)
    row = connection.execute(statement).first()
    if row is None:
        raise NotFound("Deployment")
    return to_deployment(row)


ONE_OF_TEAM = sa.select(*COLUMNS).where(
    deployments.c.id == sa.bindparam("deployment_id"), deployments.c.team_id == sa.bindparam("team_id")
)


def find(connection: Connection, deployment_id: str, team_id: str) -> Deployment:
    """The deployment of the team, as it is now. Raises NotFound."""
    row = connection.execute(ONE_OF_TEAM, {"deployment_id": deployment_id, "team_id": team_id}).first()
    if row is None:
        raise NotFound("Deployment")
    return to_deployment(row)


def change(connection: Connection, deployment_id: str, **values: Any) -> None:
    """Write columns of one deployment."""
    connection.execute(sa.update(deployments).where(deployments.c.id == deployment_id).values(**values))


def check_name(name: str) -> str:
    """A deployment's name, trimmed.

    Raises BadRequest for an empty one, one over 60 characters, or one with control characters.
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > 60 or any(unicodedata.category(letter) in ("Cc", "Cs", "Cf") for letter in name):
        raise BadRequest("The name is not usable.", details={"name": "1 to 60 characters, no control characters"})
    return name


def check_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """At most 32 labels of printable text. Raises BadRequest."""
    for key, value in labels.items():
        if not key or len(key) > 63 or len(value) > 255 or not (key + value).isprintable():
            reason = f"{key[:63]!r}: names of 1 to 63 and values of at most 255 printable characters"
            raise BadRequest("A label is not usable.", details={"labels": reason})
    if len(labels) > 32:
        raise BadRequest("Too many labels.", details={"labels": "at most 32"})
    return dict(labels)


def labels_of(connection: Connection, deployment_id: str) -> dict[str, str]:
    """The labels of a deployment; none for what is no deployment."""
    found = connection.execute(sa.select(deployments.c.labels).where(deployments.c.id == deployment_id)).scalar()
    return dict(found or {})


def slug(text: str) -> str:
    """The text in [a-z0-9-]."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", folded).strip("-")[:50] or "machine"


def hold_micros(rate_micros: int, minimum_runtime_minutes: int, minimum_micros: int) -> int:
    """What a launch or start must have available, and holds.

    The price of the minimum runtime, but at least the minimum.
    """
    return max(minimum_micros, charge_micros(rate_micros, minimum_runtime_minutes * 60))


def refuse_frozen(context: TeamContext) -> None:
    """Raise Forbidden if the operator has frozen the team."""
    if context.is_frozen:
        raise Forbidden(
            f"{context.team_name} is frozen: nothing can be launched, started or grown. The operator can say why.",
            code="TEAM_FROZEN",
        )


def record(
    connection: Connection, context: TeamContext, verb: str, deployment_id: str, *, now: datetime, details: Any = None
) -> None:
    """A row in the team's activity."""
    activity.record(
        connection,
        context.caller,
        f"deployment.{verb}",
        now=now,
        team_id=context.team_id,
        object_type="deployment",
        object_id=deployment_id,
        details=details,
    )


class Runtime(msgspec.Struct, frozen=True):
    """How long a machine has run and must run, for whoever wants to end it.

    Minutes: run ones down, remaining ones up.
    """

    run: int
    remaining: int
    minimum: int


def runtime(deployment: Deployment, now: datetime) -> Runtime:
    """The minimum runtime counts from the last time the machine was `running`.

    A machine that isn't has none to wait for.
    """
    minimum = deployment.minimum_runtime_minutes
    if deployment.status is not Status.running or deployment.started_at is None:
        return Runtime(0, 0, minimum)
    seconds = max(0, int((now - deployment.started_at).total_seconds()))
    return Runtime(seconds // 60, max(0, math.ceil((minimum * 60 - seconds) / 60)), minimum)


def refuse_early(deployment: Deployment, now: datetime) -> None:
    """Raise MinimumRuntimeNotMet inside the minimum runtime."""
    found = runtime(deployment, now)
    if found.remaining > 0:
        raise MinimumRuntimeNotMet(found.minimum, found.remaining)


def update(
    connection: Connection,
    context: TeamContext,
    deployment_id: str,
    *,
    name: str | None,
    labels: Mapping[str, str] | None,
    now: datetime,
) -> None:
    """Rename or relabel. Raises NotFound, Forbidden, BadRequest."""
    deployment = lock(connection, deployment_id, context.team_id)
    context.demand(Permission.operate, created_by=deployment.created_by)
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = check_name(name)
    if labels is not None:
        values["labels"] = check_labels(labels)
    if values:
        change(connection, deployment_id, **values)
        record(connection, context, "update", deployment_id, now=now, details=values)
    if name is not None and values["name"] != deployment.name:
        message = f"{context.caller.name} renamed it from {deployment.name} to {values['name']}."
        note(connection, deployment_id, "renamed", message, now=now)


def terminate(connection: Connection, context: TeamContext, deployment_id: str, *, now: datetime) -> None:
    """End a deployment and charge it to this second.

    Raises NotFound, Forbidden, CannotTerminate, MinimumRuntimeNotMet.
    """
    deployment = lock(connection, deployment_id, context.team_id)
    context.demand(Permission.operate, created_by=deployment.created_by)
    if deployment.status not in ACTIVE:
        raise CannotTerminate(deployment.status)
    refuse_early(deployment, now)
    finish(connection, deployment, Status.terminated, f"Terminated by {context.caller.name}.", now=now)
    record(connection, context, "terminate", deployment_id, now=now)


def finish(
    connection: Connection,
    deployment: Deployment,
    status: Status,
    message: str,
    *,
    now: datetime,
    at: datetime | None = None,
    error: str | None = None,
) -> None:
    """The end of a deployment, whoever brings it about.

    Last charges to `at` (now), the hold back, its volumes on the way to be free, the provider told.
    """
    volume_attachments.end_machine(connection, deployment.id, now=now)
    settle(connection, deployment.id, at=at or now, now=now)
    change(
        connection,
        deployment.id,
        status=status,
        desired=Desired.terminated,
        stopped_at=at or now,
        error=error,
        ends_at=None,
        idle_since=None,
        idle_told_at=None,
        due_at=now,
        attempts=0,
    )
    note(connection, deployment.id, str(status), message, now=now)
    if status is Status.failed:
        announcements.failed(connection, deployment, error or message, is_stopped=False, now=now)
    elif status is Status.terminated_provider:
        announcements.reclaimed(connection, deployment, message, now=now)


def settle(connection: Connection, deployment_id: str, *, at: datetime, now: datetime) -> None:
    """End whatever is metered for the deployment at `at`, and release what is left of its hold.

    A machine that has not been seen for a while is charged to its last sighting alone, whoever ends it: what it did
    since is unknown. None is charged beyond its planned end.
    """
    at = planned_ends.ended_by(connection, deployment_id, at)
    sighted_at = last_sighting(connection, deployment_id)
    if sighted_at is not None and at - sighted_at > timedelta(seconds=UNSEEN_SECONDS):
        at = sighted_at
    metering.end(connection, resource_id=deployment_id, resource_type="compute", at=at, now=now)
    metering.end(connection, resource_id=deployment_id, resource_type="storage", at=at, now=now)
    holds.release(connection, deployment_id, now=now)


def last_sighting(connection: Connection, deployment_id: str) -> datetime | None:
    """When the provider last reported what is metered of it now; None where nothing is."""
    found: datetime | None = connection.execute(
        sa.select(segments.c.sighted_at).where(segments.c.resource_id == deployment_id, segments.c.ended_at.is_(None))
    ).scalar()
    return found


def stop(connection: Connection, context: TeamContext, deployment_id: str, *, now: datetime) -> None:
    """Stop a running machine; its disk stays, and is paid for.

    Raises NotFound, Forbidden, Conflict, MinimumRuntimeNotMet.
    """
    deployment = lock(connection, deployment_id, context.team_id)
    context.demand(Permission.operate, created_by=deployment.created_by)
    if deployment.status is not Status.running:
        raise Conflict(f"Only a running machine can be stopped; this one is {deployment.status}.", code="NOT_RUNNING")
    if not deployment.supports_pause:
        raise BadRequest("This offer can't be stopped, only terminated.", code="PAUSE_UNSUPPORTED")
    refuse_early(deployment, now)
    halt(connection, deployment, f"Stopped by {context.caller.name}.", now=now)
    record(connection, context, "stop", deployment_id, now=now)


def halt(
    connection: Connection,
    deployment: Deployment,
    message: str,
    *,
    now: datetime,
    error: str | None = None,
    is_for_credits: bool = False,
) -> None:
    """A stop, whoever brings it about: charges to this second, the hold back, from now on the disk is paid for.

    One for lack of credits is remembered as such until the machine is started again.
    """
    settle(connection, deployment.id, at=now, now=now)
    metering.start(
        connection,
        team_id=deployment.team_id,
        resource_type="storage",
        resource_id=deployment.id,
        rate_micros=deployment.storage_rate_micros,
        at=now,
    )
    change(
        connection,
        deployment.id,
        status=Status.stopped,
        desired=Desired.stopped,
        stopped_at=now,
        stopped_for_credits_at=now if is_for_credits else None,
        deploying_since=None,
        ip_address=None,
        ssh_user=None,
        ssh_port=None,
        port_forwards=[],
        error=error,
        idle_since=None,
        idle_told_at=None,
        due_at=now,
        attempts=0,
    )
    if deployment.has_planned_end:
        planned_ends.reckon(connection, deployment.id)
    note(connection, deployment.id, "stopped", message, now=now)


def start(connection: Connection, context: TeamContext, deployment_id: str, limits: Limits, *, now: datetime) -> None:
    """Start a stopped machine with the disk it had.

    Raises NotFound, Forbidden, Conflict, InsufficientBalance, BudgetExceeded.
    """
    context = teams.hold(connection, context, Permission.see)
    deployment = lock(connection, deployment_id, context.team_id)
    context.demand(Permission.operate, created_by=deployment.created_by)
    refuse_frozen(context)
    if deployment.status is not Status.stopped:
        raise Conflict(f"Only a stopped machine can be started; this one is {deployment.status}.", code="NOT_STOPPED")
    planned_ends.refuse_spent(connection, deployment.id, deployment.rate_micros, now=now)
    refuse_beyond_budgets(connection, deployment, limits, now=now)
    resume(connection, deployment, limits, f"Start asked for by {context.caller.name}.", now=now)
    record(connection, context, "start", deployment_id, now=now)


def refuse_beyond_budgets(connection: Connection, deployment: Deployment, limits: Limits, *, now: datetime) -> None:
    """Raise BudgetExceeded where a budget that blocks leaves less than what a start holds."""
    amount = hold_micros(deployment.rate_micros, deployment.minimum_runtime_minutes, limits.minimum_micros)
    budgets.refuse_more(connection, deployment.team_id, deployment.id, amount, now=now)


def resume(connection: Connection, deployment: Deployment, limits: Limits, message: str, *, now: datetime) -> None:
    """A start, whoever brings it about: a fresh hold, no pay until it runs. Raises InsufficientBalance."""
    settle(connection, deployment.id, at=now, now=now)
    amount = hold_micros(deployment.rate_micros, deployment.minimum_runtime_minutes, limits.minimum_micros)
    holds.take(connection, team_id=deployment.team_id, resource_id=deployment.id, amount_micros=amount, now=now)
    change(
        connection,
        deployment.id,
        status=Status.deploying,
        desired=Desired.running,
        stopped_at=None,
        stopped_for_credits_at=None,
        idle_since=None,
        idle_told_at=None,
        deploying_since=now,
        error=None,
        due_at=now,
        attempts=0,
    )
    if deployment.has_planned_end:
        planned_ends.reckon(connection, deployment.id)
    note(connection, deployment.id, "starting", message, now=now)


def dry_machines(connection: Connection, team_id: str) -> Sequence[Deployment]:
    """Machines of a team that cost or are about to cost, locked; what is stopped when the credits have run out."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(
            deployments.c.team_id == team_id,
            deployments.c.gone_at.is_(None),
            deployments.c.status.in_((Status.deploying, Status.running)),
        )
        .order_by(deployments.c.id)
        .with_for_update()
    )
    return [to_deployment(row) for row in rows]


def stopped_machines(connection: Connection, team_id: str) -> Sequence[Deployment]:
    """Stopped machines of a team, whose disks go on costing, locked."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(
            deployments.c.team_id == team_id, deployments.c.gone_at.is_(None), deployments.c.status == Status.stopped
        )
        .order_by(deployments.c.id)
        .with_for_update()
    )
    return [to_deployment(row) for row in rows]
