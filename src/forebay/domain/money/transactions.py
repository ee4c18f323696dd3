"""Transactions: a team's transfers as its people read them, newest first, each with its kind in words and who made it.

They are the ledger's own rows: amount and balance after are those of the entry on the team's account. An empty answer
means that there was nothing, never that something was left out.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import spreadsheets
from forebay.domain.money.amounts import in_dollars
from forebay.domain.money.transfers import account_id
from forebay.errors import BadRequest
from forebay.storage.prepared import Prepared, PreparedValues
from forebay.storage.rows import values_of
from forebay.storage.tables import accounts, entries, transfers, users

WORDS = {
    "deposit": "Deposit",
    "refund": "Refund of a deposit",
    "dispute": "Deposit disputed with the bank",
    "reinstatement": "Disputed deposit given back",
    "usage": "Use of machines and disks",
    "grant": "Credits granted",
    "grant_taken_back": "Grant taken back",
    "credits_given_up": "Credits given up",
    "credits_moved_out": "Credits moved to another team",
    "credits_moved_in": "Credits moved from another team",
}
"""What a kind of transfer is called where people read it: all kinds that the ledger has."""

FEW = 5000


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as seen from its team: positive is what the team gained."""

    id: str
    sequence: int
    """Place in the team's chain, from 1, without gaps."""
    kind: str
    amount_micros: int
    balance_after_micros: int
    reason: str
    reverses: str | None
    created_by: str | None
    """None: Forebay itself."""
    created_by_name: str | None
    created_at: datetime

    @property
    def words(self) -> str:
        """The kind in words."""
        return words(self.kind)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which transactions; what is None does not count."""

    kind: str | None = None
    except_kind: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    """Up to this moment, itself not included."""

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Filter()


def words(kind: str) -> str:
    """What a kind of transfer is called where people read it."""
    return WORDS.get(kind) or kind.replace("_", " ").capitalize()


def search(
    connection: Connection, team_id: str, wanted: Filter, *, limit: int, page: int = 1
) -> tuple[Sequence[Transaction], int]:
    """A page of the team's transactions, newest first, the pages counted from 1; and how many there are in all."""
    first = (page - 1) * limit
    if wanted.is_everything:
        total = sum(int(version) for (version,) in LENGTH(connection, team_id=team_id))
        if first >= total:
            return [], total
        # By the numbers of the chain: as quick on the last page as on the first.
        newest = total - first
        places = {"newest": newest, "oldest": newest - limit + 1}
        return CHAIN(connection, team_id=team_id, account_id=account_id(team_id), **places), total
    conditions = [transfers.c.team_id == team_id, *matching(wanted)]
    counted = sa.select(sa.func.count()).select_from(transfers).where(*conditions)
    total = int(connection.execute(counted).scalar() or 0)
    if first >= total:
        return [], total
    statement = WITH_OWN_ENTRY.where(*conditions).order_by(*newest_first(wanted, total)).limit(limit).offset(first)
    rows = connection.execute(statement, {"account_id": account_id(team_id)})
    return values_of(Transaction, rows), total


def newest_first(wanted: Filter, total: int) -> list[sa.ColumnElement[Any]]:
    """SQL: the order, said so that the index which finds the transfers is used: nobody tells SQLite how many fit.

    A few of very many, sorted afterwards, are not looked for along the whole chain.
    """
    has_kind = wanted.kind is not None or wanted.except_kind is not None
    if not has_kind:
        return [transfers.c.created_at.desc(), transfers.c.sequence.desc()]
    if wanted.except_kind is not None and total <= FEW:
        return [(transfers.c.sequence + 0).desc()]
    return [transfers.c.sequence.desc()]


def between(connection: Connection, team_id: str, first: int, last: int, *, except_kind: str) -> Sequence[Transaction]:
    """The team's transactions beyond one place in its chain up to another, but for one kind, oldest first."""
    chain = sa.and_(transfers.c.team_id == team_id, transfers.c.sequence > first, transfers.c.sequence <= last)
    # Sorted afterwards: in the order of the chain, SQLite would go through all of it.
    statement = WITH_OWN_ENTRY.where(chain, *matching(Filter(except_kind=except_kind)))
    rows = connection.execute(statement.order_by(transfers.c.sequence + 0), {"account_id": account_id(team_id)})
    return values_of(Transaction, rows)


def matching(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    """SQL: what the filter asks of a transfer."""
    found = []
    if wanted.kind is not None:
        found.append(transfers.c.kind == wanted.kind)
    if wanted.except_kind is not None:
        # By name, which the index can look up; "any other than" would go through all there are.
        found.append(transfers.c.kind.in_([kind for kind in WORDS if kind != wanted.except_kind]))
    if wanted.from_at is not None:
        found.append(transfers.c.created_at >= wanted.from_at)
    if wanted.to_at is not None:
        found.append(transfers.c.created_at < wanted.to_at)
    return found


OWN = sa.and_(
    entries.c.transfer_id == transfers.c.id, entries.c.account_id == sa.bindparam("account_id", type_=sa.String())
)
WITH_OWN_ENTRY = sa.select(
    transfers.c.id,
    transfers.c.sequence,
    transfers.c.kind,
    entries.c.amount_micros,
    entries.c.balance_after_micros,
    transfers.c.reason,
    transfers.c.reverses,
    transfers.c.created_by,
    users.c.name.label("created_by_name"),
    transfers.c.created_at,
).select_from(transfers.join(entries, OWN).outerjoin(users, users.c.id == transfers.c.created_by))
"""The columns of a Transaction, for the account of the team."""

TEAM = sa.bindparam("team_id", type_=sa.String())
LENGTH = Prepared(sa.select(accounts.c.version).where(accounts.c.team_id == TEAM))
CHAIN = PreparedValues(
    Transaction,
    WITH_OWN_ENTRY.where(
        transfers.c.team_id == TEAM,
        transfers.c.sequence.between(
            sa.bindparam("oldest", type_=sa.BigInteger()), sa.bindparam("newest", type_=sa.BigInteger())
        ),
    ).order_by(transfers.c.sequence.desc()),
)
"""All of a team's transactions from one place in its chain to another, the newest first."""


def for_a_file(connection: Connection, team_id: str, wanted: Filter) -> Sequence[Transaction]:
    """All of them, newest first. Raises BadRequest for more than a file holds."""
    most = spreadsheets.MOST_ROWS
    found, total = search(connection, team_id, wanted, limit=most)
    if total > most:
        raise BadRequest(
            f"These are {total} transactions, and a file holds {most}. Ask for a shorter time.",
            code="TOO_MANY_ROWS",
            details={"from": "later", "to": "earlier"},
        )
    return found


def sheet(found: Iterable[Transaction]) -> bytes:
    """Transactions as a CSV file."""
    return spreadsheets.table(
        ["time", "kind", "description", "amount", "balance after", "reason", "by", "id", "reverses"],
        [
            [
                f"{each.created_at.isoformat()[:19]}Z",
                each.kind,
                each.words,
                in_dollars(each.amount_micros),
                in_dollars(each.balance_after_micros),
                each.reason,
                each.created_by_name or each.created_by or "Forebay",
                each.id,
                each.reverses,
            ]
            for each in found
        ],
        ours=["time", "kind", "description", "amount", "balance after", "id", "reverses"],
    )
