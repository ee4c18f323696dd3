"""`/api/teams/{id}/transactions`: what came into the team's pool of credits and what went out of it."""

from datetime import datetime
from typing import Annotated

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Csv, Input, Wire, moment
from forebay.api.route import route
from forebay.domain.money import transactions
from forebay.domain.money.amounts import to_dollars
from forebay.domain.money.transactions import Filter
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission

Kind = Annotated[str, msgspec.Meta(pattern="^[a-z_]{1,30}$")]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Which(Input):
    """Which transactions: of one kind, or all but one, from a moment up to another, which is not included."""

    kind: Kind | None = None
    except_kind: Kind | None = None
    from_: Moment | None = msgspec.field(name="from", default=None)
    to: Moment | None = None

    def filter(self) -> Filter:
        """The same as the domain has it."""
        return Filter(kind=self.kind, except_kind=self.except_kind, from_at=self.from_, to_at=self.to)


class Page(Which):
    """A page of them."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class Maker(Wire):
    """Who made it."""

    id: str
    name: str | None


class Transaction(Wire):
    """A transfer of credits in dollars: above zero the team gained them, below it paid them."""

    id: str
    kind: str
    description: str
    """The kind in words."""
    amount: float
    balance_after: float
    reason: str
    created_by: Maker | None
    """Null: Forebay itself."""
    created_at: str
    reverses: str | None
    """The transaction that this one takes back."""


class Transactions(Wire):
    """A page, newest first."""

    transactions: list[Transaction]
    total: int
    page: int
    limit: int
    total_pages: int


def to_wire(found: transactions.Transaction) -> Transaction:
    """A transaction as clients see it."""
    return Transaction(
        id=found.id,
        kind=found.kind,
        description=found.words,
        amount=to_dollars(found.amount_micros),
        balance_after=to_dollars(found.balance_after_micros),
        reason=found.reason,
        created_by=None if found.created_by is None else Maker(id=found.created_by, name=found.created_by_name),
        created_at=moment(int(found.created_at.timestamp())),
        reverses=found.reverses,
    )


@route(
    "GET",
    "/api/teams/{team_id}/transactions",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    query=Page,
    answers=Transactions,
)
def list_all(call: Call, team_id: str, query: Page) -> Transactions:
    """The team's transactions, newest first.

    `exceptKind=usage` leaves out what machines and disks are charged each minute.
    """
    found, total = transactions.search(call.connection, team_id, query.filter(), limit=query.limit, page=query.page)
    return Transactions(
        transactions=[to_wire(transaction) for transaction in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


@route(
    "GET",
    "/api/teams/{team_id}/transactions.csv",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    query=Which,
    answers=Csv,
)
def as_csv(call: Call, team_id: str, query: Which) -> Csv:
    """The same as a CSV file, all of it.

    More than 100,000 lines are a 400: ask for them in parts.
    """
    found = transactions.for_a_file(call.connection, team_id, query.filter())
    return Csv(f"transactions-{call.team.slug}.csv", transactions.sheet(found))
