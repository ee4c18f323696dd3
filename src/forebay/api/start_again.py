"""`/api/teams/{id}/start-again`: what was stopped when the credits ran out is started again, as far as they last."""

from forebay.api.call import Call
from forebay.api.deployments import limits
from forebay.api.envelope import Wire
from forebay.api.route import route
from forebay.domain.machines import credit_starts
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class Started(Wire):
    """A machine that is starting, with the disk it had."""

    id: str
    name: str


class StillStopped(Wire):
    """A machine that was stopped for lack of credits and stays stopped, and why."""

    id: str
    name: str
    code: str
    """`INSUFFICIENT_BALANCE`, `FORBIDDEN` for a machine that is not mine to operate, or `MAX_COST_MET`."""
    reason: str


class StartedAgain(Wire):
    """Both kinds; both empty if no machine was stopped for lack of credits."""

    started: list[Started]
    refused: list[StillStopped]


@route(
    "POST",
    "/api/teams/{team_id}/start-again",
    needs=Permission.operate,
    target=Target.team,
    target_from="path:team_id",
    answers=StartedAgain,
)
def start_again(call: Call, team_id: str) -> StartedAgain:
    """Start what was stopped when the credits ran out, as far as they last now.

    All machines that I may operate, the oldest first; each needs what a single start needs. One that the credits don't
    last for stays stopped, and the answer says so; a smaller one after it may still start.
    """
    found = credit_starts.start_again(call.connection, call.team, limits(call), now=call.now)
    if found.started:
        call.nudge("deployments")
    return StartedAgain(
        started=[Started(id=machine.id, name=machine.name) for machine in found.started],
        refused=[
            StillStopped(
                id=refusal.deployment.id, name=refusal.deployment.name, code=refusal.code, reason=refusal.sentence
            )
            for refusal in found.refused
        ],
    )
