"""Rows made into structs: each column becomes the field of its name."""

from typing import Any, TypeVar

from sqlalchemy import CursorResult

Value = TypeVar("Value")


def values_of(kind: type[Value], rows: CursorResult[*tuple[Any, ...]]) -> list[Value]:
    """A struct for each row, fetched at once: asked for one by one, and by name, they take a quarter longer."""
    names = tuple(rows.keys())
    return [kind(**dict(zip(names, row, strict=True))) for row in rows.all()]
