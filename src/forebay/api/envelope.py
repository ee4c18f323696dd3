"""How answers look on the wire: camelCase JSON, and every refusal as `{error, code, details}`."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar

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


class File(msgspec.Struct, frozen=True):
    """An answer that is no JSON but a file to keep. A route says so by the kind of file it answers."""

    media_type: ClassVar[str] = "application/octet-stream"

    name: str
    """For whoever saves it: letters, digits, dots and hyphens."""
    content: bytes


class Csv(File, frozen=True):
    """A table for spreadsheets and programs: a line of names, then a line a row."""

    media_type: ClassVar[str] = "text/csv"


class Pdf(File, frozen=True):
    """A document to print or to hand on."""

    media_type: ClassVar[str] = "application/pdf"


def written(result: Any) -> tuple[dict[str, str], bytes]:
    """What a route's function returned, as the headers beside the usual ones and the body."""
    if isinstance(result, File):
        charset = "; charset=utf-8" if result.media_type.startswith("text/") else ""
        return {
            "content-type": result.media_type + charset,
            "content-disposition": f'attachment; filename="{result.name}"',
        }, result.content
    return {}, result if isinstance(result, bytes) else encoder.encode(result)


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


def iso_at(at: datetime | None) -> str | None:
    """The same for a moment of the domain, to the second, if there is one."""
    return None if at is None else moment(int(at.timestamp()))


@lru_cache(65536)
def moment(seconds: int) -> str:
    """The same for a moment that there is. The same moments are asked for again and again, by everyone who polls."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
