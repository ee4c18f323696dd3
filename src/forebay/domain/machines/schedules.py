"""Schedules: what people decide beforehand about the end of a machine, and Forebay carrying it out.

A machine is terminated at a time (`terminateAt`) or before it costs more than so much (`maxCost`), and stopped or
terminated when it has been idle for so long (`autoStopMinutes`). Whoever may operate a machine may say so, and take it
back. The minimum runtime is waited for, as by everyone who ends a machine.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from forebay.domain.machines import announcements, planned_ends
from forebay.domain.machines.deployments import (
    ACTIVE,
    Deployment,
    Status,
    change,
    finish,
    lock,
    record,
    runtime,
)
from forebay.domain.machines.events import note
from forebay.domain.machines.planned_ends import End, Plan, Reason
from forebay.domain.money.amounts import MICROS_PER_DOLLAR, charge_micros, to_dollars
from forebay.domain.people import activity
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, CannotTerminate, Conflict

Action = Literal["stop", "terminate"]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants. None: nothing of the kind."""

    terminate_at: datetime | None = None
    max_cost_micros: int | None = None
    auto_stop_minutes: int | None = None
    auto_stop_action: Action | None = None
    """Without one, to stop."""

    @property
    def columns(self) -> dict[str, Any]:
        """As they are kept."""
        found = msgspec.structs.asdict(self)
        if self.auto_stop_minutes is not None:
            found["auto_stop_action"] = self.auto_stop_action or "stop"
        return found


def check(terms: Terms, *, supports_pause: bool, least_micros: int, now: datetime) -> None:
    """Raise BadRequest for what can't be carried out; `least_micros` is what the machine costs in any case."""
    wrong = {}
    if terms.terminate_at is not None and terms.terminate_at <= now:
        wrong["terminateAt"] = "lies in the past"
    if terms.max_cost_micros is not None and terms.max_cost_micros < least_micros:
        wrong["maxCost"] = f"it costs {dollars(least_micros)} in any case, its minimum runtime included"
    if terms.auto_stop_action is not None and terms.auto_stop_minutes is None:
        wrong["autoStopAction"] = "says how, and autoStopMinutes must say when"
    elif terms.auto_stop_minutes is not None and terms.auto_stop_action != "terminate" and not supports_pause:
        wrong["autoStopAction"] = "this offer can't be stopped: say terminate, if it is to be terminated when idle"
    if wrong:
        raise BadRequest("The machine can't be ended like that.", code="END_NOT_POSSIBLE", details=wrong)


def least_micros(deployment: Deployment, plan: Plan, now: datetime) -> int:
    """What a deployment will have cost at the first second in which it can be ended."""
    cost = plan.cost
    if deployment.status is Status.deploying:
        minimum = deployment.minimum_runtime_minutes * 60
        return cost.ended_micros + charge_micros(deployment.rate_micros, minimum)
    return cost.accrued_micros(max(now, plan.earliest_at or now))


def set_terms(
    connection: Connection, context: TeamContext, deployment_id: str, given: Mapping[str, Any], *, now: datetime
) -> None:
    """Change those of a machine's terms that are given; None takes one off.

    Raises NotFound, Forbidden, BadRequest, Conflict for a machine that has ended.
    """
    deployment = lock(connection, deployment_id, context.team_id)
    context.demand(Permission.operate, created_by=deployment.created_by)
    if deployment.status not in ACTIVE:
        if any(value is not None for value in given.values()):
            raise Conflict(f"It has ended: it is {deployment.status}.", code="ENDED")
        return
    given = dict(given)
    if given.get("auto_stop_minutes", 0) is None:
        given.setdefault("auto_stop_action", None)
    before = Terms(**{name: getattr(deployment, name) for name in Terms.__struct_fields__})
    terms = msgspec.structs.replace(before, **given)
    least = 0
    if "max_cost_micros" in given:
        least = least_micros(deployment, planned_ends.find(connection, deployment_id), now)
    # What was possible once and was not touched stays.
    asked = msgspec.structs.replace(terms, terminate_at=given.get("terminate_at"))
    check(asked, supports_pause=deployment.supports_pause, least_micros=least, now=now)
    columns = terms.columns
    changed = {name: value for name, value in columns.items() if value != getattr(before, name)}
    if not changed:
        return
    change(connection, deployment_id, **changed, idle_told_at=None)
    planned_ends.reckon(connection, deployment_id)
    message = f"{context.caller.name} has decided: {'; '.join(said(Terms(**columns), changed))}."
    note(connection, deployment_id, "schedule", message, now=now)
    record(connection, context, "schedule", deployment_id, now=now, details=changed | as_words(changed))


