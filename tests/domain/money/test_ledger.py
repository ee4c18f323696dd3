import pytest
import sqlalchemy as sa

from forebay.domain.money import ledger
from forebay.domain.money.digests import genesis
from forebay.domain.money.ledger import Posting
from forebay.domain.money.transfers import with_keys
from forebay.errors import InsufficientBalance, NotFound
from forebay.storage.database import Database
from forebay.storage.tables import accounts, transfers
from tests.domain.money.books import DOLLAR, START, after, balance, give, new_team, new_teams, sums_of_entries


def usage(team_id: str, amount_micros: int) -> list[Posting]:
    return [
        Posting(ledger.account_id(team_id), -amount_micros),
        Posting(ledger.COMPUTE_REVENUE, amount_micros),
    ]


def test_a_new_account_is_empty_and_has_its_own_genesis(database: Database) -> None:
    with database.begin() as connection:
        first, second = new_teams(connection, 2)
        rows = connection.execute(sa.select(accounts.c.team_id, accounts.c.last_hash))
        heads = {row.team_id: row.last_hash for row in rows}
    assert balance(database, first) == ledger.Balance(0, 0)
    assert heads[first] == genesis(f"team:{first}") != heads[second]


def test_the_systems_accounts_are_made_once(database: Database) -> None:
    for _ in range(2):
        with database.begin() as connection:
            ledger.open_system_accounts(connection)
    with database.read() as connection:
        found = connection.execute(sa.select(accounts.c.id)).scalars().all()
    assert sorted(found) == sorted(ledger.SYSTEM_ACCOUNTS)


def test_a_grant_and_a_charge_move_the_balance_and_chain(database: Database) -> None:
    team_id = new_team(database)
    with database.begin() as connection:
        first = give(connection, team_id, 5 * DOLLAR)
        second = ledger.post(
            connection, team_id=team_id, kind=ledger.USAGE, key="k", postings=usage(team_id, 2), now=after(60)
        )
    assert (first.sequence, second.sequence) == (1, 2)
    assert first.previous_hash == genesis(f"team:{team_id}")
    assert second.previous_hash == first.hash == first.reckon_hash()
    assert (second.amount_micros, second.balance_after_micros) == (-2, 5 * DOLLAR - 2)
    assert balance(database, team_id).balance_micros == 5 * DOLLAR - 2
    with database.read() as connection:
        assert with_keys(connection, ["k"]) == [second]
        assert sum(sums_of_entries(connection).values()) == 0
        account = connection.execute(sa.select(accounts).where(accounts.c.team_id == team_id)).one()
    assert (account.version, account.last_hash) == (2, second.hash)


def test_a_key_counts_once(database: Database) -> None:
    team_id = new_team(database)
    for _ in range(2):
        with database.begin() as connection:
            ledger.grant(
                connection, team_id=team_id, amount_micros=7, reason="", created_by=None, now=START, key="the same"
            )
    assert balance(database, team_id).balance_micros == 7


def test_a_key_that_stands_for_something_else_is_refused(database: Database) -> None:
    team_id = new_team(database, credits_micros=DOLLAR)
    with database.begin() as connection:
        ledger.post(connection, team_id=team_id, kind=ledger.USAGE, key="k", postings=usage(team_id, 2), now=START)
    with database.begin() as connection, pytest.raises(ledger.KeyReused):
        ledger.post(connection, team_id=team_id, kind=ledger.USAGE, key="k", postings=usage(team_id, 3), now=START)
    assert balance(database, team_id).balance_micros == DOLLAR - 2


@pytest.mark.parametrize(
    "amounts",
    [
        {"own": 5, "compute_revenue": -4},
        {"own": 0, "compute_revenue": 0},
        {"own": 2_000_000_000 * DOLLAR, "grants": -2_000_000_000 * DOLLAR},
        {"grants": 5, "compute_revenue": -5},
        {"own": 5, "grants": -10, "nobody": 5},
    ],
)
def test_what_is_no_transfer_is_refused(database: Database, amounts: dict[str, int]) -> None:
    team_id = new_team(database)
    own = {"own": ledger.account_id(team_id)}
    postings = [Posting(own.get(name, name), amount) for name, amount in amounts.items()]
    with database.begin() as connection, pytest.raises(ValueError, match="transfer k"):
        ledger.post(connection, team_id=team_id, kind=ledger.GRANT, key="k", postings=postings, now=START)


