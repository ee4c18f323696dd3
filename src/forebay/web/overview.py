"""The first page of a team: what runs, what it costs, how long the credits last, what happened last."""

from datetime import datetime, timedelta
from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import overview, ssh_keys, usage
from forebay.domain.machines.usage import By, Use
from forebay.domain.people import accounts, activity_log
from forebay.domain.people.roles import Permission
from forebay.web import budgets, doings
from forebay.web.dashboard import Dashboard, asker
from forebay.web.frame import Page
from forebay.web.machines import machine
from forebay.web.visits import Visit

MOST_MACHINES = 8
MOST_DOINGS = 8
DAYS = 30


class OverviewPages:
    """The page of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard

    def handlers(self) -> list[HTTPRouteHandler]:
        """The one."""
        return [self.dashboard.page("GET", "", self.show)]

    def show(self, visit: Visit) -> Page:
        """Everything at a glance; a team that never launched anything is shown the way."""
        team_id, seconds = visit.context.team_id, int(visit.now.timestamp())
        with self.dashboard.read() as connection:
            rows = overview.listed(connection, team_id, status="active", most=MOST_MACHINES + 1)
            machines = [machine(row, seconds) for row in rows]
            is_new = not rows and not overview.listed(connection, team_id, most=1)
            values: dict[str, Any] = {
                "machines": machines[:MOST_MACHINES],
                "has_more": len(machines) > MOST_MACHINES,
                "people": accounts.names_of(connection, {each.created_by for each in machines}),
                "is_new": is_new,
                "has_keys": is_new and bool(ssh_keys.of_team(connection, team_id)),
                "budgets": budgets.mine(connection, visit),
                **spending(connection, team_id, visit.now),
                **self.last_doings(connection, visit),
            }
            return self.dashboard.show(visit, connection, "overview.html", **values)

    def last_doings(self, connection: Connection, visit: Visit) -> dict[str, Any]:
        """The end of the activity, for those who may read it."""
        if not asker(visit.context)(Permission.read_activity):
            return {}
        rows = activity_log.last_of_team(connection, visit.context.team_id, limit=MOST_DOINGS)
        return {"doings": [(row, doings.told(row), doings.place(row)) for row in rows]}


def spending(connection: Connection, team_id: str, now: datetime) -> dict[str, Any]:
    """What was charged today, this month, and on each of the last days. One query."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month, first = today.replace(day=1), today - timedelta(days=DAYS - 1)
    days = {use.key: use for use in usage.used(connection, team_id, By.day, from_at=min(month, first), to_at=now)}
    shown = [(first + timedelta(days=number)).strftime("%Y-%m-%d") for number in range(DAYS)]
    return {
        "today_micros": cost(days.get(today.strftime("%Y-%m-%d"))),
        "month_micros": sum(use.cost_micros for day, use in days.items() if (day or "") >= month.strftime("%Y-%m-%d")),
        "days": [(day, cost(days.get(day))) for day in shown],
        "has_spent": any(cost(days.get(day)) for day in shown),
    }


def cost(use: Use | None) -> int:
    """What a day came to."""
    return 0 if use is None else use.cost_micros
