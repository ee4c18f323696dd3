"""What everybody did, and tried in vain, for operators: newest first, with filters."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.people import activity_log, activity_words
from forebay.domain.people.activity_log import Filter
from forebay.web import doings
from forebay.web.activity import MOST_COUNTED, NOUNS, day_of, next_day
from forebay.web.frame import Page
from forebay.web.members import page_of
from forebay.web.operator import LIMIT, Desk, one_of
from forebay.web.visits import Visit

MORE = {
    "account.": "Accounts", "api-access.": "API access", "offer.": "Offers", "stock.": "Stock",
    "maintenance.": "Maintenance", "discount.": "Discounts", "operator.": "Operators who looked",
}  # fmt: skip
ALL_NOUNS = {**NOUNS, **MORE}
DEEDS = [
    ("", "Anything"),
    *sorted(((action, words) for action, words in activity_words.WORDS.items()), key=lambda one: one[1]),
]
"""Single actions, by their words."""


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
        who, team = (text(query, *names) for names in (("who", "userId"), ("team", "teamId")))
        which = Filter(
            action=one_of(query.get("did", ""), list(activity_words.WORDS))
            or one_of(query.get("action", ""), list(ALL_NOUNS))
            or None,
            since=day_of(query.get("since", "")),
            before=next_day(day_of(query.get("until", ""))),
        )
        given = {name: query[name] for name in ("action", "did", "since", "until") if query.get(name)}
        given |= {name: value for name, value in (("who", who), ("team", team)) if value}
        with self.desk.dashboard.read() as connection:
            teams = activity_log.teams_called(connection, team) if team else ()

        def values(connection: Connection) -> dict[str, Any]:
            rows, total = activity_log.of_everybody(
                connection,
                which,
                team_id=None,
                who=who or None,
                team=team or None,
                page=number,
                limit=LIMIT,
                most=MOST_COUNTED,
            )
            return {
                "rows": [(row, doings.sentence(row), doings.about(row)) for row in rows], "total": total,
                "most": MOST_COUNTED, "page": number, "nouns": ALL_NOUNS, "deeds": DEEDS, "given": given,
            }  # fmt: skip

        only = teams[0] if len(teams) == 1 else None
        return self.desk.look(visit, "activity", "operator_activity.html", values, team_id=only)


def text(query: dict[str, str], *names: str) -> str:
    """What is searched for, by the first of these names that says anything."""
    return next((query[name].strip()[:320] for name in names if query.get(name, "").strip()), "")
