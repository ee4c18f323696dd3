"""The ledger: double entry in micro-dollars, append-only, the same on both databases.

What always holds here:

- A transfer's entries sum to zero, one entry for each account it touches, and one of the accounts is its team's.
  Credits that move between two teams are two transfers through `CLEARING` in one `post_many`: each team reads its own.
- A team account's balance and version change in the transaction that writes the entry, under the row's lock; `version`
  counts the team's transfers, and is the `sequence` of the last one.
- A transfer happens once for its key, however often it is posted.
- A positive entry on a team account is credit the team gains. The system's accounts have no running balance: every
  charge in the cloud would queue for the row.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money.amounts import MAX_AMOUNT_MICROS
from forebay.domain.money.digests import genesis
from forebay.domain.money.transfers import (
    Draft,
    Entry,
    Posting,
    Transfer,
    account_id,
    gather,
    with_entries,
    with_keys,
    write,
)
from forebay.errors import Conflict, InsufficientBalance, NotFound
from forebay.ids import new_id
from forebay.storage.database import lock_rows, upsert_insert, whole_seconds
from forebay.storage.tables import accounts, holds, transfers

__all__ = ["Draft", "Entry", "Posting", "Transfer", "account_id"]

CLEARING = "clearing"
PROCESSOR = "processor"
COMPUTE_REVENUE = "compute_revenue"
STORAGE_REVENUE = "storage_revenue"
GRANTS = "grants"
BAD_DEBT = "bad_debt"
SYSTEM_ACCOUNTS = (CLEARING, PROCESSOR, COMPUTE_REVENUE, STORAGE_REVENUE, GRANTS, BAD_DEBT)

USAGE = "usage"
GRANT = "grant"
GRANT_TAKEN_BACK = "grant_taken_back"
GIVEN_UP = "credits_given_up"
MOVED_OUT = "credits_moved_out"
MOVED_IN = "credits_moved_in"
DEPOSIT = "deposit"
REFUND = "refund"
DISPUTE = "dispute"
REINSTATEMENT = "reinstatement"
MAY_OVERDRAW = (USAGE, GRANT_TAKEN_BACK, REFUND, DISPUTE)
"""The kinds that may take a balance below zero."""


class KeyReused(Conflict):
    """A transfer with this key exists, and it says something else."""


class Balance(msgspec.Struct, frozen=True):
    """A team's credits, and how many of them are set aside for machines it has launched."""

    balance_micros: int
    held_micros: int

    @property
    def available_micros(self) -> int:
        """What a launch may count on."""
        return self.balance_micros - self.held_micros


class Head(msgspec.Struct, frozen=True):
    """Where a team's chain ends: what the next transfer follows. A transfer is one too."""

    sequence: int
    hash: str
    balance_after_micros: int


def open_system_accounts(connection: Connection) -> None:
    """Make the system's accounts, those that aren't there."""
    rows = [{"id": name, "kind": name} for name in SYSTEM_ACCOUNTS]
    connection.execute(upsert_insert(connection, accounts).on_conflict_do_nothing(), rows)


def open_account(connection: Connection, team_id: str) -> None:
    """Make a new team's account, empty. Once: a second time is an IntegrityError."""
    own = account_id(team_id)
    connection.execute(
        sa.insert(accounts).values(
            id=own, kind="team_credits", team_id=team_id, balance_micros=0, version=0, last_hash=genesis(own)
        )
    )


def lock(connection: Connection, *team_ids: str) -> None:
    """Lock these teams' accounts to the transaction's end, always in the same order. Read after it what you act on."""
    lock_rows(connection, accounts, [account_id(team_id) for team_id in team_ids])


def balance(connection: Connection, team_id: str) -> Balance:
    """A team's credits. Raises NotFound for a team without an account."""
    found = balances(connection, [team_id])
    if team_id not in found:
        raise NotFound("Account")
    return found[team_id]


held = (
    sa.select(sa.func.coalesce(sa.func.sum(holds.c.remaining_micros), 0))
    .where(holds.c.team_id == accounts.c.team_id, holds.c.released_at.is_(None))
    .scalar_subquery()
)
BALANCES = sa.select(accounts.c.team_id, accounts.c.balance_micros, held).where(
    accounts.c.team_id.in_(sa.bindparam("team_ids", expanding=True))
)


