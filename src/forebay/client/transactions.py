"""Transactions: what came into a team's pool of credits and what went out, in dollars."""

from forebay.client.request import Answer, Page, Request, given


class Maker(Answer):
    """Who made it."""

    id: str
    name: str | None


class Transaction(Answer):
    """A transfer of credits: above zero the team gained them, below it paid them."""

    id: str
    kind: str
    description: str
    """The kind in words."""
    amount: float
    balance_after: float
    reason: str
    created_by: Maker | None
    """None: Forebay itself."""
    created_at: str
    reverses: str | None
    """The transaction that this one takes back."""


class Transactions(Page):
    """A page, newest first."""

    transactions: list[Transaction]


def listed(
    team_id: str,
    *,
    kind: str | None = None,
    except_kind: str | None = None,
    since: str | None = None,
    until: str | None = None,
    page: int | None = None,
    limit: int | None = None,
) -> Request[Transactions]:
    """The team's transactions: of one kind, or all but one, from a moment up to another."""
    query = given(kind=kind, exceptKind=except_kind, to=until, page=page, limit=limit) | given(**{"from": since})
    return Request(
        method="GET",
        path="/api/teams/{team_id}/transactions",
        at={"team_id": team_id},
        query=query,
        answers=Transactions,
    )


def as_csv(
    team_id: str,
    *,
    kind: str | None = None,
    except_kind: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Request[str]:
    """The same as a table for spreadsheets, all of it."""
    query = given(kind=kind, exceptKind=except_kind, to=until) | given(**{"from": since})
    return Request(
        method="GET", path="/api/teams/{team_id}/transactions.csv", at={"team_id": team_id}, query=query, answers=str
    )