def as_words(changed: Mapping[str, Any]) -> dict[str, Any]:
    """Moments among them as the activity keeps them."""
    return {name: moment(value) for name, value in changed.items() if isinstance(value, datetime)}


def said(terms: Terms, changed: Mapping[str, Any]) -> list[str]:
    """What the changed ones mean, each in words."""
    words = []
    if "terminate_at" in changed:
        at = terms.terminate_at
        words.append("no termination is planned" if at is None else f"it is terminated on {moment(at)}")
    if "max_cost_micros" in changed:
        most = terms.max_cost_micros
        words.append("it may cost what it does" if most is None else f"it is terminated at a cost of {dollars(most)}")
    if "auto_stop_minutes" in changed or "auto_stop_action" in changed:
        minutes = terms.auto_stop_minutes
        how = {"stop": "stopped", "terminate": "terminated"}[terms.auto_stop_action or "stop"]
        words.append("it may be idle" if minutes is None else f"it is {how} when it was idle for {minutes} minutes")
    return words


def terminate_when_allowed(
    connection: Connection, context: TeamContext, deployment_id: str, *, now: datetime
) -> datetime | None:
    """Plan the end for the first second in which it is allowed: that second; None if that is now.

    Raises NotFound, Forbidden, CannotTerminate.
    """
    deployment = lock(connection, deployment_id, context.team_id)
    context.demand(Permission.operate, created_by=deployment.created_by)
    if deployment.status not in ACTIVE:
        raise CannotTerminate(deployment.status)
    if runtime(deployment, now).remaining == 0 or deployment.started_at is None:
        return None
    at = deployment.started_at + timedelta(minutes=deployment.minimum_runtime_minutes)
    if deployment.terminate_at != at:
        set_terms(connection, context, deployment_id, {"terminate_at": at}, now=now)
    return at


# What Forebay carries out.


def end_by_plan(connection: Connection, deployment_id: str, *, now: datetime) -> bool:
    """Terminate the deployment if its planned end has come: charged to that second, not to this one. Whether it had.

    Otherwise its end is reckoned anew.
    """
    deployment = lock(connection, deployment_id)
    if deployment.status not in ACTIVE:
        planned_ends.keep(connection, deployment_id, None)
        return False
    end = planned_ends.reckon(connection, deployment_id)
    if end is None or end.at > now:
        return False
    reason = why(deployment, end)
    if end.reason is Reason.cost:
        note(connection, deployment_id, "max-cost-met", reason, now=now)
    finish(connection, deployment, Status.terminated, f"Terminated by Forebay: {reason}", now=now, at=end.at)
    details = {"reason": str(end.reason), "at": moment(end.at)}
    record_own(connection, deployment, "terminate", details, now=now)
    if end.reason is Reason.cost:
        most = to_dollars(deployment.max_cost_micros or 0)
        announcements.limit_met(
            connection,
            deployment,
            f"It was terminated: {reason}",
            status="terminated",
            limit="maxCost",
            maxCost=most,
            now=now,
        )
    else:
        announcements.stopped(
            connection, deployment, f"Its time was over: {reason}", cause="time", is_terminated=True, now=now
        )
    return True


def why(deployment: Deployment, end: End) -> str:
    """The reason of a planned end, in a sentence."""
    if end.reason is Reason.cost:
        return f"it was to cost {dollars(deployment.max_cost_micros or 0)} at most."
    planned = deployment.terminate_at or end.at
    waited = "" if planned == end.at else ", and its minimum runtime was waited for"
    return f"that was planned for {moment(planned)}{waited}."


def record_own(
    connection: Connection, deployment: Deployment, verb: str, details: Mapping[str, Any], *, now: datetime
) -> None:
    """A row in the team's activity, by nobody but Forebay."""
    activity.record(
        connection,
        None,
        f"deployment.{verb}",
        now=now,
        team_id=deployment.team_id,
        object_type="deployment",
        object_id=deployment.id,
        details=details,
    )


def dollars(amount_micros: int) -> str:
    """An amount, with as many digits as it has."""
    exact = f"{amount_micros / MICROS_PER_DOLLAR:,.6f}"
    return f"${exact[:-4]}{exact[-4:].rstrip('0')}"


def moment(at: datetime) -> str:
    """A moment as the wire has it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
