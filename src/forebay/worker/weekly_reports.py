"""Writes the weekly reports, on Monday mornings: each team's once, whoever else is at it."""

import logging
from collections.abc import Callable

from forebay.clock import Clock
from forebay.domain.machines import weekly_reports
from forebay.storage.database import Database

log = logging.getLogger(__name__)


class WeeklyReportReconciler:
    """See the module."""

    name = "weekly-reports"
    interval_seconds = 300.0

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        public_url: str,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.clock, self.public_url, self.nudge = database, clock, public_url, nudge
        self.done: str | None = None
        """The last week that all reports are written of, as far as this process knows: it need not look again."""

    def run(self) -> int:
        """Write what is due; always 0: the next round is due in its time.

        One team that can't be reported on keeps no other waiting; the round fails when all have had their turn.
        """
        now = self.clock.now()
        week = weekly_reports.week_before(now)
        if self.done == week.key or not weekly_reports.is_time(week, now):
            return 0
        after, failures = "", []
        while True:
            with self.database.read() as connection:
                due = weekly_reports.due_teams(connection, week, after=after)
            if not due:
                break
            after = due[-1]
            for team_id in due:
                try:
                    with self.database.begin() as connection:
                        weekly_reports.report(connection, team_id, week, public_url=self.public_url, now=now)
                except Exception as error:
                    log.exception("no weekly report", extra={"team": team_id})
                    failures.append(error)
            self.nudge("mails")
            self.nudge("notifications")
        if failures:
            raise failures[0]
        self.done = week.key
        return 0

    def close(self) -> None:
        """The teams that are left are found at the next start."""
