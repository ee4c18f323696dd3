"""How answers look on the wire: camelCase JSON, and every refusal as `{error, code, details}`."""

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
    if seconds is None:
        return None
    return _iso(seconds)


def _iso(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    return f"{_date(days)}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}Z"


_dates: dict[int, str] = {}


def _date(days: int) -> str:
    """The date of a day since 1970; few days are ever asked for, so they are kept."""
    found = _dates.get(days)
    if found is None:
        from datetime import date

        if len(_dates) > 10_000:
            _dates.clear()
        found = _dates[days] = date.fromordinal(days + 719163).isoformat()
    return found
