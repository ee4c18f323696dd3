"""Claims the charges of auto top-up that are due: after every deduction cycle, and on a schedule.

Each team has a transaction of its own, in which all is asked for again: several processes at it at once make one claim
a team. Charging is the business of `worker/payments.py`.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from forebay.clock import Clock
from forebay.domain.money import auto_top_ups
from forebay.storage.database import Database

log = logging.getLogger(__name__)

PAGE = 50
"""So many are claimed before charging them begins."""
HANDS = 4
"""On PostgreSQL; SQLite has one writer."""


class AutoTopUpReconciler:
    """See the module."""

    name = "auto-top-ups"
    interval_seconds = 5.0

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        public_url: str,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.clock = database, clock
        self.public_url, self.nudge = public_url, nudge
        self.is_closed = False
        hands = 1 if database.is_sqlite else HANDS
        self.executor = ThreadPoolExecutor(hands, thread_name_prefix="forebay-auto-top-up")

    def run(self) -> int:
        """One round over all teams that are due, a page at a time; always 0: the next one is due in its time.

        One team that can't be dealt with keeps no other waiting; the round fails when all have had their turn.
        """
        after, failures = "", []
        while not self.is_closed:
            with self.database.read() as connection:
                due = auto_top_ups.due_teams(connection, now=self.clock.now(), after=after, limit=PAGE)
            if not due:
                break
            after = due[-1]
            claimed = 0
            for team_id, claim in [(team_id, self.executor.submit(self.claim, team_id)) for team_id in due]:
                try:
                    claimed += claim.result()
                except Exception as error:
                    log.exception("auto top-up could not be claimed", extra={"team": team_id})
                    failures.append(error)
            if claimed:
                self.nudge("payments")
                self.nudge("mails")
                self.nudge("notifications")
        if failures:
            raise failures[0]
        return 0

    def claim(self, team_id: str) -> int:
        """Claim what is due for one team; 1 if there was something."""
        with self.database.begin() as connection:
            attempt = auto_top_ups.claim(connection, team_id, public_url=self.public_url, now=self.clock.now())
        return int(attempt is not None)

    def close(self) -> None:
        """The teams that are left are found at the next start."""
        self.is_closed = True
        self.executor.shutdown(wait=False)
