"""What everybody did, and tried in vain, for operators: newest first, with filters."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.people import activity_log
from forebay.domain.people.activity_log import Filter
from forebay.ids import is_id
from forebay.web import doings
from forebay.web.activity import MOST_COUNTED, NOUNS, day_of, next_day
from forebay.web.frame import Page
from forebay.web.members import page_of
from forebay.web.operator import LIMIT, Desk
from forebay.web.visits import Visit

MORE = {
    "account.": "Accounts", "api-access.": "API access", "offer.": "Offers", "stock.": "Stock",
    "maintenance.": "Maintenance", "discount.": "Discounts", "operator.": "Operators who looked",
}  # fmt: skip
ALL_NOUNS = {**NOUNS, **MORE}


class ActivityOfPlatformPages:
    """The page of one server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def handlers(self) -> list[HTTPRouteHandler]:
        """The one."""
        return [self.desk.page("GET", "/activity", self.show)]

    def show(self, visit: Visit) -> Page:
        """A page of it."""
        query, number = visit.query, page_of(visit)
        action = query.get("action", "")
        team_id, user_id = (query.get(name, "") for name in ("teamId", "userId"))
        which = Filter(
            action=action if action in ALL_NOUNS and action else None,
            user_id=user_id if is_id(user_id) else None,
            since=day_of(query.get("since", "")),
            before=next_day(day_of(query.get("until", ""))),
        )
        team_id = team_id if is_id(team_id) else ""

        def values(connection: Connection) -> dict[str, Any]:
            rows, total = activity_log.of_everybody(
                connection, which, team_id=team_id or None, page=number, limit=LIMIT, most=MOST_COUNTED
            )
            names = ("action", "teamId", "userId", "since", "until")
            return {
                "rows": [(row, doings.sentence(row), doings.about(row)) for row in rows], "total": total,
                "most": MOST_COUNTED, "page": number, "nouns": ALL_NOUNS,
                "given": {name: query[name] for name in names if query.get(name)},
            }  # fmt: skip

        return self.desk.look(visit, "activity", "operator_activity.html", values, team_id=team_id or None)
