"""Transactions: what came into the team's pool of credits and what went out of it; also as a CSV file."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.money import transactions
from forebay.domain.money.ledger import USAGE
from forebay.domain.money.transactions import Filter
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, keep
from forebay.web.top_ups import page_number
from forebay.web.visits import Visit

PAGE_ROWS = 25
WHICH = {"": "All but usage", "all": "Everything", **transactions.WORDS}


class TransactionPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard

    def handlers(self) -> list[HTTPRouteHandler]:
        """Both, for those who may manage billing."""
        page, needs = self.dashboard.page, Permission.manage_billing
        return [
            page("GET", "/billing/transactions", self.show, needs=needs),
            page("GET", "/billing/transactions.csv", self.as_csv, needs=needs),
        ]

    def show(self, visit: Visit) -> Page:
        """A page of them, newest first; without a wish all but what machines are charged each minute."""
        number = page_number(visit)
        with self.dashboard.read() as connection:
            found, total = transactions.search(
                connection, visit.context.team_id, wanted(visit), limit=PAGE_ROWS, page=number
            )
            return self.dashboard.show(
                visit,
                connection,
                "transactions.html",
                transactions=found,
                total=total,
                page=number,
                limit=PAGE_ROWS,
                kind=visit.query.get("kind", ""),
                which=WHICH.items(),
            )

    def as_csv(self, visit: Visit) -> Page:
        """The same as a file, all of it."""
        with self.dashboard.read() as connection:
            found = transactions.for_a_file(connection, visit.context.team_id, wanted(visit))
        return keep(f"transactions-{visit.context.slug}.csv", "text/csv", transactions.sheet(found))


def wanted(visit: Visit) -> Filter:
    """Which of them. Raises BadRequest for a kind that there is not."""
    kind = visit.query.get("kind", "")
    if kind not in WHICH:
        raise BadRequest("There is no such kind of transaction.", details={"kind": "not one of the list"})
    if kind == "":
        return Filter(except_kind=USAGE)
    return Filter() if kind == "all" else Filter(kind=kind)
