"""Operators' first page, whether all is well: alerts, providers, the way that money takes. And what runs unrecorded."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import alerts, orphans, provider_states
from forebay.domain.machines import operators as machine_operators
from forebay.domain.money import cycles, payment_attempts
from forebay.errors import NotFound
from forebay.web.frame import Page
from forebay.web.operator import Act, Desk, Question
from forebay.web.visits import Visit

MOST_UNKNOWN = 20
LATE_FACTOR = 3
"""A cycle is late after so many times the time between two."""


class ProviderPages:
    """The pages of one server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        orphan = Act(path="/orphans/{provider}/{instance_id}/end", ask=self.ask_end, do=self.end, nudges=("sightings",))
        return [self.desk.page("GET", "", self.health), *self.desk.acts(orphan)]

    def health(self, visit: Visit) -> Page:
        """What is wrong now, who answers, and whether money takes its way."""
        return self.desk.look(visit, "health", "operator_health.html", lambda connection: self.facts(connection, visit))

    def facts(self, connection: Connection, visit: Visit) -> dict[str, Any]:
        """All of it, as it was last seen."""
        settings = self.desk.frame.settings
        states = {state.name: state for state in provider_states.listed(connection)}
        standing = orphans.standing(connection)
        names = [*settings.providers, *(name for name in states if name not in settings.providers)]
        done = cycles.last(connection, is_finished=True)
        begun = cycles.last(connection, is_finished=False)
        since = None if done is None or done.finished_at is None else (visit.now - done.finished_at).total_seconds()
        unknown, unknown_count = payment_attempts.unknown(connection, limit=MOST_UNKNOWN)
        owners = {each.team_id: machine_operators.find(connection, each.team_id).row.name for each in unknown}
        return {
            "alerts": alerts.open_ones(connection),
            "providers": [
                (name, states.get(name), name in settings.providers, sum(each.provider == name for each in standing))
                for name in names
            ],
            "orphans": standing,
            "cycle": done,
            "is_cycle_open": begun is not None and begun.finished_at is None,
            "is_late": since is None or since > LATE_FACTOR * settings.cycle_seconds,
            "every": settings.cycle_seconds,
            "unknown": [(each, owners[each.team_id]) for each in unknown],
            "unknown_count": unknown_count,
            "takes_cards": bool(settings.stripe_secret_key),
        }

    def ask_end(self, connection: Connection, visit: Visit) -> Question:
        """What ends."""
        provider, instance_id = visit.parameters["provider"], visit.parameters["instance_id"]
        for each in orphans.standing(connection, provider):
            if each.instance_id == instance_id:
                return Question(
                    title="End this instance?",
                    says=f"{instance_id} at {provider} carries this cloud's mark and has no record. Whatever is on it "
                    "is lost. The provider is asked until it is gone.",
                    verb="End it",
                    back="/operator",
                    back_name="Health",
                    kind="orphan",
                    object_id=instance_id[:80],
                )
        raise NotFound("Orphan")

    def end(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Have it ended."""
        provider, instance_id = visit.parameters["provider"], visit.parameters["instance_id"]
        orphans.ask_end(connection, visit.person, provider, instance_id, reason=reason, now=visit.now)
        return f"{instance_id} is being ended."
