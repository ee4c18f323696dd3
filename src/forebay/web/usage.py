"""Usage: what machines and disks were charged in any stretch of days, by what it was spent on; also as a CSV file.

The same figures as the API's, for whole days in UTC: from the beginning of the first to the end of the last.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec
from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import usage
from forebay.domain.machines.usage import Use
from forebay.errors import BadRequest
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, keep
from forebay.web.visits import Visit

GROUPS = {
    "day": "Day",
    "gpuType": "GPU type",
    "member": "Member",
    "apiKey": "API key",
    "deployment": "Deployment",
    "volume": "Volume",
    "label": "Label",
}
MOST_ROWS = 200
MOST_DAYS_DRAWN = 92
NOTHING = {
    "gpuType": "Disks",
    "member": "Nobody's",
    "apiKey": "By hand",
    "deployment": "No machine",
    "volume": "Machines",
    "label": "Without it",
}


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Which days, and by what."""

    first: date
    last: date
    group: str
    label: str

    @property
    def group_by(self) -> str:
        """As the domain has it."""
        return f"label:{self.label}" if self.group == "label" else self.group

    @property
    def from_at(self) -> datetime:
        """The beginning of the first day."""
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def to_at(self) -> datetime:
        """The end of the last day."""
        return datetime(self.last.year, self.last.month, self.last.day, tzinfo=UTC) + timedelta(days=1)


class UsagePages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard

    def handlers(self) -> list[HTTPRouteHandler]:
        """Both, for whoever sees the team."""
        page = self.dashboard.page
        return [page("GET", "/billing/usage", self.show), page("GET", "/billing/usage.csv", self.as_csv)]

    def show(self, visit: Visit) -> Page:
        """A table, and above it a chart of the days."""
        asked, error = stretch(visit), None
        team_id = visit.context.team_id
        with self.dashboard.read() as connection:
            days = usage.used(connection, team_id, "day", from_at=asked.from_at, to_at=asked.to_at)
            found: Sequence[Use] = days
            if asked.group != "day" and not (asked.group == "label" and not asked.label):
                found = usage.used(connection, team_id, asked.group_by, from_at=asked.from_at, to_at=asked.to_at)
            return self.dashboard.show(
                visit,
                connection,
                "usage.html",
                error=error,
                asked=asked,
                groups=GROUPS.items(),
                uses=found[:MOST_ROWS] if asked.group != "day" else found[::-1][:MOST_ROWS],
                count=len(found),
                nothing=NOTHING.get(asked.group, ""),
                days=every_day(asked, days),
                cost_micros=sum(use.cost_micros for use in days),
                compute_micros=sum(use.compute_micros for use in days),
                storage_micros=sum(use.storage_micros for use in days),
                machine_seconds=sum(use.machine_seconds for use in days),
                ranges=ranges(visit.now.date()),
            )

    def as_csv(self, visit: Visit) -> Page:
        """The same as a file, all of it."""
        asked = stretch(visit)
        if asked.group == "label" and not asked.label:
            raise BadRequest("Which label?", details={"label": "required"})
        with self.dashboard.read() as connection:
            found = usage.used(
                connection, visit.context.team_id, asked.group_by, from_at=asked.from_at, to_at=asked.to_at
            )
        return keep(f"usage-{visit.context.slug}.csv", "text/csv", usage.sheet(asked.group_by, found))


def stretch(visit: Visit) -> Stretch:
    """What the address asks for; without a wish the last 30 days, by day. Raises BadRequest."""
    today = visit.now.date()
    first, last = day_of(visit, "from", today - timedelta(days=29)), day_of(visit, "to", today)
    group, label = visit.query.get("by", "day"), visit.query.get("label", "").strip()
    if group not in GROUPS or len(label) > 63 or not label.isprintable():
        raise BadRequest("Usage can't be grouped by that.", details={"by": f"one of {', '.join(GROUPS)}"})
    if last < first:
        first, last = last, first
    return Stretch(first=first, last=last, group=group, label=label)


def day_of(visit: Visit, name: str, otherwise: date) -> date:
    """A day of the address. Raises BadRequest for what is none."""
    text = visit.query.get(name, "")
    if not text:
        return otherwise
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if not date(1970, 1, 1) <= found <= date(9000, 1, 1):
        raise BadRequest("This is no day.", details={name: "a day like 2026-11-24"})
    return found


def every_day(asked: Stretch, days: Sequence[Use]) -> list[tuple[str, int]]:
    """Each day with what it cost, the ones without usage too; none where there are too many to draw."""
    count = (asked.last - asked.first).days + 1
    if count > MOST_DAYS_DRAWN:
        return []
    costs = {use.key: use.cost_micros for use in days}
    shown = [str(asked.first + timedelta(days=number)) for number in range(count)]
    return [(day, costs.get(day, 0)) for day in shown]


def ranges(today: date) -> list[tuple[str, date, date]]:
    """What is asked for most."""
    month = today.replace(day=1)
    before = (month - timedelta(days=1)).replace(day=1)
    return [
        ("7 days", today - timedelta(days=6), today),
        ("30 days", today - timedelta(days=29), today),
        ("This month", month, today),
        ("Last month", before, month - timedelta(days=1)),
    ]
