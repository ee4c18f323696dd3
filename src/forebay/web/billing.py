"""Billing: the balances of all my teams, and how this one stands, what comes next, and what can be done about it.

Whoever sees the team sees its figures. Cards, payments and auto top-up are on the same page for those who may manage
them. Every change asks for a recent sign-in, as the API does.
"""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines import credit_starts
from forebay.domain.machines.deployments import Limits
from forebay.domain.money import auto_top_up_terms, auto_top_ups, cards, deposits, low_balance, payment_attempts
from forebay.domain.people.roles import Permission
from forebay.errors import ForebayError
from forebay.web.dashboard import Dashboard, asker
from forebay.web.frame import Page, go
from forebay.web.top_ups import LAST, PAGE, Payment, payments
from forebay.web.visits import Visit

TONES = {"fine": "good", "low": "warn", "empty": "bad", "waiting": "warn", "stopped": "bad", "disks deleted": "bad"}


class BillingPages:
    """The page of one server, and starting again what was stopped for lack of credits."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """Both."""
        page = self.dashboard.page
        return [
            page("GET", "/billing", self.show),
            page("POST", "/billing/start-again", self.start_again, needs=Permission.operate),
        ]

    def show(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Credits, and for those who may manage them the ways to more."""
        rules = low_balance.rules_of(self.frame.settings, self.frame.public_url)
        with self.dashboard.read() as connection:
            state = low_balance.state(connection, visit.context.team_id, rules, now=visit.now)
            values: dict[str, Any] = {"state": state, "tone": TONES[state.step]}
            if asker(visit.context)(Permission.manage_billing):
                values |= self.ways(connection, visit)
            return self.dashboard.show(visit, connection, "billing.html", error=error, **values)

    def ways(self, connection: Connection, visit: Visit) -> dict[str, Any]:
        """Cards, payments and auto top-up."""
        team_id = visit.context.team_id
        found, total = payment_attempts.of_team(connection, team_id, limit=LAST)
        standing = auto_top_ups.stand(connection, team_id, now=visit.now)
        decision = None if standing is None else auto_top_ups.decide(standing, now=visit.now)
        saved = cards.of_team(connection, team_id)
        attempts: list[Payment] = []
        if standing is not None:
            by_itself, _ = payment_attempts.of_team(connection, team_id, limit=LAST, path=payment_attempts.Path.auto)
            attempts = payments(by_itself)
        return {
            "cards": saved,
            "ways": [*((each.id, each.words.capitalize()) for each in saved), (PAGE, "A payment page")],
            "pays_by": saved[0].id if saved else PAGE,
            "payments": payments(found),
            "payment_count": total,
            "presets": [amount // 1_000_000 for amount in deposits.PRESETS],
            "client_key": ids.new_secret(12).hex(),
            "standing": standing,
            "decision": decision,
            "says": auto_top_up_terms.words(standing, decision) if standing and decision else "Auto top-up is off.",
            "meaning": meaning(standing),
            "attempts": attempts,
        }

    def start_again(self, visit: Visit) -> Page:
        """Start what was stopped when the credits ran out, as far as they last now."""
        settings = self.frame.settings
        limits = Limits(minimum_micros=settings.minimum_launch_micros, creations=settings.rate_limit_creations)
        with self.dashboard.begin(visit) as connection:
            visit.context.demand(Permission.operate)
            found = credit_starts.start_again(connection, visit.context, limits, now=visit.now)
        self.frame.nudge("deployments")
        started = f"{len(found.started)} started" if found.started else "Nothing was started"
        if found.refused:
            first = found.refused[0]
            started += f"; {len(found.refused)} not: {first.deployment.name}: {first.sentence}"
        self.frame.say(visit, started if found.refused else f"{started}.")
        return go(f"/t/{visit.context.slug}/billing")


def meaning(standing: auto_top_ups.Standing | None) -> str:
    """What the terms come to at the team's burn; empty while it is off."""
    if standing is None or not standing.policy.is_on:
        return ""
    return auto_top_up_terms.meaning(standing.policy, standing.burn_micros_per_hour)
