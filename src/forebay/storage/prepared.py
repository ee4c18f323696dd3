"""A SELECT that runs thousands of times a second: written in Core, compiled once, executed by the driver itself.

SQLAlchemy spends longer on finding a statement in its cache and dressing the rows than SQLite spends on the query.
Rows come as plain tuples of what the driver returns: moments are seconds, documents JSON text, claims truthy.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

Reader = Callable[[Any], Any]
Value = TypeVar("Value")


class Form:
    """A statement compiled for one dialect."""

    __slots__ = ("constants", "is_positional", "names", "text")

    def __init__(self, statement: sa.Select[*tuple[Any, ...]], connection: Connection) -> None:
        compiled = statement.compile(dialect=connection.dialect)
        self.text = compiled.string
        self.names = tuple(compiled.positiontup or ())
        self.is_positional = compiled.positiontup is not None
        self.constants = {name: bind.value for name, bind in compiled.binds.items() if bind.value is not None}

    def parameters(self, values: dict[str, Any]) -> Any:
        """The values as the driver takes them."""
        if self.constants:
            values = self.constants | values
        return [values[name] for name in self.names] if self.is_positional else values


class Prepared:
    """A statement with `bindparam`s, ready for both databases. Calling it returns all rows."""

    def __init__(self, statement: sa.Select[*tuple[Any, ...]]) -> None:
        self.statement = statement
        self.forms: dict[str, Form] = {}

    def __call__(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """All rows for these values."""
        name = connection.dialect.name
        form = self.forms.get(name)
        if form is None:
            form = self.forms[name] = Form(self.statement, connection)
        raw: Any = connection.connection.dbapi_connection
        parameters = form.parameters(values)
        try:
            rows: list[tuple[Any, ...]] = raw.execute(form.text, parameters).fetchall()
        except connection.dialect.loaded_dbapi.Error:
            # Once more the long way round: SQLAlchemy tells a cut connection, drops it, and raises errors of its own.
            again = connection.exec_driver_sql(form.text, tuple(parameters) if form.is_positional else parameters)
            return [tuple(row) for row in again]
        return rows


class PreparedValues(Generic[Value]):
    """The same, of rows that are made into structs: each column becomes the field of its name, as its type has it."""

    def __init__(self, kind: type[Value], statement: sa.Select[*tuple[Any, ...]]) -> None:
        self.kind, self.prepared = kind, Prepared(statement)
        self.columns = list(statement.selected_columns)
        self.names = [column.name for column in self.columns]
        self.readers: dict[str, list[tuple[str, Reader]]] = {}

    def __call__(self, connection: Connection, **values: Any) -> list[Value]:
        """A struct for each row."""
        readers = self.readers.get(connection.dialect.name)
        if readers is None:
            readers = self.readers[connection.dialect.name] = self.readers_of(connection)
        found = []
        for row in self.prepared(connection, **values):
            fields = dict(zip(self.names, row, strict=True))
            for name, read in readers:
                fields[name] = read(fields[name])
            found.append(self.kind(**fields))
        return found

    def readers_of(self, connection: Connection) -> list[tuple[str, Reader]]:
        """What makes values of those columns that mean something else than the driver of this database says."""
        dialect = connection.dialect
        readers = [
            (each.name, each.type.dialect_impl(dialect).result_processor(dialect, None)) for each in self.columns
        ]
        return [(name, read) for name, read in readers if read is not None]