def balances(connection: Connection, team_ids: Sequence[str]) -> dict[str, Balance]:
    """The credits of several teams, by team id; those without an account are left out."""
    rows = connection.execute(BALANCES, {"team_ids": team_ids}).all()
    return {team_id: Balance(int(balance_micros), int(held_micros)) for team_id, balance_micros, held_micros in rows}


def post(
    connection: Connection,
    *,
    team_id: str,
    kind: str,
    key: str,
    postings: Sequence[Posting],
    now: datetime,
    reason: str = "",
    created_by: str | None = None,
    reverses: str | None = None,
) -> Transfer:
    """Write one transfer, or return the one that was written for this key; see `post_many`."""
    draft = Draft(
        team_id=team_id,
        kind=kind,
        key=key,
        postings=postings,
        reason=reason,
        created_by=created_by,
        reverses=reverses,
    )
    return post_many(connection, [draft], now=now)[0]


def post_many(connection: Connection, drafts: Sequence[Draft], *, now: datetime) -> list[Transfer]:
    """Write these transfers, each once for its key, and return them in the same order.

    The number of statements does not grow with the number of transfers. Raises ValueError for a draft that doesn't
    balance, KeyReused for a key that stands for something else, InsufficientBalance where a transfer of its kind may
    not take the balance below zero, NotFound for a team without an account.
    """
    for draft in drafts:
        check_balanced(draft)
    team_ids = sorted({draft.team_id for draft in drafts})
    lock(connection, *team_ids)
    known = {transfer.key: transfer for transfer in with_keys(connection, [draft.key for draft in drafts])}
    heads = read_heads(connection, team_ids)
    written: list[Transfer] = []
    for draft in drafts:
        if (first := known.get(draft.key)) is not None:
            check_same(first, draft)
            continue
        if draft.team_id not in heads:
            raise NotFound("Account")
        transfer = follow(heads[draft.team_id], draft, now=whole_seconds(now))
        known[draft.key] = heads[draft.team_id] = transfer
        written.append(transfer)
    write(connection, written)
    move_heads(connection, {transfer.team_id: transfer for transfer in written})
    return [known[draft.key] for draft in drafts]


def check_balanced(draft: Draft) -> None:
    """Raise ValueError unless it is a transfer of its team: each account once, every amount in bounds, zero in sum."""
    touched = [posting.account_id for posting in draft.postings]
    if len(set(touched)) != len(touched):
        raise ValueError(f"transfer {draft.key} touches an account twice")
    if set(touched) - set(SYSTEM_ACCOUNTS) != {account_id(draft.team_id)}:
        raise ValueError(f"transfer {draft.key} must touch its own team's account and the system's, no others")
    if any(not 0 < abs(posting.amount_micros) <= MAX_AMOUNT_MICROS for posting in draft.postings):
        raise ValueError(f"transfer {draft.key} moves nothing, or more than one transfer may")
    if sum(posting.amount_micros for posting in draft.postings) != 0:
        raise ValueError(f"transfer {draft.key} does not sum to zero")


def check_same(first: Transfer, draft: Draft) -> None:
    """Raise KeyReused unless the transfer says what the draft says. Words (the reason, who) may differ."""
    said = {entry.account_id: entry.amount_micros for entry in first.entries}
    wanted = {posting.account_id: posting.amount_micros for posting in draft.postings}
    if (first.team_id, first.kind, first.reverses, said) != (draft.team_id, draft.kind, draft.reverses, wanted):
        raise KeyReused(f"The key {draft.key} belongs to another transfer.", details={"transferId": first.id})


def read_heads(connection: Connection, team_ids: Sequence[str]) -> dict[str, Head | Transfer]:
    """The ends of these teams' chains, by team id."""
    columns = (accounts.c.team_id, accounts.c.version, accounts.c.last_hash, accounts.c.balance_micros)
    rows = connection.execute(sa.select(*columns).where(accounts.c.team_id.in_(team_ids)))
    return {team_id: Head(version, last_hash, micros) for team_id, version, last_hash, micros in rows}


