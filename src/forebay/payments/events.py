"""Events of the processor as they come by webhook or by poll: their signatures, and what they point at.

Nothing in an event is believed but where to look: the object itself is asked for afterwards. Read without the
processor's library, which takes a second to load and which the wire has no other use for.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from forebay.payments.base import Event

CONCERN_US = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "charge.refunded",
    "charge.refund.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "checkout.session.completed",
    "checkout.session.expired",
)
"""Types of events after which something of ours may be otherwise. Stripe takes at most 20 in a question."""

TOLERANCE_SECONDS = 300
"""How old a signature may be: what was caught on the way can't be sent again later."""


class BadSignature(ValueError):
    """The body was not signed with our secret, or not just now."""


def verify(body: bytes, header: str, secret: str, *, now: datetime) -> None:
    """Check the signature over the raw body, `t=<seconds>,v1=<hex>[,v1=…]`. Raises BadSignature.

    The scheme: https://docs.stripe.com/webhooks#verify-manually
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdecimal() or len(times[0]) > 12:
        raise BadSignature("no time in the signature")
    wanted = hmac.new(secret.encode(), times[0].encode() + b"." + body, hashlib.sha256).hexdigest()
    given = [value for name, _, value in parts if name == "v1"]
    if not any(hmac.compare_digest(wanted.encode(), value.encode()) for value in given):
        raise BadSignature("the signature is not ours")
    if abs(now.timestamp() - int(times[0])) > TOLERANCE_SECONDS:
        raise BadSignature("the signature is too old")


def sign(body: bytes, secret: str, *, now: datetime) -> str:
    """The header that `verify` takes."""
    seconds = str(int(now.timestamp()))
    digest = hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def read(body: bytes) -> Event:
    """The event in a webhook's body. Raises ValueError for what is none."""
    try:
        return to_event(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, OverflowError) as reason:
        raise ValueError(f"this is no event: {type(reason).__name__}") from None


def to_event(found: Mapping[str, Any]) -> Event:
    """What an event points at."""
    about = found["data"]["object"]
    object_id = about.get("id")
    payment_id = about.get("payment_intent") if about.get("object") != "payment_intent" else object_id
    if isinstance(payment_id, dict):
        payment_id = payment_id.get("id")
    event_id, kind, created = found["id"], found["type"], found["created"]
    if not (isinstance(event_id, str) and isinstance(kind, str) and isinstance(object_id, str)):
        raise TypeError("ids and types are words")
    if not (isinstance(created, int) and 0 <= created < 1 << 40):
        raise TypeError("times are seconds since 1970")
    if max(len(event_id), len(object_id), len(str(payment_id or ""))) > 255 or len(kind) > 120:
        raise TypeError("too long for an id")
    return Event(
        id=event_id,
        type=kind,
        object_id=object_id,
        payment_id=str(payment_id or ""),
        occurred_at=datetime.fromtimestamp(created, UTC),
    )
