"""What a webhook is sent: an event as chats show it and programs read it, and how it is signed.

The signature is that of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA-256 under the webhook's secret
over `<id>.<timestamp>.<body>`, in base64, as `v1,<signature>`. Time and id are signed with the body, so that whoever
catches a message can neither change it nor send it again later. While a secret is being replaced both sign.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with
SECRET_BYTES = 32
MOST_LINES = 20
MOST_CHARACTERS = 3000
"""Of a block; chats refuse longer ones."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, to be told to a team's programs."""

    id: str
    type: str
    at: datetime
    team: dict[str, str]
    title: str
    lines: Sequence[str]
    url: str
    details: dict[str, Any]


def body(event: Event) -> str:
    """The JSON, in the form of Slack's incoming webhooks, with the event itself beside it."""
    lines = "\n".join(event.lines[:MOST_LINES])
    blocks: list[dict[str, Any]] = [section(f"*{escaped(event.title)}*")]
    if lines:
        blocks.append(section(escaped(lines)))
    blocks.append(section(f"<{event.url}|Open Forebay>"))
    written = {
        "text": escaped("\n".join(part for part in (event.title, lines) if part))[:MOST_CHARACTERS],
        "blocks": blocks,
        "event": {
            "id": event.id,
            "type": event.type,
            "createdAt": f"{event.at:%Y-%m-%dT%H:%M:%SZ}",
            "team": event.team,
            "title": event.title,
            "url": event.url,
            "data": event.details,
        },
    }
    return msgspec.json.encode(written).decode()


def section(text: str) -> dict[str, Any]:
    """A block of text."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:MOST_CHARACTERS]}}


def escaped(text: str) -> str:
    """Text that names nobody and links nowhere: what people call a machine must not call a whole channel."""
    for letter, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "@\u2060")):
        text = text.replace(letter, written)
    return text


def written_secret(secret: bytes) -> str:
    """The secret as people keep it."""
    return SECRET_PREFIX + b64encode(secret).decode()


def signature(secret: str, message_id: str, timestamp: int, raw: bytes) -> str:
    """`v1,` and the signature in base64."""
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + raw
    return "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(secrets: Sequence[str], message_id: str, timestamp: int, raw: bytes) -> dict[str, str]:
    """What goes over the body: one signature for each secret that counts now."""
    return {
        "content-type": "application/json",
        "user-agent": "Forebay-Webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, message_id, timestamp, raw) for secret in secrets),
    }
