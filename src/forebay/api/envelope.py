"""How answers look on the wire: camelCase JSON, and every refusal as `{error, code, details}`."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from forebay.errors import ForebayError, RateLimitExceeded

encoder = msgspec.json.Encoder()


class ErrorBody(msgspec.Struct):
    """What every refusal looks like. Some carry more beside these three, as their clients expect."""

    error: str
    """A sentence for a person."""
    code: str
    """A word for a program: UPPER_SNAKE."""
    details: dict[str, Any]
    """What exactly; for a 400 a message for each field."""


class Wire(msgspec.Struct, rename="camel", kw_only=True):
    """What is written to clients."""


class Input(msgspec.Struct, rename="camel", kw_only=True):
    """What is read from clients."""


def refusal(error: ForebayError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error."""
    body = {"error": error.sentence, "code": error.code, "details": error.details} | error.extra
    headers = {}
    if isinstance(error, RateLimitExceeded):
        headers["retry-after"] = str(error.retry_after)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return error.status, headers, encoder.encode(body)


def iso(seconds: int | None) -> str | None:
    """A moment as clients want it: ISO 8601 in UTC with Z."""
    return None if seconds is None else moment(seconds)


@lru_cache(65536)
def moment(seconds: int) -> str:
    """The same for a moment that there is. The same moments are asked for again and again, by everyone who polls."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
