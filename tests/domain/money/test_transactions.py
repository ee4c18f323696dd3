"""Transactions as people read them: the ledger's rows, filtered and paged, each with its kind in words."""

from forebay.domain.money import ledger, transactions
from forebay.domain.money.transactions import Filter
from forebay.storage.database import Database
from forebay.storage.tables import teams
from tests.domain.money.books import DOLLAR, after, give, new_teams


def test_every_kind_of_the_ledger_has_words() -> None:
    names = {value for name, value in vars(ledger).items() if name.isupper() and isinstance(value, str)}
    kinds = names - set(ledger.SYSTEM_ACCOUNTS)
    assert ledger.USAGE in kinds
    assert kinds <= set(transactions.WORDS)
    assert transactions.words("something_new") == "Something new"


def test_filters_and_pages(database: Database) -> None:
    with database.begin() as connection:
        team, other = new_teams(connection, 2)
        person = connection.execute(teams.select()).mappings().first()
        assert person is not None
        for second in range(10):
            give(connection, team, (second + 1) * DOLLAR, now=after(second))
        mistaken = ledger.grant(
            connection, team_id=team, amount_micros=7, reason="a slip", created_by=person["created_by"], now=after(10)
        )
        ledger.take_back(connection, transfer_id=mistaken.id, created_by=None, reason="taken back", now=after(11))
        give(connection, other, 5 * DOLLAR)

        def amounts(wanted: Filter, **page: int) -> tuple[list[int], int]:
            found, total = transactions.search(connection, team, wanted, **{"limit": 100, **page})
            return [each.amount_micros for each in found], total

        everything = [-7, 7, *((second + 1) * DOLLAR for second in reversed(range(10)))]
        assert amounts(Filter()) == (everything, 12)
        for wanted in (Filter(), Filter(from_at=after(-1))):
            assert amounts(wanted, limit=5, page=1) == (everything[:5], 12)
            assert amounts(wanted, limit=5, page=3) == (everything[10:], 12)
            assert amounts(wanted, limit=5, page=4) == ([], 12)
            assert amounts(wanted, limit=5, page=10**9) == ([], 12)
        assert amounts(Filter(kind="grant_taken_back")) == ([-7], 1)
        assert amounts(Filter(kind="usage")) == ([], 0)
        assert amounts(Filter(except_kind="grant")) == ([-7], 1)
        assert amounts(Filter(from_at=after(3), to_at=after(5))) == ([5 * DOLLAR, 4 * DOLLAR], 2), "the end is left out"
        [back, slip], _ = transactions.search(connection, team, Filter(), limit=2)
        assert (back.words, back.reason, back.reverses, back.created_by) == (
            "Grant taken back", "taken back", mistaken.id, None,
        )  # fmt: skip
        assert (slip.created_by, slip.created_by_name) == (person["created_by"], "A person")
        assert back.balance_after_micros == slip.balance_after_micros - 7 == 55 * DOLLAR
