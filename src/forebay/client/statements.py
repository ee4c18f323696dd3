"""Statements: a month's credits, as a document."""

import msgspec

from forebay.client.request import Answer, Page, Request, given


class Month(Answer):
    """A month that there is a statement of."""

    month: str
    """As in 2026-11."""
    from_: str = msgspec.field(name="from")
    to: str
    """Not included."""
    is_complete: bool
    """The month is over, and its statement stays as it is."""


class Months(Page):
    """A page, newest first."""

    statements: list[Month]


def listed(team_id: str, *, page: int | None = None, limit: int | None = None) -> Request[Months]:
    """The months that there are statements of."""
    query = given(page=page, limit=limit)
    return Request(
        method="GET", path="/api/teams/{team_id}/statements", at={"team_id": team_id}, query=query, answers=Months
    )


def document(team_id: str, month: str) -> Request[bytes]:
    """The statement of a month as a PDF document."""
    at = {"team_id": team_id, "month": month}
    return Request(method="GET", path="/api/teams/{team_id}/statements/{month}", at=at, answers=bytes)
