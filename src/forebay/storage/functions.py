"""SQL functions that mean the same on both databases."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class joined(FunctionElement[str]):  # noqa: N801 - named as functions of SQL are
    """Texts of several rows in one, with a blank between them, in no order; NULL where there are none."""

    type = sa.Text()
    inherit_cache = True


@compiles(joined, "sqlite")
def sqlite_joined(element: joined, compiler: Any, **more: Any) -> str:
    """SQLite's name for it."""
    return f"group_concat({compiler.process(element.clauses, **more)}, ' ')"


@compiles(joined, "postgresql")
def postgresql_joined(element: joined, compiler: Any, **more: Any) -> str:
    """PostgreSQL's."""
    return f"string_agg({compiler.process(element.clauses, **more)}, ' ')"
