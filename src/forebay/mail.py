"""One send(): by SMTP where it is set, else into a folder where people can read what would have been sent.

Called by the worker alone, outside any transaction. A mail carries an id that stays the same when it is sent again,
so that mail programs show it once.
"""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from forebay.settings import Settings

TIMEOUT_SECONDS = 20


class MailNotSent(Exception):
    """The mail did not go out; the text says why, without credentials."""


class Sender(Protocol):
    """Whoever takes a mail away."""

    description: str

    def send(
        self,
        message_id: str,
        recipient: str,
        subject: str,
        text: str,
        html: str | None = None,
        *,
        unsubscribe: str | None = None,
    ) -> None:
        """Send it or raise MailNotSent. `unsubscribe` is where its recipient can do without such mails."""


def compose(
    sender: str,
    message_id: str,
    recipient: str,
    subject: str,
    text: str,
    html: str | None = None,
    *,
    unsubscribe: str | None = None,
) -> EmailMessage:
    """The mail itself."""
    message = EmailMessage()
    domain = parseaddr(sender)[1].partition("@")[2] or "localhost"
    message["From"], message["To"], message["Subject"] = sender, recipient, " ".join(subject.split())
    message["Date"], message["Message-ID"] = formatdate(), f"<{message_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if unsubscribe is not None:
        message["List-Unsubscribe"] = f"<{unsubscribe}>"
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


class Outbox:
    """A folder of .eml files, for development and the demo."""

    def __init__(self, folder: Path, mail_from: str) -> None:
        self.folder, self.mail_from = folder, mail_from
        self.description = f"written to {folder}"

    def send(
        self,
        message_id: str,
        recipient: str,
        subject: str,
        text: str,
        html: str | None = None,
        *,
        unsubscribe: str | None = None,
    ) -> None:
        """Write the mail; the same one twice is one file."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{message_id}.eml"
        partial = path.with_suffix(".partial")
        partial.touch(mode=0o600)
        message = compose(self.mail_from, message_id, recipient, subject, text, html, unsubscribe=unsubscribe)
        partial.write_bytes(message.as_bytes())
        partial.rename(path)


class Smtp:
    """A mail server: smtps:// from the start, or smtp:// with STARTTLS where the server offers it."""

    def __init__(self, url: str, mail_from: str) -> None:
        parts = urlsplit(url)
        self.is_tls = parts.scheme == "smtps"
        self.host, self.port = parts.hostname or "localhost", parts.port or (465 if self.is_tls else 587)
        self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        self.mail_from = mail_from
        self.description = f"sent through {self.host}:{self.port}"

    def send(
        self,
        message_id: str,
        recipient: str,
        subject: str,
        text: str,
        html: str | None = None,
        *,
        unsubscribe: str | None = None,
    ) -> None:
        """Hand it to the server or raise MailNotSent. A password is never sent over a connection without TLS."""
        message = compose(self.mail_from, message_id, recipient, subject, text, html, unsubscribe=unsubscribe)
        try:
            with self.connect() as server:
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as reason:
            raise MailNotSent(f"{type(reason).__name__} from {self.host}:{self.port}") from None

    def connect(self) -> smtplib.SMTP:
        """A connection, encrypted where it can be."""
        context = ssl.create_default_context()
        if self.is_tls:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_SECONDS, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        elif self.user:
            server.close()
            raise smtplib.SMTPNotSupportedError("the server offers no TLS")
        return server


def sender(settings: Settings) -> Sender:
    """What the settings say."""
    if settings.smtp_url:
        return Smtp(settings.smtp_url, settings.mail_from)
    return Outbox(settings.data_dir / "outbox", settings.mail_from)
