"""A SELECT that runs thousands of times a second: written in Core, compiled once, executed by the driver itself.

SQLAlchemy spends longer on finding a statement in its cache and dressing the rows than SQLite spends on the query. Rows come
as plain tuples of what the driver returns: moments are seconds, documents JSON text, claims truthy.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection


class Prepared:
    """A statement with `bindparam`s, ready for both databases. Calling it returns all rows."""

    def __init__(self, statement: sa.Select[*tuple[Any, ...]]) -> None:
        self.statement = statement
        self.compiled: dict[str, tuple[str, tuple[str, ...] | None]] = {}

    def compile(self, connection: Connection) -> tuple[str, tuple[str, ...] | None]:
        """The statement in the connection's dialect, and the order of its parameters if they go by position."""
        form = self.statement.compile(dialect=connection.dialect)
        positions = tuple(form.positiontup) if form.positiontup is not None else None
        constants = {name: bind.value for name, bind in form.binds.items() if bind.value is not None}
        if constants:
            raise ValueError(f"a prepared statement has constants, use literal_column: {constants}")
        self.compiled[connection.dialect.name] = (form.string, positions)
        return form.string, positions

    def __call__(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """All rows for these values."""
        text, positions = self.compiled.get(connection.dialect.name) or self.compile(connection)
        raw: Any = connection.connection.dbapi_connection
        parameters: Any = values if positions is None else [values[name] for name in positions]
        rows: list[tuple[Any, ...]] = raw.execute(text, parameters).fetchall()
        return rows
