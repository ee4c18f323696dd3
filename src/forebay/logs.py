"""Structured logs: one JSON object a line on standard error, or plain text for people.

Secrets are never given to the logger.
"""

import json
import logging
import sys
from datetime import UTC, datetime

from forebay.settings import Settings

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, where, what, and whatever was given as extra."""
        facts = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts |= {name: value for name, value in vars(record).items() if name not in STANDARD}
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return json.dumps(facts, default=str, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """A record as a line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """What, and whatever was given as extra."""
        more = " ".join(f"{name}={value}" for name, value in vars(record).items() if name not in STANDARD)
        text = f"{record.levelname.lower():7} {record.getMessage()} {more}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up(settings: Settings) -> None:
    """Log as the settings say; libraries only when they have something to worry about."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonLines() if settings.log_format == "json" else PlainLines())
    logging.basicConfig(level=logging.WARNING, handlers=[stream], force=True)
    logging.getLogger("forebay").setLevel(settings.log_level.upper())
