"""The audit's first half: triggers, accounts, the chains of transfers and the balances at their ends."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.domain.money.digests import genesis
from forebay.domain.money.transfers import Transfer, account_id, gather, with_entries
from forebay.storage.tables import APPEND_ONLY, entries, holds, segments, transfers, usage_lines

ROWS_AT_ONCE = 2000

INDEXED = (transfers, entries, holds, segments, usage_lines)

SQLITE_TRIGGERS = "SELECT tbl_name AS table_name, sql FROM sqlite_master WHERE type = 'trigger'"

POSTGRESQL_TRIGGERS = """
    SELECT class.relname AS table_name, trigger.tgtype AS type, function.prosrc AS source
    FROM pg_trigger AS trigger
    JOIN pg_class AS class ON class.oid = trigger.tgrelid
    JOIN pg_proc AS function ON function.oid = trigger.tgfoid
    WHERE NOT trigger.tgisinternal AND trigger.tgenabled IN ('O', 'A')
        AND class.relnamespace = current_schema()::regnamespace
"""
BEFORE_UPDATE_DELETE_TRUNCATE = 2 | 8 | 16 | 32
"""The bits of pg_trigger.tgtype."""

TEAMS_WITHOUT_ACCOUNT = """
    SELECT teams.id FROM teams LEFT JOIN accounts ON accounts.team_id = teams.id
    WHERE accounts.id IS NULL ORDER BY teams.id
"""

ENTRIES_WITHOUT_TRANSFER_OR_ACCOUNT = """
    SELECT entries.transfer_id, entries.account_id, transfers.id AS found_transfer
    FROM entries
    LEFT JOIN transfers ON transfers.id = entries.transfer_id
    LEFT JOIN accounts ON accounts.id = entries.account_id
    WHERE transfers.id IS NULL OR accounts.id IS NULL
    ORDER BY entries.transfer_id, entries.account_id
"""

HEADS = """
    SELECT
        accounts.id, accounts.team_id, accounts.balance_micros, accounts.version, accounts.last_hash,
        transfers.id AS last_id, transfers.hash AS hash, entries.balance_after_micros AS after_micros,
        (SELECT MAX(sequence) FROM transfers AS any_of WHERE any_of.team_id = accounts.team_id) AS last_sequence
    FROM accounts
    LEFT JOIN transfers ON transfers.team_id = accounts.team_id AND transfers.sequence = accounts.version
    LEFT JOIN entries ON entries.transfer_id = transfers.id AND entries.account_id = accounts.id
    WHERE accounts.team_id IS NOT NULL
    ORDER BY accounts.id
"""

TOTALS = """
    SELECT
        (SELECT COALESCE(SUM(amount_micros), 0) FROM entries),
        (SELECT COALESCE(SUM(balance_micros), 0) FROM accounts),
        (SELECT COALESCE(SUM(amount_micros), 0) FROM entries WHERE version IS NOT NULL)
"""

MOVES_WITHOUT_OTHER_HALF = """
    SELECT move, COUNT(*) AS halves, SUM(amount_micros) AS difference_micros
    FROM (
        SELECT SUBSTR(transfers.idempotency_key, 1, 36) AS move, entries.amount_micros
        FROM transfers JOIN entries ON entries.transfer_id = transfers.id AND entries.account_id = 'clearing'
        WHERE transfers.kind IN ('credits_moved_out', 'credits_moved_in')
    ) AS halves_of_moves
    GROUP BY move HAVING COUNT(*) <> 2 OR SUM(amount_micros) <> 0
    ORDER BY move
"""
"""A key is `credit-move:`, 24 characters of the move's id, and the kind."""

EMPTY = (None, None, None, 0, 0)
"""What an account of the system has for a balance, a version, a hash, segments and holds."""


def stream(connection: Connection, statement: sa.Executable | str) -> Iterator[Any]:
    """The rows of a statement, a few thousand in memory at a time."""
    query = sa.text(statement) if isinstance(statement, str) else statement
    with connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE}) as rows:
        yield from rows


