"""Mails that tell people what was done with their account: the first that they hear of it if it wasn't them."""

from datetime import datetime

from sqlalchemy import Connection

from forebay.domain.people import mails
from forebay.domain.people.letters import Letter


def send(
    connection: Connection,
    recipient: str,
    *,
    name: str,
    subject: str,
    sentences: list[str],
    public_url: str,
    now: datetime,
    address: str,
) -> None:
    """Tell what was done, when, from which address, and what to do about it. Afterwards nudge `mails`."""
    letter = Letter(
        subject=subject,
        name=name,
        paragraphs=[*sentences, f"This was done on {now:%-d %B %Y at %H:%M} UTC, from the address {address}."],
        after=[
            f"If it wasn't you, ask for a new password at {public_url} at once: that ends all sessions. "
            "Then look at your second factors and API keys, and tell the people who run this cloud."
        ],
    )
    mails.send(connection, recipient, letter, now=now)
