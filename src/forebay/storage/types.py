"""Column types that mean the same on both databases."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Dialect

ID = sa.String(24)
"""24 lowercase hex characters."""
MICROS = sa.BigInteger()
"""Micro-dollars."""


class Timestamp(sa.TypeDecorator[datetime]):
    """A moment in whole seconds, kept as seconds since 1970 so that SQL can reckon with it the same way everywhere."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Aware datetimes only: a naive one would mean the machine's own time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        return int(value.timestamp())

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """UTC."""
        return None if value is None else datetime.fromtimestamp(value, UTC)


class Document(sa.TypeDecorator[Any]):
    """A JSON value, kept as text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Anything msgspec can write."""
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Plain dicts, lists, strings and numbers."""
        return None if value is None else msgspec.json.decode(value)
