"""Statements: a PDF document for each month, from the ledger's opening balance to its closing one."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import statement_pdf, statements
from forebay.domain.people.roles import Permission
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, keep
from forebay.web.visits import Visit

MOST_MONTHS = 120


class StatementPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard

    def handlers(self) -> list[HTTPRouteHandler]:
        """Both, for those who may manage billing."""
        page, needs = self.dashboard.page, Permission.manage_billing
        return [
            page("GET", "/billing/statements", self.show_all, needs=needs),
            page("GET", "/billing/statements/{month}", self.show, needs=needs),
        ]

    def show_all(self, visit: Visit) -> Page:
        """The months that there are statements of."""
        with self.dashboard.read() as connection:
            found = statements.months(connection, visit.context.team_id, now=visit.now)
            return self.dashboard.show(visit, connection, "statements.html", months=found[:MOST_MONTHS])

    def show(self, visit: Visit) -> Page:
        """One, as a document to keep. Raises NotFound."""
        with self.dashboard.read() as connection:
            found = statements.statement(connection, visit.context.team_id, visit.parameters["month"], now=visit.now)
        settings = self.dashboard.frame.settings
        company = statement_pdf.Company(settings.company_name, settings.company_vat_number)
        name = f"statement-{visit.context.slug}-{found.month}.pdf"
        return keep(name, "application/pdf", statement_pdf.document(found, company))
