"""`/api/teams/{id}/statements`: the credits of a month, from the balance it began with to the one it ended with."""

from typing import Annotated

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Pdf, Wire, moment
from forebay.api.route import route
from forebay.domain.machines import statement_pdf, statements
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class Page(Input):
    """A page of months."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 24


class Month(Wire):
    """A month that there is a statement of."""

    month: str
    """2026-11, the last part of the statement's path."""
    from_: str = msgspec.field(name="from")
    to: str
    """Not included."""
    is_complete: bool
    """The month is over, and its statement stays as it is."""


class Months(Wire):
    """A page, newest first."""

    statements: list[Month]
    total: int
    page: int
    limit: int
    total_pages: int


@route(
    "GET",
    "/api/teams/{team_id}/statements",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    query=Page,
    answers=Months,
)
def list_all(call: Call, team_id: str, query: Page) -> Months:
    """The months that there are statements of: from the team's first to the present one."""
    found = statements.months(call.connection, team_id, now=call.now)
    first = (query.page - 1) * query.limit
    return Months(
        statements=[
            Month(
                month=str(each),
                from_=moment(int(each.from_at.timestamp())),
                to=moment(int(each.to_at.timestamp())),
                is_complete=each.to_at <= call.now,
            )
            for each in found[first : first + query.limit]
        ],
        total=len(found),
        page=query.page,
        limit=query.limit,
        total_pages=-(-len(found) // query.limit),
    )


@route(
    "GET",
    "/api/teams/{team_id}/statements/{month}",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    answers=Pdf,
)
def show(call: Call, team_id: str, month: str) -> Pdf:
    """The statement of a month, `2026-11`, as a PDF document.

    Opening and closing balance are those of the ledger at the month's edges, in UTC. The present month goes up to now.
    """
    found = statements.statement(call.connection, team_id, month, now=call.now)
    settings = call.settings
    company = statement_pdf.Company(settings.company_name, settings.company_vat_number)
    return Pdf(f"statement-{call.team.slug}-{found.month}.pdf", statement_pdf.document(found, company))
