"""Sends the mails that the domain has written, and shows an operator when that does not work."""

import logging

from forebay.clock import Clock
from forebay.domain.machines import alerts
from forebay.domain.people import mails, notifications
from forebay.mail import MailNotSent, Sender
from forebay.storage.database import Database

log = logging.getLogger(__name__)


class MailReconciler:
    """See the module."""

    name = "mails"
    interval_seconds = 5.0

    def __init__(self, database: Database, sender: Sender, clock: Clock, *, public_url: str = "") -> None:
        self.database, self.sender, self.clock, self.public_url = database, sender, clock, public_url

    def run(self) -> int:
        """Send what is due; how many mails there were."""
        with self.database.read() as connection:
            if not mails.is_any_due(connection, now=self.clock.now()):
                return 0
        with self.database.begin() as connection:
            due = mails.take_due(connection, now=self.clock.now())
        for mail in due:
            self.send(mail)
        return len(due)

    def send(self, mail: mails.Mail) -> None:
        """Send one and note the outcome."""
        unsubscribe = None if mail.kind is None else f"{self.public_url}{notifications.SETTINGS_PAGE}"
        try:
            self.sender.send(mail.id, mail.recipient, mail.subject, mail.text, mail.html, unsubscribe=unsubscribe)
        except (MailNotSent, OSError) as reason:
            log.warning("mail not sent", extra={"mail": mail.id, "reason": str(reason)})
            self.failed(mail, str(reason))
            return
        except Exception as reason:
            # One that can't even be composed must not keep the others from going out.
            log.exception("mail not sent", extra={"mail": mail.id})
            self.failed(mail, f"{type(reason).__name__} while it was sent")
            return
        with self.database.begin() as connection:
            now = self.clock.now()
            mails.note_sent(connection, mail.id, now=now)
            alerts.clear(connection, "mail", "sending", now=now)

    def failed(self, mail: mails.Mail, reason: str) -> None:
        """Note a failure: the mail is tried again later, and the operator sees why."""
        with self.database.begin() as connection:
            now = self.clock.now()
            mails.note_failure(connection, mail, reason, now=now)
            alerts.raise_(connection, "mail", "sending", f"Mail can't be sent: {reason}", now=now)

    def close(self) -> None:
        """Nothing is held."""
