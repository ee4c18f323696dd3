"""Sends what waits for webhooks, and disables those that nothing gets through to.

Each delivery is taken in a transaction, sent outside any, and its outcome noted in another: cut off in between, it is
sent again under the same id.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

from forebay.clock import Clock
from forebay.domain.people import notifications, webhook_deliveries, webhook_messages
from forebay.domain.people.webhook_deliveries import Outcome, Sending
from forebay.outside import Outside
from forebay.storage.database import Database

log = logging.getLogger(__name__)

HANDS = 16


class WebhookReconciler:
    """See the module."""

    name = "webhooks"
    interval_seconds = 5.0

    def __init__(
        self,
        database: Database,
        clock: Clock,
        outside: Outside,
        *,
        secret_key: bytes,
        nudge: Callable[[str], None] = lambda name: None,
        executor: Executor | None = None,
    ) -> None:
        self.database, self.clock, self.outside = database, clock, outside
        self.secret_key, self.nudge = secret_key, nudge
        self.executor = executor or ThreadPoolExecutor(HANDS, thread_name_prefix="forebay-webhook")
        self.lock = threading.Lock()
        self.under_way: dict[str, str] = {}
        """Webhooks that something is being sent to, and their teams."""

    def run(self) -> int:
        """Take what is due, as much as there are hands, and hand it out. It does not wait for the ends."""
        with self.database.read() as connection:
            if not webhook_deliveries.is_any_due(connection, now=self.clock.now()):
                return 0
        with self.lock:
            under_way = dict(self.under_way)
        if len(under_way) >= HANDS:
            return 0
        with self.database.begin() as connection:
            taken = webhook_deliveries.take_due(
                connection,
                now=self.clock.now(),
                secret_key=self.secret_key,
                limit=HANDS - len(under_way),
                under_way=under_way,
            )
        with self.lock:
            self.under_way |= {sending.webhook_id: sending.team_id for sending in taken}
        for sending in taken:
            self.executor.submit(self.send, sending)
        return 0

    def send(self, sending: Sending) -> None:
        """Send one and note the outcome, in a thread; then whatever else waits for the same webhook has its turn."""
        try:
            self.note(sending, self.attempt(sending))
        except Exception:
            log.exception("webhook not noted", extra={"delivery": sending.id})
        finally:
            with self.lock:
                self.under_way.pop(sending.webhook_id, None)
            self.nudge(self.name)

    def attempt(self, sending: Sending) -> Outcome:
        """What came of it."""
        timestamp = int(self.clock.now().timestamp())
        headers = webhook_messages.headers(sending.secrets, sending.event_id, timestamp, sending.body)
        try:
            answered = self.outside.post(sending.url, headers, sending.body)
        except Exception:
            log.exception("webhook not sent", extra={"delivery": sending.id})
            return Outcome(status_code=None, reason="it could not be sent", milliseconds=0)
        return Outcome(status_code=answered.status_code, reason=answered.reason, milliseconds=answered.milliseconds)

    def note(self, sending: Sending, outcome: Outcome) -> None:
        """Write what came of it, and disable the webhook where that was once too often."""
        if not outcome.is_delivered:
            log.info("webhook not delivered", extra={"delivery": sending.id, "reason": outcome.reason})
        with self.database.begin() as connection:
            now = self.clock.now()
            reason = webhook_deliveries.note_outcome(connection, sending, outcome, now=now)
            if reason is not None:
                notifications.disable_webhook(connection, sending.webhook_id, reason, now=now)
        if reason is not None:
            self.nudge("notifications")

    def close(self) -> None:
        """What is under way is sent again after the next start, unless its outcome is noted before."""
        self.executor.shutdown(wait=False, cancel_futures=True)