def test_an_account_is_touched_once(database: Database) -> None:
    team_id = new_team(database)
    postings = [Posting(f"team:{team_id}", 1), Posting(f"team:{team_id}", 1), Posting("grants", -2)]
    with database.begin() as connection, pytest.raises(ValueError, match="twice"):
        ledger.post(connection, team_id=team_id, kind=ledger.GRANT, key="k", postings=postings, now=START)


def test_only_use_and_grants_taken_back_go_below_zero(database: Database) -> None:
    team_id = new_team(database, credits_micros=5)
    with database.begin() as connection, pytest.raises(InsufficientBalance):
        ledger.post(connection, team_id=team_id, kind="move", key="k", postings=usage(team_id, 6), now=START)
    with database.begin() as connection:
        ledger.post(connection, team_id=team_id, kind=ledger.USAGE, key="k", postings=usage(team_id, 6), now=START)
    assert balance(database, team_id).balance_micros == -1


def test_a_team_without_an_account_is_not_found(database: Database) -> None:
    with database.begin() as connection, pytest.raises(NotFound):
        give(connection, "0" * 24, 5)
    with database.read() as connection, pytest.raises(NotFound):
        ledger.balance(connection, "0" * 24)


def test_many_transfers_of_several_teams_chain_in_their_order(database: Database) -> None:
    with database.begin() as connection:
        team_ids = new_teams(connection, 3, credits_micros=100)
        drafts = [
            ledger.Draft(team_id=team_id, kind=ledger.USAGE, key=f"{team_id}:{n}", postings=usage(team_id, n + 1))
            for n in range(3)
            for team_id in reversed(team_ids)
        ]
        written = ledger.post_many(connection, drafts, now=START)
        again = ledger.post_many(connection, drafts, now=START)
    assert [transfer.key for transfer in written] == [draft.key for draft in drafts]
    assert written == again
    for team_id in team_ids:
        own = [transfer for transfer in written if transfer.team_id == team_id]
        assert [transfer.sequence for transfer in own] == [2, 3, 4]
        assert [transfer.previous_hash for transfer in own[1:]] == [transfer.hash for transfer in own[:2]]
        assert balance(database, team_id).balance_micros == 100 - 6


def test_a_grant_is_taken_back_once_and_below_zero(database: Database) -> None:
    team_id = new_team(database)
    with database.begin() as connection:
        grant = give(connection, team_id, 10)
        ledger.post(connection, team_id=team_id, kind=ledger.USAGE, key="k", postings=usage(team_id, 4), now=START)
    for _ in range(2):
        with database.begin() as connection:
            back = ledger.take_back(
                connection, transfer_id=grant.id, created_by=None, reason="by mistake", now=after(9)
            )
    assert back.reverses == grant.id
    assert balance(database, team_id).balance_micros == -4


def test_only_a_grant_can_be_taken_back(database: Database) -> None:
    team_id = new_team(database, credits_micros=10)
    with database.begin() as connection:
        used = ledger.post(
            connection, team_id=team_id, kind=ledger.USAGE, key="k", postings=usage(team_id, 4), now=START
        )
    for transfer_id in (used.id, "0" * 24):
        with database.begin() as connection, pytest.raises(NotFound):
            ledger.take_back(connection, transfer_id=transfer_id, created_by=None, reason="", now=START)


@pytest.mark.parametrize("amount_micros", [0, -1])
def test_a_grant_gives(database: Database, amount_micros: int) -> None:
    team_id = new_team(database)
    with database.begin() as connection, pytest.raises(ValueError, match="more than nothing"):
        give(connection, team_id, amount_micros)


def test_transactions_come_newest_first_in_pages(database: Database) -> None:
    team_id, other = new_team(database), new_team(database)
    with database.begin() as connection:
        for amount in range(1, 8):
            give(connection, team_id, amount)
        give(connection, other, 99)
    with database.read() as connection:
        pages = [ledger.transactions(connection, team_id, page=page, limit=3) for page in (1, 2, 3, 4)]
    assert [[each.amount_micros for each in found] for found, _ in pages] == [[7, 6, 5], [4, 3, 2], [1], []]
    assert {total for _, total in pages} == {7}


def test_the_books_are_append_only(database: Database) -> None:
    new_team(database, credits_micros=5)
    for statement in (sa.delete(transfers), sa.update(transfers).values(reason="another")):
        with pytest.raises(sa.exc.DatabaseError, match="append-only"), database.begin() as connection:
            connection.execute(statement)