def follow(head: Head | Transfer, draft: Draft, *, now: datetime) -> Transfer:
    """The transfer that follows `head` in its team's chain. Raises InsufficientBalance."""
    own = account_id(draft.team_id)
    amount_micros = next(posting.amount_micros for posting in draft.postings if posting.account_id == own)
    after_micros = head.balance_after_micros + amount_micros
    if amount_micros < 0 and after_micros < 0 and draft.kind not in MAY_OVERDRAW:
        raise InsufficientBalance(needed_micros=-amount_micros, available_micros=head.balance_after_micros)
    sequence = head.sequence + 1
    transfer = Transfer(
        id=new_id(now),
        kind=draft.kind,
        key=draft.key,
        team_id=draft.team_id,
        sequence=sequence,
        reverses=draft.reverses,
        reason=draft.reason,
        created_by=draft.created_by,
        created_at=now,
        previous_hash=head.hash,
        hash="",
        entries=tuple(
            Entry(each.account_id, each.amount_micros, after_micros, sequence)
            if each.account_id == own
            else Entry(each.account_id, each.amount_micros, None, None)
            for each in sorted(draft.postings, key=lambda posting: posting.account_id)
        ),
    )
    return msgspec.structs.replace(transfer, hash=transfer.reckon_hash())


def move_heads(connection: Connection, heads: dict[str, Transfer]) -> None:
    """Let the teams' accounts say where their chains end now."""
    if not heads:
        return
    connection.execute(
        sa.update(accounts)
        .where(accounts.c.id == sa.bindparam("own"))
        .values(balance_micros=sa.bindparam("after"), version=sa.bindparam("sequence"), last_hash=sa.bindparam("head")),
        [
            {
                "own": account_id(team_id),
                "after": transfer.balance_after_micros,
                "sequence": transfer.sequence,
                "head": transfer.hash,
            }
            for team_id, transfer in heads.items()
        ],
    )


def grant(
    connection: Connection,
    *,
    team_id: str,
    amount_micros: int,
    reason: str,
    created_by: str | None,
    now: datetime,
    key: str | None = None,
) -> Transfer:
    """Give a team credits. With a `key` it happens once for it. Raises ValueError for an amount that isn't positive."""
    if amount_micros <= 0:
        raise ValueError("a grant gives more than nothing")
    return post(
        connection,
        team_id=team_id,
        kind=GRANT,
        key=f"grant:{key or new_id(now)}",
        postings=[Posting(account_id(team_id), amount_micros), Posting(GRANTS, -amount_micros)],
        now=now,
        reason=reason,
        created_by=created_by,
    )


def take_back(
    connection: Connection, *, transfer_id: str, created_by: str | None, reason: str, now: datetime
) -> Transfer:
    """Take a grant back, whole and once, even if that takes the balance below zero. Raises NotFound."""
    statement = with_entries().where(transfers.c.id == transfer_id, transfers.c.kind == GRANT)
    first = next(gather(connection.execute(statement)), None)
    if first is None:
        raise NotFound("Grant")
    return post(
        connection,
        team_id=first.team_id,
        kind=GRANT_TAKEN_BACK,
        key=f"grant-taken-back:{first.id}",
        postings=[Posting(each.account_id, -each.amount_micros) for each in first.entries],
        now=now,
        reason=reason,
        created_by=created_by,
        reverses=first.id,
    )


def give_up(
    connection: Connection, *, team_id: str, amount_micros: int, created_by: str | None, now: datetime
) -> Transfer:
    """The team gives up all the credits it has left, once and for all, because it comes to its end.

    Raises InsufficientBalance if it has less.
    """
    return post(
        connection,
        team_id=team_id,
        kind=GIVEN_UP,
        key=f"given-up:{team_id}",
        postings=[Posting(account_id(team_id), -amount_micros), Posting(GRANTS, amount_micros)],
        now=now,
        reason="given up when the team was deleted",
        created_by=created_by,
    )


def transactions(connection: Connection, team_id: str, *, page: int = 1, limit: int = 20) -> tuple[list[Transfer], int]:
    """A team's transfers, newest first, the pages counted from 1; and how many there are."""
    total = connection.execute(sa.select(accounts.c.version).where(accounts.c.team_id == team_id)).scalar() or 0
    newest = total - (page - 1) * limit
    statement = (
        with_entries()
        .where(transfers.c.team_id == team_id, transfers.c.sequence.between(newest - limit + 1, newest))
        .order_by(transfers.c.sequence.desc())
    )
    return list(gather(connection.execute(statement))), int(total)
