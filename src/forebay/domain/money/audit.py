"""The audit: everything the books promise, checked from the records alone. It changes nothing.

The checks run in a fixed order and each says what it found wrong in sentences that name the row. They stream, so the
size of the books is no matter, and they take nothing on trust: not a constraint, not a trigger, not even that a number
is a number, because whoever changes a row by hand can do so with all of those switched off.

What the records prove: that transfers sum to zero, chain, and end in the balances; that usage lines tile every segment
and follow the floor formula; that no hold was taken beyond the balance of its moment and charges used each up as they
should; that each payment by card was credited once, and what was taken back of it is what its totals come to; that
nothing but use, refunds, disputes and grants taken back took a balance below zero. What they can't prove: the last
sighting of a segment that is still open, when a cycle began and ended, and what the payment processor has on its own
list. Why a machine was stopped is looked at in `domain/machines/audit.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import audit_auto_top_ups, audit_books, audit_payments, audit_use
from forebay.storage.database import Database

Check = Callable[[Connection], Iterator[str]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("append-only", audit_books.tables_are_protected),
    ("indexes", audit_books.indexes_are_there),
    ("accounts", audit_books.accounts_are_whole),
    ("chains", audit_books.chains_hold),
    ("heads", audit_books.heads_are_the_ends),
    ("totals", audit_books.everything_sums_to_zero),
    ("credit moves", audit_books.moves_are_whole),
    ("segments", audit_use.segments_are_tiled),
    ("usage lines", audit_use.lines_are_paid),
    ("usage transfers", audit_use.transfers_are_the_sums_of_their_lines),
    ("cycles", audit_use.cycles_count_their_lines),
    ("holds", audit_use.holds_are_used_up),
    ("counts", audit_use.nothing_is_missing),
    ("payment attempts", audit_payments.attempts_come_to_payments),
    ("payments", audit_payments.payments_are_credited_once),
    ("auto top-up", audit_auto_top_ups.attempts_keep_their_distance),
)

UNREADABLE = (sa.exc.DBAPIError, ArithmeticError, OSError, TypeError, ValueError)
"""What a value that can't be right (a word for a number, a sum beyond 64 bits) may raise while it is checked."""


class Violation(msgspec.Struct, frozen=True):
    """Something in the records that can't be: which check found it, and a sentence that names the row."""

    check: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.check}: {self.sentence}"


def run(connection: Connection, *, most: int = 20, checks: Sequence[tuple[str, Check]] = CHECKS) -> list[Violation]:
    """All that is wrong in the books, in the order of the checks, so many of each in full; empty: they balance.

    The connection must see one moment of the database throughout, as that of `snapshot` does.
    """
    return [Violation(name, sentence) for name, check in checks for sentence in findings(connection, check, most)]


def findings(connection: Connection, check: Check, most: int) -> list[str]:
    """What a check finds. A value that it can't even reckon with is a finding too, and the next check runs."""
    found: list[str] = []
    count = 0
    savepoint = connection.begin_nested()
    try:
        # To the end even when there is more than enough: a cursor left halfway would outlive the savepoint.
        for count, sentence in enumerate(check(connection), start=1):
            if count <= most:
                found.append(sentence)
        if count > most:
            found.append(f"and {count - most} more like these")
    except UNREADABLE as error:
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            raise
        # A sentence, not the error itself, which would keep its cursor open beyond the savepoint.
        cause = str(error.orig if isinstance(error, sa.exc.DBAPIError) else error)
        found.append(f"a value in these tables can't be reckoned with: {cause}")
    savepoint.rollback()
    return found


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """A read-only transaction that sees one moment of the database, on either kind."""
    if database.is_sqlite:
        with database.read() as connection:
            yield connection
        return
    engine = database.reader.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with engine.connect() as connection:
        yield connection
