"""The team's activity: what was done, and tried in vain, newest first, with filters."""

from datetime import UTC, datetime, timedelta

from litestar.handlers import HTTPRouteHandler

from forebay.domain.people import activity_log, members
from forebay.domain.people.activity_log import Filter
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest
from forebay.ids import is_id
from forebay.web import doings
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page
from forebay.web.members import page_of
from forebay.web.visits import Visit

MOST_ROWS = 50
MOST_MEMBERS = 100
MOST_COUNTED = 10_000
"""Of rows that fit a filter: whoever wants to see further back asks for shorter times."""
NOUNS = {
    "": "Everything",
    "deployment.": "Machines",
    "template.": "Templates",
    "ssh-key.": "SSH keys",
    "volume.": "Volumes",
    "member.": "Members",
    "invitation.": "Invitations",
    "team.": "The team",
    "credits.": "Credits",
    "card.": "Cards",
    "auto-top-up.": "Auto top-up",
    "api-key.": "API keys",
    "access.": "Refused",
}


class ActivityPages:
    """The page of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard

    def handlers(self) -> list[HTTPRouteHandler]:
        """The one."""
        return [self.dashboard.page("GET", "/team/activity", self.show, needs=Permission.read_activity)]

    def show(self, visit: Visit) -> Page:
        """A page of it."""
        query, number = visit.query, page_of(visit)
        action, user_id = query.get("action", ""), query.get("userId", "")
        which = Filter(
            action=action if action in NOUNS and action else None,
            user_id=user_id if is_id(user_id) else None,
            since=day_of(query.get("since", "")),
            before=next_day(day_of(query.get("until", ""))),
        )
        with self.dashboard.read() as connection:
            team_id = visit.context.team_id
            rows, total = activity_log.of_team(
                connection, team_id, which, page=number, limit=MOST_ROWS, most=MOST_COUNTED
            )
            people, _ = members.listed(connection, team_id, page=1, limit=MOST_MEMBERS)
            kept = {name: query[name] for name in ("action", "userId", "since", "until") if query.get(name)}
            return self.dashboard.show(
                visit,
                connection,
                "activity.html",
                rows=[(row, doings.sentence(row), doings.about(row), doings.place(row)) for row in rows],
                total=total,
                page=number,
                limit=MOST_ROWS,
                most=MOST_COUNTED,
                nouns=NOUNS,
                people=[("", "Everybody"), *((each.user_id, each.name) for each in people)],
                given=kept,
            )


def day_of(text: str) -> datetime | None:
    """The beginning of a day, in UTC; none for an empty text. Raises BadRequest."""
    if not text:
        return None
    try:
        return datetime.strptime(text[:10], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadRequest("A day is written as 2026-11-24.", details={"since": "a day"}) from None


def next_day(day: datetime | None) -> datetime | None:
    """The end of a day."""
    try:
        return None if day is None else day + timedelta(days=1)
    except OverflowError:
        return None