def moment(seconds: int) -> str:
    """A moment, for a sentence."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def tables_are_protected(connection: Connection) -> Iterator[str]:
    """Every append-only table refuses changes by trigger."""
    is_postgresql = connection.dialect.name == "postgresql"
    rows = connection.execute(sa.text(POSTGRESQL_TRIGGERS if is_postgresql else SQLITE_TRIGGERS)).all()
    for table in APPEND_ONLY:
        own = [row for row in rows if row.table_name == table]
        if is_postgresql:
            refused = 0
            for row in own:
                is_of_statement = not row.type & 1
                if is_of_statement and row.type & 2 and row.source.strip().startswith("BEGIN RAISE EXCEPTION"):
                    refused |= row.type
            if refused & BEFORE_UPDATE_DELETE_TRUNCATE != BEFORE_UPDATE_DELETE_TRUNCATE:
                yield f"the trigger that keeps {table} append-only is missing, switched off or changed"
            continue
        for verb in ("UPDATE", "DELETE"):
            body = f"BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, "
            if not any(body in row.sql for row in own):
                yield f"the trigger that refuses {verb} on {table} is missing or changed"


def indexes_are_there(connection: Connection) -> Iterator[str]:
    """Every index that the tables of money declare is in the database: some keep apart, all find what is asked for."""
    looked_up = sa.inspect(connection)
    for table in INDEXED:
        found = {
            each["name"]: (each["column_names"], bool(each["unique"])) for each in looked_up.get_indexes(table.name)
        }
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            if found.get(str(index.name)) != ([column.name for column in index.columns], bool(index.unique)):
                yield f"the index {index.name} is missing or not what it was"


def accounts_are_whole(connection: Connection) -> Iterator[str]:
    """Every team has its account, every account is what its id says, and no entry lacks its transfer or account."""
    for (team_id,) in stream(connection, TEAMS_WITHOUT_ACCOUNT):
        yield f"team {team_id} has no account"
    system = set()
    for row in stream(connection, "SELECT * FROM accounts ORDER BY id"):
        if row.team_id is not None:
            if (row.id, row.kind) != (account_id(row.team_id), "team_credits"):
                yield f"account {row.id} is of kind {row.kind} and of team {row.team_id}, which do not go together"
            continue
        system.add(row.id)
        if row.id != row.kind or row.id not in ledger.SYSTEM_ACCOUNTS:
            yield f"account {row.id} of kind {row.kind} is neither a team's nor one of the system's"
        if (row.balance_micros, row.version, row.last_hash, row.segments_started, row.holds_taken) != EMPTY:
            yield f"account {row.id} is the system's and has figures that only a team's account has"
    if system:
        for lost in sorted(set(ledger.SYSTEM_ACCOUNTS) - system):
            yield f"the system's account {lost} is missing"
    for row in stream(connection, ENTRIES_WITHOUT_TRANSFER_OR_ACCOUNT):
        lost = "account" if row.found_transfer else "transfer"
        yield f"the entry of transfer {row.transfer_id} on account {row.account_id} has lost its {lost}"


def chains_hold(connection: Connection) -> Iterator[str]:
    """Each team's transfers follow each other without gap, balance, and have the hash that their content gives."""
    ordered = with_entries().order_by(transfers.c.team_id, transfers.c.sequence, transfers.c.id)
    before: Transfer | None = None
    for transfer in gather(stream(connection, ordered)):
        if before is not None and before.team_id != transfer.team_id:
            before = None
        for wrong in wrong_with(transfer, before):
            yield f"transfer {transfer.id} (number {transfer.sequence} of team {transfer.team_id}) {wrong}"
        before = transfer


def wrong_with(transfer: Transfer, before: Transfer | None) -> Iterator[str]:
    """What is wrong with a transfer, given the one before it in its team's chain."""
    own_account = account_id(transfer.team_id)
    follows = (before.sequence, before.hash) if before else (0, genesis(own_account))
    if transfer.sequence != follows[0] + 1:
        yield f"follows number {follows[0]}: a number is missing"
    elif transfer.previous_hash != follows[1]:
        yield "does not carry the hash of the one before it"
    if transfer.hash != transfer.reckon_hash():
        yield "and its entries do not have the content that its hash was made of"
    if sum(entry.amount_micros for entry in transfer.entries) != 0:
        yield "does not sum to zero"
    own = [entry for entry in transfer.entries if entry.account_id == own_account]
    others = [entry for entry in transfer.entries if entry.account_id != own_account]
    if len(own) != 1:
        yield "has no entry on its team's account"
        return
    if any(entry.account_id not in ledger.SYSTEM_ACCOUNTS for entry in others):
        yield "has an entry on the account of another team"
    if own[0].version != transfer.sequence:
        yield f"has version {own[0].version} in its team's entry"
    own_before = [entry for entry in before.entries if entry.account_id == own_account] if before else []
    balance_before = (own_before[0].balance_after_micros or 0) if own_before else 0
    if own[0].balance_after_micros != balance_before + own[0].amount_micros:
        yield f"takes the balance from {balance_before} by {own[0].amount_micros} to {own[0].balance_after_micros}"
    if own[0].amount_micros < 0 and transfer.balance_after_micros < 0 and transfer.kind not in ledger.MAY_OVERDRAW:
        yield f"takes the balance below zero, which a transfer of kind {transfer.kind} may not"


def heads_are_the_ends(connection: Connection) -> Iterator[str]:
    """Each team account's balance, version and hash are those of the team's last transfer."""
    for row in stream(connection, HEADS):
        if row.version != (row.last_sequence or 0):
            yield (
                f"account {row.id} counts {row.version} transfers and the last there is has number "
                f"{row.last_sequence or 0}: one is missing"
            )
            continue
        ends = (row.hash, row.after_micros) if row.last_id else (genesis(row.id), 0)
        if row.last_hash != ends[0]:
            yield f"account {row.id} has another hash at the end of its chain than its last transfer"
        if row.balance_micros != ends[1]:
            yield f"account {row.id} has a balance of {row.balance_micros}, and its entries come to {ends[1]}"


def everything_sums_to_zero(connection: Connection) -> Iterator[str]:
    """All entries together are zero, and the teams' balances are the sum of the teams' entries."""
    every_entry, balances, team_entries = connection.execute(sa.text(TOTALS)).one()
    if every_entry != 0:
        yield f"all entries together are {every_entry}, not zero"
    if balances != team_entries:
        yield f"the balances of all teams are {balances} together, and their entries {team_entries}"


def moves_are_whole(connection: Connection) -> Iterator[str]:
    """What one team gave to another is what the other got."""
    for row in stream(connection, MOVES_WITHOUT_OTHER_HALF):
        yield f"{row.move} has {row.halves} sides of 2, which differ by {row.difference_micros}"
