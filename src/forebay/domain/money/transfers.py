"""A transfer and its entries, as values and as rows: hashed, written, read back. The rules are the ledger's."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money.digests import digest
from forebay.storage.tables import entries, transfers

LOOK_UP = 500
"""How many keys or ids one SELECT asks for."""


class Posting(msgspec.Struct, frozen=True):
    """One side of a transfer to be: positive adds to the account."""

    account_id: str
    amount_micros: int


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer to be."""

    team_id: str
    kind: str
    key: str
    postings: Sequence[Posting]
    reason: str = ""
    created_by: str | None = None
    reverses: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """One side of a transfer; balance and version are None for the system's accounts."""

    account_id: str
    amount_micros: int
    balance_after_micros: int | None
    version: int | None


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as it stands in the books. `entries` are in the order of their accounts' ids."""

    id: str
    kind: str
    key: str
    team_id: str
    sequence: int
    reverses: str | None
    reason: str
    created_by: str | None
    created_at: datetime
    previous_hash: str
    hash: str
    entries: tuple[Entry, ...]

    @property
    def own(self) -> Entry:
        """The entry of the team's account."""
        return next(entry for entry in self.entries if entry.account_id == account_id(self.team_id))

    @property
    def amount_micros(self) -> int:
        """What the team gained; negative: what it paid."""
        return self.own.amount_micros

    @property
    def balance_after_micros(self) -> int:
        """The team's balance after it."""
        return self.own.balance_after_micros or 0

    def reckon_hash(self) -> str:
        """The hash that this transfer, with these entries, after that previous hash, must have."""
        return digest(
            self.previous_hash,
            self.id,
            self.kind,
            self.key,
            self.team_id,
            self.sequence,
            self.reverses,
            self.reason,
            self.created_by,
            int(self.created_at.timestamp()),
            [[each.account_id, each.amount_micros, each.balance_after_micros, each.version] for each in self.entries],
        )


COLUMNS = (
    transfers.c.id,
    transfers.c.kind,
    transfers.c.idempotency_key,
    transfers.c.team_id,
    transfers.c.sequence,
    transfers.c.reverses,
    transfers.c.reason,
    transfers.c.created_by,
    sa.type_coerce(transfers.c.created_at, sa.BigInteger),
    transfers.c.previous_hash,
    transfers.c.hash,
    entries.c.account_id,
    entries.c.amount_micros,
    entries.c.balance_after_micros,
    entries.c.version,
)
OF_TRANSFER = 11
"""How many of the columns belong to the transfer; the rest are one entry's."""


def account_id(team_id: str) -> str:
    """The id of a team's account."""
    return f"team:{team_id}"


def with_entries() -> sa.Select[Any]:
    """Transfers beside their entries, also those that have lost theirs. Order it by transfer for `gather`."""
    return sa.select(*COLUMNS).select_from(transfers.outerjoin(entries, entries.c.transfer_id == transfers.c.id))


def gather(rows: Iterable[Sequence[Any]]) -> Iterator[Transfer]:
    """The transfers in rows of `with_entries`, a row an entry; as a stream, one transfer in memory at a time."""
    for facts, of_one in groupby(rows, key=lambda row: tuple(row[:OF_TRANSFER])):
        found = [Entry(*row[OF_TRANSFER:]) for row in of_one if row[OF_TRANSFER] is not None]
        yield Transfer(
            id=facts[0],
            kind=facts[1],
            key=facts[2],
            team_id=facts[3],
            sequence=facts[4],
            reverses=facts[5],
            reason=facts[6],
            created_by=facts[7],
            created_at=datetime.fromtimestamp(facts[8], UTC),
            previous_hash=facts[9],
            hash=facts[10],
            entries=tuple(sorted(found, key=lambda entry: entry.account_id)),
        )


def with_keys(connection: Connection, keys: Sequence[str]) -> list[Transfer]:
    """The transfers that have these keys, those there are."""
    found: list[Transfer] = []
    for start in range(0, len(keys), LOOK_UP):
        some = keys[start : start + LOOK_UP]
        statement = with_entries().where(transfers.c.idempotency_key.in_(some)).order_by(transfers.c.id)
        found += gather(connection.execute(statement))
    return found


def write(connection: Connection, written: Sequence[Transfer]) -> None:
    """Insert these transfers and their entries."""
    if not written:
        return
    connection.execute(
        sa.insert(transfers),
        [
            {
                "id": each.id,
                "kind": each.kind,
                "idempotency_key": each.key,
                "team_id": each.team_id,
                "sequence": each.sequence,
                "reverses": each.reverses,
                "reason": each.reason,
                "created_by": each.created_by,
                "created_at": each.created_at,
                "previous_hash": each.previous_hash,
                "hash": each.hash,
            }
            for each in written
        ],
    )
    connection.execute(
        sa.insert(entries),
        [{"transfer_id": each.id, **msgspec.structs.asdict(entry)} for each in written for entry in each.entries],
    )
